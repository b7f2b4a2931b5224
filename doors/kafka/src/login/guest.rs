//! One connection's login: its requests answered, and its end awaited.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::{Broker, Credentials, Knock, Login};
use posthouse_listener::Connection as Accepted;
use posthouse_types::Principal;
use tokio::time::sleep;

use super::exchange::{Exchange, Turn};
use super::mechanism::{Path, SaslMechanism};
use super::state::{Admitted, Handshaken, LoginState, UnexpectedRequest};
use crate::codec::api::Api;
use crate::codec::header::{Incoming, Request};
use crate::codec::message;
use crate::codec::response::Response;
use crate::commands::{CommandError, Outcome, Running};
use crate::errors::NONE;
use crate::node::{Call, Node};
use crate::session::Entrance;

/// Why a connection is over, by its login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Over {
    #[error("nobody has logged in in time")]
    Late,
    #[error("the login has ended")]
    Ended,
}

/// See the module.
pub(crate) struct Guest {
    state: LoginState,
    knock: Knock,
    exchange: Option<Exchange>,
    /// The subject of the client's certificate, until it is looked at.
    certificate: Option<String>,
    over: Option<BoxFuture<'static, Over>>,
}

/// What a request about logging in comes to.
pub(crate) struct LoginStep {
    /// None where the protocol has no place for one.
    pub(crate) response: Option<Response>,
    verdict: Verdict,
}

enum Verdict {
    /// Nothing has changed; or a mechanism is agreed, and its messages follow.
    Open,
    Ask(Exchange),
    In(Login, Option<Duration>),
    /// The connection ends once the response is sent.
    Out,
}

impl Guest {
    pub(crate) fn new(node: &Node, accepted: &Accepted) -> Guest {
        let address = accepted.peer.ip().to_canonical();
        let path = Path { is_tls: accepted.tls.is_some(), is_loopback: address.is_loopback() };
        let shown = accepted.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
        let required = node.broker.authentication_required();
        let late = |after| sleep(after).map(|()| Over::Late).boxed();
        Guest {
            state: LoginState::new(required, SaslMechanism::offered(&node.config, path)),
            knock: Knock { door: "kafka", address },
            exchange: None,
            certificate: shown.map(|certificate| certificate.subject.clone()),
            // Nobody occupies a connection for nothing.
            over: node.broker.login_timeout().map(late),
        }
    }

    /// Whom requests are made for.
    pub(crate) fn principal(&self) -> Principal {
        self.state.principal()
    }

    /// How the next frame is to be read.
    pub(crate) fn entrance(&self) -> Entrance {
        match self.state.agreed() {
            Some(agreed) if !agreed.framed => Entrance::Tokens,
            _ if self.state.is_open() => Entrance::Open,
            _ => Entrance::Closed,
        }
    }

    pub(crate) fn admit(&self, incoming: &Incoming) -> Result<Admitted, UnexpectedRequest> {
        self.state.admit(incoming)
    }

    /// Asks whom the client's certificate stands for, once it sends a request that needs a login
    /// and has not used SASL. Whoever uses SASL is who SASL says.
    pub(crate) fn look_at_certificate(
        &mut self,
        node: &Arc<Node>,
        incoming: &Incoming,
    ) -> Option<Running> {
        let has_begun = self.state.agreed().is_some();
        if self.state.is_open() || has_begun || self.state.admit(incoming).is_ok() {
            return None;
        }
        let (subject, knock, node) = (self.certificate.take()?, self.knock, Arc::clone(node));
        let look = async move {
            let login =
                node.broker.log_in(knock, Credentials::Certificate { subject: &subject }).await;
            Ok(Outcome::Known(login.ok()))
        };
        Some(look.boxed())
    }

    /// Takes whom the certificate stands for; nobody, when it is no user's.
    pub(crate) fn on_known(&mut self, broker: &Broker, login: Option<Login>) {
        if let Some(login) = login {
            self.on_login(broker, login, None);
        }
    }

    /// Begins a request about logging in.
    pub(crate) fn begin(&mut self, call: Call, incoming: Incoming) -> Running {
        match incoming {
            Incoming::Request(request) if self.state.agreed().is_some() => {
                call.node.metrics.count_request(request.api);
                self.authenticate(call, request)
            }
            Incoming::Request(request) => {
                call.node.metrics.count_request(request.api);
                ready(self.unopened(&call, request).map(Outcome::login)).boxed()
            }
            Incoming::Token(token) => self.take_token(call, token.freeze()),
            Incoming::UnsupportedApiVersions { .. } => unreachable!("it is not about logging in"),
        }
    }

    /// Takes what a step came to. Gives the response, and whether the connection goes on after it.
    pub(crate) fn on_step(&mut self, broker: &Broker, step: LoginStep) -> (Option<Response>, bool) {
        match step.verdict {
            Verdict::Open => {}
            Verdict::Ask(exchange) => self.exchange = Some(exchange),
            Verdict::In(login, lasts) => self.on_login(broker, login, lasts),
            Verdict::Out => return (step.response, false),
        }
        (step.response, true)
    }

    /// Ready when the connection must not go on.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        match &mut self.over {
            Some(over) => over.poll_unpin(cx),
            None => Poll::Pending,
        }
    }

    fn on_login(&mut self, broker: &Broker, login: Login, lasts: Option<Duration>) {
        self.state.on_login(login.principal.clone(), lasts.is_some(), broker.clock().now());
        // A login that is renewed counts as one connection of its user.
        self.over = None;
        let mut watch = broker.watch_login(login);
        self.over = Some(
            async move {
                match lasts {
                    Some(lasts) => tokio::select! {
                        () = watch.ended() => {}
                        () = sleep(lasts) => {}
                    },
                    None => watch.ended().await,
                }
                Over::Ended
            }
            .boxed(),
        );
    }

    /// SaslHandshake, or a SaslAuthenticate that no handshake went before.
    fn unopened(&mut self, call: &Call, request: Request) -> Result<LoginStep, CommandError> {
        let Request { api, version, correlation_id, body, .. } = request;
        if api == Api::SaslAuthenticate {
            let text = "there was no handshake, or the login is done";
            let response = SaslAuthenticateResponse::default()
                .with_error_code(Code::IllegalSaslState.code())
                .with_error_message(Some(StrBytes::from_static_str(text)));
            let response = message::encode(api, version, correlation_id, &response)?;
            let verdict = if self.state.is_open() { Verdict::Open } else { Verdict::Out };
            return Ok(LoginStep { response: Some(response), verdict });
        }
        let asked = message::decode::<SaslHandshakeRequest>(api, version, body.freeze())?;
        let now = call.broker().clock().now();
        let (code, verdict) = match self.state.on_handshake(version, &asked.mechanism, now) {
            Handshaken::Agreed(agreed) => {
                self.exchange = Some(Exchange::begin(call.broker(), self.knock, agreed.mechanism));
                (NONE, Verdict::Open)
            }
            Handshaken::Unsupported => (Code::UnsupportedSaslMechanism.code(), Verdict::Out),
            Handshaken::Illegal => (Code::IllegalSaslState.code(), Verdict::Open),
        };
        let offered = self.state.offered().map(StrBytes::from_static_str).collect();
        let response =
            SaslHandshakeResponse::default().with_error_code(code).with_mechanisms(offered);
        let response = message::encode(api, version, correlation_id, &response)?;
        Ok(LoginStep { response: Some(response), verdict })
    }

    /// A mechanism's message in a request.
    fn authenticate(&mut self, call: Call, request: Request) -> Running {
        let turn = self.turn();
        async move {
            let Request { api, version, correlation_id, body, .. } = request;
            let asked = message::decode::<SaslAuthenticateRequest>(api, version, body.freeze())?;
            let turn = turn.take(&call, &asked.auth_bytes).await;
            let lasts = lasts(&call, &turn);
            let response = SaslAuthenticateResponse::default();
            let (response, verdict) = match turn {
                Turn::Ask(exchange, bytes) => {
                    (response.with_auth_bytes(Bytes::from(bytes)), Verdict::Ask(exchange))
                }
                Turn::In(login, bytes) => {
                    let response = response
                        .with_auth_bytes(Bytes::from(bytes))
                        .with_session_lifetime_ms(lasts.map_or(0, |lasts| {
                            i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX)
                        }));
                    (response, Verdict::In(login, lasts))
                }
                Turn::Out(text) => {
                    let response = response
                        .with_error_code(Code::SaslAuthenticationFailed.code())
                        .with_error_message(Some(StrBytes::from_string(text)));
                    (response, Verdict::Out)
                }
            };
            let response = message::encode(api, version, correlation_id, &response)?;
            Ok(Outcome::login(LoginStep { response: Some(response), verdict }))
        }
        .boxed()
    }

    /// A mechanism's message in a frame of its own. A refusal has no answer but the end.
    fn take_token(&mut self, call: Call, token: Bytes) -> Running {
        let turn = self.turn();
        async move {
            let turn = turn.take(&call, &token).await;
            let lasts = lasts(&call, &turn);
            let (bytes, verdict) = match turn {
                Turn::Ask(exchange, bytes) => (Some(bytes), Verdict::Ask(exchange)),
                Turn::In(login, bytes) => (Some(bytes), Verdict::In(login, lasts)),
                Turn::Out(_) => (None, Verdict::Out),
            };
            let response = bytes.map(|bytes| Response::token(&bytes));
            Ok(Outcome::login(LoginStep { response, verdict }))
        }
        .boxed()
    }

    fn turn(&mut self) -> NextTurn {
        NextTurn {
            exchange: self.exchange.take(),
            knock: self.knock,
            held: self.state.held().cloned(),
        }
    }
}

/// A client's next message, about to be taken.
struct NextTurn {
    exchange: Option<Exchange>,
    knock: Knock,
    /// Who is logged in already.
    held: Option<Principal>,
}

impl NextTurn {
    async fn take(self, call: &Call, message: &[u8]) -> Turn {
        let Some(exchange) = self.exchange else {
            return Turn::Out("the login is over".to_owned());
        };
        let turn = exchange.turn(&call.node, self.knock, message).await;
        match turn {
            Turn::In(login, _) if !LoginState::renews(self.held.as_ref(), &login.principal) => {
                Turn::Out("a login is renewed by the one who holds it".to_owned())
            }
            turn => turn,
        }
    }
}

/// How long a login holds unless it is renewed.
fn lasts(call: &Call, turn: &Turn) -> Option<Duration> {
    let Turn::In(login, _) = turn else { return None };
    let now = call.broker().clock().wall();
    let left = login
        .expires
        .map(|at| Duration::from_millis(u64::try_from(at.as_ms() - now.as_ms()).unwrap_or(0)));
    left.into_iter().chain(call.node.config.reauthenticate_after).min()
}
