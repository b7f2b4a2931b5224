//! Keys that nobody knows, and hashes by them.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// 32 fresh random bytes.
///
/// # Panics
/// When the system has no randomness.
pub fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    getrandom::fill(&mut key).expect("the system gives random bytes");
    key
}

/// HMAC-SHA-256 of all parts, one after the other.
///
/// # Panics
/// Never: a key of any length will do.
pub fn keyed_hash(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
