//! Users' names.

use std::fmt;
use std::sync::Arc;

use posthouse_types::Principal;
use serde::{Deserialize, Serialize};

/// LIMIT: longest name, as Kafka limits resource names.
pub const NAME_BYTES_MAX: usize = 249;

/// A user's name: text without control characters. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(Arc<str>);

/// Why a user's name is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum UserNameError {
    #[error("a user's name must not be empty")]
    Empty,
    #[error("user name {name:?} is too long: {size} bytes, {max} allowed", max = NAME_BYTES_MAX)]
    TooLong { name: String, size: usize },
    #[error("user name {0:?} has a control character")]
    Control(String),
    #[error(
        "{0:?} is not a user's name: `*` means everybody and ANONYMOUS whoever has not logged in"
    )]
    Reserved(String),
}

impl UserName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`UserNameError`] says what is wrong with it.
    pub fn new(name: impl AsRef<str>) -> Result<UserName, UserNameError> {
        let name = name.as_ref();
        if name.is_empty() {
            return Err(UserNameError::Empty);
        }
        if name.len() > NAME_BYTES_MAX {
            let start = name.chars().take(32).collect();
            return Err(UserNameError::TooLong { name: start, size: name.len() });
        }
        if name.chars().any(char::is_control) {
            return Err(UserNameError::Control(name.to_owned()));
        }
        if name == "*" || name == "ANONYMOUS" {
            return Err(UserNameError::Reserved(name.to_owned()));
        }
        Ok(UserName(Arc::from(name)))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who this user is to the rest of the node: `User:alice`.
    pub fn principal(&self) -> Principal {
        Principal::user(&self.0)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl TryFrom<String> for UserName {
    type Error = UserNameError;

    fn try_from(name: String) -> Result<UserName, UserNameError> {
        UserName::new(name)
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> String {
        name.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for (name, part) in [
            ("", "empty"),
            ("*", "everybody"),
            ("ANONYMOUS", "has not logged in"),
            ("a\nb", "control"),
        ] {
            let error = UserName::new(name).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(UserName::new("x".repeat(NAME_BYTES_MAX)).is_ok());
        let error = UserName::new("x".repeat(NAME_BYTES_MAX + 1)).unwrap_err();
        assert!(error.to_string().contains("250 bytes"), "{error}");
    }

    #[test]
    fn any_other_text_is_a_name() {
        for name in ["alice", "CN=alice,O=Example", "日本", "a b"] {
            assert_eq!(UserName::new(name).unwrap().principal().as_str(), format!("User:{name}"));
        }
    }
}
