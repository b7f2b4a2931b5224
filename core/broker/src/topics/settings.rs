//! Every topic setting that acts, by Kafka's names.
//!
//! One table: what is not in it is refused, so that no setting is silently ignored.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use posthouse_log::{CleanupPolicy, Durability, LogConfig, TimestampType};
use posthouse_types::ByteSize;

use super::{ConfigChange, ConfigEntry, Topic};

/// A setting that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Its name, as given.
    pub(crate) name: String,
    /// Its value, as given.
    pub(crate) value: String,
    /// Why.
    pub(crate) reason: String,
}

/// A topic's settings over the node's.
pub(crate) fn resolve<'a>(
    defaults: &LogConfig,
    overrides: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<LogConfig, Refused> {
    let mut config = defaults.clone();
    for (name, value) in overrides {
        let refused = |reason| Refused { name: name.clone(), value: value.clone(), reason };
        let setting = find(name).map_err(refused)?;
        (setting.set)(&mut config, value).map_err(refused)?;
    }
    Ok(config)
}

/// As [`resolve`], passing over settings that this version refuses; gives those too.
pub(crate) fn resolve_stored(
    defaults: &LogConfig,
    overrides: &BTreeMap<String, String>,
) -> (LogConfig, Vec<Refused>) {
    let mut config = defaults.clone();
    let mut refused = Vec::new();
    for one in overrides {
        match resolve(&config, [one]) {
            Ok(changed) => config = changed,
            Err(error) => refused.push(error),
        }
    }
    (config, refused)
}

/// A topic's settings after changes; none is made when one is refused.
pub(crate) fn change(
    defaults: &LogConfig,
    overrides: &BTreeMap<String, String>,
    changes: Vec<ConfigChange>,
) -> Result<BTreeMap<String, String>, Refused> {
    let mut changed = overrides.clone();
    for change in changes {
        match change {
            ConfigChange::Set { name, value } => {
                changed.insert(name, value);
            }
            ConfigChange::Delete { name } => {
                let refused = |reason| Refused { name: name.clone(), value: String::new(), reason };
                find(&name).map_err(refused)?;
                changed.remove(&name);
            }
            ConfigChange::Append { name, value } => {
                let mut items = list(defaults, &changed, &name, &value)?;
                for item in value.split(',').map(str::trim) {
                    if !items.iter().any(|present| present == item) {
                        items.push(item.to_owned());
                    }
                }
                changed.insert(name, items.join(","));
            }
            ConfigChange::Subtract { name, value } => {
                let mut items = list(defaults, &changed, &name, &value)?;
                items.retain(|item| !value.split(',').any(|gone| gone.trim() == item));
                changed.insert(name, items.join(","));
            }
        }
    }
    resolve(defaults, &changed)?;
    Ok(changed)
}

/// Every setting of a topic, by name.
pub(crate) fn entries(defaults: &LogConfig, topic: &Topic) -> Vec<ConfigEntry> {
    let entry = |setting: &Setting| ConfigEntry {
        name: setting.name,
        value: (setting.show)(&topic.config),
        default: (setting.show)(defaults),
        overridden: topic.overrides.contains_key(setting.name),
        kind: setting.kind as i8,
        documentation: setting.documentation,
    };
    SETTINGS.iter().map(entry).collect()
}

struct Setting {
    name: &'static str,
    kind: Kind,
    documentation: &'static str,
    set: fn(&mut LogConfig, &str) -> Result<(), String>,
    show: fn(&LogConfig) -> String,
}

/// As Kafka numbers them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// By name.
static SETTINGS: [Setting; 13] = [
    Setting {
        name: "cleanup.policy",
        kind: Kind::List,
        documentation: "What becomes of old records: delete (by age and size), compact (the last of each key stays), or both.",
        set: |config, value| parse_cleanup(value).map(|cleanup| config.cleanup = cleanup),
        show: |config| show_cleanup(config.cleanup),
    },
    Setting {
        name: "compression.type",
        kind: Kind::Text,
        documentation: "Batches are kept as the producer compressed them; producer is the only value.",
        set: |_, value| only("producer", value, "batches are never compressed again"),
        show: |_| "producer".to_owned(),
    },
    Setting {
        name: "delete.retention.ms",
        kind: Kind::Long,
        documentation: "How long a tombstone can still be read in a compacted topic.",
        set: |config, value| {
            number(value, 0, i64::MAX).map(|ms| config.tombstone_age = milliseconds(ms))
        },
        show: |config| config.tombstone_age.as_millis().to_string(),
    },
    Setting {
        name: "max.message.bytes",
        kind: Kind::Int,
        documentation: "The largest record batch that is accepted, as it comes, in bytes.",
        set: |config, value| {
            number(value, 0, i64::from(i32::MAX)).map(|size| config.batch_bytes_max = bytes(size))
        },
        show: |config| config.batch_bytes_max.0.to_string(),
    },
    Setting {
        name: "message.timestamp.type",
        kind: Kind::Text,
        documentation: "Whose time a record carries: CreateTime (the producer's) or LogAppendTime.",
        set: |config, value| {
            parse_timestamps(value).map(|timestamps| config.timestamps = timestamps)
        },
        show: |config| show_timestamps(config.timestamps).to_owned(),
    },
    Setting {
        name: "min.cleanable.dirty.ratio",
        kind: Kind::Double,
        documentation: "Compaction starts above this share of uncompacted bytes, from 0 to 1.",
        set: |config, value| parse_ratio(value).map(|ratio| config.dirty_ratio_permille = ratio),
        show: |config| show_ratio(config.dirty_ratio_permille),
    },
    Setting {
        name: "min.compaction.lag.ms",
        kind: Kind::Long,
        documentation: "Records younger than this are not compacted.",
        set: |config, value| {
            number(value, 0, i64::MAX).map(|ms| config.compaction_lag = milliseconds(ms))
        },
        show: |config| config.compaction_lag.as_millis().to_string(),
    },
    Setting {
        name: "min.insync.replicas",
        kind: Kind::Int,
        documentation: "Copies that acks=all waits for; the log is durable by itself, so 1 is the only value.",
        set: |_, value| only("1", value, "a partition has one durable copy"),
        show: |_| "1".to_owned(),
    },
    Setting {
        name: "posthouse.durability",
        kind: Kind::Text,
        documentation: "When a record counts as durable: fsync (on the disk) or relaxed (with the operating system, lost with the machine).",
        set: |config, value| {
            parse_durability(value).map(|durability| config.durability = durability)
        },
        show: |config| show_durability(config.durability).to_owned(),
    },
    Setting {
        name: "retention.bytes",
        kind: Kind::Long,
        documentation: "Oldest segments of a partition go while the rest still holds this many bytes; -1 keeps all.",
        set: |config, value| {
            number(value, -1, i64::MAX)
                .map(|size| config.retention_bytes = (size >= 0).then(|| bytes(size)))
        },
        show: |config| config.retention_bytes.map_or("-1".to_owned(), |size| size.0.to_string()),
    },
    Setting {
        name: "retention.ms",
        kind: Kind::Long,
        documentation: "Segments go when their newest record is this old; -1 keeps all.",
        set: |config, value| {
            number(value, -1, i64::MAX)
                .map(|ms| config.retention_age = (ms >= 0).then(|| milliseconds(ms)))
        },
        show: |config| {
            config.retention_age.map_or("-1".to_owned(), |age| age.as_millis().to_string())
        },
    },
    Setting {
        name: "segment.bytes",
        kind: Kind::Int,
        documentation: "A segment is closed before it would exceed this many bytes.",
        set: |config, value| {
            number(value, 1024, i64::from(i32::MAX)).map(|size| config.segment_bytes = bytes(size))
        },
        show: |config| config.segment_bytes.0.to_string(),
    },
    Setting {
        name: "segment.ms",
        kind: Kind::Long,
        documentation: "A segment is closed when its first record is this old.",
        set: |config, value| {
            number(value, 1, i64::MAX).map(|ms| config.segment_age = milliseconds(ms))
        },
        show: |config| config.segment_age.as_millis().to_string(),
    },
];

/// Kafka's settings that have no effect here, so that the refusal can say so.
const NOT_HONOURED: [&str; 16] = [
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.zstd.level",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "max.compaction.lag.ms",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "preallocate",
    "segment.index.bytes",
    "segment.jitter.ms",
    "unclean.leader.election.enable",
];

fn find(name: &str) -> Result<&'static Setting, String> {
    match SETTINGS.binary_search_by_key(&name, |setting| setting.name) {
        Ok(index) => Ok(&SETTINGS[index]),
        Err(_) if NOT_HONOURED.contains(&name) => {
            Err("Posthouse does not honour this setting of Kafka's".to_owned())
        }
        Err(_) => Err("there is no such topic setting".to_owned()),
    }
}

/// The items of a list setting as it is now.
fn list(
    defaults: &LogConfig,
    overrides: &BTreeMap<String, String>,
    name: &str,
    value: &str,
) -> Result<Vec<String>, Refused> {
    let refused = |reason| Refused { name: name.to_owned(), value: value.to_owned(), reason };
    let setting = find(name).map_err(refused)?;
    if setting.kind != Kind::List {
        return Err(refused("only a list can be appended to or subtracted from".to_owned()));
    }
    let current = overrides.get(name).cloned().unwrap_or_else(|| (setting.show)(defaults));
    Ok(current.split(',').map(|item| item.trim().to_owned()).collect())
}

fn number(value: &str, min: i64, max: i64) -> Result<i64, String> {
    match value.trim().parse::<i64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        Ok(_) => Err(format!("it must be from {min} to {max}")),
        Err(_) => Err("it must be a whole number".to_owned()),
    }
}

fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn bytes(size: i64) -> ByteSize {
    ByteSize(u64::try_from(size).unwrap_or(0))
}

fn only(expected: &str, value: &str, reason: impl fmt::Display) -> Result<(), String> {
    if value == expected { Ok(()) } else { Err(format!("{reason}; only {expected} is accepted")) }
}

fn parse_cleanup(value: &str) -> Result<CleanupPolicy, String> {
    let mut policy = CleanupPolicy { delete: false, compact: false };
    for item in value.split(',').map(str::trim) {
        match item {
            "delete" => policy.delete = true,
            "compact" => policy.compact = true,
            _ => return Err("it must be delete, compact, or compact,delete".to_owned()),
        }
    }
    Ok(policy)
}

fn show_cleanup(policy: CleanupPolicy) -> String {
    let names = [(policy.compact, "compact"), (policy.delete, "delete")];
    names.into_iter().filter_map(|(on, name)| on.then_some(name)).collect::<Vec<_>>().join(",")
}

fn parse_timestamps(value: &str) -> Result<TimestampType, String> {
    match value {
        "CreateTime" => Ok(TimestampType::CreateTime),
        "LogAppendTime" => Ok(TimestampType::LogAppendTime),
        _ => Err("it must be CreateTime or LogAppendTime".to_owned()),
    }
}

fn show_timestamps(timestamps: TimestampType) -> &'static str {
    match timestamps {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn parse_durability(value: &str) -> Result<Durability, String> {
    match value {
        "fsync" => Ok(Durability::Fsync),
        "relaxed" => Ok(Durability::Relaxed),
        _ => Err("it must be fsync or relaxed".to_owned()),
    }
}

fn show_durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Fsync => "fsync",
        Durability::Relaxed => "relaxed",
    }
}

/// The log counts in thousandths.
fn parse_ratio(value: &str) -> Result<u32, String> {
    let refused = || "it must be a number from 0 to 1".to_owned();
    let ratio: f64 = value.trim().parse().map_err(|_| refused())?;
    if !(0.0..=1.0).contains(&ratio) {
        return Err(refused());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be from 0 to 1"
    )]
    Ok((ratio * 1000.0).round() as u32)
}

fn show_ratio(permille: u32) -> String {
    (f64::from(permille) / 1000.0).to_string()
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
