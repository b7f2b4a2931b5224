//! What something may be attempted on.

use std::borrow::Cow;
use std::fmt;

use posthouse_types::TopicName;
use serde::{Deserialize, Serialize};

/// Kinds of things that permissions are about. The first four are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    /// Topics, by their names; a stream of Redis is one, and a table of SQL.
    Topic,
    /// Consumer groups.
    Group,
    /// The node as a whole. Its one name is `kafka-cluster`, as in Kafka.
    Cluster,
    /// Transactional ids of producers.
    TransactionalId,
    /// Live channels that are no topics.
    Channel,
    /// Services.
    Service,
    /// Queues of topics, called `TOPIC/GROUP`.
    Queue,
    /// Names that join two peers.
    Pair,
    /// Keys of the key space.
    Key,
}

impl ResourceKind {
    /// All of them.
    pub const ALL: [ResourceKind; 9] = [
        ResourceKind::Topic,
        ResourceKind::Group,
        ResourceKind::Cluster,
        ResourceKind::TransactionalId,
        ResourceKind::Channel,
        ResourceKind::Service,
        ResourceKind::Queue,
        ResourceKind::Pair,
        ResourceKind::Key,
    ];

    /// What a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            ResourceKind::Topic => "topic",
            ResourceKind::Group => "group",
            ResourceKind::Cluster => "cluster",
            ResourceKind::TransactionalId => "transactional-id",
            ResourceKind::Channel => "channel",
            ResourceKind::Service => "service",
            ResourceKind::Queue => "queue",
            ResourceKind::Pair => "pair",
            ResourceKind::Key => "key",
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl std::str::FromStr for ResourceKind {
    type Err = String;

    fn from_str(text: &str) -> Result<ResourceKind, String> {
        let plain = text.replace('_', "-").to_ascii_lowercase();
        ResourceKind::ALL.into_iter().find(|kind| kind.name() == plain).ok_or_else(|| {
            let known = ResourceKind::ALL.map(ResourceKind::name).join(", ");
            format!("{text:?} is no kind of resource; there are {known}")
        })
    }
}

/// The cluster's one name.
const CLUSTER: &[u8] = b"kafka-cluster";

/// What something is attempted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource<'a> {
    /// A topic.
    Topic(&'a TopicName),
    /// A consumer group.
    Group(&'a str),
    /// The cluster as a whole.
    Cluster,
    /// A transactional id.
    TransactionalId(&'a str),
    /// A live channel.
    Channel(&'a [u8]),
    /// All channels whose names begin so, as a pattern of channels needs them: allowed only where
    /// each of them is.
    Channels {
        /// How the names begin.
        prefix: &'a [u8],
    },
    /// A queue of a topic.
    Queue {
        /// The topic.
        topic: &'a TopicName,
        /// The group, any bytes.
        group: &'a [u8],
    },
    /// A service.
    Service(&'a [u8]),
    /// A pair's name.
    Pair(&'a [u8]),
    /// A key of the key space.
    Key(&'a [u8]),
}

impl Resource<'_> {
    /// What kind it is of.
    pub fn kind(&self) -> ResourceKind {
        match self {
            Resource::Topic(_) => ResourceKind::Topic,
            Resource::Group(_) => ResourceKind::Group,
            Resource::Cluster => ResourceKind::Cluster,
            Resource::TransactionalId(_) => ResourceKind::TransactionalId,
            Resource::Channel(_) | Resource::Channels { .. } => ResourceKind::Channel,
            Resource::Queue { .. } => ResourceKind::Queue,
            Resource::Service(_) => ResourceKind::Service,
            Resource::Pair(_) => ResourceKind::Pair,
            Resource::Key(_) => ResourceKind::Key,
        }
    }

    /// What it is called; for [`Resource::Channels`], how their names begin.
    pub fn name(&self) -> Cow<'_, [u8]> {
        match self {
            Resource::Topic(name) => Cow::Borrowed(name.as_bytes()),
            Resource::Group(name) | Resource::TransactionalId(name) => {
                Cow::Borrowed(name.as_bytes())
            }
            Resource::Cluster => Cow::Borrowed(CLUSTER),
            Resource::Channel(name)
            | Resource::Channels { prefix: name }
            | Resource::Service(name)
            | Resource::Pair(name)
            | Resource::Key(name) => Cow::Borrowed(name),
            Resource::Queue { topic, group } => {
                Cow::Owned([topic.as_bytes(), b"/", group].concat())
            }
        }
    }
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        let name = String::from_utf8_lossy(&name);
        match self {
            Resource::Cluster => formatter.write_str("the cluster"),
            Resource::Channels { .. } => write!(formatter, "channels {name}*"),
            _ => write!(formatter, "{} {name}", self.kind()),
        }
    }
}
