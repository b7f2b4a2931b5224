//! One client's view of the query engine.
//!
//! Owns the session's DataFusion context and settings, and the way of a statement through it:
//! text, statement, plan, rows. Doors that prepare statements stop at the plan and go on later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider};
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::logical_expr::{LogicalPlan, Statement as PlanStatement};
use datafusion::physical_plan::collect;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use posthouse_types::Principal;

use crate::access::AccessStatements;
use crate::catalog::{CATALOG, PublicSchema, SCHEMA};
use crate::ddl::{TopicOutcome, TopicStatements};
use crate::endpoints::EndpointStatements;
use crate::engine::Shared;
use crate::error::sqlstate;
use crate::rows::{in_turn, rows};
use crate::slicing::SliceBelowLargeConstants;
use crate::statement::{
    AccessStatement, EndpointStatement, Statement, StatementKind, TopicStatement,
};
use crate::yielding::YieldAboveMultipliers;
use crate::{QueryError, functions, guard, metrics, planning};

/// Runs SQL for one client, as one principal.
pub struct QuerySession {
    shared: Arc<Shared>,
    principal: Principal,
    context: SessionContext,
    catalog: Arc<PublicSchema>,
    statement_timeout: Mutex<Option<Duration>>,
}

/// What a statement gave.
pub enum Outcome {
    /// Rows, made as they are read. Dropping the stream cancels the query.
    ///
    /// [`QueryError::from_datafusion`] translates an error of the stream.
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
                .with_physical_optimizer_rule(Arc::new(YieldAboveMultipliers))
                .with_physical_optimizer_rule(Arc::new(SliceBelowLargeConstants))
                .build(),
        );
        let catalog = Arc::new(PublicSchema::new(Arc::clone(&shared), principal.clone()));
        let database = MemoryCatalogProvider::new();
        database
            .register_schema(SCHEMA, Arc::clone(&catalog) as _)
            .expect("a catalog in memory takes any schema");
        context.register_catalog(CATALOG, Arc::new(database));
        let statement_timeout = Mutex::new(shared.config.statement_timeout);
        QuerySession { shared, principal, context, catalog, statement_timeout }
    }

    /// Runs a script of one or more statements, one after the other.
    ///
    /// Rows are made only when they are read; what they are made from is fixed now.
    ///
    /// # Errors
    /// A script that does not parse is not begun. Otherwise the first statement that fails ends it;
    /// those before it have been done.
    pub async fn execute(&self, sql: &str) -> Result<Vec<Outcome>, QueryError> {
        let mut outcomes = Vec::new();
        for statement in self.statements(sql)? {
            outcomes.push(self.run(&statement).await?);
        }
        Ok(outcomes)
    }

    /// Splits a script into statements, for a door that answers each before it begins the next.
    ///
    /// # Errors
    /// 42601 at the first place where it is not SQL.
    pub fn statements(&self, sql: &str) -> Result<Vec<Statement>, QueryError> {
        Statement::parse(sql)
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// Whatever keeps it from being done, or its first row from being made.
    pub async fn run(&self, statement: &Statement) -> Result<Outcome, QueryError> {
        match &statement.kind {
            StatementKind::Topic(topic) => self.run_topic(topic.clone()).await,
            StatementKind::Endpoint(endpoint) => self.run_endpoint(endpoint.clone()).await,
            StatementKind::Access(access) => self.run_access(access.clone()).await,
            StatementKind::SetTimeout(value) => self.set_timeout(value.as_deref()),
            StatementKind::ShowTimeout => self.show_timeout(),
            StatementKind::DataFusion(_) => {
                let began = Instant::now();
                let plan = self.plan(statement).await.inspect_err(|_| {
                    metrics::statement_ended("error", began.elapsed());
                })?;
                self.run_plan_about(plan, &statement.sql).await
            }
        }
    }

    /// Plans a statement without running it; it may hold parameters. `None` for a statement that
    /// has no plan, such as `CREATE TOPIC`: run it as it is.
    ///
    /// # Errors
    /// 42601, 42P01, 42703 and the like, with positions; 0A000 for what is never run.
    pub async fn prepare(&self, statement: &Statement) -> Result<Option<LogicalPlan>, QueryError> {
        match &statement.kind {
            StatementKind::DataFusion(_) => self.plan(statement).await.map(Some),
            _ => Ok(None),
        }
    }

    /// Runs a plan from [`QuerySession::prepare`] whose parameters have been filled in.
    ///
    /// # Errors
    /// As [`QuerySession::run`].
    pub async fn run_plan(&self, plan: LogicalPlan) -> Result<Outcome, QueryError> {
        self.run_plan_about(plan, "").await
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

    async fn plan(&self, statement: &Statement) -> Result<LogicalPlan, QueryError> {
        let StatementKind::DataFusion(parsed) = &statement.kind else {
            return Err(QueryError::internal("only DataFusion's statements have a plan"));
        };
        let (parsed, sql) = (parsed.as_ref().clone(), Arc::clone(&statement.sql));
        let (state, catalog) = (self.context.state(), Arc::clone(&self.catalog));
        self.within_timeout(async move { planning::plan(&state, &catalog, parsed, &sql).await })
            .await
    }

    async fn run_plan_about(&self, plan: LogicalPlan, sql: &str) -> Result<Outcome, QueryError> {
        guard::check_plan(&plan)?;
        match plan {
            LogicalPlan::Statement(PlanStatement::SetVariable(_)) => {
                let context = self.context.clone();
                self.within_timeout(async move {
                    context.execute_logical_plan(plan).await?;
                    Ok(Outcome::Done { tag: "SET".to_owned(), count: None })
                })
                .await
            }
            LogicalPlan::Dml(_) => self.insert(plan, sql).await,
            plan => self.query(plan, sql).await,
        }
    }

    async fn query(&self, plan: LogicalPlan, sql: &str) -> Result<Outcome, QueryError> {
        let (state, sql) = (self.context.state(), sql.to_owned());
        let pool = Arc::clone(&self.shared.room.memory_pool);
        let (plan, context, constants) = self
            .within_timeout(async move {
                let (plan, constants) = functions::count_in(&pool, plan)?;
                let physical = state.create_physical_plan(&plan).await;
                let physical = physical.map_err(|error| QueryError::about(&error, &sql))?;
                Ok((physical, state.task_ctx(), constants))
            })
            .await?;
        let timeout = *self.statement_timeout.lock();
        let rows = rows(Arc::clone(&self.shared), plan, context, timeout);
        let schema = rows.schema();
        let rows = rows.inspect(move |_| {
            let _held = &constants;
        });
        let rows = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), rows));
        Ok(Outcome::Rows { schema, rows })
    }

    async fn insert(&self, plan: LogicalPlan, sql: &str) -> Result<Outcome, QueryError> {
        let (state, sql) = (self.context.state(), sql.to_owned());
        let (shared, timeout) = (Arc::clone(&self.shared), *self.statement_timeout.lock());
        let count = self.shared.run(async move {
            let inserted = in_turn(&shared, timeout, async {
                let (plan, _constants) = functions::count_in(&shared.room.memory_pool, plan)?;
                let physical = state.create_physical_plan(&plan).await?;
                collect(physical, state.task_ctx()).await
            });
            let batches = inserted.await.map_err(|error| QueryError::about(&error, &sql))?;
            Ok(count_of(&batches))
        });
        Ok(Outcome::Done { tag: "INSERT".to_owned(), count: Some(count.await?) })
    }

    async fn run_topic(&self, statement: TopicStatement) -> Result<Outcome, QueryError> {
        let statements = TopicStatements {
            broker: Arc::clone(&self.shared.broker),
            principal: self.principal.clone(),
            catalog: Arc::clone(&self.catalog),
        };
        self.run_own(async move { statements.run(statement).await }).await
    }

    async fn run_endpoint(&self, statement: EndpointStatement) -> Result<Outcome, QueryError> {
        let statements = EndpointStatements {
            broker: Arc::clone(&self.shared.broker),
            principal: self.principal.clone(),
        };
        self.run_own(async move { statements.run(statement).await }).await
    }

    async fn run_access(&self, statement: AccessStatement) -> Result<Outcome, QueryError> {
        let statements = AccessStatements {
            broker: Arc::clone(&self.shared.broker),
            principal: self.principal.clone(),
        };
        self.run_own(async move { statements.run(statement).await }).await
    }

    /// Runs a statement that DataFusion has no part in.
    async fn run_own(
        &self,
        work: impl Future<Output = Result<TopicOutcome, QueryError>> + Send + 'static,
    ) -> Result<Outcome, QueryError> {
        let began = Instant::now();
        let outcome = self.within_timeout(work).await;
        metrics::statement_ended(if outcome.is_ok() { "ok" } else { "error" }, began.elapsed());
        Ok(match outcome? {
            TopicOutcome::Done(tag) => Outcome::Done { tag: tag.to_owned(), count: None },
            TopicOutcome::Rows(batch) => at_once(batch),
        })
    }

    fn set_timeout(&self, value: Option<&str>) -> Result<Outcome, QueryError> {
        let timeout = match value {
            None => self.shared.config.statement_timeout,
            Some(text) => parse_timeout(text)?,
        };
        *self.statement_timeout.lock() = timeout;
        Ok(Outcome::Done { tag: "SET".to_owned(), count: None })
    }

    fn show_timeout(&self) -> Result<Outcome, QueryError> {
        let text = match *self.statement_timeout.lock() {
            None => "0".to_owned(),
            Some(timeout) => format!("{}ms", timeout.as_millis()),
        };
        let schema = Schema::new(vec![Field::new("statement_timeout", DataType::Utf8, false)]);
        let column = Arc::new(StringArray::from(vec![text]));
        let batch = RecordBatch::try_new(Arc::new(schema), vec![column])
            .map_err(|error| QueryError::internal(error.to_string()))?;
        Ok(at_once(batch))
    }

    async fn within_timeout<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        let timeout = *self.statement_timeout.lock();
        self.shared
            .run(async move {
                match timeout {
                    None => work.await,
                    Some(timeout) => tokio::time::timeout(timeout, work)
                        .await
                        .unwrap_or_else(|_| Err(QueryError::timed_out())),
                }
            })
            .await
    }
}

fn session_config(shared: &Shared) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(shared.config.threads.max(1))
        .with_batch_size(shared.config.batch_rows)
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    // Each thread of a sort keeps this much back for merging what it spilled; DataFusion's 10 MB
    // would be all of a small limit.
    let part = shared.config.memory.as_usize() / (8 * shared.config.threads.max(1));
    let execution = &mut options.execution;
    execution.sort_spill_reservation_bytes = execution.sort_spill_reservation_bytes.min(part);
    config
}

/// A result that needs no query.
fn at_once(batch: RecordBatch) -> Outcome {
    let schema = batch.schema();
    let rows = RecordBatchStreamAdapter::new(Arc::clone(&schema), stream::iter([Ok(batch)]));
    Outcome::Rows { schema, rows: Box::pin(rows) }
}

/// The count that a DataFusion sink gives as its one row.
fn count_of(batches: &[RecordBatch]) -> u64 {
    let counts = batches.iter().filter_map(|batch| batch.columns().first());
    counts
        .filter_map(|column| column.as_primitive_opt::<UInt64Type>())
        .flat_map(|column| column.iter().flatten())
        .sum()
}

/// PostgreSQL's `statement_timeout`: milliseconds, or a number with a unit; 0 is no limit.
fn parse_timeout(text: &str) -> Result<Option<Duration>, QueryError> {
    let text = text.trim();
    let digits_len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits_len);
    let scale_ms: Option<u64> = match unit.trim() {
        "" | "ms" => Some(1),
        "s" => Some(1000),
        "min" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let timeout_ms = digits
        .parse::<u64>()
        .ok()
        .zip(scale_ms)
        .and_then(|(number, scale)| number.checked_mul(scale));
    match timeout_ms {
        Some(0) => Ok(None),
        Some(ms) => Ok(Some(Duration::from_millis(ms))),
        None => Err(QueryError::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            format!("\"{text}\" is no statement_timeout"),
        )
        .with_hint("a number of milliseconds, or one with ms, s, min, h or d; 0 is no limit")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_postgres_units() {
        assert_eq!(parse_timeout("250").unwrap(), Some(Duration::from_millis(250)));
        assert_eq!(parse_timeout("2 min").unwrap(), Some(Duration::from_secs(120)));
        assert_eq!(parse_timeout("0").unwrap(), None);
        assert_eq!(parse_timeout("soon").unwrap_err().sqlstate, "22023");
    }
}
