//! `COPY … FROM STDIN`: rows from the client into a topic.
//!
//! The rows go in as inserts of bounded size, each from a table in memory that only this session
//! sees: the engine casts, checks and encodes as for any `INSERT … SELECT`. A topic's records cannot
//! be taken back, so a line that is refused leaves those of earlier inserts in the topic, and the
//! error says how many.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{CatalogProvider, MemTable, MemorySchemaProvider, SchemaProvider};
use datafusion::common::DataFusionError;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::copy::CopyInResponse;
use posthouse_query::{Outcome, QueryError};
use tokio::io::{AsyncRead, AsyncWrite};

use super::copy_text::Lines;
use super::{Exchange, Watch, watched};
use crate::codec::Frontend;
use crate::errors::{Failure, Stop};
use crate::sql::{CopyFrom, OwnStatement};

/// LIMIT: rows and bytes of text in one insert.
const INSERT_ROWS: usize = 8192;
const INSERT_BYTES: usize = 4 * 1024 * 1024;

/// Where the rows stand for the engine to take them.
const SCHEMA: &str = "copy_from_stdin";
const TABLE: &str = "lines";

/// Rows on their way into a topic.
struct Inserting {
    /// `INSERT INTO topic (columns) SELECT * FROM …`.
    sql: String,
    staging: Staging,
    columns: Vec<StringBuilder>,
    rows: usize,
    bytes: usize,
    done: u64,
}

/// The session's own schema for the rows, while a copy lasts.
struct Staging {
    catalog: Arc<dyn CatalogProvider>,
    schema: Arc<MemorySchemaProvider>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    pub(super) async fn copy_in(&mut self, copy: &CopyFrom, watch: &Watch) -> Result<(), Stop> {
        let names = self.copy_columns(copy, watch).await?;
        let count = i16::try_from(names.len()).map_err(|_| Failure::TooMany {
            what: "columns",
            max: usize::from(i16::MAX.unsigned_abs()),
        })?;
        let mut inserting = Inserting::new(copy, &names, self.staging()?);
        let response = CopyInResponse::new(0, count, vec![0; names.len()]);
        self.send(&PgWireBackendMessage::CopyInResponse(response))?;
        self.wire.flush().await?;
        let mut lines = Lines::new(copy.options.clone());
        loop {
            match self.next_copy_message(watch).await? {
                Frontend::CopyData(data) => {
                    lines.feed(&data);
                    while let Some(row) = lines.next_row()? {
                        self.take_row(&mut inserting, &row, &lines, watch).await?;
                    }
                }
                Frontend::CopyDone => break,
                Frontend::CopyFail(reason) => return Err(Failure::CopyFailed { reason }.into()),
                // Clients may send these before they know that a copy has begun.
                Frontend::Flush | Frontend::Sync => {}
                _ => return Err(Failure::UnexpectedInCopy.into()),
            }
        }
        if let Some(row) = lines.last_row()? {
            self.take_row(&mut inserting, &row, &lines, watch).await?;
        }
        self.insert(&mut inserting, watch).await?;
        Ok(self.complete(format!("COPY {}", inserting.done))?)
    }

    async fn next_copy_message(&mut self, watch: &Watch) -> Result<Frontend, Stop> {
        tokio::select! {
            biased;
            failure = watch.ended() => Err(failure.into()),
            message = self.wire.read() => Ok(message?),
        }
    }

    /// The columns of a line: those named, or those an `INSERT` without names takes.
    async fn copy_columns(&mut self, copy: &CopyFrom, watch: &Watch) -> Result<Vec<String>, Stop> {
        self.check_transaction(None::<&OwnStatement>)?;
        let list = if copy.columns.is_empty() { "*".to_owned() } else { copy.columns.join(", ") };
        let sql = format!("SELECT {list} FROM {} LIMIT 0", copy.table);
        let outcomes = watched(watch, self.query.execute(&sql)).await?;
        let outcomes = outcomes.map_err(|error| Failure::from(error).without_position())?;
        let [Outcome::Rows { schema, .. }] = &outcomes[..] else {
            return Err(Failure::BadCopyData { message: "nothing to copy into".to_owned() }.into());
        };
        let names = schema.fields().iter().map(|field| field.name());
        let taken = names.filter(|name| !copy.columns.is_empty() || !is_given(name));
        Ok(taken.map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect())
    }

    fn staging(&self) -> Result<Staging, Failure> {
        let context = self.query.context();
        let catalog = context.catalog(&self.door.config.database).ok_or_else(|| {
            let message = format!("there is no catalog {}", self.door.config.database);
            Failure::BadCopyData { message }
        })?;
        let schema = Arc::new(MemorySchemaProvider::new());
        catalog
            .register_schema(SCHEMA, Arc::clone(&schema) as Arc<dyn SchemaProvider>)
            .map_err(QueryError::from)?;
        Ok(Staging { catalog, schema })
    }

    async fn take_row(
        &mut self,
        inserting: &mut Inserting,
        row: &[Option<String>],
        lines: &Lines,
        watch: &Watch,
    ) -> Result<(), Stop> {
        let expected = inserting.columns.len();
        if row.len() != expected {
            let what = if row.len() < expected { "missing data" } else { "extra data" };
            return Err(lines.wrong(&format!("{what}: {expected} columns expected")).into());
        }
        inserting.push(row);
        if inserting.rows >= INSERT_ROWS || inserting.bytes >= INSERT_BYTES {
            self.insert(inserting, watch).await?;
        }
        Ok(())
    }

    async fn insert(&mut self, inserting: &mut Inserting, watch: &Watch) -> Result<(), Stop> {
        if inserting.rows == 0 {
            return Ok(());
        }
        let batch = inserting.take_batch().map_err(QueryError::from)?;
        inserting.staging.put(batch).map_err(QueryError::from)?;
        let outcomes = watched(watch, self.query.execute(&inserting.sql)).await?;
        let outcomes = outcomes.map_err(|mut error| {
            error.position = None;
            error.hint = Some(format!("{} rows before it have been copied", inserting.done));
            error
        })?;
        inserting.done += outcomes.iter().map(inserted).sum::<u64>();
        Ok(())
    }
}

/// Columns that the log gives; an `INSERT` without names does not take them.
fn is_given(column: &str) -> bool {
    column.starts_with('_')
}

fn inserted(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Done { count, .. } => count.unwrap_or(0),
        Outcome::Rows { .. } => 0,
    }
}

impl Inserting {
    fn new(copy: &CopyFrom, names: &[String], staging: Staging) -> Inserting {
        let (table, columns) = (&copy.table, names.join(", "));
        Inserting {
            sql: format!("INSERT INTO {table} ({columns}) SELECT * FROM {SCHEMA}.{TABLE}"),
            staging,
            columns: names.iter().map(|_| StringBuilder::new()).collect(),
            rows: 0,
            bytes: 0,
            done: 0,
        }
    }

    fn push(&mut self, row: &[Option<String>]) {
        for (column, value) in self.columns.iter_mut().zip(row) {
            self.bytes += value.as_ref().map_or(0, String::len);
            column.append_option(value.as_deref());
        }
        self.rows += 1;
    }

    /// The rows so far, as columns of text.
    fn take_batch(&mut self) -> Result<RecordBatch, DataFusionError> {
        (self.rows, self.bytes) = (0, 0);
        let columns: Vec<ArrayRef> =
            self.columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        let field = |index| Field::new(format!("column{index}"), DataType::Utf8, true);
        let schema = Schema::new((1..=columns.len()).map(field).collect::<Vec<_>>());
        Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
    }
}

impl Staging {
    /// Puts rows in the place of the last ones.
    fn put(&self, batch: RecordBatch) -> Result<(), DataFusionError> {
        self.schema.deregister_table(TABLE)?;
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
        self.schema.register_table(TABLE.to_owned(), Arc::new(table))?;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = self.catalog.deregister_schema(SCHEMA, true) {
            tracing::warn!(%error, "the schema of a finished copy stays in its session");
        }
    }
}
