//! Finding subscriptions equals looking at each of them.

use std::sync::Arc;

use bytes::Bytes;
use posthouse_types::{ByteSize, Principal};
use proptest::prelude::*;

use super::inbox::Inbox;
use super::routes::{Routes, Subscription};
use super::{Glob, Overflow, Pattern, SubscribeFrom, SubscriberConfig};

fn subscription(pattern: Pattern) -> Arc<Subscription> {
    let config = SubscriberConfig {
        bytes_max: ByteSize::kib(1),
        messages_max: 1,
        overflow: Overflow::DropNewest,
    };
    let inbox = Arc::new(Inbox::new(config));
    Arc::new(Subscription::new(Principal::anonymous(), pattern, inbox, SubscribeFrom::Now))
}

fn pattern() -> impl Strategy<Value = Pattern> {
    // Long prefixes lie in the trie by their beginning only.
    let text = prop_oneof![
        4 => "[ab]{0,4}",
        1 => "[ab]{0,3}".prop_map(|end| format!("{}{end}", "a".repeat(255))),
    ];
    let glob = r"[ab]{0,3}[*?]{0,1}[ab\[\]]{0,2}";
    prop_oneof![
        text.clone().prop_map(|text| Pattern::Exact(Bytes::from(text))),
        text.prop_map(|text| Pattern::Prefix(Bytes::from(text))),
        glob.prop_map(|text| Pattern::Glob(Bytes::from(text))),
    ]
}

fn naive(pattern: &Pattern, channel: &[u8]) -> bool {
    match pattern {
        Pattern::Exact(name) => name == channel,
        Pattern::Prefix(prefix) => channel.starts_with(prefix),
        Pattern::Glob(glob) => Glob::new(glob).matches(channel),
    }
}

fn addresses<'a>(found: impl IntoIterator<Item = &'a Arc<Subscription>>) -> Vec<usize> {
    let mut addresses: Vec<_> =
        found.into_iter().map(|subscription| Arc::as_ptr(subscription).addr()).collect();
    addresses.sort_unstable();
    addresses
}

proptest! {
    #[test]
    fn matching_equals_a_naive_scan(
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, pattern()), 1..80),
        channels in prop::collection::vec(
            prop_oneof!["[ab]{0,5}", "[ab]{0,4}".prop_map(|end| "a".repeat(255) + &end)],
            1..6,
        ),
    ) {
        let (mut routes, mut all) = (Routes::default(), Vec::new());
        for (which, action, pattern) in steps {
            if action == 0 && !all.is_empty() {
                let gone: Arc<Subscription> = all.swap_remove(which.index(all.len()));
                routes.remove(&gone);
                routes.remove(&gone);
            } else {
                let new = subscription(pattern);
                routes.add(Arc::clone(&new));
                all.push(new);
            }
        }
        for channel in &channels {
            let channel = channel.as_bytes();
            let mut found = Vec::new();
            routes.matching(channel, |subscription| found.push(Arc::clone(subscription)));
            let expected = all.iter().filter(|one| naive(one.pattern(), channel));
            prop_assert_eq!(addresses(&found), addresses(expected));
            prop_assert_eq!(routes.matching_count(channel), found.len());
        }
        let globs: std::collections::HashSet<_> = all
            .iter()
            .map(|one| one.pattern())
            .filter(|pattern| matches!(pattern, Pattern::Glob(_)))
            .collect();
        prop_assert_eq!(routes.globs_count(), globs.len());
        all.drain(..).for_each(|one| routes.remove(&one));
        prop_assert!(routes.is_empty());
    }
}
