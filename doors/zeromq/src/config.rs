//! The settings of the ZeroMQ door.

use std::collections::BTreeMap;
use std::time::Duration;

use posthouse_broker::EndpointSettings;

use crate::spec::Policy;

/// Settings of the ZeroMQ door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZeromqConfig {
    /// Endpoints by name, beside those that are declared while the node runs.
    pub endpoints: BTreeMap<String, EndpointSettings>,
    /// What is allowed of all endpoints.
    pub policy: Policy,
    /// How long endpoints may take to end what they have begun once the node drains.
    pub drain_timeout: Duration,
}

impl Default for ZeromqConfig {
    fn default() -> ZeromqConfig {
        ZeromqConfig {
            endpoints: BTreeMap::new(),
            policy: Policy::default(),
            drain_timeout: Duration::from_secs(10),
        }
    }
}
