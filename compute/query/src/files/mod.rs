//! Files as tables: `SELECT … FROM 'weather.csv'`.
//!
//! Owns which files may be read and how their format is told. A name is a file's when it ends in a
//! known extension, or is a folder (`data/`) or a pattern (`data/*.csv`) of such files. CSV is read
//! by [`csv`]; Parquet and JSON by DataFusion.
//!
//! # Invariants
//! - Under [`FileAccess::Under`], every file read lies below the directory after links are followed.
//! - Files are only read, never written.

mod csv;
mod path;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, Statistics};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

pub(crate) use self::path::looks_like_file;
use crate::engine::Shared;
use crate::error::sqlstate;
use crate::{FileAccess, QueryError};

/// The table of the file or files that `name` is; `None` when it does not look like a file.
///
/// # Errors
/// 58P01 when there is no such file, 42501 when it may not be read, 22P04 when it is not what its
/// extension says.
pub(crate) async fn table(
    shared: &Arc<Shared>,
    name: &str,
) -> Result<Option<Arc<dyn TableProvider>>, QueryError> {
    if !looks_like_file(name) {
        return Ok(None);
    }
    let (access, wanted) = (shared.config.files.clone(), name.to_owned());
    let found = tokio::task::spawn_blocking(move || find(&access, &wanted)).await;
    let (kind, files) = found.map_err(|_| QueryError::cancelled())??;
    let inner: Arc<dyn TableProvider> = match kind {
        FileKind::Csv => {
            let table = csv::CsvTable::open(files, &shared.config.csv_null_regex).await?;
            return Ok(Some(Arc::new(table)));
        }
        FileKind::Parquet => listing(shared, &files, Arc::new(ParquetFormat::default())).await?,
        FileKind::Json => listing(shared, &files, Arc::new(JsonFormat::default())).await?,
    };
    Ok(Some(Arc::new(ReadOnly(inner))))
}

/// A format, by extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileKind {
    Csv,
    Parquet,
    Json,
}

impl FileKind {
    fn of(path: &Path) -> Option<FileKind> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "csv" => FileKind::Csv,
            "parquet" => FileKind::Parquet,
            "json" | "ndjson" | "jsonl" => FileKind::Json,
            _ => return None,
        })
    }
}

/// The files, in order of name, and their one format.
fn find(access: &FileAccess, name: &str) -> Result<(FileKind, Vec<PathBuf>), QueryError> {
    let root = match access {
        FileAccess::Off => {
            return Err(QueryError::new(
                sqlstate::INSUFFICIENT_PRIVILEGE,
                format!("\"{name}\" is no topic, and this node does not read files"),
            ));
        }
        FileAccess::Under(root) => Some(root.as_path()),
        FileAccess::Anywhere => None,
    };
    let files = path::expand(root, name)?;
    let mut kinds = files.iter().filter_map(|file| FileKind::of(file));
    let Some(kind) = kinds.next() else {
        return Err(QueryError::new(
            sqlstate::UNDEFINED_FILE,
            format!("there is no .csv, .parquet, .json, .ndjson or .jsonl file in \"{name}\""),
        ));
    };
    if kinds.any(|other| other != kind) {
        return Err(QueryError::new(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("\"{name}\" holds files of more than one format"),
        )
        .with_hint("name one format with a pattern such as 'folder/*.csv'"));
    }
    let files = files.into_iter().filter(|file| FileKind::of(file) == Some(kind)).collect();
    Ok((kind, files))
}

/// DataFusion's own table over files.
async fn listing(
    shared: &Arc<Shared>,
    files: &[PathBuf],
    format: Arc<dyn FileFormat>,
) -> Result<Arc<dyn TableProvider>, QueryError> {
    let urls: Result<Vec<_>> =
        files.iter().map(|file| ListingTableUrl::parse(file.to_string_lossy())).collect();
    let context = SessionContext::new_with_config_rt(Default::default(), Arc::clone(&shared.room));
    let options = ListingOptions::new(format).with_file_extension("");
    let config = ListingTableConfig::new_with_multi_paths(urls?)
        .with_listing_options(options)
        .infer_schema(&context.state())
        .await?;
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// A table that is never written to.
#[derive(Debug)]
struct ReadOnly(Arc<dyn TableProvider>);

#[async_trait]
impl TableProvider for ReadOnly {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        self.0.table_type()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        self.0.supports_filters_pushdown(filters)
    }

    fn statistics(&self) -> Option<Statistics> {
        self.0.statistics()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.scan(state, projection, filters, limit).await
    }
}
