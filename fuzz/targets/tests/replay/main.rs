//! Feeds every target its corpus, and mutations of it, on stable Rust.
//!
//! `POSTHOUSE_FUZZ_SEED` and `POSTHOUSE_FUZZ_ITERATIONS` change what is tried; both are printed, and
//! the same pair tries the same. A failure prints the input in hex, ready to become a corpus entry.

mod corpus;
mod meter;
mod mutate;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Instant;

use posthouse_fuzz_targets::{Target, all};

use meter::Meter;
use mutate::Mutator;

#[global_allocator]
static METER: Meter = Meter;

/// LIMIT: what one decode may hold at a time, whatever its input says.
const MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a node's threads have that parse SQL, `posthouse_query::STACK_BYTES`.
const STACK_BYTES: usize = 64 * 1024 * 1024;

const ITERATIONS_DEFAULT: u64 = 20_000;
const SEED_DEFAULT: u64 = 0x706f_7374;

#[test]
fn every_corpus_entry_is_survived_and_some_are_read() {
    on_large_stack(|| {
        for target in all() {
            let entries = corpus::entries(target.name);
            assert!(!entries.is_empty(), "fuzz/corpus/{} has no entry", target.name);
            let read = entries.iter().filter(|entry| feed(target, entry).read).count();
            assert!(read > 0, "{} reads none of its {} entries", target.name, entries.len());
        }
    });
}

/// A build without some targets has corpora to spare.
#[cfg(feature = "sql")]
#[test]
fn every_corpus_has_its_target() {
    let names: Vec<_> = all().iter().map(|target| target.name).collect();
    for name in corpus::names() {
        assert!(names.contains(&name.as_str()), "fuzz/corpus/{name} is of no target");
    }
}

#[test]
fn mutations_are_survived() {
    let seed = setting("POSTHOUSE_FUZZ_SEED", SEED_DEFAULT);
    let iterations = setting("POSTHOUSE_FUZZ_ITERATIONS", ITERATIONS_DEFAULT);
    println!("POSTHOUSE_FUZZ_SEED={seed} POSTHOUSE_FUZZ_ITERATIONS={iterations}");
    on_large_stack(move || {
        for target in all() {
            let started = Instant::now();
            let (mut peak, mut read) = (0, 0);
            let mut mutator = Mutator::new(seed, corpus::entries(target.name));
            for _ in 0..iterations {
                let outcome = feed(target, &mutator.next_input());
                peak = peak.max(outcome.peak);
                read += u64::from(outcome.read);
            }
            let (name, elapsed) = (target.name, started.elapsed());
            println!(
                "{name}: {read} of {iterations} read in {elapsed:.1?}, at most {peak} bytes held"
            );
        }
    });
}

/// Feeds targets as a node's own threads would.
fn on_large_stack(feeding: impl FnOnce() + Send + 'static) {
    let thread =
        thread::Builder::new().stack_size(STACK_BYTES).spawn(feeding).expect("a thread starts");
    thread.join().unwrap_or_else(|panic| resume_unwind(panic));
}

/// The limit on memory is only worth something if exceeding it is seen.
#[test]
fn memory_that_is_taken_is_seen() {
    let (_, peak) = meter::peak_of(|| drop(std::hint::black_box(vec![1_u8; 3_000_000])));
    assert!((3_000_000..3_100_000).contains(&peak), "{peak}");
    let (_, nothing) = meter::peak_of(|| ());
    assert_eq!(nothing, 0);
}

/// What came of an input.
struct Outcome {
    read: bool,
    /// The most bytes held.
    peak: usize,
}

fn feed(target: Target, input: &[u8]) -> Outcome {
    let outcome = catch_unwind(AssertUnwindSafe(|| meter::peak_of(|| (target.run)(input))));
    match outcome {
        Ok((read, peak)) if peak <= MEMORY_BYTES_MAX => Outcome { read, peak },
        Ok((_, peak)) => {
            panic!("{} held {peak} bytes for input {}", target.name, hex(input))
        }
        Err(panic) => {
            eprintln!("{} panicked on input {}", target.name, hex(input));
            resume_unwind(panic)
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, not a number")),
        Err(_) => default,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
