//! What every command of this door needs: the broker, the settings, and where clients find the node.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::{Broker, Topic, TopicRef};
use posthouse_types::{NameError, Principal, TopicId, TopicName};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::KafkaConfig;
use crate::codec::produce::TopicKey;
use crate::errors::{self, Refusal};
use crate::login::Jwks;
use crate::metrics::Metrics;

/// One node as its Kafka door sees it.
pub(crate) struct Node {
    pub(crate) broker: Arc<Broker>,
    pub(crate) config: KafkaConfig,
    pub(crate) metrics: Metrics,
    /// The keys that OAuth tokens are signed with, where they are taken.
    pub(crate) oauth: Option<Jwks>,
    /// Bytes left for large requests, shared by all connections.
    pub(crate) request_memory: Arc<Semaphore>,
}

/// Where clients find a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) node_id: i32,
    pub(crate) host: StrBytes,
    pub(crate) port: i32,
    pub(crate) rack: Option<StrBytes>,
}

impl Node {
    pub(crate) fn new(broker: Arc<Broker>, oauth: Option<Jwks>, config: KafkaConfig) -> Node {
        let request_memory = config.requests_bytes_max.max(config.request_bytes_max).as_usize();
        let request_memory = Arc::new(Semaphore::new(request_memory.min(Semaphore::MAX_PERMITS)));
        Node { broker, config, metrics: Metrics::new(), oauth, request_memory }
    }

    /// Where clients that came in by `listener` are told to connect.
    pub(crate) fn endpoint(&self, listener: &str) -> Endpoint {
        let mut named = self.config.advertised.iter().filter(|one| *one.listener == *listener);
        let (host, port) = match named.next() {
            Some(advertised) => (advertised.host.clone(), advertised.port),
            // The door fills in every listener before it opens.
            None => (String::new(), 0),
        };
        Endpoint {
            node_id: self.node_id(),
            host: StrBytes::from_string(host),
            port: i32::from(port),
            rack: self.config.rack.clone().map(StrBytes::from_string),
        }
    }

    pub(crate) fn node_id(&self) -> i32 {
        self.broker.identity().node_id.0
    }

    pub(crate) fn cluster_id(&self) -> StrBytes {
        StrBytes::from_string(self.broker.identity().cluster_id.clone())
    }
}

/// One request's circumstances.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) node: Arc<Node>,
    pub(crate) principal: Principal,
    /// UTF-8.
    pub(crate) client_id: Bytes,
    /// The peer as Kafka writes it: `/127.0.0.1`.
    pub(crate) client_host: Arc<str>,
    /// Where the client is told to connect.
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) version: i16,
}

impl Call {
    pub(crate) fn broker(&self) -> &Broker {
        &self.node.broker
    }
}

/// A name as a Kafka client spells it.
pub(crate) fn topic_name(name: &str) -> Result<TopicName, Refusal> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !name.bytes().all(is_legal) {
        let text = format!(
            "topic name {name:?} has characters other than letters, digits, '.', '_' and '-'"
        );
        return Err(Refusal::new(Code::InvalidTopicException, text));
    }
    TopicName::from_kafka_alias(name)
        .map_err(|error: NameError| errors::refusal(errors::name(&error), &error))
}

/// A topic named by a client.
pub(crate) fn topic_ref(name: &str) -> Result<TopicRef, Refusal> {
    topic_name(name).map(TopicRef::Name)
}

/// A topic's name as a response carries it.
pub(crate) fn wire_name(topic: &Topic) -> kafka_protocol::messages::TopicName {
    StrBytes::from_string(topic.kafka_alias.clone()).into()
}

/// A topic named or identified by a client.
pub(crate) fn key_ref(key: &TopicKey) -> Result<TopicRef, Refusal> {
    match key {
        // The codec has checked that names are UTF-8.
        TopicKey::Name(name) => topic_ref(std::str::from_utf8(name).unwrap_or_default()),
        TopicKey::Id(id) => Ok(id_ref(*id)),
    }
}

pub(crate) fn id_ref(id: Uuid) -> TopicRef {
    TopicRef::Id(TopicId(id))
}
