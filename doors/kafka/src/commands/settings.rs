//! Settings as the three config requests show them: what they are attached to, and the node's own.

use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::{BrokerConfig, ConfigEntry, TopicRef};
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

/// Reads the target of a change. The node's own settings cannot be changed while it runs.
pub(super) fn topic_target(call: &Call, kind: i8, name: &str) -> Result<TopicRef, Refusal> {
    match target(call, kind, name)? {
        Target::Topic(topic) => Ok(topic),
        Target::Broker | Target::AllBrokers => Err(Refusal::new(
            Code::InvalidConfig,
            "a node's settings are changed in its configuration and take effect at its start",
        )),
    }
}

/// A change's error code and message, as the two requests that change settings answer.
pub(super) fn outcome(changed: Result<(), Refusal>) -> (i16, Option<StrBytes>) {
    match changed {
        Ok(()) => (0, None),
        Err(refusal) => (refusal.code.code(), Some(refusal.message())),
    }
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

/// The node's settings that act, by Kafka's names, in their order.
pub(super) fn broker_settings(node: &Node) -> Vec<BrokerSetting> {
    let mut settings = door_settings(node);
    settings.extend(core_settings(node.broker.config()));
    settings.sort_by_key(|setting| setting.name);
    settings
}

fn door_settings(node: &Node) -> Vec<BrokerSetting> {
    let door = &node.config;
    let bytes = |size: ByteSize| size.0.to_string();
    let listeners: Vec<String> = door
        .advertised
        .iter()
        .map(|one| {
            // As Kafka writes a listener that is named like its protocol.
            let name = match (&*one.listener, one.is_tls) {
                ("kafka", false) => "PLAINTEXT".to_owned(),
                ("kafka.tls", true) => "SSL".to_owned(),
                (name, _) => name.trim_start_matches("kafka.").to_uppercase(),
            };
            format!("{name}://{}:{}", one.host, one.port)
        })
        .collect();
    let mut settings = vec![
        string("advertised.listeners", listeners.join(","), "Where clients are told to connect."),
        int(
            "fetch.max.bytes",
            bytes(door.fetch_bytes_max),
            "Most bytes of records in one fetch response.",
        ),
        string("log.dirs", door.log_dir.clone(), "Where the log lies."),
        int("node.id", node.node_id().to_string(), "This node."),
        long(
            "queued.max.request.bytes",
            bytes(door.requests_bytes_max),
            "Bytes of large requests that all connections together may have unanswered.",
        ),
        int(
            "socket.request.max.bytes",
            bytes(door.request_bytes_max),
            "Largest request; a larger one ends its connection.",
        ),
    ];
    if let Some(rack) = &door.rack {
        settings.push(string("broker.rack", rack.clone(), "This node's rack."));
    }
    settings
}

fn core_settings(core: &BrokerConfig) -> Vec<BrokerSetting> {
    let ms = |duration: Duration| duration.as_millis().to_string();
    let minutes = |duration: Duration| (duration.as_secs() / 60).to_string();
    vec![
        BrokerSetting {
            name: "auto.create.topics.enable",
            value: core.auto_create_topics.to_string(),
            kind: BOOLEAN,
            documentation: "A request for an unknown topic makes it.",
        },
        int(
            "group.initial.rebalance.delay.ms",
            ms(core.initial_rebalance_delay),
            "How long the first rebalance of an empty group waits for more members.",
        ),
        int(
            "group.max.session.timeout.ms",
            ms(core.session_timeout_max),
            "Longest session timeout that a member may ask for.",
        ),
        int("group.max.size", core.group_members_max.to_string(), "Most members of one group."),
        int(
            "group.min.session.timeout.ms",
            ms(core.session_timeout_min),
            "Shortest session timeout that a member may ask for.",
        ),
        long(
            "log.retention.check.interval.ms",
            ms(core.maintenance_interval),
            "How often retention and compaction look at each log.",
        ),
        int(
            "num.partitions",
            core.default_partitions.to_string(),
            "Partitions of a topic that does not say.",
        ),
        int(
            "offset.metadata.max.bytes",
            core.offset_metadata_bytes_max.to_string(),
            "Longest text that may be committed with an offset.",
        ),
        int(
            "offsets.retention.minutes",
            minutes(core.offsets_retention),
            "How long the offsets of a group without members are kept.",
        ),
    ]
}

fn string(name: &'static str, value: String, documentation: &'static str) -> BrokerSetting {
    BrokerSetting { name, value, kind: STRING, documentation }
}

fn int(name: &'static str, value: String, documentation: &'static str) -> BrokerSetting {
    BrokerSetting { name, value, kind: INT, documentation }
}

fn long(name: &'static str, value: String, documentation: &'static str) -> BrokerSetting {
    BrokerSetting { name, value, kind: LONG, documentation }
}
