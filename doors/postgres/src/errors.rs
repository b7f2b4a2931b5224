//! What goes wrong, and what a client is told about it.
//!
//! Owns the choice of SQLSTATE for the door's own failures; the engine chooses its own.
//!
//! # Source
//! PostgreSQL 16 documentation, appendix A "Error Codes" and "Error and Notice Message Fields".

use std::io;

use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use posthouse_access::scram::ScramError;
use posthouse_broker::LoginError;
use posthouse_query::QueryError;

use crate::codec::DecodeError;

/// Why a statement or message failed. The session goes on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("{message}")]
    Syntax { message: String, position: Option<usize> },
    #[error("{feature} is not supported")]
    Unsupported { feature: String, position: Option<usize> },
    #[error("{message}")]
    InvalidParameter { message: String },
    #[error("unrecognized configuration parameter \"{name}\"")]
    UnknownSetting { name: String },
    #[error("parameter \"{name}\" cannot be changed")]
    FixedSetting { name: String },
    #[error("prepared statement \"{name}\" does not exist")]
    UnknownStatement { name: String },
    #[error("prepared statement \"{name}\" already exists")]
    DuplicateStatement { name: String },
    #[error("portal \"{name}\" does not exist")]
    UnknownPortal { name: String },
    #[error("cursor \"{name}\" does not exist")]
    UnknownCursor { name: String },
    #[error("cursor \"{name}\" already exists")]
    DuplicateCursor { name: String },
    #[error("cannot insert multiple commands into a prepared statement")]
    SeveralCommands,
    #[error("too many {what}: the limit is {max}")]
    TooMany { what: &'static str, max: usize },
    #[error("current transaction is aborted, commands ignored until end of transaction block")]
    InFailedTransaction,
    #[error("{message}")]
    InTransaction { message: String },
    #[error("{message}")]
    InvalidCursor { message: String },
    #[error("{command} can only be used in transaction blocks")]
    NoTransaction { command: &'static str },
    #[error("portal \"{name}\" cannot be run again")]
    PortalDone { name: String },
    #[error("{message}")]
    BadBind { message: String },
    #[error("invalid value for parameter ${number}: {message}")]
    BadParameter { number: usize, message: String },
    #[error("invalid parameter value: {message}")]
    BadValue { message: String },
    #[error("{data_type} out of range")]
    OutOfRange { data_type: &'static str },
    #[error("cannot send the result: {message}")]
    Unencodable { message: String },
    #[error("{message}")]
    BadCopyData { message: String },
    #[error("COPY from stdin failed: {reason}")]
    CopyFailed { reason: String },
    #[error("unexpected message type during COPY from stdin")]
    UnexpectedInCopy,
    #[error("unexpected message: no authentication is in progress")]
    UnexpectedPassword,
    #[error("canceling statement due to user request")]
    Cancelled,
    #[error("canceling statement due to statement timeout")]
    TimedOut,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fatal {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("sorry, too many clients already")]
    TooManyClients,
    #[error("terminating connection due to administrator command")]
    ShuttingDown,
    #[error("canceling authentication due to timeout")]
    StartupTimeout,
    #[error("received unencrypted data after SSL request")]
    UnencryptedData,
    #[error("this door refuses connections that are not encrypted; connect with sslmode=require")]
    NotEncrypted,
    /// Newer connections needed its place before it was open.
    #[error("too many connections are being opened, and this was the oldest")]
    CrowdedOut,
    /// The user does not exist, is disabled, or cannot prove who it is: which is not said.
    #[error("password authentication failed for user \"{user}\"")]
    Password { user: String },
    #[error("client selected an invalid SASL authentication mechanism")]
    Mechanism,
    #[error("SCRAM channel binding check failed")]
    ChannelBinding,
    #[error("malformed SCRAM message")]
    Exchange(#[source] ScramError),
    #[error("expected a SASL response")]
    NoAnswer,
    #[error("terminating connection because its login has ended")]
    LoginEnded,
    #[error("no PostgreSQL user name specified in startup packet")]
    NoUser,
    #[error("replication connections are not supported")]
    NoReplication,
    /// A setting asked for in the start packet.
    #[error(transparent)]
    Setting(Failure),
    #[error("the session cannot be opened: {message}")]
    Session { message: String },
    /// The client left, with or without a word. Nobody is there to be told.
    #[error("the client is gone")]
    Gone,
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

/// Either: what a step of the conversation may end in.
#[derive(Debug)]
pub(crate) enum Stop {
    Failure(Failure),
    Fatal(Fatal),
}

impl<T: Into<Failure>> From<T> for Stop {
    fn from(failure: T) -> Stop {
        Stop::Failure(failure.into())
    }
}

impl From<Fatal> for Stop {
    fn from(fatal: Fatal) -> Stop {
        Stop::Fatal(fatal)
    }
}

impl Failure {
    /// The five-character code.
    pub(crate) fn sqlstate(&self) -> &'static str {
        match self {
            Failure::Query(error) => error.sqlstate,
            Failure::Syntax { .. } | Failure::SeveralCommands => "42601",
            Failure::Unsupported { .. } => "0A000",
            Failure::InvalidParameter { .. } => "22023",
            Failure::UnknownSetting { .. } => "42704",
            Failure::FixedSetting { .. } => "55P02",
            Failure::UnknownStatement { .. } => "26000",
            Failure::DuplicateStatement { .. } => "42P05",
            Failure::UnknownPortal { .. } | Failure::UnknownCursor { .. } => "34000",
            Failure::DuplicateCursor { .. } => "42P03",
            Failure::TooMany { .. } => "54000",
            Failure::InFailedTransaction => "25P02",
            Failure::InTransaction { .. } => "25001",
            Failure::InvalidCursor { .. } => "42P11",
            Failure::NoTransaction { .. } => "25P01",
            Failure::PortalDone { .. } => "55000",
            Failure::BadBind { .. } | Failure::UnexpectedInCopy | Failure::UnexpectedPassword => {
                "08P01"
            }
            Failure::BadParameter { .. } | Failure::BadValue { .. } => "22P02",
            Failure::OutOfRange { .. } => "22003",
            Failure::Unencodable { .. } => "XX000",
            Failure::BadCopyData { .. } => "22P04",
            Failure::CopyFailed { .. } | Failure::Cancelled | Failure::TimedOut => "57014",
        }
    }

    /// Moves the position by what stood before the text that failed.
    pub(crate) fn moved_by(mut self, characters: usize) -> Failure {
        match &mut self {
            Failure::Query(QueryError { position, .. })
            | Failure::Syntax { position, .. }
            | Failure::Unsupported { position, .. } => {
                *position = position.map(|position| position + characters);
            }
            _ => {}
        }
        self
    }

    /// Forgets the position: the text it counts in is not the client's.
    pub(crate) fn without_position(mut self) -> Failure {
        if let Failure::Query(QueryError { position, .. }) = &mut self {
            *position = None;
        }
        self
    }

    pub(crate) fn message(&self) -> PgWireBackendMessage {
        let fields = fields("ERROR", self.sqlstate(), &self.to_string(), self.position());
        PgWireBackendMessage::ErrorResponse(ErrorResponse::new(with_hint(fields, self.hint())))
    }

    fn position(&self) -> Option<usize> {
        match self {
            Failure::Query(error) => error.position,
            Failure::Syntax { position, .. } | Failure::Unsupported { position, .. } => *position,
            _ => None,
        }
    }

    fn hint(&self) -> Option<&str> {
        match self {
            Failure::Query(error) => error.hint.as_deref(),
            _ => None,
        }
    }
}

impl Fatal {
    /// Why `user` is not let in.
    pub(crate) fn login(user: &str, error: LoginError) -> Fatal {
        match error {
            LoginError::Refused => Fatal::Password { user: user.to_owned() },
            LoginError::Exchange(ScramError::Mismatch) => Fatal::ChannelBinding,
            LoginError::Exchange(error) => Fatal::Exchange(error),
        }
    }

    /// What to tell the client; `None` when nobody listens.
    pub(crate) fn message(&self) -> Option<PgWireBackendMessage> {
        let sqlstate = match self {
            Fatal::Decode(DecodeError::NotText { .. }) => "22021",
            Fatal::Decode(DecodeError::Version { .. }) => "0A000",
            Fatal::Decode(DecodeError::TooLarge { .. }) => "54000",
            Fatal::Decode(_) => "08P01",
            Fatal::TooManyClients => "53300",
            Fatal::ShuttingDown | Fatal::LoginEnded => "57P01",
            Fatal::Password { .. } => "28P01",
            Fatal::ChannelBinding => "28000",
            Fatal::Mechanism | Fatal::Exchange(_) | Fatal::NoAnswer => "08P01",
            Fatal::StartupTimeout => "57014",
            Fatal::UnencryptedData => "08P01",
            Fatal::NotEncrypted | Fatal::NoUser => "28000",
            Fatal::CrowdedOut => "53300",
            Fatal::NoReplication => "0A000",
            Fatal::Setting(failure) => failure.sqlstate(),
            Fatal::Session { .. } => "XX000",
            Fatal::Gone | Fatal::Io(_) => return None,
        };
        let fields = fields("FATAL", sqlstate, &self.to_string(), None);
        Some(PgWireBackendMessage::ErrorResponse(ErrorResponse::new(fields)))
    }
}

/// A warning that accompanies a statement which did succeed.
pub(crate) fn warning(sqlstate: &str, text: &str) -> PgWireBackendMessage {
    let fields = fields("WARNING", sqlstate, text, None);
    PgWireBackendMessage::NoticeResponse(NoticeResponse::new(fields))
}

/// An error of pgwire or arrow-pg while a value is put on the wire.
pub(crate) fn unencodable(error: PgWireError) -> Failure {
    Failure::Unencodable { message: ErrorInfo::from(error).message }
}

fn fields(
    severity: &str,
    sqlstate: &str,
    message: &str,
    position: Option<usize>,
) -> Vec<(u8, String)> {
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', sqlstate.to_owned()),
        (b'M', without_zeros(message)),
    ];
    fields.extend(position.map(|position| (b'P', position.to_string())));
    fields
}

fn with_hint(mut fields: Vec<(u8, String)>, hint: Option<&str>) -> Vec<(u8, String)> {
    fields.extend(hint.map(|hint| (b'H', without_zeros(hint))));
    fields
}

/// A zero byte would end the field on the wire, and the rest would be read as other fields.
fn without_zeros(text: &str) -> String {
    text.replace('\0', "\\0")
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
