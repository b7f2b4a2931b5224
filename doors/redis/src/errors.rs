//! Why a command is refused, in Redis's words.
//!
//! The only place that chooses an error's code, its first word: clients tell errors apart by it.

use posthouse_broker::{
    AccessError, AlterTopicError, AppendFailure, CreateTopicError, LookupError, PublishError,
    QueueError, SubscribeError,
};
use posthouse_keyspace::KeyError;
use posthouse_log::{DurabilityError, ReadError};
use posthouse_types::chain;

use crate::codec::Reply;

/// A command that is answered with an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    #[error("ERR value is not a valid float")]
    NotFloat,
    #[error("ERR timeout is not a float or out of range")]
    NotTimeout,
    #[error("ERR timeout is negative")]
    NegativeTimeout,
    #[error("ERR no such key")]
    NoSuchKey,
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(String),
    #[error("ERR unknown subcommand '{subcommand}'. Try {command} HELP.")]
    UnknownSubcommand { command: &'static str, subcommand: String },
    #[error("ERR DB index is out of range")]
    Database,
    #[error("NOPROTO unsupported protocol version")]
    Protocol,
    #[error(
        "MISCONF changes of keys cannot be kept: the node's log says why, and a restart is needed"
    )]
    KeysFailed,
    #[error("OOM command not allowed when used memory > 'maxmemory'.")]
    OutOfMemory,
    #[error(
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
    )]
    Busy,
    #[error("NOAUTH Authentication required.")]
    NotAuthenticated,
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongPassword,
    #[error("NOPERM this user has no permissions to run the '{0}' command")]
    NoCommand(String),
    #[error("NOPERM this user has no permissions to access one of the keys used as arguments")]
    NoKey,
    #[error("NOPERM this user has no permissions to access one of the channels used as arguments")]
    NoChannel,
    /// A group of a stream is not there; who knows the names words it.
    #[error("NOGROUP No such consumer group")]
    NoGroup,
    /// Any other error of Redis, code and text.
    #[error("{0}")]
    Said(String),
    /// What the disk or the log refused. The write may have been kept all the same.
    #[error("IOERR {0}")]
    Storage(String),
}

impl CommandError {
    /// An error with its code and text.
    pub(crate) fn said(text: impl Into<String>) -> CommandError {
        CommandError::Said(text.into())
    }
}

impl From<CommandError> for Reply {
    fn from(error: CommandError) -> Reply {
        Reply::Error(error.to_string())
    }
}

impl From<QueueError> for CommandError {
    fn from(error: QueueError) -> CommandError {
        let text = chain(&error);
        match error {
            QueueError::NotFound { .. } => CommandError::NoGroup,
            QueueError::Exists { .. }
            | QueueError::UnknownOwner { .. }
            | QueueError::Name { .. }
            | QueueError::Window { .. }
            | QueueError::Timeout { .. }
            | QueueError::Deliveries
            | QueueError::DeadLetterToItself(_)
            | QueueError::DeadLetter(_)
            | QueueError::Internal(_)
            | QueueError::Limit { .. } => CommandError::Said(format!("ERR {text}")),
            QueueError::Lookup(error) => error.into(),
            QueueError::Read(error) => error.into(),
            QueueError::Storage(_) => CommandError::Storage(text),
        }
    }
}

impl From<KeyError> for CommandError {
    fn from(error: KeyError) -> CommandError {
        let text = match error {
            KeyError::WrongType => return CommandError::WrongType,
            KeyError::NotInteger => return CommandError::NotInteger,
            KeyError::NoSuchKey => return CommandError::NoSuchKey,
            KeyError::NoSuchDatabase => return CommandError::Database,
            KeyError::NotFloat => return CommandError::NotFloat,
            KeyError::HashNotInteger => "ERR hash value is not an integer",
            KeyError::HashNotFloat => "ERR hash value is not a float",
            KeyError::Overflow => "ERR increment or decrement would overflow",
            KeyError::NotFinite => "ERR increment would produce NaN or Infinity",
            KeyError::ScoreNotANumber => "ERR resulting score is not a number (NaN)",
            KeyError::IndexOutOfRange => "ERR index out of range",
            KeyError::SameKey => "ERR source and destination objects are the same",
            KeyError::TooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            KeyError::NotHyperLogLog => "WRONGTYPE Key is not a valid HyperLogLog string value.",
            KeyError::DamagedHyperLogLog => "INVALIDOBJ Corrupted HLL object detected",
            KeyError::BadDump => "ERR DUMP payload version or checksum are wrong",
            KeyError::KeyExists => "BUSYKEY Target key name already exists.",
            KeyError::IsStream => "ERR a stream cannot be dumped or restored: it is a topic",
            KeyError::NotSortable => "ERR One or more scores can't be converted into double",
        };
        CommandError::said(text)
    }
}

macro_rules! storage_errors {
    ($($error:ty),*) => {$(
        impl From<$error> for CommandError {
            fn from(error: $error) -> CommandError {
                CommandError::Storage(chain(&error))
            }
        }
    )*};
}

storage_errors!(DurabilityError, ReadError);

impl From<LookupError> for CommandError {
    fn from(error: LookupError) -> CommandError {
        let text = chain(&error);
        match error {
            LookupError::UnknownTopic(_)
            | LookupError::UnknownTopicId(_)
            | LookupError::UnknownPartition { .. } => CommandError::NoSuchKey,
            LookupError::Opening { .. } => CommandError::Said(format!("LOADING {text}")),
            LookupError::Failed { .. } => CommandError::Storage(text),
            LookupError::Denied(_) => CommandError::NoKey,
        }
    }
}

impl From<AppendFailure> for CommandError {
    fn from(error: AppendFailure) -> CommandError {
        let text = chain(&error);
        match error {
            AppendFailure::Lookup(error) => error.into(),
            AppendFailure::Batch(_) | AppendFailure::Internal(_) => {
                CommandError::Said(format!("ERR {text}"))
            }
            AppendFailure::Create { source, .. } => (*source).into(),
            AppendFailure::Append(_) | AppendFailure::Durability(_) => CommandError::Storage(text),
        }
    }
}

impl From<PublishError> for CommandError {
    fn from(error: PublishError) -> CommandError {
        match error {
            PublishError::Append(error) => match error.into() {
                // The channel is a topic.
                CommandError::NoKey => CommandError::NoChannel,
                error => error,
            },
            PublishError::Denied(_) => CommandError::NoChannel,
        }
    }
}

impl From<SubscribeError> for CommandError {
    fn from(error: SubscribeError) -> CommandError {
        let text = chain(&error);
        match error {
            SubscribeError::Denied(_) => CommandError::NoChannel,
            SubscribeError::PatternTooLong { .. }
            | SubscribeError::TooMany { .. }
            | SubscribeError::Stopped => CommandError::Said(format!("ERR {text}")),
        }
    }
}

impl From<AccessError> for CommandError {
    fn from(error: AccessError) -> CommandError {
        let text = chain(&error);
        match error {
            AccessError::UserExists(_)
            | AccessError::UnknownUser(_)
            | AccessError::UnknownToken(_)
            | AccessError::Name(_)
            | AccessError::Password(_)
            | AccessError::Taken { .. }
            | AccessError::CurveKey { .. }
            | AccessError::TooMany { .. }
            | AccessError::TooLong { .. }
            | AccessError::LastSuperuser(_)
            | AccessError::Expired => CommandError::Said(format!("ERR {text}")),
            AccessError::Superuser => CommandError::Said(format!("NOPERM {text}")),
            AccessError::Catalog(_) => CommandError::Storage(text),
            AccessError::Denied(_) => CommandError::NoCommand("acl".to_owned()),
        }
    }
}

impl From<CreateTopicError> for CommandError {
    fn from(error: CreateTopicError) -> CommandError {
        let text = chain(&error);
        match error {
            CreateTopicError::Exists(_)
            | CreateTopicError::AliasTaken { .. }
            | CreateTopicError::Name(_)
            | CreateTopicError::Partitions { .. }
            | CreateTopicError::Config { .. }
            | CreateTopicError::Schema { .. } => CommandError::Said(format!("ERR {text}")),
            CreateTopicError::Storage(_) | CreateTopicError::Catalog(_) => {
                CommandError::Storage(text)
            }
            CreateTopicError::Denied(_) => CommandError::NoKey,
        }
    }
}

impl From<AlterTopicError> for CommandError {
    fn from(error: AlterTopicError) -> CommandError {
        let text = chain(&error);
        match error {
            AlterTopicError::Lookup(error) => error.into(),
            AlterTopicError::Partitions { .. }
            | AlterTopicError::Config { .. }
            | AlterTopicError::Schema { .. }
            | AlterTopicError::Internal(_) => CommandError::Said(format!("ERR {text}")),
            AlterTopicError::Open(_)
            | AlterTopicError::Delete(_)
            | AlterTopicError::Truncate(_)
            | AlterTopicError::Catalog(_) => CommandError::Storage(text),
        }
    }
}
