//! Logins that the audit log has, of clients that show who they are with every request.
//!
//! HTTP has no connection to log in once. A login there is written down at its first request, and
//! again when it has gone on for an hour. What is remembered is a keyed hash of all that was shown,
//! by a key that only this process has.
//!
//! # Invariants
//! - What is remembered is bounded; when it is forgotten too early, a login is written down again.
//! - Another address, another user and another password, token or certificate are another login.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use posthouse_access::keyed_hash;

use super::{Credentials, Knock};

/// How long a login goes on before it is written down again.
const WRITTEN_EVERY: Duration = Duration::from_secs(60 * 60);

/// LIMIT: what is remembered; above it, the half that was written down longest ago is forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// See the module.
pub(super) struct Announced {
    key: [u8; 32],
    written: HashMap<[u8; 32], Instant>,
}

impl Default for Announced {
    fn default() -> Announced {
        Announced { key: posthouse_access::random_key(), written: HashMap::new() }
    }
}

impl Announced {
    /// Whether a login is to be written down now; it then counts as written.
    pub(super) fn is_due(
        &mut self,
        knock: Knock,
        credentials: Credentials<'_>,
        now: Instant,
    ) -> bool {
        let shown = self.hash(knock, credentials);
        let over = |at: &Instant| now.saturating_duration_since(*at) >= WRITTEN_EVERY;
        if self.written.get(&shown).is_some_and(|at| !over(at)) {
            return false;
        }
        if self.written.len() >= REMEMBERED_MAX {
            let mut times: Vec<Instant> = self.written.values().copied().collect();
            let (_, median, _) = times.select_nth_unstable(REMEMBERED_MAX / 2);
            let median = *median;
            self.written.retain(|_, at| *at > median && !over(at));
        }
        self.written.insert(shown, now);
        true
    }

    fn hash(&self, knock: Knock, credentials: Credentials<'_>) -> [u8; 32] {
        let (kind, user, proof): (&[u8], &str, &[u8]) = match credentials {
            Credentials::Password { user, password } => (b"p", user, password),
            Credentials::Token(token) => (b"t", "", token.as_bytes()),
            Credentials::Certificate { subject } => (b"c", "", subject.as_bytes()),
            Credentials::CurveKey(key) => (b"k", "", key.as_bytes()),
            Credentials::Verified { subject, .. } => (b"v", "", subject.as_bytes()),
        };
        let address = match knock.address.to_canonical() {
            std::net::IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            std::net::IpAddr::V6(address) => address.octets(),
        };
        // Lengths keep what is joined apart, whatever it holds.
        let length = |text: &str| u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes();
        let (door, named) = (length(knock.door), length(user));
        let parts = [kind, &address, &door, knock.door.as_bytes(), &named, user.as_bytes(), proof];
        keyed_hash(&self.key, &parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOCK: Knock = Knock {
        door: "http",
        address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    };

    fn password<'a>(user: &'a str, password: &'a str) -> Credentials<'a> {
        Credentials::Password { user, password: password.as_bytes() }
    }

    #[test]
    fn a_login_is_written_down_once_an_hour() {
        let (mut announced, now) = (Announced::default(), Instant::now());
        let mut due_after = |seconds| {
            announced.is_due(KNOCK, password("alice", "pw"), now + Duration::from_secs(seconds))
        };
        assert!(due_after(0));
        assert!(!due_after(1));
        assert!(!due_after(3599));
        assert!(due_after(3600));
        assert!(!due_after(7199));
        assert!(due_after(7200));
    }

    #[test]
    fn another_address_user_or_credential_is_another_login() {
        let (mut announced, now) = (Announced::default(), Instant::now());
        let elsewhere = Knock { address: [192, 0, 2, 2].into(), ..KNOCK };
        let logins = [
            (KNOCK, password("alice", "pw")),
            (elsewhere, password("alice", "pw")),
            (KNOCK, password("alice", "other")),
            (KNOCK, password("alicep", "w")),
            (KNOCK, Credentials::Token("alice")),
            (KNOCK, Credentials::Certificate { subject: "alice" }),
        ];
        for (knock, credentials) in logins {
            assert!(announced.is_due(knock, credentials, now));
        }
        for (knock, credentials) in logins {
            assert!(!announced.is_due(knock, credentials, now));
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest_is_kept() {
        let (mut announced, now) = (Announced::default(), Instant::now());
        for user in 0..3 * REMEMBERED_MAX {
            let at = now + Duration::from_micros(u64::try_from(user).unwrap());
            assert!(announced.is_due(KNOCK, Credentials::Token(&user.to_string()), at));
            assert!(announced.written.len() <= REMEMBERED_MAX);
        }
        let latest = (3 * REMEMBERED_MAX - 1).to_string();
        let later = now + Duration::from_secs(1);
        assert!(!announced.is_due(KNOCK, Credentials::Token(&latest), later));
    }
}
