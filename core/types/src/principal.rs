//! Who is asking.

use std::fmt;
use std::sync::Arc;

/// The node's own name; no user can have it, because users' begin with `User:`.
const NODE: &str = "Node:self";

/// The identity on whose behalf a core call is made. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// A client that has not said who it is; Kafka's `User:ANONYMOUS`.
    pub fn anonymous() -> Principal {
        Principal(Arc::from("User:ANONYMOUS"))
    }

    /// A user, by name: Kafka's `User:alice`.
    pub fn user(name: &str) -> Principal {
        Principal(Arc::from(format!("User:{name}")))
    }

    /// The node itself, for internal work.
    pub fn node() -> Principal {
        Principal(Arc::from(NODE))
    }

    /// Whether it is the node itself.
    pub fn is_node(&self) -> bool {
        &*self.0 == NODE
    }

    /// The name as it is logged and matched.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
