//! The log in which keys are kept, for whoever keeps keys.

use std::sync::Arc;

use posthouse_log::Log;

use super::{KEYS_PARTITION, OpenTopic, internal_log_config, keys_topic};
use crate::{Broker, OpenBrokerError};

impl Broker {
    /// Opens the log of `__posthouse_keys` for its one writer, which alone decides what is in it.
    /// The log that an earlier call gave is fenced.
    ///
    /// # Errors
    /// [`OpenBrokerError::Log`].
    pub async fn open_keys_log(&self) -> Result<Arc<dyn Log>, OpenBrokerError> {
        let log = self.engine().open(KEYS_PARTITION, internal_log_config()).await?;
        let topic = OpenTopic::new(keys_topic(), [Arc::clone(&log)], self.in_flight().budget());
        self.topic_table().publish(topic);
        Ok(log)
    }
}
