//! What the door that runs endpoints and those who declare them say to each other.

use futures::future::BoxFuture;

use super::EndpointSettings;

/// Whoever runs endpoints: checks declarations, and tells how they do.
pub trait EndpointRunner: Send + Sync + 'static {
    /// Checks a declaration.
    ///
    /// # Errors
    /// [`EndpointRefused`] names the setting, its value and the way out.
    fn check(&self, name: &str, settings: &EndpointSettings) -> Result<(), EndpointRefused>;

    /// Waits until what is declared under a name now has been tried, or what was has ended.
    fn settled<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()>;

    /// Every endpoint, by name.
    fn describe(&self) -> Vec<EndpointDescription>;
}

/// An endpoint and how it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointDescription {
    /// Its name.
    pub name: String,
    /// What kind of socket it is: `PULL`.
    pub socket: String,
    /// What it is for: `into topic orders`.
    pub target: String,
    /// Whether it is from the configuration, and cannot be dropped.
    pub configured: bool,
    /// How it does.
    pub state: EndpointState,
    /// Where it is bound, with ports that were free, and where it connects to.
    pub addresses: Vec<String>,
    /// Peers connected.
    pub peers: u64,
    /// Messages received from peers.
    pub received: u64,
    /// Messages handed to the socket for peers.
    pub sent: u64,
    /// Messages that could not be used or delivered.
    pub dropped: u64,
    /// As it was declared, without its secrets.
    pub settings: EndpointSettings,
}

/// How an endpoint does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// It is being opened.
    Starting,
    /// It works.
    Running,
    /// It does not, and tries again.
    Failing {
        /// Why.
        reason: String,
    },
}

impl EndpointState {
    /// One word for it.
    pub fn word(&self) -> &'static str {
        match self {
            EndpointState::Starting => "starting",
            EndpointState::Running => "running",
            EndpointState::Failing { .. } => "failing",
        }
    }

    /// Why it does not work, if it does not.
    pub fn reason(&self) -> Option<&str> {
        match self {
            EndpointState::Failing { reason } => Some(reason),
            EndpointState::Starting | EndpointState::Running => None,
        }
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}{} {reason}", quoted(value))]
pub struct EndpointRefused {
    /// Which setting.
    pub field: String,
    /// The value that was given; empty when none was.
    pub value: String,
    /// What is wrong with it, after the value.
    pub reason: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl EndpointRefused {
    /// A setting, its value, and a reason that follows them.
    pub fn new(field: &str, value: &str, reason: impl Into<String>) -> EndpointRefused {
        let (field, value) = (field.to_owned(), value.to_owned());
        EndpointRefused { field, value, reason: reason.into(), help: None }
    }

    /// Adds the way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> EndpointRefused {
        self.help = Some(help.into());
        self
    }
}

/// A value as it stands in a sentence; nothing when there is none.
fn quoted(value: &str) -> String {
    if value.is_empty() { String::new() } else { format!(" {value:?}") }
}
