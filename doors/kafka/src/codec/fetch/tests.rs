use kafka_protocol::messages::fetch_request::{
    FetchPartition as WirePartition, FetchTopic as WireTopic, ForgottenTopic,
};
use kafka_protocol::messages::{FetchRequest as WireRequest, FetchResponse as WireResponse};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const ID: Uuid = Uuid::from_u128(0x0102_0304);

/// The request as the `kafka-protocol` crate, which is another implementation, writes it.
fn wire(version: i16) -> Bytes {
    let partition = WirePartition::default()
        .with_partition(2)
        .with_fetch_offset(77)
        .with_partition_max_bytes(1024);
    let partition = if version >= 9 { partition.with_current_leader_epoch(4) } else { partition };
    let topic = WireTopic::default().with_partitions(vec![partition]);
    let name = StrBytes::from_static_str("orders");
    let topic =
        if version >= 13 { topic.with_topic_id(ID) } else { topic.with_topic(name.clone().into()) };
    let mut request = WireRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_isolation_level(1)
        .with_topics(vec![topic]);
    if version >= 7 {
        let forgotten = ForgottenTopic::default().with_partitions(vec![5, 6]);
        let forgotten = if version >= 13 {
            forgotten.with_topic_id(ID)
        } else {
            forgotten.with_topic(name.into())
        };
        request = request
            .with_session_id(12)
            .with_session_epoch(3)
            .with_forgotten_topics_data(vec![forgotten]);
    }
    if version >= 11 {
        request = request.with_rack_id(StrBytes::from_static_str("here"));
    }
    let mut body = BytesMut::new();
    request.encode(&mut body, version).unwrap();
    body.freeze()
}

fn key(version: i16) -> TopicKey {
    match version {
        13.. => TopicKey::Id(ID),
        _ => TopicKey::Name(Bytes::from_static(b"orders")),
    }
}

#[test]
fn every_version_is_read_as_it_was_written() {
    for version in 4..=18 {
        let request = decode(version, &wire(version)).unwrap();
        let expected = FetchPartition {
            index: 2,
            current_leader_epoch: if version >= 9 { 4 } else { -1 },
            fetch_offset: 77,
            max_bytes: 1024,
        };
        let session = if version >= 7 { (12, 3) } else { (0, -1) };
        let forgotten = if version >= 7 { vec![(key(version), vec![5, 6])] } else { Vec::new() };
        assert_eq!(
            request,
            FetchRequest {
                max_wait_ms: 500,
                min_bytes: 1,
                max_bytes: 1 << 20,
                isolation_level: 1,
                session_id: session.0,
                session_epoch: session.1,
                topics: vec![FetchTopic { topic: key(version), partitions: vec![expected] }],
                forgotten,
            },
            "version {version}"
        );
    }
}

#[test]
fn every_truncation_is_refused() {
    for version in 4..=18 {
        let whole = wire(version);
        for len in 0..whole.len() {
            assert!(decode(version, &whole.slice(..len)).is_err(), "{version} {len}");
        }
    }
}

#[test]
fn responses_are_what_another_implementation_reads() {
    for version in 4..=18 {
        let records = vec![
            Chunk::Memory(Bytes::from_static(b"abc")),
            Chunk::Memory(Bytes::from_static(b"defg")),
        ];
        let partition = |index, records: Vec<Chunk>, read_committed| FetchedPartition {
            index,
            error_code: 0,
            high_watermark: 9,
            last_stable_offset: 8,
            log_start_offset: 1,
            read_committed,
            records,
        };
        let partitions = vec![partition(0, records, true), partition(1, Vec::new(), false)];
        let topics = [FetchedTopic { topic: key(version), partitions }];
        let fetched =
            FetchResponse { throttle_time_ms: 7, error_code: 0, session_id: 0, topics: &topics };
        let mut bytes = Bytes::from(encode(version, 5, fetched).to_vec());
        assert_eq!(
            usize::try_from(u32::from_be_bytes(*bytes.first_chunk().unwrap())).unwrap(),
            bytes.len() - 4
        );
        let header = bytes.split_to(if version >= 12 { 9 } else { 8 });
        assert_eq!(&header[4..8], [0, 0, 0, 5]);
        let response = WireResponse::decode(&mut bytes, version).unwrap();
        assert!(bytes.is_empty(), "version {version}");
        assert_eq!(response.throttle_time_ms, 7);
        let [first, second] = &response.responses[0].partitions[..] else { panic!("two") };
        assert_eq!(first.records.as_deref(), Some(&b"abcdefg"[..]));
        assert_eq!(first.aborted_transactions, Some(Vec::new()));
        assert_eq!((first.high_watermark, first.last_stable_offset), (9, 8));
        assert_eq!(second.records.as_deref(), Some(&b""[..]));
        assert_eq!(second.aborted_transactions, None);
        assert_eq!(second.partition_index, 1);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(
        version in 4i16..=18,
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = decode(version, &Bytes::from(body));
    }

    #[test]
    fn a_changed_byte_never_makes_the_decoder_panic(
        version in 4i16..=18,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = wire(version).to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        let _ = decode(version, &Bytes::from(body));
    }
}
