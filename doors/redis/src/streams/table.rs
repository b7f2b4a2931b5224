//! Which stream a key is, and its topic.
//!
//! A key that was made a stream through this door holds it: the key space knows the topic's id, and
//! the topic goes when no key holds it. A topic that any other door made, or `posthouse topic create`,
//! can be used as a stream by its name; no key holds it, and nothing here deletes it.
//!
//! # Invariants
//! - A topic is made before a key holds it, and the key is durable before anyone is told of an entry.
//! - A topic is deleted after no key holds it; until then the key space remembers, through restarts.
//! - Whether there is a topic, and which, is looked up as the node: a client that may not use it was
//!   refused before its command began ([`crate::access`]), and must not take its name by accident.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use parking_lot::Mutex;
use posthouse_broker::{
    AlterTopicError, CreateTopic, CreateTopicError, LookupError, Topic, TopicRef,
};
use posthouse_keyspace::{DatabaseIndex, Keyspace, StreamTopic};
use posthouse_types::{PartitionIndex, TopicId, TopicName};
use tokio::sync::{RwLock, watch};
use uuid::Uuid;

use super::stream::Stream;
use crate::access::Asker;
use crate::errors::CommandError;
use crate::notifications::{Class, KeyEvent};
use crate::server::Server;

/// LIMIT: names tried for the topic of a stream whose own name is taken.
const NAMES_MAX: usize = 1000;

/// The streams of the door.
pub(crate) struct Streams {
    known: Mutex<HashMap<TopicId, Arc<Stream>>>,
    /// Counts streams whose topics were deleted, for those who want to use their names.
    buried: watch::Sender<u64>,
    /// Counts groups that were destroyed, for consumers that wait.
    regrouped: watch::Sender<u64>,
    /// Held for reading by clients that have waited and now look for entries, and for writing by a
    /// transaction on streams, so that they see all of it or nothing.
    pub(crate) turns: Arc<RwLock<()>>,
}

impl Streams {
    /// None yet.
    pub(crate) fn new() -> Streams {
        Streams {
            known: Mutex::default(),
            buried: watch::Sender::new(0),
            regrouped: watch::Sender::new(0),
            turns: Arc::default(),
        }
    }

    /// Forgets a stream whose topic is gone.
    pub(crate) fn bury(&self, id: TopicId) {
        self.known.lock().remove(&id);
        self.buried.send_modify(|count| *count += 1);
    }

    /// A group was destroyed.
    pub(crate) fn regroup(&self) {
        self.regrouped.send_modify(|count| *count += 1);
    }

    /// Tells whenever a group was destroyed.
    pub(crate) fn regrouped(&self) -> watch::Receiver<u64> {
        self.regrouped.subscribe()
    }

    /// Bytes that the indexes of all streams take, roughly.
    pub(crate) fn index_bytes(&self, id: TopicId) -> usize {
        self.known.lock().get(&id).map_or(0, |stream| stream.index_bytes())
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

/// A topic, as keys know it.
pub(crate) fn held_as(id: TopicId) -> StreamTopic {
    StreamTopic(id.0.into_bytes())
}

/// The topic that a key holds.
pub(crate) fn topic_id(topic: StreamTopic) -> TopicId {
    TopicId(Uuid::from_bytes(topic.0))
}

impl Asker {
    /// A stream up to date, made now if there is none. Entries of a stream do not go by age.
    pub(crate) async fn stream_or_create(
        &self,
        db: DatabaseIndex,
        key: &Bytes,
    ) -> Result<Arc<Stream>, CommandError> {
        loop {
            if let Some(stream) = self.followed(db, key).await? {
                return Ok(stream);
            }
            let topic = self.create_stream_topic(db, key).await?;
            if self.hold(db, key, topic.id).await? {
                let stream = self.open_stream(topic.id).await?.ok_or(CommandError::NoSuchKey)?;
                stream.follow().await?;
                return Ok(stream);
            }
            // Another client made the key meanwhile.
            self.delete_topic(topic.id).await?;
        }
    }

    /// Makes a topic for a stream: of the stream's name, unless a key that was renamed holds that.
    pub(crate) async fn create_stream_topic(
        &self,
        db: DatabaseIndex,
        key: &Bytes,
    ) -> Result<Arc<Topic>, CommandError> {
        let own = topic_name(db, key)?;
        let mut number = 1;
        loop {
            let mut buried = self.streams.buried.subscribe();
            buried.mark_unchanged();
            let name = if number == 1 {
                own.clone()
            } else {
                let other = [own.as_bytes(), format!("~{number}").as_bytes()].concat();
                TopicName::new(other).map_err(|error| CommandError::Said(format!("ERR {error}")))?
            };
            let create = CreateTopic {
                name: name.clone(),
                partitions: Some(1),
                overrides: vec![("retention.ms".to_owned(), "-1".to_owned())],
                schema: None,
                validate_only: false,
            };
            match self.broker.create_topic(&self.principal, create).await {
                Ok(topic) => return Ok(topic),
                Err(CreateTopicError::Exists(_)) if number < NAMES_MAX => {}
                Err(error) => return Err(error.into()),
            }
            let Some(there) = self.topic_now(&TopicRef::Name(name))? else { continue };
            let (held, known) = self.key_of(there.id);
            if known && !held {
                // It is about to be deleted.
                let _ = buried.changed().await;
            } else {
                number += 1;
            }
        }
    }
}

impl Server {
    /// The stream that a key holds; a key of another type is an error.
    pub(crate) fn held_stream(
        &self,
        db: DatabaseIndex,
        key: &[u8],
    ) -> Result<Option<TopicId>, CommandError> {
        let held = self.keys.with(|keys| keys.database(db).stream(key));
        Ok(held?.map(topic_id))
    }

    /// The topic of a key's name that no key holds or held: another door's.
    pub(crate) fn foreign_topic(
        &self,
        keyspace: &Keyspace,
        db: DatabaseIndex,
        key: &[u8],
    ) -> Option<Arc<Topic>> {
        if db.get() == 0 && !self.broker.has_topic(key) {
            return None;
        }
        let name = topic_name(db, key).ok()?;
        let topic = self.topic_now(&TopicRef::Name(name)).ok()??;
        (!keyspace.knows_stream(held_as(topic.id))).then_some(topic)
    }

    /// What a topic is called.
    pub(crate) fn topic_name(&self, id: TopicId) -> Option<TopicName> {
        self.topic_now(&TopicRef::Id(id)).ok().flatten().map(|topic| topic.name.clone())
    }

    /// Whether a key holds a stream, and whether one does or did.
    fn key_of(&self, id: TopicId) -> (bool, bool) {
        self.keys.with(|keys| {
            let keyspace = keys.keyspace();
            (keyspace.holds_stream(held_as(id)), keyspace.knows_stream(held_as(id)))
        })
    }

    /// Removes a key whose topic is not there: another door deleted it, or a crash came between.
    fn forget_stream(&self, db: DatabaseIndex, key: &[u8], id: TopicId) {
        self.keys.with(|keys| {
            let mut database = keys.database(db);
            if database.stream(key) == Ok(Some(held_as(id))) {
                database.delete(key);
            }
        });
    }

    /// A topic, as the node knows it now.
    fn topic_now(&self, topic: &TopicRef) -> Result<Option<Arc<Topic>>, CommandError> {
        match self.broker.topic(&self.node, topic).now_or_never() {
            Some(Ok(topic)) => Ok(Some(topic)),
            Some(Err(LookupError::UnknownTopic(_) | LookupError::UnknownTopicId(_))) | None => {
                Ok(None)
            }
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// A stream, if a key holds it or there is a topic of its name; what is known of it may be old.
    pub(crate) async fn stream(
        &self,
        db: DatabaseIndex,
        key: &Bytes,
    ) -> Result<Option<Arc<Stream>>, CommandError> {
        let id = match self.held_stream(db, key)? {
            Some(id) => {
                let stream = self.open_stream(id).await?;
                if stream.is_none() {
                    self.forget_stream(db, key, id);
                }
                return Ok(stream);
            }
            None => {
                let topic = self.keys.with(|keys| self.foreign_topic(keys.keyspace(), db, key));
                let Some(topic) = topic else { return Ok(None) };
                if topic.partitions != 1 || topic.internal {
                    return Err(CommandError::Said(format!(
                        "WRONGTYPE topic {} has {} partitions; a stream has exactly one",
                        topic.name, topic.partitions
                    )));
                }
                topic.id
            }
        };
        self.open_stream(id).await
    }

    /// A stream by its topic; `None` when that has just been deleted.
    pub(super) async fn open_stream(
        &self,
        id: TopicId,
    ) -> Result<Option<Arc<Stream>>, CommandError> {
        let topic = TopicRef::Id(id);
        if self.topic_now(&topic)?.is_none() {
            self.streams.known.lock().remove(&id);
            return Ok(None);
        }
        let known = self.streams.known.lock().get(&id).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let log = match self.broker.partition_log(&self.node, &topic, PartitionIndex::ZERO).await {
            Ok(log) => log,
            Err(LookupError::UnknownTopic(_) | LookupError::UnknownTopicId(_)) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let mut known = self.streams.known.lock();
        let made = || Arc::new(Stream::new(topic, log));
        Ok(Some(Arc::clone(known.entry(id).or_insert_with(made))))
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

    /// Makes a key hold a new stream, durably; `false` when it holds something already.
    pub(crate) async fn hold(
        &self,
        db: DatabaseIndex,
        key: &Bytes,
        id: TopicId,
    ) -> Result<bool, CommandError> {
        let held = self.keys.with(|keys| keys.database(db).set_stream(key, held_as(id)).is_ok());
        if held {
            self.keys.flush().await?;
        }
        Ok(held)
    }

    /// Deletes a topic; there may be none.
    pub(super) async fn delete_topic(&self, id: TopicId) -> Result<(), CommandError> {
        match self.broker.delete_topic(&self.node, &TopicRef::Id(id)).await {
            Ok(_) => Ok(()),
            Err(AlterTopicError::Lookup(
                LookupError::UnknownTopic(_) | LookupError::UnknownTopicId(_),
            )) => Ok(()),
            Err(error @ AlterTopicError::Delete(_)) => {
                tracing::warn!(%error, "data of a deleted stream stays until the next start");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells those who watch a stream, or are notified of it, what happened to it.
    pub(crate) fn stream_event(&self, db: DatabaseIndex, key: &Bytes, name: &'static str) {
        self.keys.with(|keys| {
            keys.keyspace().stream_changed(db, key);
            if self.keys.notifications.want(Class::STREAM) {
                let key = Bytes::copy_from_slice(key);
                keys.add_event(KeyEvent { database: db, key, class: Class::STREAM, name });
            }
        });
    }

    /// Deletes the topics of streams that no key holds any more.
    pub(crate) async fn bury_streams(&self) -> Result<(), CommandError> {
        let doomed = self.keys.with(|keys| keys.keyspace().doomed_streams());
        for stream in doomed {
            let id = topic_id(stream);
            self.delete_topic(id).await?;
            self.keys.with(|keys| keys.keyspace().bury_stream(stream));
            self.streams.bury(id);
        }
        Ok(())
    }

    /// Removes keys whose topics are not there: another door deleted them, or a crash came between.
    pub(crate) fn forget_lost_streams(&self) -> Result<(), CommandError> {
        let held = self.keys.with(|keys| keys.keyspace().held_streams());
        let mut lost = HashSet::new();
        for stream in held {
            if self.topic_now(&TopicRef::Id(topic_id(stream)))?.is_none() {
                lost.insert(stream);
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        self.keys.with(|keys| {
            for (db, key, stream) in keys.keyspace().streams() {
                if lost.contains(&stream) {
                    keys.database(db).delete(&key);
                }
            }
        });
        Ok(())
    }
}
