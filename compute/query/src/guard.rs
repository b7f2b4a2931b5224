//! Statements that are refused, each with what to do instead.
//!
//! Owns the list of what SQL may do here: read topics and files, and insert into topics. All else
//! that DataFusion would run (tables in memory, files written, views) is refused by name, because it
//! would be lost with the session or write where nobody expects.

use datafusion::logical_expr::{LogicalPlan, Statement as PlanStatement};
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::{ObjectType, Statement as Sql};

use crate::QueryError;

/// Settings of DataFusion that a session may change: those that only its own queries feel.
const SETTINGS_OPEN: [&str; 4] = [
    "datafusion.explain.",
    "datafusion.optimizer.",
    "datafusion.execution.time_zone",
    "datafusion.sql_parser.default_null_ordering",
];

/// Refuses a statement that is never run.
pub(crate) fn check_statement(statement: &DataFusionStatement) -> Result<(), QueryError> {
    match statement {
        DataFusionStatement::Statement(sql) => check_sql(sql),
        DataFusionStatement::Explain(explain) => check_statement(&explain.statement),
        DataFusionStatement::CopyTo(_) => {
            refuse("COPY TO a file", Some("psql writes files with \\copy (SELECT …) TO 'file'"))
        }
        DataFusionStatement::CreateExternalTable(_) => refuse(
            "CREATE EXTERNAL TABLE",
            Some("name the file where a table is expected: SELECT … FROM 'file.csv'"),
        ),
        DataFusionStatement::Reset(_) => refuse("RESET of this setting", None),
    }
}

/// Refuses a plan that writes anything but records, whatever statement it came from.
pub(crate) fn check_plan(plan: &LogicalPlan) -> Result<(), QueryError> {
    match plan {
        LogicalPlan::Ddl(_) => refuse("a statement that makes or drops tables", None),
        LogicalPlan::Copy(_) => refuse("COPY TO a file", None),
        LogicalPlan::Statement(PlanStatement::SetVariable(set)) => check_setting(&set.variable),
        LogicalPlan::Statement(statement) => refuse(statement.name(), None),
        _ => Ok(()),
    }
}

fn check_sql(sql: &Sql) -> Result<(), QueryError> {
    const GROWS: Option<&str> =
        Some("a topic only grows; insert a newer record of the same key instead");
    match sql {
        Sql::Query(_)
        | Sql::Explain { .. }
        | Sql::ExplainTable { .. }
        | Sql::Insert(_)
        | Sql::Set(_)
        | Sql::ShowVariable { .. }
        | Sql::ShowTables { .. }
        | Sql::ShowColumns { .. }
        | Sql::ShowFunctions { .. } => Ok(()),
        Sql::CreateTable(_) => {
            refuse("CREATE TABLE", Some("tables are topics: CREATE TOPIC name (column type, …)"))
        }
        Sql::CreateView(_) => refuse("CREATE VIEW", Some("write the query as WITH name AS (…)")),
        Sql::Update(_) => refuse("UPDATE", GROWS),
        Sql::Delete(_) => refuse("DELETE", GROWS),
        Sql::Truncate { .. } => refuse("TRUNCATE", GROWS),
        Sql::Merge { .. } => refuse("MERGE", GROWS),
        Sql::Drop { object_type: ObjectType::Table, .. } => {
            refuse("DROP TABLE", Some("tables are topics: DROP TOPIC name"))
        }
        Sql::AlterTable { .. } => refuse(
            "ALTER TABLE",
            Some("tables are topics: ALTER TOPIC name ADD COLUMN column type"),
        ),
        Sql::StartTransaction { .. } | Sql::Commit { .. } | Sql::Rollback { .. } => {
            refuse("a transaction", Some("every statement is durable when it returns"))
        }
        other => {
            let text = other.to_string();
            let words: Vec<&str> = text.split_whitespace().take(2).collect();
            refuse(&words.join(" "), None)
        }
    }
}

fn check_setting(variable: &str) -> Result<(), QueryError> {
    if SETTINGS_OPEN.iter().any(|open| variable.starts_with(open)) {
        return Ok(());
    }
    refuse(&format!("SET {variable}"), Some("a session may set statement_timeout"))
}

fn refuse(what: &str, hint: Option<&str>) -> Result<(), QueryError> {
    let mut error = QueryError::unsupported(format!("{what} is not supported"));
    error.hint = hint.map(str::to_owned);
    Err(error)
}
