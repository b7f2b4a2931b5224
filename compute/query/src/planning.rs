//! From a parsed statement to a logical plan.
//!
//! Owns what is done around DataFusion's planner: an `INSERT` without a column list means the
//! declared columns, and an unknown table is told with its place and a name that is near.

use std::any::Any;
use std::ops::ControlFlow;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::{
    Ident, Insert, ObjectName, ObjectNamePart, Query, SetExpr, Statement as Sql, TableObject,
    visit_relations,
};

use crate::catalog::{CATALOG, PublicSchema};
use crate::columns::{SystemColumn, TopicColumns};
use crate::ddl::with_near_topic;
use crate::error::{nearest, sqlstate};
use crate::position::char_position;
use crate::statement::fold;
use crate::topic::TopicTable;
use crate::{QueryError, expansion, guard};

/// Plans a statement of the script `sql`.
pub(crate) async fn plan(
    state: &SessionState,
    catalog: &PublicSchema,
    mut statement: DataFusionStatement,
    sql: &str,
) -> Result<LogicalPlan, QueryError> {
    guard::check_statement(&statement)?;
    expansion::check(&statement)?;
    if let Some(insert) = insert_of(&mut statement) {
        name_columns(catalog, insert, sql).await?;
    }
    match state.statement_to_plan(statement.clone()).await {
        Ok(plan) => {
            guard::check_plan(&plan)?;
            check_reading(&plan)?;
            Ok(plan)
        }
        Err(error) => {
            let error = QueryError::about(&error, sql);
            Err(explain_unknown_table(error, catalog, &statement, sql).await)
        }
    }
}

/// Refuses to plan what may not be read: `EXPLAIN` would show it with its failure inside.
fn check_reading(plan: &LogicalPlan) -> Result<(), QueryError> {
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(topic) = (provider.as_ref() as &dyn Any).downcast_ref::<TopicTable>()
        {
            topic.check_read()?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn insert_of(statement: &mut DataFusionStatement) -> Option<&mut Insert> {
    match statement {
        DataFusionStatement::Statement(sql) => match sql.as_mut() {
            Sql::Insert(insert) => Some(insert),
            _ => None,
        },
        DataFusionStatement::Explain(explain) => insert_of(&mut explain.statement),
        _ => None,
    }
}

/// Checks an INSERT's columns, and gives it those it leaves out: the declared ones, or `_value`.
async fn name_columns(
    catalog: &PublicSchema,
    insert: &mut Insert,
    sql: &str,
) -> Result<(), QueryError> {
    let TableObject::TableName(table) = &insert.table else { return Ok(()) };
    let Some(table) = table.0.last().and_then(ObjectNamePart::as_ident) else { return Ok(()) };
    // A table that is not there is the planner's to report.
    let Some(topic) = catalog.topic(&fold(table)).await? else { return Ok(()) };
    let columns = TopicColumns::of(&topic)?;
    if insert.columns.is_empty() {
        let named = |name: &str| ObjectName::from(Ident::with_quote('"', name));
        insert.columns = match columns.declared.as_slice() {
            [] => vec![named(SystemColumn::Value.name())],
            declared => declared.iter().map(|column| named(&column.name)).collect(),
        };
        // Shorter rows leave the last columns NULL, as in PostgreSQL.
        if let Some(width) = insert.source.as_ref().and_then(|source| width_of(source)) {
            insert.columns.truncate(width.max(1));
        }
        return Ok(());
    }
    let mut value_given = false;
    let mut declared_given = false;
    for name in &insert.columns {
        let Some(ident) = name.0.last().and_then(ObjectNamePart::as_ident) else { continue };
        match SystemColumn::named(&fold(ident)) {
            Some(column @ (SystemColumn::Offset | SystemColumn::Error)) => {
                let message = format!("column {} is given by the log", column.name());
                return Err(QueryError::new(sqlstate::GENERATED_ALWAYS, message)
                    .at(position_of(ident, sql)));
            }
            Some(SystemColumn::Value) => value_given = true,
            Some(_) => {}
            None => {
                declared_given = true;
                check_declared(&columns, ident, sql)?;
            }
        }
    }
    if value_given && declared_given {
        return Err(QueryError::new(
            sqlstate::SYNTAX_ERROR,
            "_value is the whole value; it cannot be given together with declared columns",
        ));
    }
    Ok(())
}

fn check_declared(columns: &TopicColumns, ident: &Ident, sql: &str) -> Result<(), QueryError> {
    let name = fold(ident);
    if columns.declared.iter().any(|column| column.name == name) {
        return Ok(());
    }
    let message = format!("column {name} does not exist");
    let error = QueryError::new(sqlstate::UNDEFINED_COLUMN, message).at(position_of(ident, sql));
    let names = columns.schema.fields().iter().map(|field| field.name().as_str());
    Err(match nearest(&name, names) {
        Some(near) => error.with_hint(format!("perhaps you meant \"{near}\"")),
        None => error,
    })
}

/// The number of values in each row of a `VALUES`.
fn width_of(source: &Query) -> Option<usize> {
    match source.body.as_ref() {
        SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
        _ => None,
    }
}

async fn explain_unknown_table(
    error: QueryError,
    catalog: &PublicSchema,
    statement: &DataFusionStatement,
    sql: &str,
) -> QueryError {
    if error.sqlstate != sqlstate::UNDEFINED_TABLE {
        return error;
    }
    let Some((name, position)) = named_in(&error.message, statement, sql) else { return error };
    // A name outside of the schema comes with it.
    if !name.starts_with(CATALOG)
        && let Err(denied) = catalog.topic(&name).await
    {
        return denied.at(position);
    }
    with_near_topic(error.at(position), catalog, &name).await
}

/// The table that a message is about, and where the statement first names it.
fn named_in(
    message: &str,
    statement: &DataFusionStatement,
    sql: &str,
) -> Option<(String, Option<usize>)> {
    let name = message.split('"').nth(1)?.to_owned();
    let statement = match statement {
        DataFusionStatement::Explain(explain) => explain.statement.as_ref(),
        other => other,
    };
    let DataFusionStatement::Statement(parsed) = statement else { return Some((name, None)) };
    let mut position = None;
    let _ = visit_relations(parsed.as_ref(), |relation: &ObjectName| {
        let last = relation.0.last().and_then(ObjectNamePart::as_ident);
        match last.filter(|ident| name == fold(ident) || name.ends_with(&fold(ident))) {
            Some(ident) => {
                position = position_of(ident, sql);
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        }
    });
    Some((name, position))
}

fn position_of(ident: &Ident, sql: &str) -> Option<usize> {
    char_position(sql, ident.span.start.line, ident.span.start.column)
}
