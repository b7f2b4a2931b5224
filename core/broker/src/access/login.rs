//! Logging in, and what becomes of a login while it lasts.

use std::sync::{Arc, Weak};
use std::time::Duration;

use posthouse_access::{Token, TokenId, UserName};
use posthouse_types::{Principal, Timestamp};
use tokio::sync::watch;

use super::seats::Seat;
use super::{AuditRecord, Knock, LoginError};
use crate::{Broker, metrics};

/// LIMIT: longest wait before a login's end is looked at again: timers do not reach for ever.
const WATCH_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a client shows.
#[derive(Clone, Copy)]
pub enum Credentials<'a> {
    /// A user and its password, or one of its tokens in place of that.
    Password {
        /// The user.
        user: &'a str,
        /// As it was sent.
        password: &'a [u8],
    },
    /// An API token.
    Token(&'a str),
    /// A client certificate that TLS has verified; its subject as RFC 4514 writes it.
    Certificate {
        /// The subject.
        subject: &'a str,
    },
    /// A CURVE public key that the handshake has verified, in Z85.
    CurveKey(&'a str),
    /// A token of somebody else, whose signature the door has checked (OAuth).
    Verified {
        /// Whom it names.
        subject: &'a str,
        /// When it ends.
        expires: Option<Timestamp>,
    },
}

/// Somebody who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Whom to act for.
    pub principal: Principal,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// What it rests on: it ends when that is gone.
    basis: Basis,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Basis {
    User(UserName),
    Token(TokenId),
    Certificate(String),
    CurveKey(String),
    /// Outside; it has only its time.
    Elsewhere(String),
}

impl Login {
    pub(super) fn of_user(name: &UserName) -> Login {
        Login { principal: name.principal(), expires: None, basis: Basis::User(name.clone()) }
    }
}

impl Broker {
    /// Whether clients must log in.
    pub fn authentication_required(&self) -> bool {
        self.gate().is_required()
    }

    /// How long a connection may be open before its client has logged in; `None` where nobody need.
    pub fn login_timeout(&self) -> Option<Duration> {
        let config = self.gate().config();
        config.required.then_some(config.login_timeout)
    }

    /// Lets somebody in, or not. Waits first, when logins from there or by that name have failed.
    ///
    /// # Errors
    /// [`LoginError::Refused`], whatever is wrong.
    ///
    /// # Cancellation
    /// Safe to drop; a failure may then not be counted.
    pub async fn log_in(
        &self,
        knock: Knock,
        credentials: Credentials<'_>,
    ) -> Result<Login, LoginError> {
        let outcome = self.look_at(knock, credentials).await;
        self.settle_login(knock, &claimed_name(credentials), method(credentials), outcome)
    }

    /// As [`Broker::log_in`], for a protocol whose clients show who they are with every request. The
    /// same, shown again from the same address, is one login, which is counted and written down once
    /// an hour.
    ///
    /// # Errors
    /// As [`Broker::log_in`].
    pub async fn log_in_by_request(
        &self,
        knock: Knock,
        credentials: Credentials<'_>,
    ) -> Result<Login, LoginError> {
        let outcome = self.look_at(knock, credentials).await;
        let (gate, now) = (self.gate(), self.clock().now());
        let claimed = claimed_name(credentials);
        if outcome.is_ok() && !gate.announced.lock().is_due(knock, credentials, now) {
            gate.attempts.lock().succeeded(knock.address, &claimed);
            return outcome;
        }
        self.settle_login(knock, &claimed, method(credentials), outcome)
    }

    async fn look_at(
        &self,
        knock: Knock,
        credentials: Credentials<'_>,
    ) -> Result<Login, LoginError> {
        self.slow_down(knock, &claimed_name(credentials)).await;
        let found = match credentials {
            Credentials::Password { user, password } => self.by_password(user, password).await,
            Credentials::Token(text) => self.by_token(text, None),
            Credentials::Certificate { subject } => self.by_certificate(subject),
            Credentials::CurveKey(key) => self.by_curve_key(key),
            Credentials::Verified { subject, expires } => self.by_others(subject, expires),
        };
        found.ok_or(LoginError::Refused)
    }

    /// Whether a certificate with this subject stands for a user who may come in.
    pub fn knows_certificate(&self, subject: &str) -> bool {
        self.gate().current().user_of_certificate(subject).is_some()
    }

    /// Says when a login ends while a connection uses it: its user, token, key or certificate is taken
    /// away, or its time is over; or at once, when its user has too many connections.
    pub fn watch_login(&self, login: Login) -> LoginWatch {
        let seat = self.gate().seats().take(&login.principal);
        if !seat.is_within() {
            tracing::warn!(user = %login.principal, "connection closed: its user has too many");
            metrics::user_connection_refused();
        }
        LoginWatch { broker: self.this().clone(), changes: self.gate().watch(), login, seat }
    }

    /// Waits as long as earlier failures make it.
    pub(super) async fn slow_down(&self, knock: Knock, claimed: &str) {
        let delay = self.gate().attempts.lock().delay(knock.address, claimed, self.clock().now());
        if !delay.is_zero() {
            metrics::login_delayed(knock.door);
            tokio::time::sleep(delay).await;
        }
    }

    /// Counts a login, and writes it down.
    pub(super) fn settle_login(
        &self,
        knock: Knock,
        claimed: &str,
        method: &'static str,
        outcome: Result<Login, LoginError>,
    ) -> Result<Login, LoginError> {
        let gate = self.gate();
        let now = self.clock().now();
        metrics::login(knock.door, outcome.is_ok());
        match &outcome {
            Ok(login) => {
                gate.attempts.lock().succeeded(knock.address, claimed);
                gate.audit.record(AuditRecord::logged_in(knock, &login.principal, method));
            }
            Err(error) => {
                gate.attempts.lock().failed(knock.address, claimed, now);
                gate.audit.record(AuditRecord::refused(knock, claimed, method, error));
            }
        }
        outcome
    }

    async fn by_password(&self, user: &str, password: &[u8]) -> Option<Login> {
        if let Some(text) = std::str::from_utf8(password).ok().filter(|text| is_token(text)) {
            return self.by_token(text, Some(user));
        }
        let gate = self.gate();
        let (revision, access) = (gate.revision(), gate.current());
        if !gate.proven.lock().knows(revision, user, password) {
            let verifier = access.any_verifier(user, gate.config().iterations);
            let sent = password.to_vec();
            // It takes milliseconds of a core, which other connections must not wait for.
            let checked = tokio::task::spawn_blocking(move || verifier.check(&sent)).await;
            if !checked.unwrap_or(false) {
                return None;
            }
            gate.proven.lock().remember(revision, user, password);
        }
        access.user(user).filter(|user| !user.disabled).map(|user| Login::of_user(&user.name))
    }

    fn by_token(&self, text: &str, user: Option<&str>) -> Option<Login> {
        let access = self.gate().current();
        let entry = access.token(&Token::parse(text)?, self.clock().wall())?;
        if user.is_some_and(|user| user != entry.user.as_str()) {
            return None;
        }
        Some(Login {
            principal: entry.user.principal(),
            expires: entry.expires,
            basis: Basis::Token(entry.id.clone()),
        })
    }

    fn by_certificate(&self, subject: &str) -> Option<Login> {
        let access = self.gate().current();
        let user = access.user_of_certificate(subject)?;
        let basis = Basis::Certificate(subject.to_owned());
        Some(Login { principal: user.name.principal(), expires: None, basis })
    }

    fn by_curve_key(&self, key: &str) -> Option<Login> {
        let access = self.gate().current();
        let user = access.user_of_curve_key(key)?;
        let basis = Basis::CurveKey(key.to_owned());
        Some(Login { principal: user.name.principal(), expires: None, basis })
    }

    /// Whoever is named need not be a user that is kept; one that is kept and disabled stays out.
    fn by_others(&self, subject: &str, expires: Option<Timestamp>) -> Option<Login> {
        let name = UserName::new(subject).ok()?;
        let login =
            Login { principal: name.principal(), expires, basis: Basis::Elsewhere(subject.into()) };
        self.holds(&login).then_some(login)
    }

    /// Whether what a login rests on is still there, and its time is not over.
    pub fn holds(&self, login: &Login) -> bool {
        let access = self.gate().current();
        let now = self.clock().wall();
        let principal = &login.principal;
        let is_user = |name: &UserName| name.principal() == *principal;
        login.expires.is_none_or(|at| at > now)
            && match &login.basis {
                Basis::User(name) => access.user(name.as_str()).is_some_and(|user| !user.disabled),
                Basis::Token(id) => access
                    .token_entry(id)
                    .and_then(|token| access.user(token.user.as_str()))
                    .is_some_and(|user| !user.disabled),
                Basis::Certificate(subject) => {
                    access.user_of_certificate(subject).is_some_and(|user| is_user(&user.name))
                }
                Basis::CurveKey(key) => {
                    access.user_of_curve_key(key).is_some_and(|user| is_user(&user.name))
                }
                Basis::Elsewhere(name) => access.user(name).is_none_or(|user| !user.disabled),
            }
    }
}

/// Follows a login.
pub struct LoginWatch {
    broker: Weak<Broker>,
    changes: watch::Receiver<()>,
    login: Login,
    seat: Seat,
}

impl LoginWatch {
    /// Returns when the login has ended: the connection must not go on by it.
    ///
    /// # Cancellation
    /// Safe to drop, and to call again.
    pub async fn ended(&mut self) {
        loop {
            self.changes.mark_unchanged();
            let Some(broker) = self.broker.upgrade() else { return };
            if !self.seat.is_within() || !broker.holds(&self.login) {
                return;
            }
            let left = self.login.expires.map(|at| at.as_ms() - broker.clock().wall().as_ms());
            drop(broker);
            let left = left.map_or(WATCH_MAX, |ms| Duration::from_millis(ms.max(0).unsigned_abs()));
            tokio::select! {
                changed = self.changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(left.min(WATCH_MAX)) => {}
            }
        }
    }
}

fn is_token(text: &str) -> bool {
    Token::parse(text).is_some()
}

/// Whom it says it is, for counting failures: nothing secret.
fn claimed_name(credentials: Credentials<'_>) -> String {
    match credentials {
        Credentials::Password { user, .. } => user.to_owned(),
        Credentials::Token(text) => {
            Token::parse(text).map_or_else(String::new, |token| format!("token {}", token.id()))
        }
        Credentials::Certificate { subject } | Credentials::Verified { subject, .. } => {
            subject.to_owned()
        }
        Credentials::CurveKey(key) => key.to_owned(),
    }
}

fn method(credentials: Credentials<'_>) -> &'static str {
    match credentials {
        Credentials::Password { .. } => "password",
        Credentials::Token(_) => "token",
        Credentials::Certificate { .. } => "certificate",
        Credentials::CurveKey(_) => "curve",
        Credentials::Verified { .. } => "oauth",
    }
}

/// A broker is held where it must outlive the exchange.
pub(super) fn held(broker: &Broker) -> Arc<Broker> {
    broker.this().upgrade().expect("whoever calls holds the broker")
}
