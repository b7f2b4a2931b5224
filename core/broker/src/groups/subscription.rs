//! The topics in a member's metadata under the `consumer` protocol type.
//!
//! # Source
//! Kafka's ConsumerProtocolSubscription, versions 0 to 3: a version, then the topics, then fields
//! that this module does not need. Every version begins as version 0 does, so only that prefix is
//! read: a later version, or a client that writes the later fields wrongly, is still understood.

use std::collections::BTreeSet;

use posthouse_types::TopicName;

use super::reader::Reader;

/// The topics that `metadata` subscribes to; `None` when it is not a subscription.
///
/// A name that no topic can have is left out.
pub(crate) fn subscribed_topics(metadata: &[u8]) -> Option<BTreeSet<TopicName>> {
    let mut reader = Reader::new(metadata);
    let version = reader.i16()?;
    if version < 0 {
        return None;
    }
    let count = usize::try_from(reader.i32()?).ok()?;
    let mut topics = BTreeSet::new();
    for _ in 0..count {
        let len = usize::try_from(reader.i16()?).ok()?;
        let alias = std::str::from_utf8(reader.take(len)?).ok()?;
        topics.extend(TopicName::from_kafka_alias(alias));
    }
    Some(topics)
}

#[cfg(test)]
pub(super) fn encode_subscription(version: i16, topics: &[&str]) -> bytes::Bytes {
    let mut bytes = version.to_be_bytes().to_vec();
    bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        bytes.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1_i32).to_be_bytes());
    if version >= 1 {
        bytes.extend(0_i32.to_be_bytes());
    }
    if version >= 2 {
        bytes.extend(7_i32.to_be_bytes());
    }
    if version >= 3 {
        bytes.extend((-1_i16).to_be_bytes());
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> BTreeSet<TopicName> {
        names.iter().map(|name| TopicName::new(name).unwrap()).collect()
    }

    #[test]
    fn every_version_gives_its_topics() {
        for version in 0..=3 {
            let metadata = encode_subscription(version, &["orders", "flights"]);
            assert_eq!(subscribed_topics(&metadata), Some(names(&["flights", "orders"])));
        }
    }

    #[test]
    fn a_version_of_the_future_gives_its_topics() {
        assert_eq!(subscribed_topics(&encode_subscription(9, &["a"])), Some(names(&["a"])));
    }

    #[test]
    fn a_topic_is_found_under_the_name_that_its_alias_stands_for() {
        let metadata = encode_subscription(1, &["orders_x3Aeu"]);
        assert_eq!(subscribed_topics(&metadata), Some(names(&["orders:eu"])));
    }

    #[test]
    fn every_cut_before_the_end_of_the_topics_is_refused() {
        let metadata = encode_subscription(0, &["orders", "flights"]);
        let topics_end = metadata.len() - 4;
        for end in 0..topics_end {
            assert_eq!(subscribed_topics(&metadata[..end]), None, "{end} bytes");
        }
    }

    #[test]
    fn negative_lengths_are_refused() {
        assert_eq!(subscribed_topics(&[0, 0, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(subscribed_topics(&[0, 0, 0, 0, 0, 1, 0xff, 0xff]), None);
        assert_eq!(subscribed_topics(&[0xff, 0xff, 0, 0, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(topics) = subscribed_topics(&bytes) {
                prop_assert!(topics.len() <= bytes.len() / 2);
            }
        }
    }
}
