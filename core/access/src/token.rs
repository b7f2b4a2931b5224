//! API tokens: shown once when they are made, kept only as a hash.
//!
//! A token is `ph_`, its id and its secret: `ph_3fk2…_Zx81…`. The prefix lets scanners of source code
//! find one that has leaked; the id finds it in the state, so that only one hash is compared.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What every token begins with.
const PREFIX: &str = "ph_";

/// Random bytes of an id; its text is twice as long.
const ID_BYTES: usize = 8;

/// Random bytes of a secret. They cannot be guessed, so one hash is enough to keep them by.
const SECRET_BYTES: usize = 32;

/// Names a token without giving it away: 16 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(String);

impl TokenId {
    /// An id as a person gives it.
    pub fn named(text: &str) -> TokenId {
        TokenId(text.to_owned())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What is kept of a token's secret: its SHA-256.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(String);

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenHash")
    }
}

/// A token as its owner has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    id: TokenId,
    secret: String,
}

impl Token {
    /// A fresh one.
    ///
    /// # Panics
    /// When the system has no randomness.
    pub fn random() -> Token {
        let mut id = [0; ID_BYTES];
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut id).expect("the system gives random bytes");
        getrandom::fill(&mut secret).expect("the system gives random bytes");
        let id = id.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        Token { id: TokenId(id), secret: URL_SAFE_NO_PAD.encode(secret) }
    }

    /// Reads a token; `None` when it does not look like one.
    pub fn parse(text: &str) -> Option<Token> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let id_fits = id.len() == ID_BYTES * 2 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let secret_fits = secret.len() == SECRET_BYTES.div_ceil(3) * 4 - 1;
        (id_fits && secret_fits)
            .then(|| Token { id: TokenId(id.to_owned()), secret: secret.to_owned() })
    }

    /// Its name.
    pub fn id(&self) -> &TokenId {
        &self.id
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash(URL_SAFE_NO_PAD.encode(Sha256::digest(self.secret.as_bytes())))
    }

    /// Whether this is what was kept of it.
    pub fn matches(&self, kept: &TokenHash) -> bool {
        self.hash().0.as_bytes().ct_eq(kept.0.as_bytes()).into()
    }

    /// The text, to be shown once to its owner.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, self.secret)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_alone() {
        let token = Token::random();
        let again = Token::parse(&token.reveal()).unwrap();
        assert!(again.matches(&token.hash()));
        assert!(!Token::random().matches(&token.hash()));
        assert!(!format!("{token:?}{:?}", token.hash()).contains(&token.secret));
    }

    #[test]
    fn what_does_not_look_like_a_token_is_none() {
        let token = Token::random().reveal();
        for wrong in ["", "ph_", "password", &token[1..], &token[..token.len() - 1]] {
            assert_eq!(Token::parse(wrong), None, "{wrong}");
        }
    }
}
