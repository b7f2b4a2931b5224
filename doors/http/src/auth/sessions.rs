//! Sessions of pages: a random name for a login, kept in memory. A restart ends them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use posthouse_broker::Login;

/// LIMIT: sessions at once; above it the one that was used longest ago ends.
const SESSIONS_MAX: usize = 10_000;

/// Random bytes of a name.
const NAME_BYTES: usize = 32;

/// All sessions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sessions {
    idle_max: Duration,
    open: Arc<Mutex<HashMap<String, Session>>>,
}

struct Session {
    login: Login,
    used: Instant,
}

impl Sessions {
    /// Sessions that end when they are not used for so long.
    pub(crate) fn new(idle_max: Duration) -> Sessions {
        Sessions { idle_max, open: Arc::default() }
    }

    /// Opens one; gives its name.
    ///
    /// # Panics
    /// When the system has no randomness.
    pub(crate) fn open(&self, login: Login, now: Instant) -> String {
        let mut name = [0; NAME_BYTES];
        getrandom::fill(&mut name).expect("the system gives random bytes");
        let name = URL_SAFE_NO_PAD.encode(name);
        let mut open = self.open.lock();
        if open.len() >= SESSIONS_MAX {
            self.make_room(&mut open, now);
        }
        open.insert(name.clone(), Session { login, used: now });
        name
    }

    /// Whose it is, and that it is used.
    pub(crate) fn find(&self, name: &str, now: Instant) -> Option<Login> {
        let mut open = self.open.lock();
        let session = open.get_mut(name)?;
        if now.saturating_duration_since(session.used) > self.idle_max {
            open.remove(name);
            return None;
        }
        session.used = now;
        Some(session.login.clone())
    }

    /// Ends one.
    pub(crate) fn end(&self, name: &str) {
        self.open.lock().remove(name);
    }

    fn make_room(&self, open: &mut HashMap<String, Session>, now: Instant) {
        open.retain(|_, one| now.saturating_duration_since(one.used) <= self.idle_max);
        if open.len() >= SESSIONS_MAX {
            let oldest = open.iter().min_by_key(|(_, one)| one.used).map(|(name, _)| name.clone());
            oldest.map(|name| open.remove(&name));
        }
    }
}

#[cfg(test)]
mod tests {
    use posthouse_broker::{Broker, BrokerConfig, Credentials, Knock};
    use posthouse_log::{MemoryConfig, MemoryEngine};
    use posthouse_types::SystemClock;

    use super::*;

    /// A login cannot be made up: a node gives one.
    async fn login() -> Login {
        let clock = Arc::new(SystemClock);
        let engine = MemoryEngine::new(MemoryConfig::default(), clock.clone());
        let broker = Broker::open(engine, BrokerConfig::default(), clock).await.unwrap();
        let knock = Knock { door: "test", address: [127, 0, 0, 1].into() };
        let verified = Credentials::Verified { subject: "alice", expires: None };
        broker.log_in(knock, verified).await.unwrap()
    }

    #[tokio::test]
    async fn a_session_ends_when_it_is_not_used_or_ended() {
        let sessions = Sessions::new(Duration::from_secs(60));
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let name = sessions.open(login().await, now);
        assert!(sessions.find(&name, after(59)).is_some());
        assert!(sessions.find(&name, after(118)).is_some(), "it was used in between");
        assert!(sessions.find(&name, after(200)).is_none());
        let name = sessions.open(login().await, now);
        sessions.end(&name);
        assert!(sessions.find(&name, now).is_none());
        assert!(sessions.find("made up", now).is_none());
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let sessions = Sessions::new(Duration::from_secs(60));
        let (login, now) = (login().await, Instant::now());
        let first = sessions.open(login.clone(), now);
        for count in 0..SESSIONS_MAX {
            let later = now + Duration::from_micros(u64::try_from(count).unwrap() + 1);
            sessions.open(login.clone(), later);
        }
        assert_eq!(sessions.open.lock().len(), SESSIONS_MAX);
        assert!(sessions.find(&first, now).is_none(), "it was used longest ago");
    }
}
