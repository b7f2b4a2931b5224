//! What is declared of a file sink, as the catalog keeps it.

use bytes::Bytes;
use posthouse_broker::Pattern;
use posthouse_types::{Offset, PartitionIndex, TopicId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::place;
use crate::webhooks::SpecError;

/// LIMIT: rotated files that are kept.
const KEEP_MAX: u32 = 1000;
/// LIMIT: the smallest size to rotate at; below it a file would hold a line or two.
const ROTATE_BYTES_MIN: u64 = 1024;
/// LIMIT: the shortest age to rotate at.
const ROTATE_MS_MIN: u64 = 1000;
/// LIMIT: how long what is written may wait to be durable.
const SYNC_MS_MAX: u64 = 60_000;

/// How a record becomes a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Its value, and a line end.
    #[default]
    Lines,
    /// Everything about it as one JSON object a line, as reading the topic gives it.
    Json,
}

/// What the name of a channel is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Match {
    /// Its name.
    #[default]
    Name,
    /// What its name begins with.
    Prefix,
    /// A glob, as Redis has them.
    Glob,
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// A topic's records.
    Topic {
        /// As Kafka spells it.
        name: String,
        /// Which it was when this was declared; one made later is read from its beginning.
        id: TopicId,
        /// Where to begin; partitions that are not named begin with the oldest record.
        positions: Vec<(PartitionIndex, Offset)>,
    },
    /// What is said on channels.
    Channel {
        /// The name, prefix or glob.
        name: String,
        /// Which of these.
        r#match: Match,
    },
}

/// A file sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkSpec {
    /// Tells this one from earlier ones of the same name.
    pub(crate) id: Uuid,
    pub(crate) source: Source,
    /// Below the configured directory.
    pub(crate) file: String,
    pub(crate) format: Format,
    pub(crate) rotate_bytes: Option<u64>,
    pub(crate) rotate_ms: Option<u64>,
    pub(crate) keep: u32,
    pub(crate) sync_ms: u64,
}

impl SinkSpec {
    /// Reads what the catalog keeps.
    ///
    /// # Errors
    /// It was written by a version that knows more.
    pub(crate) fn decode(spec: &Value) -> Result<SinkSpec, serde_json::Error> {
        SinkSpec::deserialize(spec)
    }

    pub(crate) fn encode(&self) -> Value {
        serde_json::to_value(self).expect("it has no maps")
    }

    /// Checks everything that does not need the node.
    ///
    /// # Errors
    /// [`SpecError`] for the first member that cannot be used.
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        if let Err(reason) = place::check(&self.file) {
            return Err(wrong("file", &self.file, reason.to_owned()));
        }
        let within = |member, value: u64, min: u64, max: u64| {
            let reason = || format!("is not {min} to {max}");
            let inside = (min..=max).contains(&value);
            if inside { Ok(()) } else { Err(wrong(member, &value.to_string(), reason())) }
        };
        within("keep", u64::from(self.keep), 0, u64::from(KEEP_MAX))?;
        within("sync_ms", self.sync_ms, 1, SYNC_MS_MAX)?;
        let most = u64::try_from(i64::MAX).unwrap_or(u64::MAX);
        within("rotate_bytes", self.rotate_bytes.unwrap_or(most), ROTATE_BYTES_MIN, most)?;
        within("rotate_ms", self.rotate_ms.unwrap_or(most), ROTATE_MS_MIN, most)
    }
}

impl Source {
    /// What to subscribe to; `None` of a topic.
    pub(crate) fn pattern(&self) -> Option<Pattern> {
        let Source::Channel { name, r#match } = self else { return None };
        let name = Bytes::copy_from_slice(name.as_bytes());
        Some(match r#match {
            Match::Name => Pattern::Exact(name),
            Match::Prefix => Pattern::Prefix(name),
            Match::Glob => Pattern::Glob(name),
        })
    }
}

fn wrong(member: &'static str, value: &str, reason: String) -> SpecError {
    SpecError { member, value: value.chars().take(200).collect(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> SinkSpec {
        let positions = vec![(PartitionIndex::new(1), Offset::ZERO.plus(17))];
        let id = TopicId(Uuid::nil());
        SinkSpec {
            id: Uuid::nil(),
            source: Source::Topic { name: "orders".to_owned(), id, positions },
            file: "audit/orders.log".to_owned(),
            format: Format::Json,
            rotate_bytes: Some(1 << 20),
            rotate_ms: None,
            keep: 10,
            sync_ms: 1000,
        }
    }

    #[test]
    fn what_was_declared_reads_back() {
        let spec = spec();
        assert_eq!(SinkSpec::decode(&spec.encode()).unwrap(), spec);
        assert_eq!(spec.check(), Ok(()));
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let refused = |change: fn(&mut SinkSpec)| {
            let mut spec = spec();
            change(&mut spec);
            spec.check().unwrap_err().member
        };
        assert_eq!(refused(|spec| spec.file = "../x".to_owned()), "file");
        assert_eq!(refused(|spec| spec.rotate_bytes = Some(0)), "rotate_bytes");
        assert_eq!(refused(|spec| spec.rotate_ms = Some(1)), "rotate_ms");
        assert_eq!(refused(|spec| spec.keep = 1001), "keep");
        assert_eq!(refused(|spec| spec.sync_ms = 0), "sync_ms");
    }
}
