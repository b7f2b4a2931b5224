//! Crash tests of the local engine over the disk that forgets. Their numbers are in the output.
//!
//! `POSTHOUSE_CRASH_SEEDS=N` runs N seeds instead of the few that every test run has time for.

use crate::testkit::FaultyDisk;
use crate::testkit::crash::{Plan, run};
use crate::testkit::crash_compaction;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_power_cuts_and_kills() {
    let (mut crashes, mut acknowledged, mut kept, mut again, mut syncs) = (0, 0, 0, 0, 0);
    for seed in 1..=seeds(40) {
        let outcome = run(Plan { seed, crashes: 25 }, &FaultyDisk::new(seed)).await;
        let outcome = outcome.unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        crashes += outcome.crashes;
        acknowledged += outcome.acknowledged;
        kept += outcome.unacknowledged_kept;
        again += outcome.sent_again;
        syncs += outcome.syncs;
    }
    println!(
        "crash test: {crashes} crashes, {acknowledged} records acknowledged and found, {kept} found \
         that were not acknowledged, {again} lost before they were acknowledged, {syncs} syncs"
    );
    assert!(acknowledged > crashes && again > 0 && kept > 0, "the test must do something");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_value_of_each_key_survives_crashes_amid_compaction() {
    let (mut crashes, mut amid, mut acknowledged, mut compacted) = (0, 0, 0, 0);
    for seed in 1..=seeds(20) {
        let outcome =
            crash_compaction::run(Plan { seed, crashes: 25 }, &FaultyDisk::new(seed)).await;
        let outcome = outcome.unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        crashes += outcome.crashes;
        amid += outcome.amid_compaction;
        acknowledged += outcome.acknowledged;
        compacted += outcome.compacted;
    }
    println!(
        "crash test: {crashes} crashes of a compacted topic, {amid} of them amid compaction, \
         {acknowledged} values acknowledged, {compacted} records compacted away"
    );
    assert!(amid > 0 && compacted > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_crash_test_catches_a_disk_that_does_not_sync() {
    // Nothing at all, the records, and the names of segments.
    for name_end in ["", ".log", "/0"] {
        for seed in 1..=5 {
            let disk = FaultyDisk::new(seed);
            disk.lie_about(name_end);
            match run(Plan { seed, crashes: 50 }, &disk).await {
                Err(broken) => println!("without fsync of *{name_end}, seed {seed}: {broken}"),
                Ok(outcome) => panic!("seed {seed}: the loss went unnoticed: {outcome:?}"),
            }
        }
    }
}

fn seeds(default: u64) -> u64 {
    let asked = std::env::var("POSTHOUSE_CRASH_SEEDS").ok();
    asked.map_or(default, |count| count.parse().expect("POSTHOUSE_CRASH_SEEDS is a number"))
}
