//! The Kafka door: a connection's bytes, and requests of every kind and version.

pub use posthouse_kafka::fuzz::{request, sasl_bearer, sasl_plain, stream};

use crate::Target;

const PRODUCE: [u8; 2] = [0, 0];
const FETCH: [u8; 2] = [0, 1];

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "kafka_stream", run: stream },
    Target { name: "kafka_request", run: request },
    Target { name: "kafka_produce", run: produce },
    Target { name: "kafka_fetch", run: fetch },
    Target { name: "kafka_sasl_plain", run: sasl_plain },
    Target { name: "kafka_sasl_bearer", run: sasl_bearer },
];

/// A produce request, which is taken apart by hand.
pub fn produce(input: &[u8]) -> bool {
    request(&with_key(input, PRODUCE))
}

/// A fetch request, which is read by hand.
pub fn fetch(input: &[u8]) -> bool {
    request(&with_key(input, FETCH))
}

/// The request as one of this kind, so that no effort goes into others.
fn with_key(input: &[u8], key: [u8; 2]) -> Vec<u8> {
    let mut request = input.to_vec();
    if let Some(first) = request.first_chunk_mut::<2>() {
        *first = key;
    }
    request
}
