//! Passwords that were right a moment ago.
//!
//! A protocol without sessions sends the password with every request, and checking one costs
//! milliseconds on purpose. What is remembered is a keyed hash, by a key that only this process has.
//!
//! # Invariants
//! - Nothing is remembered over a change of access: a password that was changed is checked again.
//! - Only what was right is remembered, so guessing is as slow as ever.

use std::collections::HashSet;

use posthouse_access::keyed_hash;

/// LIMIT: what is remembered; above it all is forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// Hashes of users with their passwords.
pub(super) struct Proven {
    key: [u8; 32],
    revision: u64,
    hashes: HashSet<[u8; 32]>,
}

impl Default for Proven {
    fn default() -> Proven {
        Proven { key: posthouse_access::random_key(), revision: 0, hashes: HashSet::new() }
    }
}

impl Proven {
    /// Whether it was right, and nothing has changed since.
    pub(super) fn knows(&self, revision: u64, user: &str, password: &[u8]) -> bool {
        self.revision == revision && self.hashes.contains(&self.hash(user, password))
    }

    /// It was right at this revision.
    pub(super) fn remember(&mut self, revision: u64, user: &str, password: &[u8]) {
        if self.revision != revision || self.hashes.len() >= REMEMBERED_MAX {
            self.hashes.clear();
            self.revision = revision;
        }
        self.hashes.insert(self.hash(user, password));
    }

    fn hash(&self, user: &str, password: &[u8]) -> [u8; 32] {
        // The length keeps a name and a password apart, whatever they hold.
        let length = u64::try_from(user.len()).unwrap_or(u64::MAX).to_be_bytes();
        keyed_hash(&self.key, &[&length, user.as_bytes(), password])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_right_is_known_and_only_until_a_change() {
        let mut proven = Proven::default();
        proven.remember(1, "alice", b"pw");
        assert!(proven.knows(1, "alice", b"pw"));
        assert!(!proven.knows(1, "alice", b"other"));
        assert!(!proven.knows(1, "alicep", b"w"));
        assert!(!proven.knows(2, "alice", b"pw"));
        proven.remember(2, "bob", b"pw");
        assert!(!proven.knows(2, "alice", b"pw"));
    }
}
