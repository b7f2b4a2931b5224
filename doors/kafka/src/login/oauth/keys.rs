//! The keys that tokens are signed with: a JWK set.
//!
//! # Invariants
//! - A key is for one algorithm, which follows from its type: a token cannot choose another.
//! - Keys of other types, and those that are not for signatures, are left out without an error: an
//!   issuer's set may hold more than we use.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// LIMIT: the size of a set.
pub(super) const SET_BYTES_MAX: usize = 1024 * 1024;

/// LIMIT: keys of a set.
const KEYS_MAX: usize = 1000;

/// Bytes of a coordinate on P-256.
const COORDINATE_BYTES: usize = 32;

/// Public keys by their ids.
#[derive(Debug, Default)]
pub(crate) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    public: PublicKey,
}

#[derive(Debug)]
enum PublicKey {
    /// RS256.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// ES256: the uncompressed point.
    P256(Vec<u8>),
}

/// Why a set cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeySetError {
    #[error("it is not a JWK set")]
    Json(#[from] serde_json::Error),
    #[error("it has {0} keys; at most {max} are read", max = KEYS_MAX)]
    TooMany(usize),
    #[error("it has no key for RS256 or ES256")]
    Empty,
}

#[derive(Deserialize)]
struct WireSet {
    keys: Vec<serde_json::Value>,
}

/// SPEC: RFC 7517 section 4, RFC 7518 sections 6.2.1 and 6.3.1.
#[derive(Deserialize)]
struct WireKey {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set.
    pub(crate) fn parse(json: &[u8]) -> Result<KeySet, KeySetError> {
        let set: WireSet = serde_json::from_slice(json)?;
        if set.keys.len() > KEYS_MAX {
            return Err(KeySetError::TooMany(set.keys.len()));
        }
        let keys: Vec<Key> = set.keys.into_iter().filter_map(Key::read).collect();
        if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(KeySet(keys)) }
    }

    /// Whether there is a key of this id; any key, when a token names none.
    pub(crate) fn knows(&self, id: Option<&str>) -> bool {
        self.candidates(id).next().is_some()
    }

    /// Whether one of the keys that may have signed has.
    pub(super) fn verify(
        &self,
        id: Option<&str>,
        algorithm: &str,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        self.candidates(id)
            .filter(|key| key.public.algorithm() == algorithm)
            .any(|key| key.public.verify(message, signature))
    }

    fn candidates(&self, id: Option<&str>) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| id.is_none() || key.id.as_deref() == id)
    }
}

impl Key {
    fn read(json: serde_json::Value) -> Option<Key> {
        let wire: WireKey = serde_json::from_value(json).ok()?;
        if wire.usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let decode = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
        let public = match &*wire.kty {
            "RSA" => PublicKey::Rsa { modulus: decode(wire.n)?, exponent: decode(wire.e)? },
            "EC" if wire.crv.as_deref() == Some("P-256") => {
                let (x, y) = (decode(wire.x)?, decode(wire.y)?);
                let is_point = x.len() == COORDINATE_BYTES && y.len() == COORDINATE_BYTES;
                // SEC 1, section 2.3.3: 4, then both coordinates.
                PublicKey::P256(is_point.then(|| [&[4], &x[..], &y[..]].concat())?)
            }
            _ => return None,
        };
        let fits = wire.alg.is_none_or(|alg| alg == public.algorithm());
        fits.then_some(Key { id: wire.kid, public })
    }
}

impl PublicKey {
    fn algorithm(&self) -> &'static str {
        match self {
            PublicKey::Rsa { .. } => "RS256",
            PublicKey::P256(_) => "ES256",
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            PublicKey::Rsa { modulus, exponent } => {
                let key = RsaPublicKeyComponents { n: &modulus[..], e: &exponent[..] };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
            PublicKey::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(message, signature)
                .is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

    fn set(keys: &str) -> Result<KeySet, KeySetError> {
        KeySet::parse(format!("{{\"keys\":[{keys}]}}").as_bytes())
    }

    #[test]
    fn keys_that_are_not_for_signatures_of_ours_are_left_out() {
        let known = set(&format!(
            "{{{POINT},\"kid\":\"a\"}},{{{POINT},\"kid\":\"b\",\"use\":\"enc\"}},\
             {{{POINT},\"kid\":\"c\",\"alg\":\"RS256\"}},{{\"kty\":\"oct\",\"kid\":\"d\",\"k\":\"AA\"}},\
             {{\"kty\":\"EC\",\"kid\":\"e\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}},7"
        ))
        .unwrap();
        assert!(known.knows(Some("a")) && known.knows(None));
        for id in ["b", "c", "d", "e"] {
            assert!(!known.knows(Some(id)), "{id}");
        }
    }

    #[test]
    fn what_has_no_key_is_no_set() {
        assert!(matches!(set(""), Err(KeySetError::Empty)));
        assert!(matches!(KeySet::parse(b"{}"), Err(KeySetError::Json(_))));
        let many = vec![format!("{{{POINT}}}"); KEYS_MAX + 1].join(",");
        assert!(matches!(set(&many), Err(KeySetError::TooMany(_))));
    }
}
