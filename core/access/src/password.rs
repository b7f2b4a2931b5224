//! Passwords, as far as they are kept: what checks one, and cannot be turned back into it.
//!
//! Source: RFC 5802 section 3 (`StoredKey`, `ServerKey`), RFC 7677, RFC 4013 (SASLprep).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// Fewest iterations; Kafka takes no fewer either, and RFC 7677 asks for these.
pub const ITERATIONS_MIN: u32 = 4096;

/// LIMIT: most iterations, which each login costs its client; as Kafka limits them.
pub const ITERATIONS_MAX: u32 = 16_384;

/// Iterations of a new password.
pub const ITERATIONS_DEFAULT: u32 = 8192;

/// LIMIT: longest password.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Bytes of a new salt; as PostgreSQL and Kafka make them.
const SALT_BYTES: usize = 16;

/// LIMIT: longest salt that is taken over.
const SALT_BYTES_MAX: usize = 128;

/// How a password is checked; SCRAM's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mechanism {
    /// RFC 7677; what PostgreSQL speaks.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// What Kafka speaks beside it.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Mechanism; 2] = [Mechanism::ScramSha256, Mechanism::ScramSha512];

    /// Its name in SASL.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    /// Bytes of its keys.
    pub fn key_bytes(self) -> usize {
        match self {
            Mechanism::ScramSha256 => 32,
            Mechanism::ScramSha512 => 64,
        }
    }

    pub(crate) fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        const ANY: &str = "a key of any length will do";
        match self {
            Mechanism::ScramSha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY);
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }
            Mechanism::ScramSha512 => {
                let mut mac = Hmac::<Sha512>::new_from_slice(key).expect(ANY);
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    pub(crate) fn hash(self, message: &[u8]) -> Vec<u8> {
        match self {
            Mechanism::ScramSha256 => Sha256::digest(message).to_vec(),
            Mechanism::ScramSha512 => Sha512::digest(message).to_vec(),
        }
    }

    /// RFC 5802's `Hi`.
    fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut salted = vec![0; self.key_bytes()];
        match self {
            Mechanism::ScramSha256 => {
                pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted);
            }
            Mechanism::ScramSha512 => {
                pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut salted);
            }
        }
        salted
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What checks a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    mechanism: Mechanism,
    iterations: u32,
    #[serde(with = "base64_bytes")]
    salt: Vec<u8>,
    #[serde(with = "base64_bytes")]
    stored_key: Vec<u8>,
    #[serde(with = "base64_bytes")]
    server_key: Vec<u8>,
}

/// Why a verifier cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum VerifierError {
    #[error("a password must not be empty")]
    Empty,
    #[error("a password of {size} bytes is too long; {max} are allowed", max = PASSWORD_BYTES_MAX)]
    TooLong { size: usize },
    #[error("{iterations} iterations are not between {min} and {max}", min = ITERATIONS_MIN, max = ITERATIONS_MAX)]
    Iterations { iterations: u32 },
    #[error("a salt of {size} bytes is not between 1 and {max}", max = SALT_BYTES_MAX)]
    Salt { size: usize },
    #[error("a salted password of {mechanism} has {wanted} bytes, not {size}")]
    SaltedPassword { mechanism: Mechanism, wanted: usize, size: usize },
}

impl Verifier {
    /// What checks this password, with a fresh salt.
    ///
    /// Costs some milliseconds of a core, as it is meant to.
    ///
    /// # Errors
    /// [`VerifierError`] when the password is empty or too long, or the iterations out of range.
    ///
    /// # Panics
    /// When the system has no randomness, without which nothing here can be safe.
    pub fn of_password(
        mechanism: Mechanism,
        password: &[u8],
        iterations: u32,
    ) -> Result<Verifier, VerifierError> {
        let mut salt = vec![0; SALT_BYTES];
        getrandom::fill(&mut salt).expect("the system gives random bytes");
        Verifier::with_salt(mechanism, password, salt, iterations)
    }

    /// What checks this password, with a given salt.
    ///
    /// # Errors
    /// As [`Verifier::of_password`], and for a salt that is empty or too long.
    pub fn with_salt(
        mechanism: Mechanism,
        password: &[u8],
        salt: Vec<u8>,
        iterations: u32,
    ) -> Result<Verifier, VerifierError> {
        if password.is_empty() {
            return Err(VerifierError::Empty);
        }
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(VerifierError::TooLong { size: password.len() });
        }
        check(iterations, &salt)?;
        let salted = mechanism.salted(&prepared(password), &salt, iterations);
        Ok(Verifier::of_salted(mechanism, &salted, salt, iterations))
    }

    /// From a password that the client has salted, as Kafka's `AlterUserScramCredentials` brings it.
    ///
    /// # Errors
    /// [`VerifierError`] for iterations, a salt or a key out of range.
    pub fn of_salted_password(
        mechanism: Mechanism,
        salted: &[u8],
        salt: Vec<u8>,
        iterations: u32,
    ) -> Result<Verifier, VerifierError> {
        check(iterations, &salt)?;
        let (wanted, size) = (mechanism.key_bytes(), salted.len());
        if size != wanted {
            return Err(VerifierError::SaltedPassword { mechanism, wanted, size });
        }
        Ok(Verifier::of_salted(mechanism, salted, salt, iterations))
    }

    /// As PostgreSQL writes one, `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`; `None` for a
    /// text that is not so made, which PostgreSQL takes for a password.
    pub fn from_postgres(text: &str) -> Option<Result<Verifier, VerifierError>> {
        let mechanism = Mechanism::ScramSha256;
        let (head, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let key = |text: &str| {
            STANDARD.decode(text).ok().filter(|key| key.len() == mechanism.key_bytes())
        };
        let iterations = iterations.parse().ok()?;
        let (salt, stored_key, server_key) =
            (STANDARD.decode(salt).ok()?, key(stored)?, key(server)?);
        let checked = check(iterations, &salt);
        Some(checked.map(|()| Verifier { mechanism, iterations, salt, stored_key, server_key }))
    }

    /// One that no password satisfies, for a user that does not exist: always the same for the same
    /// name and `secret`, so that asking twice does not tell.
    pub(crate) fn decoy(
        mechanism: Mechanism,
        user: &str,
        secret: &[u8],
        iterations: u32,
    ) -> Verifier {
        let derive = |what: &str| mechanism.hmac(secret, format!("{what}:{user}").as_bytes());
        let mut salt = derive("salt");
        salt.truncate(SALT_BYTES);
        Verifier {
            mechanism,
            iterations,
            salt,
            stored_key: derive("stored"),
            server_key: derive("server"),
        }
    }

    /// Whether it is the password. Costs as much either way.
    pub fn check(&self, password: &[u8]) -> bool {
        // A longer one was never taken, and must not make us work.
        let password = &password[..password.len().min(PASSWORD_BYTES_MAX + 1)];
        let salted = self.mechanism.salted(&prepared(password), &self.salt, self.iterations);
        let client_key = self.mechanism.hmac(&salted, b"Client Key");
        self.mechanism.hash(&client_key).ct_eq(&self.stored_key).into()
    }

    /// How it checks.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// How often the password was hashed.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    pub(crate) fn salt(&self) -> &[u8] {
        &self.salt
    }

    pub(crate) fn stored_key(&self) -> &[u8] {
        &self.stored_key
    }

    pub(crate) fn server_key(&self) -> &[u8] {
        &self.server_key
    }

    fn of_salted(mechanism: Mechanism, salted: &[u8], salt: Vec<u8>, iterations: u32) -> Verifier {
        let client_key = mechanism.hmac(salted, b"Client Key");
        Verifier {
            mechanism,
            iterations,
            salt,
            stored_key: mechanism.hash(&client_key),
            server_key: mechanism.hmac(salted, b"Server Key"),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Verifier({}, {} iterations)", self.mechanism, self.iterations)
    }
}

fn check(iterations: u32, salt: &[u8]) -> Result<(), VerifierError> {
    if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
        return Err(VerifierError::Iterations { iterations });
    }
    if salt.is_empty() || salt.len() > SALT_BYTES_MAX {
        return Err(VerifierError::Salt { size: salt.len() });
    }
    Ok(())
}

/// SASLprep where it applies; the bytes as they are where it does not, as PostgreSQL does.
fn prepared(password: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(password).ok();
    match text.and_then(|text| stringprep::saslprep(text).ok()) {
        Some(prepared) => prepared.into_owned().into_bytes(),
        None => password.to_vec(),
    }
}

mod base64_bytes {
    use super::{Engine, STANDARD};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(source)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_satisfies_its_verifier() {
        for mechanism in Mechanism::ALL {
            let verifier =
                Verifier::of_password(mechanism, "pässword".as_bytes(), ITERATIONS_MIN).unwrap();
            assert!(verifier.check("pässword".as_bytes()));
            for wrong in ["", "password", "pässword "] {
                assert!(!verifier.check(wrong.as_bytes()), "{wrong}");
            }
        }
    }

    #[test]
    fn what_looks_the_same_is_the_same_password() {
        let verifier =
            Verifier::of_password(Mechanism::ScramSha256, "\u{2168}".as_bytes(), ITERATIONS_MIN);
        assert!(verifier.unwrap().check(b"IX"), "RFC 4013, section 3, example 5");
    }

    #[test]
    fn a_password_that_is_no_text_is_taken_as_it_is() {
        let verifier = Verifier::of_password(Mechanism::ScramSha256, b"\xff\x01", ITERATIONS_MIN);
        let verifier = verifier.unwrap();
        assert!(verifier.check(b"\xff\x01"));
        assert!(!verifier.check(b"\xff"));
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let of = |password: &[u8], iterations| {
            Verifier::of_password(Mechanism::ScramSha512, password, iterations).unwrap_err()
        };
        assert_eq!(of(b"", ITERATIONS_MIN), VerifierError::Empty);
        assert_eq!(of(&[b'x'; 1025], ITERATIONS_MIN), VerifierError::TooLong { size: 1025 });
        assert_eq!(of(b"x", 4095), VerifierError::Iterations { iterations: 4095 });
        assert_eq!(of(b"x", 16_385), VerifierError::Iterations { iterations: 16_385 });
        let salted = |salted: &[u8], salt: Vec<u8>| {
            Verifier::of_salted_password(Mechanism::ScramSha256, salted, salt, ITERATIONS_MIN)
        };
        assert!(matches!(salted(&[0; 31], vec![1]), Err(VerifierError::SaltedPassword { .. })));
        assert!(matches!(salted(&[0; 32], vec![]), Err(VerifierError::Salt { size: 0 })));
    }

    #[test]
    fn a_decoy_is_always_the_same_and_opens_to_nobody() {
        let decoy = |user, secret: &[u8]| {
            Verifier::decoy(Mechanism::ScramSha256, user, secret, ITERATIONS_MIN)
        };
        assert_eq!(decoy("bob", b"s"), decoy("bob", b"s"));
        assert_ne!(decoy("bob", b"s").salt, decoy("eve", b"s").salt);
        assert_ne!(decoy("bob", b"s").salt, decoy("bob", b"t").salt);
        assert!(!decoy("bob", b"s").check(b""));
    }

    #[test]
    fn a_verifier_shows_no_key_when_it_is_printed() {
        let verifier =
            Verifier::of_password(Mechanism::ScramSha256, b"secret", ITERATIONS_MIN).unwrap();
        assert_eq!(format!("{verifier:?}"), "Verifier(SCRAM-SHA-256, 4096 iterations)");
        let json = serde_json::to_string(&verifier).unwrap();
        assert_eq!(serde_json::from_str::<Verifier>(&json).unwrap(), verifier);
    }
}
