//! Batches of real clients read as those clients meant them.

use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use posthouse_record::{BatchHeader, Compression, Header, Record, UnplacedBatch};
use posthouse_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::support::*;

const TIMESTAMP_MS: i64 = 1_700_000_000_000;

fn golden(client: &str, compression: Compression) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::read(folder.join(format!("{client}-{}.bin", compression.name()))).unwrap()
}

/// The records of `tests/golden/capture.py`.
fn sent(null_header: Option<Bytes>) -> Vec<Record> {
    let record = |index: i64, key, value, headers| Record {
        offset: Offset::new(index).unwrap(),
        timestamp: Timestamp::from_ms(TIMESTAMP_MS + index),
        key,
        value,
        headers,
    };
    let header = |name: &'static str, value| Header { name: Bytes::from(name), value };
    let traces = vec![
        header("trace", Some(Bytes::from_static(&[0, 1]))),
        header("trace", Some(Bytes::new())),
    ];
    let long_value = Bytes::from("a relay station on a post road; ".repeat(40));
    vec![
        record(0, Some(Bytes::from("JFK")), Some(long_value), traces),
        record(1, None, Some(Bytes::new()), vec![]),
        record(2, Some(Bytes::new()), None, vec![header("null", null_header)]),
    ]
}

fn check(client: &str, producer: Option<i64>, null_header: Option<Bytes>) {
    for compression in Compression::ALL {
        let bytes = golden(client, compression);
        let batch = UnplacedBatch::check(BytesMut::from(bytes.as_slice())).unwrap();
        batch.check_from_client().unwrap();
        let header = *batch.header();
        assert_eq!(header.compression, compression);
        assert_eq!(header.base_timestamp.as_ms(), TIMESTAMP_MS);
        assert_eq!(header.max_timestamp.as_ms(), TIMESTAMP_MS + 2);
        let numbers = |id| (ProducerId(id), ProducerEpoch(0), Sequence(0));
        assert_eq!(header.producer, producer.map(numbers));
        assert_eq!(header, BatchHeader::parse(&bytes).unwrap());
        let placed = batch.place(Offset::ZERO, LeaderEpoch(0));
        assert_eq!(read(&placed).unwrap(), sent(null_header.clone()), "{client} {compression:?}");
    }
}

#[test]
fn librdkafka_is_understood() {
    check("librdkafka", None, None);
}

#[test]
fn kafka_python_is_understood() {
    check("kafka-python", Some(4242), Some(Bytes::new()));
}

#[test]
fn the_java_client_is_understood() {
    check("java", Some(4242), None);
}

/// Byte by byte what the Java client writes, up to the leader epoch that each writer chooses.
#[test]
fn an_uncompressed_batch_is_written_as_the_java_client_writes_it() {
    let expected = golden("java", Compression::None);
    let mut builder = posthouse_record::BatchBuilder::new(Compression::None).producer(
        ProducerId(4242),
        ProducerEpoch(0),
        Sequence(0),
    );
    push_all(&mut builder, &sent(None));
    let epoch = BatchHeader::parse(&expected).unwrap().leader_epoch;
    let batch = builder.build().unwrap().place(Offset::ZERO, epoch);
    assert_eq!(batch.bytes()[..], expected[..]);
}

#[test]
fn snappy_is_framed_as_the_java_client_frames_it() {
    let expected = golden("java", Compression::Snappy);
    let ours = build_bytes(Compression::Snappy, &sent(None));
    assert_eq!(ours[at::RECORDS..at::RECORDS + 16], expected[at::RECORDS..at::RECORDS + 16]);
    let bare = golden("librdkafka", Compression::Snappy);
    assert_ne!(bare[at::RECORDS..at::RECORDS + 8], expected[at::RECORDS..at::RECORDS + 8]);
}
