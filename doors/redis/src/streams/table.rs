//! The streams that have been used, by database and name.
//!
//! Database 0 has the topics by their names. A stream of another database is the topic
//! `db<number>:<name>`.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use posthouse_broker::{CreateTopic, CreateTopicError, LookupError, TopicRef};
use posthouse_keyspace::DatabaseIndex;
use posthouse_types::{PartitionIndex, TopicId, TopicName};
use tokio::sync::watch;

use super::stream::Stream;
use crate::errors::CommandError;
use crate::server::Server;

/// The streams of the door.
pub(crate) struct Streams {
    known: Mutex<HashMap<TopicId, Arc<Stream>>>,
    /// Counts streams made, for those who wait for one.
    made: watch::Sender<u64>,
}

impl Streams {
    /// None yet.
    pub(crate) fn new() -> Streams {
        Streams { known: Mutex::default(), made: watch::Sender::new(0) }
    }

    /// Tells of every stream that this door makes.
    pub(crate) fn made(&self) -> watch::Receiver<u64> {
        self.made.subscribe()
    }

    /// Forgets a stream that was deleted.
    pub(crate) fn forget(&self, id: TopicId) {
        self.known.lock().remove(&id);
    }
}

/// The topic of a stream.
pub(crate) fn topic_name(db: DatabaseIndex, key: &[u8]) -> Result<TopicName, CommandError> {
    let named = if db.get() == 0 {
        TopicName::new(key)
    } else {
        let mut name = format!("db{}:", db.get()).into_bytes();
        name.extend_from_slice(key);
        TopicName::new(name)
    };
    named.map_err(|error| CommandError::Said(format!("ERR {error}")))
}

impl Server {
    /// A stream, if there is a topic of its name; what is known of it may be old.
    pub(crate) async fn stream(
        &self,
        db: DatabaseIndex,
        key: &Bytes,
    ) -> Result<Option<Arc<Stream>>, CommandError> {
        let Ok(name) = topic_name(db, key) else { return Ok(None) };
        let topic = match self.broker.topic(&self.principal, &TopicRef::Name(name)).await {
            Ok(topic) => topic,
            Err(LookupError::UnknownTopic(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if topic.partitions != 1 || topic.internal {
            return Err(CommandError::Said(format!(
                "WRONGTYPE topic {} has {} partitions; a stream has exactly one",
                topic.name, topic.partitions
            )));
        }
        if let Some(known) = self.streams.known.lock().get(&topic.id) {
            return Ok(Some(Arc::clone(known)));
        }
        let id = TopicRef::Id(topic.id);
        let log = self.broker.partition_log(&self.principal, &id, PartitionIndex::ZERO).await?;
        let mut known = self.streams.known.lock();
        let made = || Arc::new(Stream::new(id, log));
        Ok(Some(Arc::clone(known.entry(topic.id).or_insert_with(made))))
    }

    /// A stream up to date, if there is one.
    pub(crate) async fn followed(
        &self,
        db: DatabaseIndex,
        key: &Bytes,
    ) -> Result<Option<Arc<Stream>>, CommandError> {
        let Some(stream) = self.stream(db, key).await? else { return Ok(None) };
        stream.follow().await?;
        Ok(Some(stream))
    }

    /// A stream up to date, made now if there is none. Entries of a stream do not go by age.
    pub(crate) async fn stream_or_create(
        &self,
        db: DatabaseIndex,
        key: &Bytes,
    ) -> Result<Arc<Stream>, CommandError> {
        if let Some(stream) = self.followed(db, key).await? {
            return Ok(stream);
        }
        let create = CreateTopic {
            name: topic_name(db, key)?,
            partitions: Some(1),
            overrides: vec![("retention.ms".to_owned(), "-1".to_owned())],
            schema: None,
            validate_only: false,
        };
        match self.broker.create_topic(&self.principal, create).await {
            Ok(_) | Err(CreateTopicError::Exists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        self.streams.made.send_modify(|count| *count += 1);
        self.followed(db, key).await?.ok_or(CommandError::NoSuchKey)
    }

    /// Deletes a stream with its topic; says whether there was one.
    pub(crate) async fn delete_stream(
        &self,
        db: DatabaseIndex,
        key: &Bytes,
    ) -> Result<bool, CommandError> {
        let Ok(name) = topic_name(db, key) else { return Ok(false) };
        match self.broker.delete_topic(&self.principal, &TopicRef::Name(name)).await {
            Ok(topic) => {
                self.streams.forget(topic.id);
                Ok(true)
            }
            Err(posthouse_broker::AlterTopicError::Lookup(LookupError::UnknownTopic(_))) => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}
