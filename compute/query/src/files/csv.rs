//! CSV files with a header line.
//!
//! Owns inference of columns and reading. DataFusion 55 takes a pattern for NULL when it infers a
//! CSV schema but not when it reads, so a column of numbers with `NA` among them would fail; this
//! reader uses the pattern for both.
//!
//! # Invariants
//! - All files of a table have the same columns in the same order.
//! - A file is read on a blocking thread, a batch at a time.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_csv::ReaderBuilder;
use arrow_csv::reader::Format;
use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, project_schema};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use regex::Regex;

use crate::QueryError;
use crate::error::sqlstate;

/// LIMIT: lines of the first file that decide the columns' types.
const INFERENCE_ROWS_MAX: usize = 100_000;
/// Batches that a file's thread may be ahead of the query.
const BATCHES_AHEAD: usize = 2;

/// CSV files as one table.
#[derive(Debug)]
pub(super) struct CsvTable {
    files: Vec<PathBuf>,
    format: Format,
    schema: SchemaRef,
}

impl CsvTable {
    /// Opens the files and infers their columns from the first.
    pub(super) async fn open(
        files: Vec<PathBuf>,
        null_regex: &str,
    ) -> Result<CsvTable, QueryError> {
        let null = Regex::new(null_regex).map_err(|error| {
            let message = format!("setting csv_null_regex is no regular expression: {error}");
            QueryError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
        })?;
        let format = Format::default().with_header(true).with_null_regex(null);
        let opened = tokio::task::spawn_blocking(move || {
            let first = files.first().ok_or_else(|| QueryError::internal("a table of no files"))?;
            let schema = infer(first, &format).map_err(|error| bad_file(first, &error))?;
            Ok(CsvTable { files, format, schema: Arc::new(schema) })
        });
        opened.await.map_err(|_| QueryError::cancelled())?
    }
}

#[async_trait]
impl TableProvider for CsvTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = project_schema(&self.schema, projection)?;
        let parts = self.files.iter().map(|file| {
            let part: Arc<dyn PartitionStream> = Arc::new(CsvPart {
                file: file.clone(),
                format: self.format.clone(),
                file_schema: Arc::clone(&self.schema),
                schema: Arc::clone(&schema),
                projection: projection.cloned(),
            });
            part
        });
        let parts = parts.collect();
        Ok(Arc::new(StreamingTableExec::try_new(schema, parts, None, None, false, limit)?))
    }
}

/// One file, some of its columns.
#[derive(Debug)]
struct CsvPart {
    file: PathBuf,
    format: Format,
    file_schema: SchemaRef,
    schema: SchemaRef,
    projection: Option<Vec<usize>>,
}

impl PartitionStream for CsvPart {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut crossing =
            RecordBatchReceiverStream::builder(Arc::clone(&self.schema), BATCHES_AHEAD);
        let sender = crossing.tx();
        let mut builder = ReaderBuilder::new(Arc::clone(&self.file_schema))
            .with_format(self.format.clone())
            .with_batch_size(context.session_config().batch_size());
        if let Some(projection) = &self.projection {
            builder = builder.with_projection(projection.clone());
        }
        let file = self.file.clone();
        crossing.spawn_blocking(move || {
            let failed = |error: &ArrowError| DataFusionError::from(bad_file(&file, error));
            let opened = File::open(&file).map_err(ArrowError::from);
            let mut reader = opened
                .and_then(|file| builder.build_buffered(BufReader::new(file)))
                .map_err(|error| failed(&error))?;
            while let Some(batch) = reader.next().transpose().map_err(|error| failed(&error))? {
                if sender.blocking_send(Ok::<RecordBatch, _>(batch)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        crossing.build()
    }
}

fn infer(file: &Path, format: &Format) -> Result<Schema, ArrowError> {
    let reader = BufReader::new(File::open(file)?);
    let (schema, _) = format.infer_schema(reader, Some(INFERENCE_ROWS_MAX))?;
    if schema.fields().is_empty() {
        return Err(ArrowError::CsvError("the file is empty".to_owned()));
    }
    Ok(schema)
}

fn bad_file(file: &Path, error: &ArrowError) -> QueryError {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    if let ArrowError::IoError(text, _) = error {
        return QueryError::new(sqlstate::IO_ERROR, format!("cannot read {name}: {text}"));
    }
    let text = error.to_string();
    let text = text.split_once("error: ").map_or(text.as_str(), |(_, detail)| detail);
    QueryError::new(
        sqlstate::BAD_COPY_FILE_FORMAT,
        format!("{name} is not CSV as its first lines are: {text}"),
    )
}
