//! `CONFIG`: parameters by Redis's names.
//!
//! Three kinds: those that act, those that say how things are and cannot be set, and those that tune
//! what Redis keeps in memory, which are accepted for the programs that set them and change nothing
//! (the support matrix lists them).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::RedisConfig;
use crate::codec::parse_integer;
use crate::errors::CommandError;

/// Parameters that are accepted and change nothing: they tune encodings and eviction that Posthouse
/// does not have.
pub(crate) const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("active-expire-effort", "1"),
    ("activedefrag", "no"),
    ("activerehashing", "yes"),
    ("aof-use-rdb-preamble", "yes"),
    ("auto-aof-rewrite-percentage", "100"),
    ("hash-max-listpack-entries", "512"),
    ("hash-max-listpack-value", "64"),
    ("hash-max-ziplist-entries", "512"),
    ("hash-max-ziplist-value", "64"),
    ("hll-sparse-max-bytes", "3000"),
    ("hz", "10"),
    ("latency-monitor-threshold", "0"),
    ("lazyfree-lazy-expire", "no"),
    ("lazyfree-lazy-server-del", "no"),
    ("lazyfree-lazy-user-del", "no"),
    ("list-compress-depth", "0"),
    ("list-max-listpack-size", "-2"),
    ("list-max-ziplist-size", "-2"),
    ("maxmemory-samples", "5"),
    ("rdb-key-save-delay", "0"),
    ("sanitize-dump-payload", "no"),
    ("set-max-intset-entries", "512"),
    ("set-max-listpack-entries", "128"),
    ("set-max-listpack-value", "64"),
    ("stream-node-max-bytes", "4096"),
    ("zset-max-listpack-entries", "128"),
    ("zset-max-listpack-value", "64"),
    ("zset-max-ziplist-entries", "128"),
    ("zset-max-ziplist-value", "64"),
];

/// Parameters that say how things are: setting them to anything else is an error.
const FIXED: &[(&str, &str)] = &[
    ("appendonly", "yes"),
    ("cluster-enabled", "no"),
    ("daemonize", "no"),
    ("maxmemory-policy", "noeviction"),
    ("requirepass", ""),
    ("save", ""),
    ("tcp-keepalive", "300"),
    ("timeout", "0"),
];

/// Redis's default of `stream-node-max-entries`.
const STREAM_NODE_ENTRIES: usize = 100;

/// Parameters that can be set while the door is open, and what else `CONFIG GET` shows.
pub(crate) struct Parameters {
    pub(crate) argument_bytes_max: AtomicUsize,
    pub(crate) request_bytes_max: AtomicUsize,
    pub(crate) unread_bytes_max: AtomicUsize,
    pub(crate) subscriber_bytes_max: AtomicUsize,
    pub(crate) subscriber_bytes_soft: AtomicUsize,
    pub(crate) subscriber_seconds_max: AtomicU64,
    /// `maxmemory`: what keys may take; 0 for no limit.
    memory_max: AtomicUsize,
    /// `stream-node-max-entries`: what `~` trims in steps of.
    stream_node_entries: AtomicUsize,
    without_effect: Mutex<BTreeMap<&'static str, String>>,
}

impl Parameters {
    /// As the settings say.
    pub(crate) fn new(config: &RedisConfig) -> Parameters {
        let size = |size: posthouse_types::ByteSize| AtomicUsize::new(size.as_usize());
        Parameters {
            argument_bytes_max: size(config.argument_bytes_max),
            request_bytes_max: size(config.request_bytes_max),
            unread_bytes_max: size(config.unread_bytes_max),
            subscriber_bytes_max: size(config.subscriber_bytes_max),
            subscriber_bytes_soft: size(config.subscriber_bytes_soft),
            subscriber_seconds_max: AtomicU64::new(config.subscriber_soft_time.as_secs()),
            memory_max: size(config.keys_bytes_max),
            stream_node_entries: AtomicUsize::new(STREAM_NODE_ENTRIES),
            without_effect: Mutex::new(
                WITHOUT_EFFECT.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            ),
        }
    }

    /// Every parameter with its value, but for those that other parts of the door hold.
    pub(crate) fn all(&self) -> BTreeMap<&'static str, String> {
        let number = |number: &AtomicUsize| number.load(Ordering::Relaxed).to_string();
        let mut all = self.without_effect.lock().clone();
        all.extend(FIXED.iter().map(|(name, value)| (*name, (*value).to_owned())));
        all.insert("proto-max-bulk-len", number(&self.argument_bytes_max));
        all.insert("client-query-buffer-limit", number(&self.request_bytes_max));
        all.insert("stream-node-max-entries", number(&self.stream_node_entries));
        all.insert("maxmemory", number(&self.memory_max));
        all.insert("client-output-buffer-limit", self.output_limits());
        all
    }

    /// Sets one; `None` when there is none of that name here.
    pub(crate) fn set(&self, name: &str, value: &str) -> Option<Result<(), String>> {
        if let Some((_, fixed)) = FIXED.iter().find(|(known, _)| *known == name) {
            let same = fixed.eq_ignore_ascii_case(value);
            return Some(if same { Ok(()) } else { Err(format!("it is always '{fixed}'")) });
        }
        if let Some(kept) = self.without_effect.lock().get_mut(name) {
            *kept = value.to_owned();
            return Some(Ok(()));
        }
        match name {
            "proto-max-bulk-len" => Some(set_size(&self.argument_bytes_max, value, 1 << 20)),
            "stream-node-max-entries" => Some(set_size(&self.stream_node_entries, value, 0)),
            "maxmemory" => Some(set_size(&self.memory_max, value, 0)),
            "client-query-buffer-limit" => Some(set_size(&self.request_bytes_max, value, 1 << 20)),
            "client-output-buffer-limit" => Some(self.set_output_limits(value)),
            _ => None,
        }
    }

    /// Entries that `~` removes in one step.
    pub(crate) fn stream_node_entries(&self) -> usize {
        match self.stream_node_entries.load(Ordering::Relaxed) {
            // No limit, of Redis's nodes; those have others.
            0 => STREAM_NODE_ENTRIES,
            entries => entries,
        }
    }

    /// What keys may take; 0 for no limit.
    pub(crate) fn memory_max(&self) -> usize {
        self.memory_max.load(Ordering::Relaxed)
    }

    fn output_limits(&self) -> String {
        let number = |number: &AtomicUsize| number.load(Ordering::Relaxed);
        format!(
            "normal {} 0 0 slave 0 0 0 pubsub {} {} {}",
            number(&self.unread_bytes_max),
            number(&self.subscriber_bytes_max),
            number(&self.subscriber_bytes_soft),
            self.subscriber_seconds_max.load(Ordering::Relaxed)
        )
    }

    fn set_output_limits(&self, value: &str) -> Result<(), String> {
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        if words.is_empty() || !words.len().is_multiple_of(4) {
            return Err("wrong number of arguments".to_owned());
        }
        for group in words.chunks(4) {
            let size = |text| parse_size(text).ok_or("a limit is not a size");
            let (hard, soft) = (size(group[1])?, size(group[2])?);
            let seconds = group[3].parse().map_err(|_| "a time is not a number of seconds")?;
            match group[0] {
                "normal" => self.unread_bytes_max.store(limit(hard), Ordering::Relaxed),
                "pubsub" => {
                    self.subscriber_bytes_max.store(limit(hard), Ordering::Relaxed);
                    self.subscriber_bytes_soft.store(limit(soft), Ordering::Relaxed);
                    self.subscriber_seconds_max.store(seconds, Ordering::Relaxed);
                }
                // There are no replicas.
                "slave" | "replica" => {}
                _ => return Err("unrecognized client limit class".to_owned()),
            }
        }
        Ok(())
    }
}

/// 0 means that there is no limit.
fn limit(size: usize) -> usize {
    if size == 0 { usize::MAX } else { size }
}

fn set_size(place: &AtomicUsize, value: &str, min: usize) -> Result<(), String> {
    let size = parse_size(value).ok_or("argument must be a memory value")?;
    if size < min {
        return Err(format!("argument must be at least {min}"));
    }
    place.store(size, Ordering::Relaxed);
    Ok(())
}

/// A size as Redis writes it: `512mb`, `1k`, `100`.
pub(crate) fn parse_size(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let split = lower.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(lower.len());
    let (digits, unit) = lower.split_at(split);
    let factor = match unit {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(factor)
}

/// A number within bounds, for a parameter that is one.
pub(crate) fn parse_number(value: &str, min: i64) -> Result<i64, String> {
    parse_integer(value.as_bytes())
        .filter(|number| *number >= min)
        .ok_or_else(|| format!("argument must be a number from {min}"))
}

/// The error of a parameter that is not set.
pub(crate) fn refused(name: &str, reason: &str) -> CommandError {
    CommandError::Said(format!(
        "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_redis_reads_them() {
        for (text, size) in [
            ("1", Some(1)),
            ("1k", Some(1000)),
            ("2KB", Some(2048)),
            ("1mb", Some(1 << 20)),
            ("x", None),
            ("1tb", None),
        ] {
            assert_eq!(parse_size(text), size, "{text}");
        }
    }

    #[test]
    fn output_limits_act_and_are_shown() {
        let parameters = Parameters::new(&RedisConfig::default());
        parameters.set("client-output-buffer-limit", "pubsub 64mb 0 30").unwrap().unwrap();
        assert!(parameters.all()["client-output-buffer-limit"].contains("pubsub 67108864"));
        assert!(parameters.set("client-output-buffer-limit", "pubsub 1").unwrap().is_err());
        assert!(parameters.set("no-such-thing", "1").is_none());
    }

    #[test]
    fn what_cannot_be_otherwise_is_refused() {
        let parameters = Parameters::new(&RedisConfig::default());
        assert!(parameters.set("appendonly", "yes").unwrap().is_ok());
        assert!(parameters.set("appendonly", "no").unwrap().is_err());
    }
}
