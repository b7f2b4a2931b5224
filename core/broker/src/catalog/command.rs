//! The catalog's commands, and how they lie in its log: JSON objects with a `version` and a `kind`.
//!
//! JSON, because the catalog is small and an operator may want to read it; a later version adds
//! kinds, and fields with a default.

use std::collections::BTreeMap;

use posthouse_access::AccessChange;
use posthouse_types::{NodeId, ProducerId, TopicId, TopicName};
use serde::{Deserialize, Serialize};

use crate::state::Damage;
use crate::{Declaration, DeclarationKind, TopicSchema};

/// The version that is written; no higher one is read.
const VERSION: u32 = 1;

/// One change of the catalog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum CatalogCommand {
    /// The node's first start.
    Identified { cluster_id: String, node_id: NodeId },
    /// A topic was made.
    TopicCreated { topic: TopicEntry },
    /// A topic was deleted; its data may still be there.
    TopicDeleted { id: TopicId },
    /// The data of a deleted topic is gone too.
    TopicDataDeleted { id: TopicId },
    /// A topic has more partitions.
    PartitionsAdded { id: TopicId, partitions: u32 },
    /// A topic has these settings, and no others.
    TopicConfigured { id: TopicId, overrides: BTreeMap<String, String> },
    /// A topic has these columns.
    SchemaDeclared { id: TopicId, schema: TopicSchema },
    /// Producer ids below `next` may have been given out.
    ProducerIdsReserved { next: ProducerId },
    /// Something is to be run, instead of what had its name.
    Declared { declaration: Declaration },
    /// Who may come in or what they may do has changed.
    AccessChanged { access: AccessChange },
    /// It is not to be run any more. (`kind` is the command's own.)
    Undeclared { declared: DeclarationKind, name: String },
}

/// A topic as the catalog keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TopicEntry {
    /// Its identity.
    pub(crate) id: TopicId,
    /// Its name.
    pub(crate) name: TopicName,
    /// Its number of partitions.
    pub(crate) partitions: u32,
    /// Its settings, by Kafka's names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) overrides: BTreeMap<String, String>,
    /// Its columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<TopicSchema>,
}

/// Writes a value with its version.
pub(super) fn to_json<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    let envelope = Envelope { version: VERSION, value };
    serde_json::to_writer(out, &envelope).expect("plain data written to memory");
}

/// Reads a value whose version is known.
pub(super) fn from_json<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, Damage> {
    let damage = |error: serde_json::Error| Damage::new(error.to_string());
    let Version { version } = serde_json::from_slice(bytes).map_err(damage)?;
    if version > VERSION {
        let reason = format!("written as version {version}, this reads up to {VERSION}");
        return Err(Damage::new(reason));
    }
    serde_json::from_slice::<Envelope<T>>(bytes).map(|envelope| envelope.value).map_err(damage)
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    version: u32,
    #[serde(flatten)]
    value: T,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn round_trip(command: CatalogCommand) {
        let mut bytes = Vec::new();
        to_json(&command, &mut bytes);
        assert_eq!(from_json::<CatalogCommand>(&bytes).unwrap(), command);
        for len in 0..bytes.len() {
            assert!(from_json::<CatalogCommand>(&bytes[..len]).is_err());
        }
    }

    #[test]
    fn commands_read_back_as_written() {
        let id = TopicId(Uuid::from_u128(7));
        let schema = TopicSchema {
            format: crate::ColumnFormat::Json,
            columns: vec![crate::Column { name: "a".into(), data_type: "DOUBLE".into() }],
            on_error: crate::DecodeFailure::Fail,
        };
        let overrides = BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]);
        let topic = TopicEntry {
            id,
            name: TopicName::new(b"orders:\xff").unwrap(),
            partitions: 3,
            overrides: overrides.clone(),
            schema: Some(schema.clone()),
        };
        round_trip(CatalogCommand::Identified { cluster_id: "c".into(), node_id: NodeId(1) });
        round_trip(CatalogCommand::TopicCreated { topic });
        round_trip(CatalogCommand::TopicDeleted { id });
        round_trip(CatalogCommand::TopicDataDeleted { id });
        round_trip(CatalogCommand::PartitionsAdded { id, partitions: 9 });
        round_trip(CatalogCommand::TopicConfigured { id, overrides });
        round_trip(CatalogCommand::SchemaDeclared { id, schema });
        round_trip(CatalogCommand::ProducerIdsReserved { next: ProducerId(1000) });
        let declaration = Declaration {
            kind: DeclarationKind::FileSink,
            name: "access.log".into(),
            spec: serde_json::json!({"version": 2, "kind": [1.5, null, "\u{1f4ee}"]}),
        };
        round_trip(CatalogCommand::Declared { declaration });
        let declared = DeclarationKind::Endpoint;
        round_trip(CatalogCommand::Undeclared { declared, name: "in".into() });
    }

    #[test]
    fn a_command_of_a_later_version_is_damage() {
        let later = br#"{"version":2,"kind":"topic-renamed"}"#;
        let error = from_json::<CatalogCommand>(later).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
        assert!(from_json::<CatalogCommand>(br#"{"version":1,"kind":"unheard-of"}"#).is_err());
    }
}
