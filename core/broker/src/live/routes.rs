//! Which subscriptions a channel has: found without looking at those of other channels.
//!
//! Exact names are in a hash map. Prefixes and globs are in a trie, a glob by the literal bytes
//! that it begins with; one that begins with a wildcard is at the root, where every publish looks.
//!
//! # Invariants
//! - A subscription is in one list at most, at the place it remembers.
//! - A pattern without subscriptions is not kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use posthouse_types::Principal;

use super::glob::Glob;
use super::inbox::Inbox;
use super::trie::{PREFIX_BYTES_MAX, Trie};
use super::{Pattern, SubscribeFrom};

/// One subscriber's interest in one pattern.
pub(crate) struct Subscription {
    principal: Principal,
    pattern: Pattern,
    inbox: Arc<Inbox>,
    /// Cleared when it ends; what is queued for it is then not given out.
    active: AtomicBool,
    /// Its place in the list of its pattern; the routes' own.
    place: AtomicUsize,
    /// What it asked to begin with, of the topics that it matches.
    from: SubscribeFrom,
}

impl Subscription {
    pub(super) fn new(
        principal: Principal,
        pattern: Pattern,
        inbox: Arc<Inbox>,
        from: SubscribeFrom,
    ) -> Subscription {
        Subscription {
            principal,
            pattern,
            inbox,
            active: AtomicBool::new(true),
            place: AtomicUsize::new(usize::MAX),
            from,
        }
    }

    pub(super) fn principal(&self) -> &Principal {
        &self.principal
    }

    pub(super) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    pub(super) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    pub(super) fn from(&self) -> &SubscribeFrom {
        &self.from
    }

    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Nothing is delivered to it any more.
    pub(super) fn end(&self) {
        self.active.store(false, Ordering::Release);
    }
}

/// All subscriptions.
#[derive(Default)]
pub(super) struct Routes {
    exact: HashMap<Bytes, Members>,
    patterns: Trie<HashMap<Pattern, Indexed>>,
    globs_count: usize,
}

/// A prefix or a glob, with who asked for it.
struct Indexed {
    /// Checked when lying in the trie does not say all.
    check: Check,
    members: Members,
}

enum Check {
    Nothing,
    Prefix(Bytes),
    Glob(Glob),
}

#[derive(Default)]
struct Members(Vec<Arc<Subscription>>);

impl Routes {
    /// Adds a subscription, which must not be there yet.
    pub(super) fn add(&mut self, subscription: Arc<Subscription>) {
        let pattern = subscription.pattern();
        if let Pattern::Exact(channel) = pattern {
            self.exact.entry(channel.clone()).or_default().add(subscription);
            return;
        }
        let (place, check) = index(pattern);
        let bucket = self.patterns.entry(&place);
        if let Some(indexed) = bucket.get_mut(pattern) {
            indexed.members.add(subscription);
            return;
        }
        if matches!(pattern, Pattern::Glob(_)) {
            self.globs_count += 1;
        }
        let pattern = pattern.clone();
        let mut members = Members::default();
        members.add(subscription);
        bucket.insert(pattern, Indexed { check, members });
    }

    /// Takes a subscription out.
    pub(super) fn remove(&mut self, subscription: &Subscription) {
        let pattern = subscription.pattern();
        if let Pattern::Exact(channel) = pattern {
            let Some(members) = self.exact.get_mut(channel) else { return };
            members.remove(subscription);
            if members.0.is_empty() {
                self.exact.remove(channel);
            }
            return;
        }
        let mut forgotten = false;
        self.patterns.change(&index(pattern).0, |bucket| {
            if let Some(indexed) = bucket.get_mut(pattern) {
                indexed.members.remove(subscription);
                if indexed.members.0.is_empty() {
                    bucket.remove(pattern);
                    forgotten = true;
                }
            }
            bucket.is_empty()
        });
        if forgotten && matches!(pattern, Pattern::Glob(_)) {
            self.globs_count -= 1;
        }
    }

    /// Gives every subscription that `channel` matches.
    pub(super) fn matching(&self, channel: &[u8], mut visit: impl FnMut(&Arc<Subscription>)) {
        self.lists(channel, |members| members.0.iter().for_each(&mut visit));
    }

    /// How many subscriptions `channel` matches.
    pub(super) fn matching_count(&self, channel: &[u8]) -> usize {
        let mut count = 0;
        self.lists(channel, |members| count += members.0.len());
        count
    }

    /// The channels with exact subscriptions, as far as they match `glob`.
    pub(super) fn channels(&self, glob: Option<&Glob>) -> Vec<Bytes> {
        let chosen = |channel: &&Bytes| glob.is_none_or(|glob| glob.matches(channel));
        self.exact.keys().filter(chosen).cloned().collect()
    }

    /// How many exact subscriptions a channel has.
    pub(super) fn subscriptions(&self, channel: &[u8]) -> usize {
        self.exact.get(channel).map_or(0, |members| members.0.len())
    }

    /// How many globs are subscribed to, each counted once.
    pub(super) fn globs_count(&self) -> usize {
        self.globs_count
    }

    /// Whether nothing is kept of what was.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }

    /// Every subscription.
    pub(super) fn all(&self) -> Vec<Arc<Subscription>> {
        let mut all: Vec<_> = self.exact.values().flat_map(|list| &list.0).cloned().collect();
        self.patterns.visit(&mut |bucket| {
            all.extend(bucket.values().flat_map(|indexed| &indexed.members.0).cloned());
        });
        all
    }

    fn lists<'a>(&'a self, channel: &[u8], mut visit: impl FnMut(&'a Members)) {
        if let Some(members) = self.exact.get(channel) {
            visit(members);
        }
        self.patterns.walk(channel, |_, bucket| {
            for indexed in bucket.values() {
                let matches = match &indexed.check {
                    Check::Nothing => true,
                    Check::Prefix(prefix) => channel.starts_with(prefix),
                    Check::Glob(glob) => glob.matches(channel),
                };
                if matches {
                    visit(&indexed.members);
                }
            }
        });
    }
}

/// Where a pattern lies in the trie, and what is left to check there.
fn index(pattern: &Pattern) -> (Vec<u8>, Check) {
    let (mut place, check) = match pattern {
        Pattern::Exact(bytes) | Pattern::Prefix(bytes) if bytes.len() <= PREFIX_BYTES_MAX => {
            (bytes.to_vec(), Check::Nothing)
        }
        Pattern::Exact(bytes) | Pattern::Prefix(bytes) => {
            (bytes.to_vec(), Check::Prefix(bytes.clone()))
        }
        Pattern::Glob(bytes) => {
            let glob = Glob::new(bytes);
            (glob.literal_prefix(), Check::Glob(glob))
        }
    };
    place.truncate(PREFIX_BYTES_MAX);
    (place, check)
}

impl Members {
    fn add(&mut self, subscription: Arc<Subscription>) {
        subscription.place.store(self.0.len(), Ordering::Relaxed);
        self.0.push(subscription);
    }

    fn remove(&mut self, subscription: &Subscription) {
        let place = subscription.place.load(Ordering::Relaxed);
        let is_here =
            self.0.get(place).is_some_and(|here| std::ptr::eq(Arc::as_ptr(here), subscription));
        if !is_here {
            return;
        }
        self.0.swap_remove(place);
        if let Some(moved) = self.0.get(place) {
            moved.place.store(place, Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.pattern.fmt(formatter)
    }
}
