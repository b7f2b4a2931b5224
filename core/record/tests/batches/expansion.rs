//! Compressed data that is damaged, or expands too far.

use posthouse_record::{BatchError, Compression};
use posthouse_types::{LeaderEpoch, Offset};

use crate::support::*;

#[test]
fn expansion_is_allowed_up_to_the_limit_and_no_further() {
    let records = simple_records(500);
    let size = build_bytes(Compression::None, &records).len() - at::RECORDS;
    for compression in &Compression::ALL[1..] {
        let batch = build(*compression, &records).place(Offset::ZERO, LeaderEpoch(0));
        assert_eq!(batch.records(size).unwrap().count(), 500);
        let error = batch.records(size - 1).unwrap_err();
        assert_eq!(error, BatchError::ExpandsTooFar { max: size - 1 }, "{compression:?}");
        assert_eq!(batch.records(0).unwrap_err(), BatchError::ExpandsTooFar { max: 0 });
    }
}

#[test]
fn a_bomb_is_refused() {
    let mut record = simple_records(1).remove(0);
    record.value = Some(bytes::Bytes::from(vec![0; 64 * 1024 * 1024]));
    for compression in &Compression::ALL[1..] {
        let bomb = build(*compression, std::slice::from_ref(&record));
        let error = bomb.records(1024 * 1024).unwrap_err();
        assert_eq!(error, BatchError::ExpandsTooFar { max: 1024 * 1024 }, "{compression:?}");
    }
}

#[test]
fn every_prefix_of_compressed_data_is_refused() {
    for compression in &Compression::ALL[1..] {
        let bytes = build_bytes(*compression, &simple_records(300));
        let data = &bytes[at::RECORDS..];
        for len in 0..data.len() {
            let batch = with_compressed(bytes[at::ATTRIBUTES + 1], &data[..len]);
            let outcome =
                batch.records(EXPANDED_MAX).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            assert!(outcome.is_err(), "{compression:?} cut at {len}");
        }
    }
}

#[test]
fn bytes_after_compressed_data_are_refused() {
    for compression in &Compression::ALL[1..] {
        let bytes = build_bytes(*compression, &simple_records(1));
        let data = [&bytes[at::RECORDS..], b"more"].concat();
        let batch = with_compressed(bytes[at::ATTRIBUTES + 1], &data);
        let error = batch.records(EXPANDED_MAX).unwrap_err();
        assert!(matches!(error, BatchError::Decompress { .. }), "{compression:?}: {error}");
    }
}

#[test]
fn a_snappy_block_cannot_claim_more_than_it_can_hold() {
    // A lone block, and a framed one, that claim 3 GiB in five bytes.
    let claim = [0x80, 0x80, 0x80, 0x80, 0x0c];
    let framed = [b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x05".as_slice(), &claim].concat();
    for data in [claim.as_slice(), &framed] {
        let error = with_compressed(2, data).records(usize::MAX).unwrap_err();
        assert!(matches!(error, BatchError::Decompress { codec: "snappy", .. }), "{error}");
    }
}

#[test]
fn a_snappy_frame_cannot_exceed_the_limit_block_by_block() {
    let bytes = build_bytes(Compression::Snappy, &simple_records(300));
    let framed = &bytes[at::RECORDS..];
    let mut data = framed.to_vec();
    for _ in 0..9 {
        data.extend_from_slice(&framed[16..]);
    }
    let error = with_compressed(2, &data).records(20_000).unwrap_err();
    assert_eq!(error, BatchError::ExpandsTooFar { max: 20_000 });
}

#[test]
fn a_damaged_snappy_frame_is_refused() {
    let header = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
    let unknown_version = b"\x82SNAPPY\0\0\0\0\0\0\0\0\x01";
    let block_cut = [header.as_slice(), &[0, 0, 0, 9, 1]].concat();
    let block_length = [header.as_slice(), &[0xff, 0xff, 0xff, 0xff]].concat();
    for data in [&header[..12], unknown_version, &block_cut, &block_length] {
        let error = with_compressed(2, data).records(EXPANDED_MAX).unwrap_err();
        assert!(matches!(error, BatchError::Decompress { codec: "snappy", .. }), "{error}");
    }
}

#[test]
fn a_zstd_frame_that_wants_the_largest_window_is_read() {
    // Magic; no content size, no checksum; a window of 2^27; one last raw block of one record.
    let record = [12, 0, 0, 0, 1, 1, 0];
    let frame =
        [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x39, 0x00, 0x00], record.as_slice()].concat();
    let batch = with_compressed(4, &frame);
    assert_eq!(
        batch.records(EXPANDED_MAX).unwrap().collect::<Result<Vec<_>, _>>().unwrap().len(),
        1
    );
}
