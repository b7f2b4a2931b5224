//! Carries out one file sink: reads, makes lines, writes them, and begins anew after a failure.
//!
//! Of a topic, beginning anew is beginning at the checkpoint. Of a channel nothing can be read twice,
//! so its lines are held until they are written, and meanwhile its subscription overflows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use posthouse_broker::{
    Broker, Declaration, DeclarationKind, Delivery, LookupError, Overflow, SubscribeError,
    SubscribeFrom, SubscriberConfig, SubscriberEnded, Topic, TopicRef,
};
use posthouse_record::Record;
use posthouse_types::{
    ByteSize, NameError, Offset, PartitionIndex, Principal, Timestamp, TopicId, TopicName,
};
use tokio_util::sync::CancellationToken;

use super::checkpoint::{Checkpoint, Mark};
use super::file::{Resume, Rotation, SinkFile};
use super::line;
use super::place::{Place, SinkError};
use super::spec::{Format, SinkSpec, Source};
use super::status::SinkStatus;
use crate::errors::chain;
use crate::metrics;
use crate::outlets::{Outlet, Trouble};
use crate::reader::{Cursor, Reader, ReaderError};

/// How long is waited when nothing comes, before files that are too old are rotated.
const TICK: Duration = Duration::from_secs(1);
/// LIMIT: bytes written and not durable, before they are made so out of turn.
const UNCOMMITTED_BYTES_MAX: u64 = 16 << 20;
/// LIMIT: what waits for a sink of channels; beyond it the newest are dropped and counted.
const SUBSCRIBER: SubscriberConfig = SubscriberConfig {
    bytes_max: ByteSize::mib(8),
    messages_max: 100_000,
    overflow: Overflow::DropNewest,
};
/// LIMIT: messages written at a time.
const MESSAGES_MAX: usize = 1024;

/// Carries out file sinks.
pub(crate) struct Sinks {
    pub(crate) broker: Arc<Broker>,
    /// Where they may write; nowhere when `None`.
    pub(crate) directory: Option<PathBuf>,
}

impl Outlet for Sinks {
    type Status = SinkStatus;
    const KIND: DeclarationKind = DeclarationKind::FileSink;

    async fn run(
        self: Arc<Self>,
        declaration: Arc<Declaration>,
        status: Arc<SinkStatus>,
        stop: CancellationToken,
    ) {
        let now = || self.broker.clock().wall();
        let spec = match SinkSpec::decode(&declaration.spec) {
            Ok(spec) => spec,
            Err(error) => return status.trouble(now(), error.to_string()),
        };
        let Some(directory) = self.directory.clone() else {
            return status.trouble(now(), RunError::NoDirectory.to_string());
        };
        let runner = Runner { broker: &self.broker, spec: &spec, directory, status: &status };
        let mut trouble = Trouble::default();
        let mut listening = Listening::default();
        while !stop.is_cancelled() {
            let ended = match &spec.source {
                Source::Topic { .. } => runner.of_topic(&stop, &mut trouble).await,
                Source::Channel { .. } => {
                    runner.of_channels(&stop, &mut trouble, &mut listening).await
                }
            };
            let Err(error) = ended else { continue };
            let error = chain(&error);
            tracing::warn!(sink = declaration.name, error, "file sink is interrupted");
            status.trouble(now(), error);
            metrics::sink_trouble();
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(trouble.again()) => {}
            }
        }
    }
}

/// Why a sink cannot go on for now.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("file_sink.directory is not set")]
    NoDirectory,
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Read(#[from] ReaderError),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    #[error(transparent)]
    Ended(#[from] SubscriberEnded),
    #[error(transparent)]
    File(#[from] SinkError),
}

/// A sink of channels between two openings of its file.
#[derive(Default)]
struct Listening {
    subscriber: Option<posthouse_broker::Subscriber>,
    /// Taken, and not written yet.
    taken: Vec<Delivery>,
    /// What the file was before the write that failed.
    mark: Option<Mark>,
}

struct Runner<'a> {
    broker: &'a Arc<Broker>,
    spec: &'a SinkSpec,
    directory: PathBuf,
    status: &'a SinkStatus,
}

impl Runner<'_> {
    /// Writes a topic's records until it is stopped, or until the topic has more partitions.
    async fn of_topic(
        &self,
        stop: &CancellationToken,
        trouble: &mut Trouble,
    ) -> Result<(), RunError> {
        let Source::Topic { name, .. } = &self.spec.source else { return Ok(()) };
        let principal = Principal::node();
        let name = TopicRef::Name(TopicName::from_kafka_alias(name)?);
        let topic = self.broker.topic(&principal, &name).await?;
        let mut file = self.open(Some(topic.id), None).await?;
        let cursors = self.cursors(&topic, file.checkpoint()).await?;
        let topic_ref = TopicRef::Id(topic.id);
        let mut reader =
            Reader::new(Arc::clone(self.broker), principal.clone(), topic_ref, cursors);
        let mut commits = Commits::new(self.spec);
        let format = self.spec.format;
        loop {
            let read = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.commit(file, &mut commits).await?;
                    return Ok(());
                }
                read = reader.read(commits.wait(&file)) => read,
            };
            let read = match read {
                Ok(read) => read,
                Err(error) => {
                    // What is written may not be there to be read again, when the topic is deleted.
                    self.commit(file, &mut commits).await?;
                    return Err(error.into());
                }
            };
            let positions: Vec<_> = reader.positions().collect();
            let count = read.iter().map(|(_, records)| records.len()).sum();
            let now = self.broker.clock().wall();
            file = blocking(file, move |file| {
                write_records(file, format, &read, now)?;
                positions.into_iter().for_each(|(index, next)| file.skip_to(index, next));
                file.rotate_before(0, now)?;
                file.write()
            })
            .await?;
            self.wrote(count);
            if commits.are_due(&file) {
                file = self.commit(file, &mut commits).await?;
            }
            self.progress(&file, trouble);
            let now = self.broker.topic(&principal, &name).await;
            if !now.is_ok_and(|now| now.id == topic.id && now.partitions == topic.partitions) {
                self.commit(file, &mut commits).await?;
                return Ok(());
            }
        }
    }

    /// Writes what is said on channels until it is stopped.
    async fn of_channels(
        &self,
        stop: &CancellationToken,
        trouble: &mut Trouble,
        listening: &mut Listening,
    ) -> Result<(), RunError> {
        let Some(pattern) = self.spec.source.pattern() else { return Ok(()) };
        if listening.subscriber.is_none() {
            let subscriber = self.broker.subscriber(&Principal::node(), SUBSCRIBER);
            subscriber.subscribe(pattern, SubscribeFrom::Now).await?;
            listening.subscriber = Some(subscriber);
        }
        let Listening { subscriber: Some(subscriber), taken, mark } = listening else {
            return Ok(());
        };
        let mut file = self.open(None, *mark).await?;
        let mut commits = Commits::new(self.spec);
        loop {
            if taken.is_empty() {
                let waited = tokio::time::timeout(
                    commits.wait(&file),
                    subscriber.next_many(MESSAGES_MAX, taken),
                );
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {
                        self.commit(file, &mut commits).await?;
                        return Ok(());
                    }
                    waited = waited => if let Ok(ended) = waited { ended?; },
                }
            }
            let (lines, count) = (self.lines(taken), taken.len());
            let (more, now) = (lines.len(), self.broker.clock().wall());
            file = blocking(file, move |file| file.rotate_before(more, now)).await?;
            *mark = Some(file.checkpoint().mark);
            file = blocking(file, move |file| {
                file.push(&lines, None, now)?;
                file.write()
            })
            .await?;
            self.wrote(count);
            taken.clear();
            *mark = Some(file.checkpoint().mark);
            if commits.are_due(&file) {
                file = self.commit(file, &mut commits).await?;
            }
            self.progress(&file, trouble);
        }
    }

    fn lines(&self, taken: &[Delivery]) -> Vec<u8> {
        let mut lines = Vec::new();
        for delivery in taken {
            line::of_event(&mut lines, self.spec.format, &delivery.event);
        }
        lines
    }

    /// Opens the file where the last checkpoint of this declaration left it. With a `mark`, it is
    /// the file of a sink of channels whose last write failed.
    async fn open(&self, topic: Option<TopicId>, mark: Option<Mark>) -> Result<SinkFile, RunError> {
        let (directory, file, sink) =
            (self.directory.clone(), self.spec.file.clone(), self.spec.id);
        let rotation = Rotation {
            bytes: self.spec.rotate_bytes,
            age: self.spec.rotate_ms.map(Duration::from_millis),
            keep: self.spec.keep,
        };
        let open = move || {
            let place = Place::find(&directory, &file)?;
            let fresh = || Checkpoint {
                sink,
                topic,
                positions: BTreeMap::new(),
                mark: Mark { inode: 0, length: 0, begun: Timestamp::NONE },
            };
            let found = Checkpoint::load(&place)?.filter(|found| found.sink == sink);
            let mut checkpoint = found.unwrap_or_else(fresh);
            if checkpoint.topic != topic {
                // The topic was deleted and made again: its file goes on, its positions do not.
                checkpoint.topic = topic;
                checkpoint.positions.clear();
            }
            let resume = if topic.is_some() || mark.is_some() { Resume::Cut } else { Resume::Keep };
            checkpoint.mark = mark.unwrap_or(checkpoint.mark);
            SinkFile::open(place, rotation, checkpoint, resume)
        };
        let opened = tokio::task::spawn_blocking(open).await;
        Ok(opened.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()))?)
    }

    /// Each partition from where the file ends, or from where the declaration begins.
    async fn cursors(
        &self,
        topic: &Topic,
        checkpoint: &Checkpoint,
    ) -> Result<Vec<Cursor>, RunError> {
        let declared: BTreeMap<PartitionIndex, Offset> = match &self.spec.source {
            Source::Topic { id, positions, .. } if *id == topic.id => {
                positions.iter().copied().collect()
            }
            _ => BTreeMap::new(),
        };
        let mut cursors = Vec::new();
        for index in (0..topic.partitions).map(PartitionIndex::new) {
            let known = checkpoint.positions.get(&index).or_else(|| declared.get(&index));
            let next = match known {
                Some(next) => *next,
                None => {
                    let (node, topic) = (Principal::node(), TopicRef::Id(topic.id));
                    self.broker.partition_status(&node, &topic, index).await?.log_start
                }
            };
            cursors.push(Cursor { index, next, until: None });
        }
        Ok(cursors)
    }

    async fn commit(&self, file: SinkFile, commits: &mut Commits) -> Result<SinkFile, RunError> {
        let file = blocking(file, SinkFile::commit).await?;
        commits.done();
        Ok(file)
    }

    fn wrote(&self, lines: usize) {
        metrics::sink_lines(lines);
        self.status.wrote(lines);
    }

    /// Something was written, or could have been.
    fn progress(&self, file: &SinkFile, trouble: &mut Trouble) {
        trouble.over();
        let checkpoint = file.checkpoint();
        self.status.writing(checkpoint.mark.length);
        if file.uncommitted() == 0 {
            self.status.synced(self.broker.clock().wall(), &checkpoint.positions);
        }
    }
}

/// When what is written is made durable.
struct Commits {
    interval: Duration,
    last: Instant,
}

impl Commits {
    fn new(spec: &SinkSpec) -> Commits {
        Commits { interval: Duration::from_millis(spec.sync_ms), last: Instant::now() }
    }

    /// How long may be waited for more.
    fn wait(&self, file: &SinkFile) -> Duration {
        if file.uncommitted() == 0 {
            return TICK;
        }
        self.interval.saturating_sub(self.last.elapsed()).min(TICK)
    }

    fn are_due(&self, file: &SinkFile) -> bool {
        let uncommitted = file.uncommitted();
        uncommitted > 0
            && (self.last.elapsed() >= self.interval || uncommitted >= UNCOMMITTED_BYTES_MAX)
    }

    fn done(&mut self) {
        self.last = Instant::now();
    }
}

fn write_records(
    file: &mut SinkFile,
    format: Format,
    read: &[(PartitionIndex, Vec<Record>)],
    now: Timestamp,
) -> Result<(), SinkError> {
    let mut text = Vec::new();
    for (index, records) in read {
        for record in records {
            text.clear();
            line::of_record(&mut text, format, *index, record);
            file.push(&text, Some((*index, record.offset.plus(1))), now)?;
        }
    }
    Ok(())
}

/// Works on the file where blocking is no harm. After a failure it is gone.
async fn blocking(
    mut file: SinkFile,
    work: impl FnOnce(&mut SinkFile) -> Result<(), SinkError> + Send + 'static,
) -> Result<SinkFile, SinkError> {
    let worked = tokio::task::spawn_blocking(move || work(&mut file).map(|()| file)).await;
    worked.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()))
}
