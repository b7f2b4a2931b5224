use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest as WireRequest, ProduceResponse as WireResponse};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use proptest::prelude::*;

use super::*;

/// Index and records.
type Partition = (i32, Option<Vec<u8>>);

/// The request as the `kafka-protocol` crate, which is another implementation, writes it.
fn wire(version: i16, topics: &[(&str, Vec<Partition>)]) -> BytesMut {
    let topics = topics
        .iter()
        .map(|(name, partitions)| {
            let partitions = partitions.iter().map(|(index, records)| {
                PartitionProduceData::default()
                    .with_index(*index)
                    .with_records(records.clone().map(Bytes::from))
            });
            let topic = TopicProduceData::default().with_partition_data(partitions.collect());
            if version >= 13 {
                topic.with_topic_id(id_of(name))
            } else {
                topic.with_name(StrBytes::from_string((*name).to_string()).into())
            }
        })
        .collect();
    let request =
        WireRequest::default().with_acks(-1).with_timeout_ms(1500).with_topic_data(topics);
    let mut body = BytesMut::new();
    request.encode(&mut body, version).unwrap();
    body
}

fn id_of(name: &str) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Uuid::from_bytes(bytes)
}

fn sample(version: i16) -> BytesMut {
    wire(
        version,
        &[
            ("orders", vec![(0, Some(b"first".to_vec())), (3, None)]),
            ("x", vec![(1, Some(Vec::new()))]),
        ],
    )
}

#[test]
fn every_version_is_read_as_it_was_written() {
    for version in 3..=13 {
        let request = decode(version, sample(version)).unwrap();
        assert_eq!((request.acks, request.transactional_id), (-1, None), "version {version}");
        let [orders, x] = &request.topics[..] else { panic!("two topics, version {version}") };
        let expected = match version {
            13.. => TopicKey::Id(id_of("orders")),
            _ => TopicKey::Name(Bytes::from_static(b"orders")),
        };
        assert_eq!(orders.topic, expected);
        assert_eq!(orders.partitions[0].records.as_deref(), Some(&b"first"[..]));
        assert_eq!((orders.partitions[1].index, &orders.partitions[1].records), (3, &None));
        assert_eq!(x.partitions[0].records.as_deref(), Some(&b""[..]));
    }
}

#[test]
fn records_are_not_copied_and_may_be_changed_in_place() {
    let body = sample(9);
    let frame = body.as_ptr_range();
    let mut request = decode(9, body).unwrap();
    let records = request.topics[0].partitions[0].records.as_mut().unwrap();
    assert!(frame.contains(&records.as_ptr()));
    records[0] = b'F';
    assert_eq!(&records[..], b"First");
}

#[test]
fn every_truncation_is_refused() {
    for version in 3..=13 {
        let whole = sample(version);
        for len in 0..whole.len() {
            assert!(decode(version, BytesMut::from(&whole[..len])).is_err(), "{version} {len}");
        }
    }
}

#[test]
fn bytes_after_the_end_are_ignored() {
    let mut body = sample(9);
    body.extend_from_slice(b"!");
    assert_eq!(decode(9, body).unwrap().topics.len(), 2);
}

#[test]
fn a_count_that_cannot_fit_is_refused_before_allocation() {
    let body = BytesMut::from(&b"\xff\xff\xff\xff\0\0\x05\xdc\x7f\xff\xff\xff"[..]);
    assert!(matches!(decode(3, body), Err(DecodeError::Count { field: "topics", .. })));
}

fn produced(topic: TopicKey) -> Vec<ProducedTopic> {
    let partition = |index, error_code, error_message: Option<&str>| ProducedPartition {
        index,
        error_code,
        error_message: error_message.map(str::to_string),
        base_offset: 41,
        log_append_time_ms: -1,
        log_start_offset: 7,
    };
    let partitions = vec![partition(0, 0, None), partition(2, 87, Some("no"))];
    vec![ProducedTopic { topic, partitions }]
}

#[test]
fn responses_are_what_another_implementation_reads() {
    for version in 3..=13 {
        let topic = match version {
            13.. => TopicKey::Id(id_of("orders")),
            _ => TopicKey::Name(Bytes::from_static(b"orders")),
        };
        let mut bytes = Bytes::from(encode(version, 5, &produced(topic), 7).to_vec());
        let header = bytes.split_to(if version >= 9 { 9 } else { 8 });
        assert_eq!(&header[4..8], [0, 0, 0, 5]);
        let response = WireResponse::decode(&mut bytes, version).unwrap();
        assert!(bytes.is_empty());
        assert_eq!(response.throttle_time_ms, 7);
        let topic = &response.responses[0];
        if version >= 13 {
            assert_eq!(topic.topic_id, id_of("orders"));
        } else {
            assert_eq!(topic.name.as_str(), "orders");
        }
        let [first, second] = &topic.partition_responses[..] else { panic!("two partitions") };
        assert_eq!((first.index, first.error_code, first.base_offset), (0, 0, 41));
        assert_eq!(first.log_start_offset, if version >= 5 { 7 } else { -1 });
        assert_eq!((second.index, second.error_code), (2, 87));
        let message = second.error_message.as_ref().map(|text| text.as_str());
        assert_eq!(message, (version >= 8).then_some("no"));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(
        version in 3i16..=13,
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = decode(version, BytesMut::from(&body[..]));
    }

    #[test]
    fn a_changed_byte_never_makes_the_decoder_panic(
        version in 3i16..=13,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = sample(version);
        let at = at.index(body.len());
        body[at] = byte;
        let _ = decode(version, body);
    }
}
