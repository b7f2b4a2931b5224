//! How fast batches are checked, opened and built: `cargo bench -p posthouse-record`.
//!
//! A batch of a thousand JSON records of about 190 bytes, by codec; megabytes of uncompressed records
//! a second, the best of several rounds. For comparing two versions of this crate on one machine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use posthouse_record::{Batch, BatchBuilder, Compression, UnplacedBatch};
use posthouse_types::{LeaderEpoch, Offset, Timestamp};

const RECORDS: u32 = 1_000;
const EXPANDED_BYTES_MAX: usize = 1 << 20;
const ROUNDS: u32 = 30;

fn main() {
    println!("{:8}{:>10}{:>10}{:>10}{:>10}", "codec", "check", "views", "records", "build");
    for compression in Compression::ALL {
        let size = builder(Compression::None).size();
        let batch = stored(compression);
        let check = best(|| UnplacedBatch::check(BytesMut::from(&batch.bytes()[..])).is_ok());
        let views = best(|| {
            let mut records = batch.records(EXPANDED_BYTES_MAX).expect("it was built");
            while let Some(record) = records.next_view() {
                black_box(record.expect("it was built"));
            }
        });
        let records = best(|| {
            let records = batch.records(EXPANDED_BYTES_MAX).expect("it was built");
            records.for_each(|record| drop(black_box(record)));
        });
        let build = best(|| builder(compression).build().expect("it has records").size());
        print!("{:8}", compression.name());
        for elapsed in [check, views, records, build] {
            print!("{:>10.0}", megabytes(size) / elapsed.as_secs_f64());
        }
        println!();
    }
}

fn builder(compression: Compression) -> BatchBuilder {
    let mut builder = BatchBuilder::new(compression);
    for index in 0..RECORDS {
        let timestamp = Timestamp::from_ms(1_700_000_000_000 + i64::from(index));
        let (delay, flight, distance) =
            (index * 7 % 130, 1_000 + index * 13 % 7_000, index * 31 % 2_500);
        let value = format!(
            r#"{{"year":2013,"month":1,"day":1,"dep_delay":{delay},"carrier":"UA","flight":{flight},"tailnum":"N{flight}","origin":"EWR","dest":"IAH","air_time":227,"distance":{distance},"time_hour":"2013-01-01T05:00:00Z"}}"#
        );
        builder.push(timestamp, Some(b"EWR"), Some(value.as_bytes()), &[]);
    }
    builder
}

fn stored(compression: Compression) -> Batch {
    builder(compression).build().expect("it has records").place(Offset::ZERO, LeaderEpoch(0))
}

fn best<T>(mut work: impl FnMut() -> T) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        black_box(work());
        best = best.min(started.elapsed());
    }
    best
}

#[expect(clippy::cast_precision_loss, reason = "a size in megabytes for people to read")]
fn megabytes(size: usize) -> f64 {
    size as f64 / 1e6
}
