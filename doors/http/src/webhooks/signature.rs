//! Signatures, as Standard Webhooks makes them.
//!
//! # Source
//! SPEC: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>,
//! the symmetric scheme: HMAC-SHA256 over `id.timestamp.body`, in base64 behind `v1,`; a secret is
//! `whsec_` and 24 to 64 bytes in base64; several signatures, one for each secret in force, stand
//! with spaces between them. The asymmetric scheme (`v1a`) is not offered.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const PREFIX: &str = "whsec_";
const KEY_BYTES: usize = 32;
const KEY_BYTES_MIN: usize = 24;
const KEY_BYTES_MAX: usize = 64;

/// A secret shared with the destination. It shows itself only when asked by [`Secret::reveal`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Secret {
    key: Vec<u8>,
}

/// Why a text is no secret. The text completes `secret `.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not whsec_ and {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes in base64; leave it out to have one made"
)]
pub(crate) struct SecretError;

impl Secret {
    /// A new one, of bytes that nobody can guess.
    ///
    /// # Errors
    /// The operating system has no random bytes to give.
    pub(crate) fn random() -> Result<Secret, getrandom::Error> {
        let mut key = vec![0; KEY_BYTES];
        getrandom::fill(&mut key)?;
        Ok(Secret { key })
    }

    /// As it is told to whoever runs the destination.
    pub(crate) fn reveal(&self) -> String {
        format!("{PREFIX}{}", BASE64.encode(&self.key))
    }

    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
    }
}

/// The value of `webhook-signature`: one signature for each secret.
pub(crate) fn signatures(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signed: Vec<_> = secrets.iter().map(|secret| secret.sign(id, timestamp, body)).collect();
    signed.join(" ")
}

impl TryFrom<String> for Secret {
    type Error = SecretError;

    fn try_from(text: String) -> Result<Secret, SecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError)?;
        let key = BASE64.decode(encoded).map_err(|_| SecretError)?;
        if (KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key.len()) {
            return Ok(Secret { key });
        }
        Err(SecretError)
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> String {
        secret.reveal()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Result<Secret, SecretError> {
        Secret::try_from(text.to_owned())
    }

    /// The example that every library of Standard Webhooks tests itself with.
    #[test]
    fn the_published_example_has_its_signature() {
        let secret = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signed = signatures(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_secret_in_force_signs() {
        let (old, new) = (Secret::random().unwrap(), Secret::random().unwrap());
        let both = signatures(&[new.clone(), old.clone()], "id", 1, b"x");
        let alone = |secret| signatures(&[secret], "id", 1, b"x");
        assert_eq!(both, format!("{} {}", alone(new), alone(old)));
    }

    #[test]
    fn a_secret_reads_back_and_is_not_shown_by_accident() {
        let made = Secret::random().unwrap();
        assert_eq!(secret(&made.reveal()).unwrap(), made);
        assert_eq!(format!("{made:?}"), "Secret(..)");
    }

    #[test]
    fn what_is_too_short_or_no_base64_is_refused() {
        for text in ["", "whsec_", "whsec_c2hvcnQ=", "whsec_!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
        {
            assert_eq!(secret(text), Err(SecretError), "{text}");
        }
    }
}
