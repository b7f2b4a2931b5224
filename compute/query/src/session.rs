//! One client's view of the query engine.
//!
//! Owns the session's DataFusion context and settings, and the way of a statement through it.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use parking_lot::Mutex;
use posthouse_types::Principal;

use crate::QueryError;
use crate::engine::Shared;
use crate::rows::rows;

/// Runs SQL for one client, as one principal.
pub struct QuerySession {
    shared: Arc<Shared>,
    principal: Principal,
    context: SessionContext,
    statement_timeout: Mutex<Option<Duration>>,
}

/// What a statement gave.
pub enum Outcome {
    /// Rows, made as they are read. Dropping the stream cancels the query.
    Rows {
        /// Their columns.
        schema: SchemaRef,
        /// The rows.
        rows: SendableRecordBatchStream,
    },
    /// A statement that gives no rows is done.
    Done {
        /// PostgreSQL's command tag without its count: `CREATE TOPIC`, `INSERT`.
        tag: String,
        /// Rows it touched, where it counts any.
        count: Option<u64>,
    },
}

impl QuerySession {
    pub(crate) fn new(shared: Arc<Shared>, principal: Principal) -> QuerySession {
        let context = SessionContext::new_with_state(
            SessionStateBuilder::new_with_default_features()
                .with_config(session_config(&shared))
                .with_runtime_env(Arc::clone(&shared.room))
                .build(),
        );
        let statement_timeout = Mutex::new(shared.config.statement_timeout);
        QuerySession { shared, principal, context, statement_timeout }
    }

    /// Runs a script of one or more statements, one after the other.
    ///
    /// Rows are made only when they are read; what they are made from is fixed now.
    ///
    /// # Errors
    /// The first statement that fails ends the script; those before it have been done.
    pub async fn execute(&self, sql: &str) -> Result<Vec<Outcome>, QueryError> {
        let context = self.context.clone();
        let text = sql.to_owned();
        let (plan, task) = self
            .shared
            .run(async move {
                let about = |error| QueryError::about(&error, &text);
                let frame = context.sql(&text).await.map_err(about)?;
                let task = frame.task_ctx();
                Ok((frame.create_physical_plan().await.map_err(about)?, task))
            })
            .await?;
        let timeout = *self.statement_timeout.lock();
        let rows = rows(Arc::clone(&self.shared), plan, Arc::new(task), timeout);
        Ok(vec![Outcome::Rows { schema: rows.schema(), rows }])
    }

    /// DataFusion's context: the catalog `posthouse` with the schema `public`, for doors that add
    /// functions and catalogs of their own.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// As whom the session acts.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
}

fn session_config(shared: &Shared) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(shared.config.threads.max(1))
        .with_batch_size(shared.config.batch_rows)
        .with_information_schema(true)
        .with_default_catalog_and_schema("posthouse", "public");
    config.options_mut().sql_parser.collect_spans = true;
    config
}
