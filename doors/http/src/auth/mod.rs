//! Who asks: by a token, a password, a client certificate, or the session of a page.
//!
//! Every request passes [`identify`] before its handler; what a handler does, it does as the
//! principal found here, and the broker decides what that one may. Sources: RFC 6750 (Bearer), RFC
//! 7617 (Basic), RFC 6265 (cookies).
//!
//! # Invariants
//! - Without authentication nothing is looked at: everybody is the anonymous principal.
//! - A session's cookie is accepted only from pages of this node, so no other site can use it.
//! - A session ends with the login by which it began.

mod cookie;
mod ending;
mod sessions;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use posthouse_broker::{Broker, Credentials, Knock, Login, LoginError};
use posthouse_types::Principal;

pub(crate) use cookie::{cleared, session_of, set};
pub(crate) use ending::{until_it_ends, watched};
pub(crate) use sessions::Sessions;

use crate::errors::Problem;
use crate::routes::Door;

/// The door's name where logins are counted.
pub(crate) const DOOR: &str = "http";

/// Where a request comes from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) peer: SocketAddr,
    /// Whether TLS lies between.
    pub(crate) encrypted: bool,
    /// The subject of the client certificate that TLS has verified.
    pub(crate) certificate: Option<String>,
    /// Whether somebody who is known has asked by this connection.
    pub(crate) is_known: Arc<AtomicBool>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) principal: Principal,
    /// What it rests on; `None` where nobody is asked.
    pub(crate) login: Option<Login>,
    /// Whether it was a cookie that said so.
    pub(crate) by_session: bool,
}

impl Asking {
    fn anonymous() -> Asking {
        Asking { principal: Principal::anonymous(), login: None, by_session: false }
    }

    fn by(login: Login) -> Asking {
        Asking { principal: login.principal.clone(), login: Some(login), by_session: false }
    }
}

/// The door, as it serves whoever asks.
impl FromRequestParts<Door> for Door {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Door) -> Result<Door, Problem> {
        let mut door = state.clone();
        if let Some(asking) = parts.extensions.get::<Asking>() {
            door.principal = asking.principal.clone();
            door.login = asking.login.clone();
        }
        Ok(door)
    }
}

/// What a request shows.
enum Shown {
    Token(String),
    Password(String, Vec<u8>),
    Session(String),
}

/// Finds out who asks.
///
/// # Errors
/// `401`, when nothing was shown, or what was shown is not right.
pub(crate) async fn identify(
    broker: &Broker,
    sessions: &Sessions,
    headers: &HeaderMap,
    origin: &Origin,
) -> Result<Asking, Problem> {
    if !broker.authentication_required() {
        return Ok(Asking::anonymous());
    }
    let asking = known(broker, sessions, headers, origin).await?;
    origin.is_known.store(true, Ordering::Relaxed);
    Ok(asking)
}

async fn known(
    broker: &Broker,
    sessions: &Sessions,
    headers: &HeaderMap,
    origin: &Origin,
) -> Result<Asking, Problem> {
    let knock = Knock { door: DOOR, address: origin.peer.ip() };
    let credentials = match shown(headers)? {
        Some(Shown::Session(id)) => {
            let login = sessions.find(&id, broker.clock().now());
            let login = login.filter(|login| broker.holds(login)).ok_or_else(|| {
                sessions.end(&id);
                session_over()
            })?;
            return Ok(Asking { by_session: true, ..Asking::by(login) });
        }
        Some(Shown::Token(token)) => {
            broker.log_in_by_request(knock, Credentials::Token(&token)).await
        }
        Some(Shown::Password(user, password)) => {
            let credentials = Credentials::Password { user: &user, password: &password };
            broker.log_in_by_request(knock, credentials).await
        }
        None => match &origin.certificate {
            Some(subject) => {
                broker.log_in_by_request(knock, Credentials::Certificate { subject }).await
            }
            None => return Err(nothing_shown()),
        },
    };
    credentials.map(Asking::by).map_err(Problem::from)
}

/// A request shows one thing: the header, or else the cookie.
fn shown(headers: &HeaderMap) -> Result<Option<Shown>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(session_of(headers).map(Shown::Session));
    };
    let text = value.to_str().map_err(|_| malformed("it is not text"))?;
    let (scheme, rest) = text.split_once(' ').ok_or_else(|| malformed("it names no scheme"))?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Shown::Token(rest.trim().to_owned())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed("the schemes are Basic and Bearer"));
    }
    let decoded = STANDARD.decode(rest.trim()).map_err(|_| malformed("it is not base64"))?;
    let colon = decoded.iter().position(|byte| *byte == b':');
    let colon = colon.ok_or_else(|| malformed("it is not USER:PASSWORD"))?;
    let user = std::str::from_utf8(&decoded[..colon]);
    let user = user.map_err(|_| malformed("the user's name is not UTF-8"))?.to_owned();
    Ok(Some(Shown::Password(user, decoded[colon + 1..].to_vec())))
}

fn malformed(reason: &str) -> Problem {
    // What was sent may be a password: it is not shown.
    Problem::new(
        StatusCode::BAD_REQUEST,
        "invalid_authorization",
        format!("the header authorization cannot be read: {reason}"),
    )
}

fn nothing_shown() -> Problem {
    unauthorized("this node asks who its clients are")
        .help("send `Authorization: Bearer TOKEN`, or a user and password as Basic; a browser logs in at /login")
}

fn session_over() -> Problem {
    unauthorized("the session is over").help("log in again at /login")
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail).challenge()
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Problem {
        unauthorized(&error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(value: &'static str) -> Result<Option<Shown>, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        shown(&headers)
    }

    #[test]
    fn a_password_may_hold_colons_and_a_user_may_not() {
        // alice:a:b
        let Ok(Some(Shown::Password(user, password))) = read("Basic YWxpY2U6YTpi") else {
            panic!("it is a password");
        };
        assert_eq!((user.as_str(), password.as_slice()), ("alice", b"a:b".as_slice()));
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_showing_it() {
        for value in ["secret", "Digest secret", "Basic secret", "Basic c2VjcmV0"] {
            let Err(problem) = read(value) else { panic!("{value}") };
            assert_eq!(problem.status, 400, "{value}");
            assert!(!problem.detail.contains("secret"), "{}", problem.detail);
        }
    }

    #[test]
    fn the_header_goes_before_the_cookie() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("posthouse_session=abc"));
        assert!(matches!(shown(&headers), Ok(Some(Shown::Session(_)))));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer t"));
        assert!(matches!(shown(&headers), Ok(Some(Shown::Token(_)))));
        assert!(matches!(shown(&HeaderMap::new()), Ok(None)));
    }
}
