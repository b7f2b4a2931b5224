//! A broker and a query engine to test, and what came of a statement as text.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use posthouse_broker::{Broker, BrokerConfig};
use posthouse_log::{
    AppendError, Appended, Chunk, DeleteError, Engine, EpochStart, Log, LogConfig, LogEnds,
    Maintained, MaintenanceError, MemoryConfig, MemoryEngine, OpenError, ProducerState, ReadError,
    ReadLimit, TimestampOffset, TruncateError,
};
use posthouse_query::{FileAccess, Outcome, QueryConfig, QueryEngine, QueryError, QuerySession};
use posthouse_record::UnplacedBatch;
use posthouse_types::{Clock, LeaderEpoch, Offset, PartitionId, Principal, SystemClock, Timestamp};

/// Where a read began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadAt {
    pub(crate) partition: PartitionId,
    pub(crate) from: Offset,
    pub(crate) until: Offset,
}

pub(crate) struct Node {
    pub(crate) broker: Arc<Broker>,
    pub(crate) engine: Arc<QueryEngine>,
    reads: Reads,
}

type Reads = Arc<Mutex<Vec<ReadAt>>>;

impl Node {
    pub(crate) async fn start() -> Node {
        Node::start_with(config()).await
    }

    pub(crate) async fn start_with(config: QueryConfig) -> Node {
        Node::start_asking(config, BrokerConfig::default()).await
    }

    /// One that may ask its clients who they are.
    pub(crate) async fn start_asking(config: QueryConfig, broker: BrokerConfig) -> Node {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let reads = Reads::default();
        let inner = MemoryEngine::new(MemoryConfig::default(), Arc::clone(&clock));
        let log = Arc::new(CountingEngine { inner, reads: Arc::clone(&reads) });
        let broker = Broker::open(log, broker, clock).await.unwrap();
        let engine = QueryEngine::start(Arc::clone(&broker), config).unwrap();
        Node { broker, engine, reads }
    }

    pub(crate) fn session(&self) -> QuerySession {
        self.engine.session(Principal::anonymous())
    }

    /// Runs a script that must not fail; what its last statement gave, as text.
    pub(crate) async fn sql(&self, sql: &str) -> String {
        match run(&self.session(), sql).await {
            Ok(text) => text,
            Err(error) => panic!("{sql}\n{}", error_text(&error)),
        }
    }

    pub(crate) async fn sql_error(&self, sql: &str) -> QueryError {
        run(&self.session(), sql).await.expect_err(sql)
    }

    /// Reads of topics since the last call.
    pub(crate) fn take_reads(&self) -> Vec<ReadAt> {
        std::mem::take(&mut *self.reads.lock())
    }
}

/// Two threads, files of this folder only.
pub(crate) fn config() -> QueryConfig {
    let files = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files"));
    QueryConfig { threads: 2, files: FileAccess::Under(files), ..QueryConfig::default() }
}

/// The outcome of the last statement: a line of column names and one for each row, or the tag.
pub(crate) async fn run(session: &QuerySession, sql: &str) -> Result<String, QueryError> {
    let mut text = String::new();
    for statement in session.statements(sql)? {
        text = match session.run(&statement).await? {
            Outcome::Done { tag, count: Some(count) } => format!("{tag} {count}\n"),
            Outcome::Done { tag, count: None } => format!("{tag}\n"),
            Outcome::Rows { schema, mut rows } => {
                let names: Vec<&str> =
                    schema.fields().iter().map(|field| field.name().as_str()).collect();
                let mut text = names.join("|") + "\n";
                while let Some(batch) = rows.next().await {
                    push_rows(&mut text, &batch.map_err(QueryError::from)?);
                }
                text
            }
        };
    }
    Ok(text)
}

pub(crate) fn error_text(error: &QueryError) -> String {
    let place = error.position.map(|position| format!(" at {position}")).unwrap_or_default();
    let hint = error.hint.as_ref().map(|hint| format!("HINT: {hint}\n")).unwrap_or_default();
    format!("ERROR {}{place}: {}\n{hint}", error.sqlstate, error.message)
}

fn push_rows(text: &mut String, batch: &RecordBatch) {
    const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_null("NULL");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| (column, ArrayFormatter::try_new(column.as_ref(), &OPTIONS).unwrap()))
        .collect();
    for row in 0..batch.num_rows() {
        let cells: Vec<String> = columns
            .iter()
            .map(|(column, formatter)| match column.is_null(row) {
                true => "NULL".to_owned(),
                false => formatter.value(row).to_string(),
            })
            .collect();
        text.push_str(&cells.join("|"));
        text.push('\n');
    }
}

/// Notes every read.
struct CountingEngine {
    inner: Arc<MemoryEngine>,
    reads: Reads,
}

struct CountingLog {
    inner: Arc<dyn Log>,
    reads: Reads,
}

impl Engine for CountingEngine {
    fn open(
        &self,
        partition: PartitionId,
        config: LogConfig,
    ) -> BoxFuture<'_, Result<Arc<dyn Log>, OpenError>> {
        Box::pin(async move {
            let inner = self.inner.open(partition, config).await?;
            let log: Arc<dyn Log> = Arc::new(CountingLog { inner, reads: Arc::clone(&self.reads) });
            Ok(log)
        })
    }

    fn delete(&self, partition: PartitionId) -> BoxFuture<'_, Result<(), DeleteError>> {
        self.inner.delete(partition)
    }

    fn stored(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, OpenError>> {
        self.inner.stored()
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<(), OpenError>> {
        self.inner.shutdown()
    }
}

impl Log for CountingLog {
    fn partition(&self) -> PartitionId {
        self.inner.partition()
    }

    fn epoch(&self) -> LeaderEpoch {
        self.inner.epoch()
    }

    fn append(&self, batch: UnplacedBatch) -> Result<Appended, AppendError> {
        self.inner.append(batch)
    }

    fn read(&self, from: Offset, limit: ReadLimit) -> BoxFuture<'_, Result<Vec<Chunk>, ReadError>> {
        let partition = self.inner.partition();
        self.reads.lock().push(ReadAt { partition, from, until: limit.until });
        self.inner.read(from, limit)
    }

    fn ends(&self) -> LogEnds {
        self.inner.ends()
    }

    fn watch(&self) -> tokio::sync::watch::Receiver<LogEnds> {
        self.inner.watch()
    }

    fn epoch_history(&self) -> Vec<EpochStart> {
        self.inner.epoch_history()
    }

    fn offset_for_timestamp(
        &self,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<Option<TimestampOffset>, ReadError>> {
        self.inner.offset_for_timestamp(at)
    }

    fn max_timestamp(&self) -> BoxFuture<'_, Result<Option<TimestampOffset>, ReadError>> {
        self.inner.max_timestamp()
    }

    fn truncate_head(&self, to: Offset) -> BoxFuture<'_, Result<Offset, TruncateError>> {
        self.inner.truncate_head(to)
    }

    fn configure(&self, config: LogConfig) {
        self.inner.configure(config);
    }

    fn producers(&self) -> Vec<ProducerState> {
        self.inner.producers()
    }

    fn stored_bytes(&self) -> u64 {
        self.inner.stored_bytes()
    }

    fn maintain(&self, now: Timestamp) -> BoxFuture<'_, Result<Maintained, MaintenanceError>> {
        self.inner.maintain(now)
    }
}
