//! The node without any protocol: catalog, topics, groups, offsets, producers, queues, live
//! channels.
//!
//! A door translates its protocol into calls on [`Broker`] and back, and decides nothing else.
//! Every call takes a [`posthouse_types::Principal`] and passes the one authorisation point. Calls
//! are asynchronous, because the state they need may one day be on another node.

mod access;
mod append;
mod authorize;
mod background;
mod broker;
mod catalog;
mod config;
mod coordinate;
mod declarations;
mod endpoints;
mod errors;
mod fetch;
#[doc(hidden)]
pub mod fuzz;
mod groups;
mod in_flight;
mod live;
mod metrics;
mod offsets;
mod partition;
mod partitioner;
mod producers;
mod queues;
mod state;
mod tasks;
mod topics;

pub use access::{
    AUDIT_TOPIC, AccessError, AuthenticationConfig, Credentials, Knock, Login, LoginError,
    LoginWatch, NewToken, Paced, Pass, ScramLogin, UserChange,
};
pub use authorize::{Operation, Resource, ResourceKind};
pub use broker::{Broker, Identity};
pub use config::BrokerConfig;
pub use declarations::{Declaration, DeclarationKind, Declarations, DeclareMode};
pub use endpoints::{
    EndpointDescription, EndpointRefused, EndpointRunner, EndpointSettings, EndpointState,
};
pub use errors::{
    AlterTopicError, AppendFailure, CommitError, CreateTopicError, DeclareError, DeleteGroupError,
    Denied, EndpointError, FetchError, GroupError, JoinError, LookupError, OpenBrokerError,
    PairError, PairSendError, ProducerIdError, PublishError, RequestError, SubscribeError,
};
pub use fetch::{Fetch, FetchPartition, Fetched, FetchedPartition, Isolation};
pub use groups::{
    CommittedOffset, GroupDescription, GroupMember, GroupState, GroupSummary, Join, Joined, Leave,
    LeftMember, OffsetCommit, Sync, Synced,
};
pub use live::{
    ATTEMPTS_MAX, Absent, Delivery, Encoding, Event, EventPosition, Glob, LiveMessage, Overflow,
    PATTERN_BYTES_MAX, PENDING_BYTES_MAX, PENDING_MAX, PairEvent, Pattern, Peer, Published,
    Publisher, Publishing, Request, RequestOptions, SUBSCRIPTIONS_MAX, SubscribeFrom, Subscriber,
    SubscriberConfig, SubscriberEnded, Worker, WorkerConfig,
};
pub use partitioner::{partition_for_connection, partition_for_key};
pub use queues::{
    Acquire, Acquired, DeliveryCount, Held, Outcome, OwnerRemoval, Pending, PendingQuery,
    PendingState, QueueChange, QueueConfig, QueueDescription, QueueError, QueueOwner,
    QueuePartition, QueuePosition, QueueRef, QueueStart, QueueSummary, RecordFilter, RecordId,
    Transfer,
};
pub use topics::{
    Column, ColumnFormat, ConfigChange, ConfigEntry, CreateTopic, DecodeFailure, OffsetSpec,
    PartitionStatus, Topic, TopicRef, TopicSchema,
};
