//! How the program ends: what a person is told, and the code that a script sees.
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | done |
//! | 1 | it failed; the message says what and why |
//! | 2 | the command line or the configuration is wrong |
//! | 3 | no node answers at the address |
//! | 4 | what was named does not exist, or exists already |
//! | 5 | not every record was acknowledged |
//! | 6 | the node cannot start here: a port or the data directory is in use |
//! | 130 | interrupted |

use std::fmt;
use std::process::ExitCode;

/// A documented exit code other than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// It failed.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// No node answers.
    Unreachable = 3,
    /// What was named does not exist, or exists already.
    Named = 4,
    /// Not every record was acknowledged.
    Unacknowledged = 5,
    /// A port or the data directory is in use.
    InUse = 6,
    /// Ctrl-C.
    Interrupted = 130,
}

/// The table above, for `--help` and the docs.
pub const CODES: &str = "\
Exit codes:
  0    done
  1    it failed; the message says what and why
  2    the command line or the configuration is wrong
  3    no node answers at the address
  4    what was named does not exist, or exists already
  5    not every record was acknowledged
  6    the node cannot start here: a port or the data directory is in use
  130  interrupted";

/// A failure as a person sees it: what failed, then what to do about it.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    message: String,
    hint: Option<String>,
    broken_pipe: bool,
}

impl Failure {
    /// A failure with `message`, a sentence without its full stop.
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), hint: None, broken_pipe: false }
    }

    /// A failure whose message is `error` and everything that caused it.
    pub fn from_error(code: Code, error: &dyn std::error::Error) -> Failure {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors repeat their cause in their own text; nobody wants to read it twice.
            if !message.ends_with(&text) {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        Failure::new(code, message)
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure with another exit code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Failure {
        self.code = code;
        self
    }

    /// Whether it is that whoever reads our output has gone, which is no failure of ours.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }

    /// The exit code.
    pub fn code(&self) -> Code {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(formatter, "\n  help: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code as u8)
    }
}

/// An unforeseen failure keeps its chain and exits with 1.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::from_error(Code::Failed, error.as_ref())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        let broken_pipe = error.kind() == std::io::ErrorKind::BrokenPipe;
        Failure { broken_pipe, ..Failure::from_error(Code::Failed, &error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_text_lists_every_code() {
        for code in [
            Code::Failed,
            Code::Usage,
            Code::Unreachable,
            Code::Named,
            Code::Unacknowledged,
            Code::InUse,
            Code::Interrupted,
        ] {
            assert!(CODES.contains(&format!("\n  {} ", code as u8)), "{code:?}");
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot open the log")]
        struct Outer(#[source] std::io::Error);
        let failure =
            Failure::from_error(Code::Failed, &Outer(std::io::Error::other("disk on fire")));
        assert_eq!(failure.to_string(), "error: cannot open the log: disk on fire");
    }
}
