//! Sockets of one process: messages move from pipe to pipe, without bytes or copies.
//!
//! A connector's task carries both directions. The high-water marks of both sides add up, as in
//! libzmq; mechanisms do not apply, because nobody else can listen.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, LazyLock, Weak};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::connection::Ending;
use crate::codec::command::Metadata;
use crate::codec::greeting::Version;
use crate::core::{Core, Inlet, Link};
use crate::endpoint::Endpoint;
use crate::events::Event;
use crate::mechanism::MechanismError;
use crate::session::{Item, Peer, SessionError};

/// Rounds before other tasks have their turn.
const ROUNDS_PER_POLL: usize = 16;

/// The names that are bound in this process.
static BOUND: LazyLock<Mutex<HashMap<String, Weak<Core>>>> = LazyLock::new(Mutex::default);
static HAS_CHANGED: Notify = Notify::const_new();

/// A bound name; dropping it frees the name.
pub(super) struct Bound(String);

impl Drop for Bound {
    fn drop(&mut self) {
        BOUND.lock().remove(&self.0);
    }
}

/// Binds a name, unless another socket has it.
pub(super) fn bind(core: &Arc<Core>, name: &str) -> Option<Bound> {
    let mut bound = BOUND.lock();
    if bound.contains_key(name) {
        return None;
    }
    bound.insert(name.to_owned(), Arc::downgrade(core));
    drop(bound);
    HAS_CHANGED.notify_waiters();
    Some(Bound(name.to_owned()))
}

/// Waits until the name is bound, and carries messages until either side ends.
pub(super) async fn connect(
    core: &Arc<Core>,
    name: &str,
    endpoint: &Endpoint,
    link: &mut Option<Link>,
) -> io::Result<Ending> {
    let other = loop {
        let mut changed = std::pin::pin!(HAS_CHANGED.notified());
        changed.as_mut().enable();
        if let Some(other) = BOUND.lock().get(name).and_then(Weak::upgrade) {
            break other;
        }
        let has_something = link.as_ref().is_some_and(|link| !link.is_finished());
        tokio::select! {
            () = core.stopping.cancelled(), if !has_something => return Ok(Ending::Closed),
            () = changed => {}
        }
    };
    Ok(match introduce(core, &other, endpoint, link) {
        Ok((own, theirs)) => {
            let ending = run(&own, &theirs, core).await;
            drop(theirs);
            if core.queues_while_disconnected() {
                *link = Some(own);
            }
            for side in [core, &other] {
                let (endpoint, reason) = (endpoint.clone(), ending.to_string());
                side.metrics.connections.decrement(1);
                side.monitors.tell(&Event::Disconnected { endpoint, reason });
            }
            ending
        }
        Err(error) => Ending::Session(error),
    })
}

/// Each learns of the other; both links, or why there are none.
fn introduce(
    core: &Arc<Core>,
    other: &Arc<Core>,
    endpoint: &Endpoint,
    link: &mut Option<Link>,
) -> Result<(Link, Link), SessionError> {
    let refused = |reason: String| {
        core.monitors.tell(&Event::Refused { endpoint: endpoint.clone(), reason: reason.clone() });
        SessionError::Mechanism(MechanismError::Refused(reason))
    };
    if !core.kind.may_talk_to(other.kind) {
        let error = SessionError::Incompatible { ours: other.kind, theirs: core.kind };
        return Err(refused(error.to_string()));
    }
    let (us, them) = (describe(core), describe(other));
    let theirs = other.admit(&us).map_err(|refusal| {
        let (endpoint, reason) = (endpoint.clone(), refusal.0.to_owned());
        tracing::warn!(%endpoint, reason, "peer refused");
        other.metrics.peers_refused.increment(1);
        other.monitors.tell(&Event::PeerRefused { endpoint, reason: reason.clone() });
        refused(reason)
    })?;
    let own = match link.take() {
        Some(own) => own.identify(&them).map(|()| own),
        None => core.admit(&them),
    };
    let own = own.map_err(|refusal| refused(refusal.0.to_owned()))?;
    for (side, peer) in [(core, them), (other, us)] {
        side.metrics.connections.increment(1);
        let endpoint = endpoint.clone();
        side.monitors.tell(&Event::HandshakeSucceeded { endpoint, peer });
    }
    Ok((own, theirs))
}

fn describe(core: &Core) -> Peer {
    let announces = core.kind.announces_identity();
    let identity = if announces { core.options.identity.clone() } else { Default::default() };
    let (socket_type, version) = (core.kind, Version::V3_1);
    Peer { socket_type, identity, version, metadata: Metadata::default() }
}

async fn run(own: &Link, theirs: &Link, core: &Core) -> Ending {
    let (mut there, mut back) = (Direction::default(), Direction::default());
    std::future::poll_fn(|context| {
        for _ in 0..ROUNDS_PER_POLL {
            let progressed = there.poll(own, theirs, context) | back.poll(theirs, own, context);
            if there.is_over(own) || back.is_over(theirs) {
                there.finish(own, theirs);
                back.finish(theirs, own);
                let ours = core.stopping.is_cancelled();
                return Poll::Ready(if ours { Ending::Closed } else { Ending::PeerClosed });
            }
            if !progressed {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Messages from one link to the other.
#[derive(Default)]
struct Direction {
    taken: VecDeque<Item>,
    inlet: Inlet,
}

impl Direction {
    fn poll(&mut self, from: &Link, to: &Link, context: &mut Context<'_>) -> bool {
        self.inlet.flush(to, context.waker());
        if !self.inlet.is_empty() || !from.take(&mut self.taken, context.waker()) {
            return false;
        }
        from.credit(self.hand_on(to));
        self.inlet.flush(to, context.waker());
        true
    }

    fn hand_on(&mut self, to: &Link) -> usize {
        let count = self.taken.len();
        for item in self.taken.drain(..) {
            match item {
                Item::Message(message) => self.inlet.message(to, message),
                Item::Subscribe(prefix) => self.inlet.subscription(to, true, &prefix),
                Item::Cancel(prefix) => self.inlet.subscription(to, false, &prefix),
            }
        }
        count
    }

    /// Whether the sending side has closed and everything of it has arrived.
    fn is_over(&self, from: &Link) -> bool {
        from.is_finished() && self.inlet.is_empty()
    }

    fn finish(&mut self, from: &Link, to: &Link) {
        from.credit(self.hand_on(to));
        self.inlet.finish(to);
    }
}
