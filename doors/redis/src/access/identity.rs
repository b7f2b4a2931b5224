//! Who a connection is: somebody who has logged in, or nobody yet.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use posthouse_access::Token;
use posthouse_broker::{Credentials, Knock, Login, LoginError, Pass};
use posthouse_types::Principal;

use super::{Context as Place, Denial, Reason};
use crate::client::Client;
use crate::codec::{Protocol, Reply};
use crate::commands::connection::greet;
use crate::errors::CommandError;
use crate::server::Server;
use crate::table::{Call, Outcome};

/// The user that is meant where none is named, as in Redis.
pub(crate) const DEFAULT_USER: &str = "default";

/// Who a connection is.
pub(crate) struct Identity {
    pass: Pass,
    /// Ready when the login that it rests on has ended; `None` for one who has not logged in.
    ended: Option<BoxFuture<'static, ()>>,
    /// Whether its end has been asked for since it began.
    is_watched: bool,
}

impl Default for Identity {
    fn default() -> Identity {
        Identity { pass: Pass::new(Principal::anonymous()), ended: None, is_watched: false }
    }
}

impl Identity {
    /// On whose behalf the broker is called.
    pub(crate) fn principal(&self) -> &Principal {
        self.pass.principal()
    }

    /// What the broker is asked with at every command.
    pub(crate) fn pass(&mut self) -> &mut Pass {
        &mut self.pass
    }

    /// Whether it has logged in.
    pub(crate) fn is_known(&self) -> bool {
        self.ended.is_some()
    }

    /// The user, as Redis names users.
    pub(crate) fn user(&self) -> &str {
        if !self.is_known() {
            return DEFAULT_USER;
        }
        let name = self.principal().as_str();
        name.strip_prefix("User:").unwrap_or(name)
    }

    /// Ready when the login has ended: its user is gone, disabled, or its token is over.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.is_watched = true;
        match &mut self.ended {
            Some(ended) => ended.poll_unpin(cx),
            None => Poll::Pending,
        }
    }

    /// Whether whoever polls it will be woken at its end.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched
    }

    fn is(&self, login: &Login) -> bool {
        self.is_known() && *self.principal() == login.principal
    }

    fn begin(&mut self, server: &Server, login: Login) {
        self.pass = Pass::new(login.principal.clone());
        // Whoever logs in again has one connection still.
        (self.ended, self.is_watched) = (None, false);
        let mut watch = server.broker.watch_login(login);
        self.ended = Some(async move { watch.ended().await }.boxed());
    }
}

/// A login that is under way.
pub(crate) struct LoggingIn {
    user: String,
    outcome: BoxFuture<'static, Result<Login, LoginError>>,
    then: Then,
}

/// What is answered to one who was let in.
pub(crate) enum Then {
    /// `AUTH`: `OK`.
    Agree,
    /// `HELLO`: what it asked for beside that, and the greeting.
    Greet {
        /// The version of the protocol from now on.
        protocol: Protocol,
        /// The connection's name.
        name: Option<Bytes>,
    },
}

/// Begins a login; without a user, by the default user's password or by a token alone.
pub(crate) fn log_in(call: &Call<'_>, user: Option<&[u8]>, secret: &[u8], then: Then) -> Outcome {
    let knock = Knock { door: "redis", address: call.client.handle.peer.ip() };
    let token = user.is_none().then(|| std::str::from_utf8(secret).ok()).flatten();
    let token = token.filter(|text| Token::parse(text).is_some()).map(str::to_owned);
    // No user's name is anything but text, so one that is not is wrong, as any unknown one.
    let user = user.map_or(DEFAULT_USER.into(), String::from_utf8_lossy).into_owned();
    let (broker, named, secret) = (Arc::clone(&call.server.broker), user.clone(), secret.to_vec());
    let outcome = async move {
        let credentials = match &token {
            Some(token) => Credentials::Token(token),
            None => Credentials::Password { user: &named, password: &secret },
        };
        broker.log_in(knock, credentials).await
    };
    Outcome::LoggingIn(LoggingIn { user, outcome: outcome.boxed(), then })
}

/// Lets a client in whose certificate stands for a user. One that stands for nobody is no failed
/// login: its client may have a password, too.
pub(crate) async fn log_in_by_certificate(server: &Server, client: &mut Client, subject: &str) {
    if !server.guarded || !server.broker.knows_certificate(subject) {
        return;
    }
    let knock = Knock { door: "redis", address: client.handle.peer.ip() };
    if let Ok(login) = server.broker.log_in(knock, Credentials::Certificate { subject }).await {
        client.become_known(|identity| identity.begin(server, login));
    }
}

impl LoggingIn {
    /// Ready with the answer, once the client is who it says, or is not.
    pub(crate) fn poll(
        &mut self,
        server: &Server,
        client: &mut Client,
        cx: &mut Context<'_>,
    ) -> Poll<Reply> {
        let Poll::Ready(outcome) = self.outcome.poll_unpin(cx) else { return Poll::Pending };
        let login = match outcome {
            Ok(login) => login,
            Err(LoginError::Refused | LoginError::Exchange(_)) => {
                let denial = Denial::new(Reason::Auth, Place::TopLevel, &self.user, b"AUTH");
                server.acl_log.note(denial, &client.handle, server.broker.clock());
                return Poll::Ready(CommandError::WrongPassword.into());
            }
        };
        if !client.identity.is(&login) && !client.subscriptions.is_empty() {
            // They were made as somebody else, and go on as that.
            let text = "ERR unsubscribe before you log in as another user";
            return Poll::Ready(Reply::Error(text.to_owned()));
        }
        client.become_known(|identity| identity.begin(server, login));
        Poll::Ready(match std::mem::replace(&mut self.then, Then::Agree) {
            Then::Agree => Reply::OK,
            Then::Greet { protocol, name } => greet(client, protocol, name),
        })
    }
}
