//! The promise that an accepted batch will be durable.

use posthouse_types::Offset;
use tokio::sync::watch;

use crate::{DurabilityError, LogEnds};

/// Resolves when every record below `until` is durable, or can never be.
///
/// Dropping it changes nothing: the batch is written all the same.
#[derive(Debug)]
pub struct Ticket {
    until: Offset,
    progress: watch::Receiver<Progress>,
}

/// What a log tells its tickets.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) ends: LogEnds,
    pub(crate) end_of_life: Option<DurabilityError>,
}

impl Ticket {
    /// The offset below which everything must be durable.
    pub fn until(&self) -> Offset {
        self.until
    }

    /// Waits for durability. Safe to drop at any await.
    ///
    /// # Errors
    /// [`DurabilityError`] when the batch can no longer become durable.
    pub async fn durable(mut self) -> Result<(), DurabilityError> {
        let until = self.until;
        let decided = self
            .progress
            .wait_for(|progress| {
                progress.ends.durable_end >= until || progress.end_of_life.is_some()
            })
            .await
            .map_err(|_| DurabilityError::Closed)?;
        match &decided.end_of_life {
            Some(error) if decided.ends.durable_end < until => Err(error.clone()),
            _ => Ok(()),
        }
    }
}
