//! What a group member was given to read, as Kafka's consumers encode it.
//!
//! # Source
//! Apache Kafka, `ConsumerProtocolAssignment.json`: a version, then topics with their partitions,
//! then bytes that are the assignor's own. Later versions only append fields.

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assigned {
    pub(crate) topic: String,
    pub(crate) partitions: Vec<u32>,
}

/// Reads an assignment; `None` when the bytes are something else, as other protocol types have.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<Assigned>> {
    let mut input = Input(bytes);
    let _version = input.take::<2>()?;
    let topics = input.count()?;
    let mut assigned = Vec::new();
    for _ in 0..topics {
        let len = usize::from(u16::from_be_bytes(input.take()?));
        let name = input.0.get(..len)?;
        input.0 = &input.0[len..];
        let topic = String::from_utf8(name.to_vec()).ok()?;
        let count = input.count()?;
        let partitions = (0..count)
            .map(|_| Some(u32::from_be_bytes(input.take()?)))
            .collect::<Option<Vec<u32>>>()?;
        assigned.push(Assigned { topic, partitions });
    }
    Some(assigned)
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const LEN: usize>(&mut self) -> Option<[u8; LEN]> {
        let (head, rest) = self.0.split_first_chunk::<LEN>()?;
        self.0 = rest;
        Some(*head)
    }

    /// A count of things that take at least two bytes each, so never more than the bytes left.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(i32::from_be_bytes(self.take()?)).ok()?;
        (count <= self.0.len() / 2).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE_TOPIC: &[u8] =
        b"\0\x01\0\0\0\x01\0\x03abc\0\0\0\x02\0\0\0\x00\0\0\0\x05\xff\xff\xff\xff";

    #[test]
    fn topics_and_partitions_are_read() {
        let expected = vec![Assigned { topic: "abc".to_owned(), partitions: vec![0, 5] }];
        assert_eq!(decode(ONE_TOPIC), Some(expected));
    }

    #[test]
    fn every_truncation_before_the_last_field_is_refused() {
        for len in 0..ONE_TOPIC.len() - 4 {
            assert_eq!(decode(&ONE_TOPIC[..len]), None, "{len}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&bytes);
        }
    }
}
