//! Why a queue call failed.

use std::time::Duration;

use posthouse_log::ReadError;
use posthouse_types::TopicName;

use crate::{AppendFailure, Denied, LookupError};

/// Why a queue call failed; nothing was changed, but for [`QueueError::Storage`], after which the
/// change may or may not be kept.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum QueueError {
    #[error("topic {topic} has no queue {group:?}")]
    NotFound { topic: TopicName, group: String },
    #[error("topic {topic} already has a queue {group:?}")]
    Exists { topic: TopicName, group: String },
    #[error("queue {group:?} of topic {topic} has no owner {owner:?}")]
    UnknownOwner { topic: TopicName, group: String, owner: String },
    #[error("{what} of {len} bytes is not 1 to {max} bytes long")]
    Name { what: &'static str, len: usize, max: usize },
    #[error("window of {asked} records is not 1 to {max}")]
    Window { asked: u32, max: u32 },
    #[error("{what} of {asked:?} is too short or too long")]
    Timeout { what: &'static str, asked: Duration },
    #[error(
        "a record is delivered at least once, so it cannot be dead-lettered after 0 deliveries"
    )]
    Deliveries,
    #[error("topic {0} cannot be its own dead-letter topic")]
    DeadLetterToItself(TopicName),
    #[error("cannot use the dead-letter topic")]
    DeadLetter(#[source] AppendFailure),
    #[error("topic {0} is internal")]
    Internal(TopicName),
    #[error("there would be more than {max} {what}")]
    Limit { what: &'static str, max: usize },
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot keep the change")]
    Storage(#[source] AppendFailure),
}

impl From<Denied> for QueueError {
    fn from(denied: Denied) -> QueueError {
        QueueError::Lookup(denied.into())
    }
}
