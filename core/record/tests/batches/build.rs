//! What is built reads back.

use bytes::{Bytes, BytesMut};
use posthouse_record::{Batch, BatchBuilder, BatchError, Compression, UnplacedBatch};
use posthouse_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use proptest::prelude::*;

use crate::support::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn records_read_back_as_pushed(records in records(), compression in compression()) {
        let unplaced = build(compression, &records);
        let before: Vec<_> = unplaced.records(EXPANDED_MAX)?.collect::<Result<_, _>>()?;
        prop_assert_eq!(&before, &records);
        let batch = unplaced.place(Offset::ZERO, LeaderEpoch(0));
        prop_assert_eq!(&read(&batch)?, &records);
        batch.verify()?;
    }

    #[test]
    fn a_built_batch_passes_every_check(records in records(), compression in compression()) {
        let bytes = build_bytes(compression, &records);
        let batch = UnplacedBatch::check(BytesMut::from(bytes.as_slice()))?;
        batch.check_from_client()?;
        let times: Vec<_> = records.iter().map(|record| record.timestamp).collect();
        prop_assert_eq!(batch.header().base_timestamp, times[0]);
        prop_assert_eq!(batch.header().max_timestamp, *times.iter().max().unwrap());
        prop_assert_eq!(batch.header().compression, compression);
        prop_assert_eq!(batch.size(), bytes.len());
    }

    #[test]
    fn views_show_what_records_own(records in records(), compression in compression()) {
        let batch = build(compression, &records).place(Offset::ZERO, LeaderEpoch(0));
        let mut views = batch.records(EXPANDED_MAX)?;
        for record in &records {
            let view = views.next_view().unwrap()?;
            prop_assert_eq!(view.offset, record.offset);
            prop_assert_eq!(view.timestamp, record.timestamp);
            prop_assert_eq!(view.key, record.key.as_deref());
            prop_assert_eq!(view.value, record.value.as_deref());
            let headers: Vec<_> = view.headers().collect();
            let expected: Vec<_> =
                record.headers.iter().map(|h| (h.name.as_ref(), h.value.as_deref())).collect();
            prop_assert_eq!(headers, expected);
        }
        prop_assert!(views.next_view().is_none());
    }
}

#[test]
fn batches_follow_one_another_in_a_chunk() {
    let mut stored = BytesMut::new();
    for (index, compression) in Compression::ALL.into_iter().enumerate() {
        let base = Offset::ZERO.plus(10 * u64::try_from(index).unwrap());
        let batch = build(compression, &simple_records(3)).place(base, LeaderEpoch(4));
        stored.extend_from_slice(batch.bytes());
    }
    let mut chunk = stored.freeze();
    let mut offsets = Vec::new();
    while let Some(batch) = Batch::next(&mut chunk).unwrap() {
        batch.verify().unwrap();
        offsets.extend(read(&batch).unwrap().iter().map(|record| record.offset.value()));
    }
    assert_eq!(offsets, [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32, 40, 41, 42]);
}

#[test]
fn keys_and_values_of_a_stored_batch_are_slices_of_it() {
    let batch = build(Compression::None, &simple_records(2)).place(Offset::ZERO, LeaderEpoch(0));
    let within = batch.bytes().as_ptr_range();
    for record in read(&batch).unwrap() {
        assert!(within.contains(&record.key.unwrap().as_ptr()));
        assert!(within.contains(&record.value.unwrap().as_ptr()));
        assert!(within.contains(&record.headers[0].name.as_ptr()));
    }
}

#[test]
fn compression_shrinks_what_repeats() {
    let mut record = simple_records(1).remove(0);
    record.value = Some(Bytes::from(vec![b'x'; 100_000]));
    for compression in &Compression::ALL[1..] {
        let size = build(*compression, std::slice::from_ref(&record)).size();
        assert!(size < 10_000, "{compression:?} gave {size} bytes");
    }
}

#[test]
fn the_size_of_a_builder_is_that_of_the_uncompressed_batch() {
    let mut builder = BatchBuilder::new(Compression::None);
    assert!(builder.is_empty());
    push_all(&mut builder, &simple_records(7));
    let (size, len) = (builder.size(), builder.len());
    assert_eq!((builder.build().unwrap().size(), 7), (size, len));
}

#[test]
fn producer_and_marks_are_written() {
    let mut builder = BatchBuilder::new(Compression::None)
        .producer(ProducerId(77), ProducerEpoch(3), Sequence(i32::MAX))
        .transactional()
        .control();
    push_all(&mut builder, &simple_records(2));
    let batch = builder.build().unwrap();
    let header = batch.header();
    assert_eq!(header.producer, Some((ProducerId(77), ProducerEpoch(3), Sequence(i32::MAX))));
    assert_eq!(header.last_sequence(), Some(Sequence(0)));
    assert!(header.transactional && header.control && !header.delete_horizon);
    let placed = batch.place(Offset::ZERO, LeaderEpoch(0));
    let again = Batch::next(&mut placed.bytes().clone()).unwrap().unwrap();
    assert_eq!(again.header(), placed.header());
}

#[test]
fn skipped_offsets_are_gaps() {
    let mut builder = BatchBuilder::new(Compression::Zstd);
    builder.skip_offsets(2);
    builder.push(Timestamp::from_ms(1), None, Some(b"a"), &[]);
    builder.skip_offsets(5);
    builder.push(Timestamp::from_ms(2), None, Some(b"b"), &[]);
    builder.skip_offsets(1);
    let batch = builder.build().unwrap().place(Offset::new(100).unwrap(), LeaderEpoch(0));
    let offsets: Vec<_> = read(&batch).unwrap().iter().map(|r| r.offset.value()).collect();
    assert_eq!(offsets, [102, 108]);
    assert_eq!(batch.header().last_offset().value(), 109);
}

#[test]
fn a_batch_without_records_is_not_built() {
    let error = BatchBuilder::new(Compression::Gzip).build().unwrap_err();
    assert_eq!(error, BatchError::Field { field: "record_count", value: 0 });
}

#[test]
fn a_producer_with_negative_numbers_is_not_built() {
    for (id, epoch, sequence) in [(-1, 0, 0), (0, -1, 0), (0, 0, -2)] {
        let mut builder = BatchBuilder::new(Compression::None).producer(
            ProducerId(id),
            ProducerEpoch(epoch),
            Sequence(sequence),
        );
        push_all(&mut builder, &simple_records(1));
        assert!(matches!(builder.build(), Err(BatchError::Field { .. })));
    }
}
