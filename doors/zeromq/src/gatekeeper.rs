//! Who may use an endpoint: its user, who proves it by PLAIN or CURVE.
//!
//! A socket mixes its peers' messages, so that an endpoint acts for one user, and asks every peer to
//! be that user. The check is the same for both mechanisms, as ZAP (27/ZAP) is for libzmq.
//!
//! # Invariants
//! - Sockets of the configuration are bound before there is a broker; peers wait until there is.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use posthouse_access::UserName;
use posthouse_broker::{Broker, Credentials as Proof, Knock};
use posthouse_zmtp::{Authenticator, Credentials, Judgement, Pass};
use tokio::sync::watch;

/// Lets in an endpoint's user.
#[derive(Debug)]
pub(crate) struct Gatekeeper {
    user: UserName,
    login_timeout: Duration,
    broker: watch::Sender<Weak<Broker>>,
}

impl Gatekeeper {
    pub(crate) fn new(user: UserName, login_timeout: Duration) -> Arc<Gatekeeper> {
        let broker = watch::Sender::new(Weak::new());
        Arc::new(Gatekeeper { user, login_timeout, broker })
    }

    /// Who it is that is let in.
    pub(crate) fn user(&self) -> &UserName {
        &self.user
    }

    /// How long a peer may take to prove it.
    pub(crate) fn login_timeout(&self) -> Duration {
        self.login_timeout
    }

    /// Begins to answer.
    pub(crate) fn begin(&self, broker: &Arc<Broker>) {
        self.broker.send_replace(Arc::downgrade(broker));
    }
}

impl Authenticator for Gatekeeper {
    fn judge(&self, address: Option<IpAddr>, credentials: Credentials) -> Judgement {
        let (user, mut begun) = (self.user.clone(), self.broker.subscribe());
        // A process of this machine, over a Unix domain socket, has no address.
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Box::pin(async move {
            let has_begun = begun.wait_for(|broker| broker.strong_count() > 0).await;
            let broker = has_begun.ok()?.upgrade()?;
            let knock = Knock { door: "zeromq", address };
            let key;
            let proof = match &credentials {
                Credentials::Plain { username, password } => {
                    Proof::Password { user: username, password: password.as_bytes() }
                }
                Credentials::Curve(public) => {
                    key = public.to_z85();
                    Proof::CurveKey(&key)
                }
            };
            let login = broker.log_in(knock, proof).await.ok()?;
            if login.principal != user.principal() {
                tracing::debug!(user = %user, "a peer is not the endpoint's user");
                return None;
            }
            let mut watch = broker.watch_login(login);
            let pass: Pass = Box::pin(async move { watch.ended().await });
            Some(pass)
        })
    }
}
