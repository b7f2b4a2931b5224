//! The catalog's state.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use posthouse_access::Access;
use posthouse_types::{ProducerId, TopicId, TopicName};
use serde::{Deserialize, Serialize};

use super::command::{CatalogCommand, TopicEntry, from_json, to_json};
use crate::state::{Damage, StateMachine};
use crate::{Declaration, DeclarationKind, Identity};

/// Everything in the catalog.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    identity: Option<Identity>,
    producer_ids_next: ProducerId,
    topics: BTreeMap<TopicId, TopicEntry>,
    /// Kafka aliases are unique, and so names are.
    by_alias: HashMap<String, TopicId>,
    /// Deleted topics whose data may still be there.
    deleted: BTreeSet<TopicId>,
    declared: BTreeMap<(DeclarationKind, String), Declaration>,
    access: Access,
}

/// What the node has to do after a change.
#[derive(Debug, PartialEq)]
pub(crate) enum CatalogEffect {
    /// Nothing.
    None,
    /// Open what is not open of this topic, and show it to callers.
    Publish(TopicEntry),
    /// Hide this topic and delete its data.
    Withdraw(TopicEntry),
}

impl Catalog {
    /// Who the node is, after its first start.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Producer ids from here on have never been given out.
    pub(crate) fn producer_ids_next(&self) -> ProducerId {
        self.producer_ids_next
    }

    /// The topic that has this Kafka alias.
    pub(crate) fn topic_by_alias(&self, alias: &str) -> Option<&TopicEntry> {
        self.by_alias.get(alias).and_then(|id| self.topics.get(id))
    }

    /// Whether a topic has this name.
    pub(crate) fn has_name(&self, name: &TopicName) -> bool {
        self.topic_by_alias(&name.kafka_alias()).is_some_and(|topic| topic.name == *name)
    }

    /// Deleted topics whose data may still be there.
    pub(crate) fn deleted_topics(&self) -> &BTreeSet<TopicId> {
        &self.deleted
    }

    /// Everything that is to be run.
    pub(crate) fn declared(&self) -> impl Iterator<Item = &Declaration> {
        self.declared.values()
    }

    /// Who may come in, and what they may do.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// All topics.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &TopicEntry> {
        self.topics.values()
    }

    fn insert_declared(&mut self, declaration: Declaration) {
        self.declared.insert((declaration.kind, declaration.name.clone()), declaration);
    }

    fn insert(&mut self, topic: TopicEntry) {
        self.by_alias.insert(topic.name.kafka_alias(), topic.id);
        self.topics.insert(topic.id, topic);
    }

    fn change(&mut self, id: TopicId, change: impl FnOnce(&mut TopicEntry)) -> CatalogEffect {
        match self.topics.get_mut(&id) {
            Some(topic) => {
                change(topic);
                CatalogEffect::Publish(topic.clone())
            }
            None => CatalogEffect::None,
        }
    }
}

impl StateMachine for Catalog {
    type Command = CatalogCommand;
    type Effect = CatalogEffect;

    fn encode(command: &CatalogCommand, out: &mut Vec<u8>) {
        to_json(command, out);
    }

    fn decode(bytes: &[u8]) -> Result<CatalogCommand, Damage> {
        from_json(bytes)
    }

    fn apply(&mut self, command: CatalogCommand) -> CatalogEffect {
        match command {
            CatalogCommand::Identified { cluster_id, node_id } => {
                self.identity = Some(Identity { cluster_id, node_id });
                CatalogEffect::None
            }
            CatalogCommand::TopicCreated { topic } => {
                self.insert(topic.clone());
                CatalogEffect::Publish(topic)
            }
            CatalogCommand::TopicDeleted { id } => match self.topics.remove(&id) {
                Some(topic) => {
                    self.by_alias.remove(&topic.name.kafka_alias());
                    self.deleted.insert(id);
                    CatalogEffect::Withdraw(topic)
                }
                None => CatalogEffect::None,
            },
            CatalogCommand::TopicDataDeleted { id } => {
                self.deleted.remove(&id);
                CatalogEffect::None
            }
            CatalogCommand::PartitionsAdded { id, partitions } => {
                self.change(id, |topic| topic.partitions = partitions)
            }
            CatalogCommand::TopicConfigured { id, overrides } => {
                self.change(id, |topic| topic.overrides = overrides)
            }
            CatalogCommand::SchemaDeclared { id, schema } => {
                self.change(id, |topic| topic.schema = Some(schema))
            }
            CatalogCommand::ProducerIdsReserved { next } => {
                self.producer_ids_next = next.max(self.producer_ids_next);
                CatalogEffect::None
            }
            CatalogCommand::Declared { declaration } => {
                self.insert_declared(declaration);
                CatalogEffect::None
            }
            CatalogCommand::AccessChanged { access } => {
                self.access.apply(access);
                CatalogEffect::None
            }
            CatalogCommand::Undeclared { declared, name } => {
                self.declared.remove(&(declared, name));
                CatalogEffect::None
            }
        }
    }

    fn snapshot(&self, out: &mut Vec<u8>) {
        let topics = self.topics.values().cloned().collect();
        let stored = Stored {
            identity: self.identity.clone(),
            producer_ids_next: self.producer_ids_next,
            topics,
            deleted: self.deleted.clone(),
            declared: self.declared.values().cloned().collect(),
            access: self.access.clone(),
        };
        to_json(&stored, out);
    }

    fn restore(bytes: &[u8]) -> Result<Catalog, Damage> {
        let stored: Stored = from_json(bytes)?;
        let mut catalog = Catalog {
            identity: stored.identity,
            producer_ids_next: stored.producer_ids_next,
            deleted: stored.deleted,
            access: stored.access,
            ..Catalog::default()
        };
        for topic in stored.topics {
            catalog.insert(topic);
        }
        for declaration in stored.declared {
            catalog.insert_declared(declaration);
        }
        Ok(catalog)
    }
}

/// A snapshot.
#[derive(Serialize, Deserialize)]
struct Stored {
    identity: Option<Identity>,
    producer_ids_next: ProducerId,
    topics: Vec<TopicEntry>,
    #[serde(default)]
    deleted: BTreeSet<TopicId>,
    #[serde(default)]
    declared: Vec<Declaration>,
    #[serde(default)]
    access: Access,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn entry(id: u128, name: &str) -> TopicEntry {
        TopicEntry {
            id: TopicId(Uuid::from_u128(id)),
            name: TopicName::new(name).unwrap(),
            partitions: 1,
            overrides: BTreeMap::new(),
            schema: None,
        }
    }

    #[test]
    fn a_deleted_topic_frees_its_name() {
        let mut catalog = Catalog::default();
        let first = entry(1, "orders:eu");
        catalog.apply(CatalogCommand::TopicCreated { topic: first.clone() });
        assert!(catalog.has_name(&first.name));
        let effect = catalog.apply(CatalogCommand::TopicDeleted { id: first.id });
        assert_eq!(effect, CatalogEffect::Withdraw(first.clone()));
        assert!(!catalog.has_name(&first.name));
        assert!(catalog.topic_by_alias("orders_x3Aeu").is_none());
    }

    #[test]
    fn a_deleted_topic_is_remembered_until_its_data_is_gone() {
        let mut catalog = Catalog::default();
        let id = entry(1, "t").id;
        catalog.apply(CatalogCommand::TopicCreated { topic: entry(1, "t") });
        catalog.apply(CatalogCommand::TopicDeleted { id });
        let mut bytes = Vec::new();
        catalog.snapshot(&mut bytes);
        let mut catalog = Catalog::restore(&bytes).unwrap();
        assert!(catalog.deleted_topics().contains(&id));
        catalog.apply(CatalogCommand::TopicDataDeleted { id });
        assert!(catalog.deleted_topics().is_empty());
    }

    #[test]
    fn a_change_of_a_deleted_topic_does_nothing() {
        let mut catalog = Catalog::default();
        let id = entry(1, "gone").id;
        let effect = catalog.apply(CatalogCommand::PartitionsAdded { id, partitions: 2 });
        assert_eq!(effect, CatalogEffect::None);
    }

    #[test]
    fn declarations_of_one_kind_have_different_names_and_survive_a_snapshot() {
        let declaration =
            |kind, spec| Declaration { kind, name: "one".into(), spec: serde_json::json!(spec) };
        let mut catalog = Catalog::default();
        for (kind, spec) in [
            (DeclarationKind::Webhook, "first"),
            (DeclarationKind::Endpoint, "other kind"),
            (DeclarationKind::Webhook, "second"),
        ] {
            let declaration = declaration(kind, spec);
            catalog.apply(CatalogCommand::Declared { declaration });
        }
        let mut bytes = Vec::new();
        catalog.snapshot(&mut bytes);
        let mut catalog = Catalog::restore(&bytes).unwrap();
        let specs: Vec<_> = catalog.declared().map(|one| one.spec.as_str().unwrap()).collect();
        assert_eq!(specs, ["other kind", "second"]);
        let declared = DeclarationKind::Endpoint;
        catalog.apply(CatalogCommand::Undeclared { declared, name: "one".into() });
        assert_eq!(catalog.declared().count(), 1);
    }

    #[test]
    fn producer_ids_never_go_back() {
        let mut catalog = Catalog::default();
        catalog.apply(CatalogCommand::ProducerIdsReserved { next: ProducerId(2000) });
        catalog.apply(CatalogCommand::ProducerIdsReserved { next: ProducerId(1000) });
        assert_eq!(catalog.producer_ids_next(), ProducerId(2000));
    }
}
