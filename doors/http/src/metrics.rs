//! What the HTTP door counts, and the recorder behind `/metrics`.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Unit, counter, describe_counter, describe_histogram, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::webhooks::Outcome;

/// Upper bounds of latency histograms, in seconds: from a cached read to a stalled disk.
const LATENCY_BUCKETS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Makes this process keep its metrics for `/metrics`. Calling it again changes nothing.
///
/// Call it before anything that counts, because what was counted before is lost.
pub fn install_recorder() {
    recorder();
}

pub(crate) fn recorder() -> Option<&'static PrometheusHandle> {
    let install = || {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS)
            .ok()?;
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // Refused when a program that embeds us has a recorder of its own; then that one counts.
        metrics::set_global_recorder(recorder).ok()?;
        describe();
        Some(handle)
    };
    RECORDER.get_or_init(install).as_ref()
}

/// A message was published by an HTTP client.
pub(crate) fn live_in() {
    counter!("posthouse_http_live_messages_in_total").increment(1);
}

/// A message of a channel was sent to an HTTP client.
pub(crate) fn live_out() {
    counter!("posthouse_http_live_messages_out_total").increment(1);
}

/// A WebSocket was opened (1) or ended (-1).
pub(crate) fn websockets(change: f64) {
    metrics::gauge!("posthouse_http_websockets_count").increment(change);
}

/// An attempt to deliver a message to a URL ended.
pub(crate) fn webhook_attempt(outcome: &Outcome, duration: Duration) {
    let result = match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Gone => "gone",
        Outcome::Failed { .. } => "failed",
    };
    counter!("posthouse_webhook_attempts_total", "result" => result).increment(1);
    histogram!("posthouse_webhook_attempt_duration_seconds").record(duration.as_secs_f64());
}

/// A message was given up by its webhook.
pub(crate) fn webhook_dead_lettered() {
    counter!("posthouse_webhook_dead_letters_total").increment(1);
}

/// A webhook cannot go on for a reason of the node's own.
pub(crate) fn webhook_trouble() {
    counter!("posthouse_webhook_interruptions_total").increment(1);
}

/// Lines were written by a file sink.
pub(crate) fn sink_lines(count: usize) {
    counter!("posthouse_sink_lines_total").increment(u64::try_from(count).unwrap_or(0));
}

/// Bytes were written by a file sink.
pub(crate) fn sink_bytes(count: u64) {
    counter!("posthouse_sink_written_bytes_total").increment(count);
}

/// A file sink began another file.
pub(crate) fn sink_rotated() {
    counter!("posthouse_sink_rotations_total").increment(1);
}

/// A file sink cannot read or write for now.
pub(crate) fn sink_trouble() {
    counter!("posthouse_sink_interruptions_total").increment(1);
}

fn describe() {
    describe_outlets();
    describe_counter!(
        "posthouse_http_live_messages_in_total",
        Unit::Count,
        "Messages published on channels by HTTP clients"
    );
    describe_counter!(
        "posthouse_http_live_messages_out_total",
        Unit::Count,
        "Messages of channels sent to HTTP clients"
    );
    metrics::describe_gauge!(
        "posthouse_http_websockets_count",
        Unit::Count,
        "WebSockets that are open"
    );
    describe_counter!(
        "posthouse_http_requests_total",
        Unit::Count,
        "Requests answered, by method, route and status class"
    );
    describe_histogram!(
        "posthouse_http_request_duration_seconds",
        Unit::Seconds,
        "From a request's head to its response's head"
    );
    describe_counter!(
        "posthouse_http_records_in_total",
        Unit::Count,
        "Records acknowledged to HTTP producers"
    );
    describe_counter!(
        "posthouse_http_records_out_total",
        Unit::Count,
        "Records sent to HTTP readers"
    );
    describe_counter!(
        "posthouse_http_records_skipped_total",
        Unit::Count,
        "Records that retention deleted before a slow HTTP reader came to them"
    );
}

fn describe_outlets() {
    let count = |name: &'static str, text: &'static str| {
        describe_counter!(name, Unit::Count, text);
    };
    count(
        "posthouse_webhook_attempts_total",
        "Requests of webhooks that ended, by result: accepted, failed or gone",
    );
    count("posthouse_webhook_dead_letters_total", "Messages given up by webhooks");
    count(
        "posthouse_webhook_interruptions_total",
        "Failures of the node's own side at delivering to URLs",
    );
    describe_histogram!(
        "posthouse_webhook_attempt_duration_seconds",
        Unit::Seconds,
        "From a webhook's request to its answer, or to giving up"
    );
    count("posthouse_sink_lines_total", "Lines written by file sinks");
    describe_counter!(
        "posthouse_sink_written_bytes_total",
        Unit::Bytes,
        "Bytes written by file sinks"
    );
    count("posthouse_sink_rotations_total", "Files closed by file sinks");
    count("posthouse_sink_interruptions_total", "Failures of file sinks to read or write");
}

/// One request is answered.
pub(crate) fn answered(method: &str, route: &str, status: u16, seconds: f64) {
    let class = match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    let (method, route) = (method.to_owned(), route.to_owned());
    counter!("posthouse_http_requests_total", "method" => method, "route" => route.clone(), "status" => class)
        .increment(1);
    histogram!("posthouse_http_request_duration_seconds", "route" => route).record(seconds);
}

pub(crate) fn records_in() -> Counter {
    counter!("posthouse_http_records_in_total")
}

pub(crate) fn records_out() -> Counter {
    counter!("posthouse_http_records_out_total")
}

pub(crate) fn records_skipped() -> Counter {
    counter!("posthouse_http_records_skipped_total")
}
