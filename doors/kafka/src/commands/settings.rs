//! Settings as the three config requests show them: what they are attached to, and the node's own.

use kafka_protocol::error::ResponseError as Code;
use posthouse_broker::{ConfigEntry, TopicRef};
use posthouse_types::ByteSize;

use crate::errors::Refusal;
use crate::node::{Call, Node, topic_ref};

/// Kafka's `ConfigResource.Type`.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Kafka's `ConfigSource`.
pub(super) const DYNAMIC_TOPIC_CONFIG: i8 = 1;
pub(super) const STATIC_BROKER_CONFIG: i8 = 4;
pub(super) const DEFAULT_CONFIG: i8 = 5;

/// Kafka's `ConfigType`.
const BOOLEAN: i8 = 1;
const STRING: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;

/// What settings are attached to.
pub(super) enum Target {
    Topic(TopicRef),
    /// This node.
    Broker,
    /// The settings that all nodes share; there are none.
    AllBrokers,
}

/// Reads the target of a request.
pub(super) fn target(call: &Call, kind: i8, name: &str) -> Result<Target, Refusal> {
    match kind {
        TOPIC => topic_ref(name).map(Target::Topic),
        BROKER if name.is_empty() => Ok(Target::AllBrokers),
        BROKER if name.parse() == Ok(call.node.node_id()) => Ok(Target::Broker),
        BROKER => {
            let text =
                format!("there is no broker {name:?}; this is broker {}", call.node.node_id());
            Err(Refusal::new(Code::InvalidRequest, text))
        }
        _ => {
            let text = format!("resources of type {kind} have no settings here");
            Err(Refusal::new(Code::InvalidRequest, text))
        }
    }
}

/// The node's own settings cannot be changed while it runs.
pub(super) fn refuse_broker_change() -> Refusal {
    Refusal::new(
        Code::InvalidConfig,
        "a node's settings are changed in its configuration and take effect at its start",
    )
}

/// Where a topic's setting comes from.
pub(super) fn source_of(entry: &ConfigEntry) -> i8 {
    if entry.overridden { DYNAMIC_TOPIC_CONFIG } else { DEFAULT_CONFIG }
}

/// One of the node's settings.
pub(super) struct BrokerSetting {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) kind: i8,
    pub(super) documentation: &'static str,
}

/// The node's settings that act, by Kafka's names.
pub(super) fn broker_settings(node: &Node) -> Vec<BrokerSetting> {
    let setting =
        |name, value, kind, documentation| BrokerSetting { name, value, kind, documentation };
    let ms = |duration: std::time::Duration| duration.as_millis().to_string();
    let bytes = |size: ByteSize| size.0.to_string();
    let (broker, door) = (node.broker.config(), &node.config);
    let listener = format!("PLAINTEXT://{}:{}", door.advertised_host, door.advertised_port);
    let mut settings = vec![
        setting("advertised.listeners", listener, STRING, "Where clients are told to connect."),
        setting(
            "auto.create.topics.enable",
            broker.auto_create_topics.to_string(),
            BOOLEAN,
            "A request for an unknown topic makes it.",
        ),
        setting(
            "fetch.max.bytes",
            bytes(door.fetch_bytes_max),
            INT,
            "Most bytes of records in one fetch response.",
        ),
        setting(
            "group.initial.rebalance.delay.ms",
            ms(broker.initial_rebalance_delay),
            INT,
            "How long the first rebalance of an empty group waits for more members.",
        ),
        setting(
            "group.max.session.timeout.ms",
            ms(broker.session_timeout_max),
            INT,
            "Longest session timeout that a member may ask for.",
        ),
        setting(
            "group.max.size",
            broker.group_members_max.to_string(),
            INT,
            "Most members of one group.",
        ),
        setting(
            "group.min.session.timeout.ms",
            ms(broker.session_timeout_min),
            INT,
            "Shortest session timeout that a member may ask for.",
        ),
        setting("log.dirs", door.log_dir.clone(), STRING, "Where the log lies."),
        setting(
            "log.retention.check.interval.ms",
            ms(broker.maintenance_interval),
            LONG,
            "How often retention and compaction look at each log.",
        ),
        setting("node.id", node.node_id().to_string(), INT, "This node."),
        setting(
            "num.partitions",
            broker.default_partitions.to_string(),
            INT,
            "Partitions of a topic that does not say.",
        ),
        setting(
            "offset.metadata.max.bytes",
            broker.offset_metadata_bytes_max.to_string(),
            INT,
            "Longest text that may be committed with an offset.",
        ),
        setting(
            "offsets.retention.minutes",
            (broker.offsets_retention.as_secs() / 60).to_string(),
            INT,
            "How long the offsets of a group without members are kept.",
        ),
        setting(
            "socket.request.max.bytes",
            bytes(door.request_bytes_max),
            INT,
            "Largest request; a larger one ends its connection.",
        ),
    ];
    if let Some(rack) = &door.rack {
        settings.push(setting("broker.rack", rack.clone(), STRING, "This node's rack."));
    }
    settings
}
