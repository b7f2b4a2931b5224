//! What names one delivery of one message to one owner: `0-17-1-OWNER`.
//!
//! Partition, offset, number of the delivery, owner. It is opaque to clients. Because it holds the
//! delivery, a worker that was too slow cannot acknowledge what another one works on.

use bytes::Bytes;
use posthouse_broker::{Acquired, Held, RecordId};
use posthouse_types::{Offset, PartitionIndex};

/// The lease of a message that was just acquired.
pub(crate) fn show(owner: &str, acquired: &Acquired) -> String {
    let RecordId { partition, offset } = acquired.id();
    format!("{partition}-{offset}-{}-{owner}", acquired.delivery_count)
}

/// Reads a lease; `None` when it is none.
pub(crate) fn parse(lease: &str) -> Option<Held> {
    let mut parts = lease.splitn(4, '-');
    let partition = PartitionIndex::new(number(parts.next()?)?);
    let offset = Offset::new(number(parts.next()?)?)?;
    let delivery = number(parts.next()?)?;
    let owner = parts.next().filter(|owner| !owner.is_empty())?;
    Some(Held {
        id: RecordId { partition, offset },
        delivery: Some(delivery),
        owner: Some(Bytes::copy_from_slice(owner.as_bytes())),
    })
}

/// Digits only: there is one way to write each lease.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let shortest = text == "0" || !text.starts_with('0');
    (plain && shortest).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use posthouse_record::Record;
    use posthouse_types::Timestamp;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_lease_reads_back_as_the_delivery_it_names(
            owner in ".{1,20}",
            partition: u32,
            offset in 0..=i64::MAX,
            delivery_count: u32,
        ) {
            let offset = Offset::new(offset).unwrap();
            let record = Record {
                offset,
                timestamp: Timestamp::NONE,
                key: None,
                value: None,
                headers: Vec::new(),
            };
            let partition = PartitionIndex::new(partition);
            let acquired = Acquired { partition, delivery_count, locked_until: None, record };
            let held = parse(&show(&owner, &acquired)).unwrap();
            prop_assert_eq!(held, Held {
                id: RecordId { partition, offset },
                delivery: Some(delivery_count),
                owner: Some(Bytes::from(owner)),
            });
        }

        #[test]
        fn no_text_panics(text in "[-0-9a-z+]{0,30}") {
            let _ = parse(&text);
        }
    }

    #[test]
    fn what_is_not_a_lease_is_refused() {
        for text in
            ["", "0-1-2", "0-1-2-", "-1-1-1-a", "a-1-1-b", "0-01-1-a", "+0-1-1-a", "0--1-1-a"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
