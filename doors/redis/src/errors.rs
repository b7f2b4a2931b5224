//! Why a command is refused, in Redis's words.
//!
//! The only place that chooses an error's code, its first word: clients tell errors apart by it.

use std::error::Error;

use posthouse_broker::{AlterTopicError, AppendFailure, CreateTopicError, LookupError};
use posthouse_log::{DurabilityError, ReadError};

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
            LookupError::Denied(_) => CommandError::Said(format!("NOPERM {text}")),
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
            CreateTopicError::Denied(_) => CommandError::Said(format!("NOPERM {text}")),
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

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
