//! What the Kafka door counts. Handles are made once, because requests are too many to look them up.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::codec::api::Api;

/// The door's metrics.
pub(crate) struct Metrics {
    requests: Vec<Counter>,
    /// Bytes of record batches accepted from producers.
    pub(crate) produced_bytes: Counter,
    /// Bytes of record batches handed to consumers.
    pub(crate) fetched_bytes: Counter,
    /// Bytes of `fetched_bytes` sent from files by the kernel.
    pub(crate) sendfile_bytes: Counter,
    /// Connections closed because of what a client sent.
    pub(crate) protocol_errors: Counter,
    /// From a produce request's arrival to its answer.
    pub(crate) produce_seconds: Histogram,
    /// Requests begun and not yet answered.
    pub(crate) in_flight: Gauge,
}

impl Metrics {
    /// Made after the recorder is installed, or they count nowhere.
    pub(crate) fn new() -> Metrics {
        let request = |api: Api| counter!("posthouse_kafka_requests_total", "api" => api.name());
        Metrics {
            requests: Api::all().map(request).collect(),
            produced_bytes: counter!("posthouse_kafka_produced_bytes_total"),
            fetched_bytes: counter!("posthouse_kafka_fetched_bytes_total"),
            sendfile_bytes: counter!("posthouse_kafka_sendfile_bytes_total"),
            protocol_errors: counter!("posthouse_kafka_protocol_errors_total"),
            produce_seconds: histogram!("posthouse_kafka_produce_duration_seconds"),
            in_flight: gauge!("posthouse_kafka_requests_in_flight_count"),
        }
    }

    pub(crate) fn count_request(&self, api: Api) {
        // The table of requests and this list have the same order.
        self.requests[api as usize].increment(1);
    }
}
