//! The node's channels: routes, and the way of an event to its receivers.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::feeds::Feeds;
use super::glob::Glob;
use super::inbox::Offered;
use super::message::Event;
use super::routes::{Routes, Subscription};
use super::wakes::Wakes;

/// All channels of this node.
#[derive(Default)]
pub(crate) struct Channels {
    routes: RwLock<Routes>,
    feeds: Feeds,
}

impl Channels {
    pub(super) fn add(&self, subscription: &Arc<Subscription>) {
        self.routes.write().add(Arc::clone(subscription));
    }

    pub(super) fn remove(&self, subscription: &Subscription) {
        self.routes.write().remove(subscription);
    }

    pub(super) fn feeds(&self) -> &Feeds {
        &self.feeds
    }

    /// Every subscription.
    pub(super) fn all(&self) -> Vec<Arc<Subscription>> {
        self.routes.read().all()
    }

    /// The subscriptions that a channel matches.
    pub(super) fn matching(&self, channel: &[u8]) -> Vec<Arc<Subscription>> {
        let mut matching = Vec::new();
        self.routes.read().matching(channel, |one| matching.push(Arc::clone(one)));
        matching
    }

    /// Delivers to everyone who listens now; gives their number. Who is to be told is noted in `wakes`.
    ///
    /// Waits for those who declared [`super::Overflow::Block`] and are full.
    ///
    /// # Cancellation
    /// Safe to drop; those who are waited for do not receive it.
    pub(super) async fn deliver(&self, event: Arc<Event>, wakes: &Mutex<Wakes>) -> u64 {
        let (mut receivers, full) = self.deliver_now(&event, &mut wakes.lock());
        if !full.is_empty() {
            // Room may come of what those do who have not been told yet.
            wakes.lock().wake();
        }
        for subscription in full {
            if subscription.inbox().offer_waiting(&subscription, &event).await == Offered::Taken {
                receivers += 1;
            }
        }
        receivers
    }

    /// How many subscriptions a channel matches.
    pub(super) fn matching_count(&self, channel: &[u8]) -> u64 {
        u64::try_from(self.routes.read().matching_count(channel)).unwrap_or(u64::MAX)
    }

    pub(super) fn names(&self, glob: Option<&[u8]>) -> Vec<Bytes> {
        let glob = glob.map(Glob::new);
        self.routes.read().channels(glob.as_ref())
    }

    pub(super) fn subscriptions(&self, channel: &[u8]) -> usize {
        self.routes.read().subscriptions(channel)
    }

    pub(super) fn globs_count(&self) -> usize {
        self.routes.read().globs_count()
    }

    /// One pass over the receivers; gives those who must be waited for.
    fn deliver_now(&self, event: &Arc<Event>, wakes: &mut Wakes) -> (u64, Vec<Arc<Subscription>>) {
        let (mut receivers, mut full) = (0, Vec::new());
        self.routes.read().matching(&event.channel, |subscription| {
            match subscription.inbox().offer(subscription, event, wakes) {
                Offered::Taken => receivers += 1,
                Offered::Full => full.push(Arc::clone(subscription)),
                Offered::Ended => {}
            }
        });
        (receivers, full)
    }
}
