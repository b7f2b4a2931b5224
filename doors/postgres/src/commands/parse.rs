//! `Parse`: a statement's text, planned and kept.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ParamValues, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan};
use pgwire::api::Type;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::extendedquery::ParseComplete;
use posthouse_query::{Outcome, QueryError, Statement};
use tokio::io::{AsyncRead, AsyncWrite};

use super::set::show_schema;
use super::{Exchange, Watch, watched};
use crate::errors::{Failure, Stop};
use crate::session::{Body, Parameter, Prepared, Tag};
use crate::sql::{OwnStatement, own_statement, pieces, with_postgres_names};

/// LIMIT: SPEC: `Bind` counts its parameters in 16 bits.
const PARAMETERS_MAX: usize = 65_535;

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    pub(super) async fn parse(
        &mut self,
        name: &str,
        sql: &str,
        declared: &[u32],
    ) -> Result<(), Stop> {
        let watch = self.watch();
        let prepared = self.prepare(sql, declared, &watch).await;
        self.registration.running.end();
        self.session.put_statement(name, Arc::new(prepared?))?;
        Ok(self.send(&PgWireBackendMessage::ParseComplete(ParseComplete::new()))?)
    }

    async fn prepare(
        &mut self,
        sql: &str,
        declared: &[u32],
        watch: &Watch,
    ) -> Result<Prepared, Stop> {
        let found = pieces(sql);
        let prepared = |body, parameters, schema| {
            Ok(Prepared { sql: sql.to_owned(), body, parameters, schema })
        };
        let piece = match &found[..] {
            [] => return prepared(Body::Empty, Vec::new(), None),
            [piece] => piece,
            _ => return Err(Failure::SeveralCommands.into()),
        };
        let own =
            own_statement(piece).map_err(|failure| failure.moved_by(piece.characters_before))?;
        self.check_transaction(own.as_ref())?;
        if let Some(own) = own {
            let schema = match &own {
                OwnStatement::Show(name) => Some(show_schema(name)),
                OwnStatement::Fetch { cursor, is_move: false, .. } => {
                    self.session.portal(cursor).and_then(|portal| portal.prepared.schema.clone())
                }
                _ => None,
            };
            return prepared(Body::Own(own), Vec::new(), schema);
        }
        let rewritten = self.door.catalog.rewrite(piece);
        let text = rewritten.as_deref().unwrap_or(piece.sql);
        let in_place = |error| {
            let failure = Failure::from(error);
            if rewritten.is_some() {
                failure.without_position()
            } else {
                failure.moved_by(piece.characters_before)
            }
        };
        let statements = self.query.statements(text).map_err(in_place)?;
        let [statement] = &statements[..] else { return Err(Failure::SeveralCommands.into()) };
        let planned = watched(watch, self.query.prepare(statement)).await?;
        let tag = Tag::of(&piece.first_word());
        let Some(plan) = planned.map_err(in_place)? else {
            let schema = self.schema_by_running(statement, watch).await?;
            return prepared(Body::Statement(Box::new(statement.clone()), tag), Vec::new(), schema);
        };
        let parameters = parameters(&plan, declared)?;
        let schema = self.schema_of(&plan, &parameters)?;
        let schema = schema.map(|schema| with_postgres_names(piece.sql, schema));
        prepared(Body::Plan(Box::new(plan), tag), parameters, schema)
    }

    /// The columns of the plan's result once its parameters have values; `None` when it has none.
    fn schema_of(
        &self,
        plan: &LogicalPlan,
        parameters: &[Parameter],
    ) -> Result<Option<SchemaRef>, Failure> {
        if matches!(plan, LogicalPlan::Dml(_) | LogicalPlan::Ddl(_) | LogicalPlan::Statement(_)) {
            return Ok(None);
        }
        let nulls = parameters.iter().map(|parameter| {
            let null = ScalarValue::try_new_null(&parameter.arrow_type());
            Ok(ScalarAndMetadata::from(null?))
        });
        let nulls: Result<Vec<_>, DataFusionError> = nulls.collect();
        let state = self.query.context().state();
        let analyzed = nulls
            .and_then(|nulls| plan.clone().replace_params_with_values(&ParamValues::List(nulls)))
            .and_then(|plan| {
                state.analyzer().execute_and_check(plan, state.config_options(), |_, _| ())
            });
        let plan = analyzed.map_err(QueryError::from)?;
        Ok(Some(Arc::new(plan.schema().as_arrow().clone())))
    }

    /// A statement without a plan changes nothing if it gives rows, so that running it and leaving
    /// its rows unread tells its columns.
    async fn schema_by_running(
        &mut self,
        statement: &Statement,
        watch: &Watch,
    ) -> Result<Option<SchemaRef>, Stop> {
        if !statement.gives_rows() {
            return Ok(None);
        }
        match watched(watch, self.query.run(statement)).await?? {
            Outcome::Rows { schema, .. } => Ok(Some(schema)),
            Outcome::Done { .. } => Ok(None),
        }
    }
}

impl Parameter {
    /// What it is taken as when nothing says: text, as PostgreSQL does.
    fn arrow_type(&self) -> DataType {
        self.arrow.clone().or_else(|| arrow_type(&self.wire)).unwrap_or(DataType::Utf8)
    }
}

/// The parameters of a plan, in order, with what the client declared of them.
fn parameters(plan: &LogicalPlan, declared: &[u32]) -> Result<Vec<Parameter>, Failure> {
    let inferred = inferred_fields(plan)?;
    let highest = inferred.keys().copied().max().unwrap_or(0).max(declared.len());
    if highest > PARAMETERS_MAX {
        return Err(Failure::TooMany { what: "parameters", max: PARAMETERS_MAX });
    }
    let parameter = |number: usize| {
        let oid = declared.get(number - 1).copied().filter(|oid| *oid != 0);
        let declared = oid.and_then(Type::from_oid).filter(|declared| *declared != Type::UNKNOWN);
        let inferred = inferred.get(&number).cloned().flatten();
        let is_declared = declared.is_some();
        let wire = declared.or_else(|| inferred.as_ref().and_then(wire_type)).unwrap_or(Type::TEXT);
        Parameter { wire, is_declared, arrow: inferred.map(|field| field.data_type().clone()) }
    };
    Ok((1..=highest).map(parameter).collect())
}

/// `$1` and so on by number, with the type that their surroundings give them.
fn inferred_fields(plan: &LogicalPlan) -> Result<HashMap<usize, Option<FieldRef>>, Failure> {
    let named = plan.get_parameter_fields().map_err(QueryError::from)?;
    let casts = cast_fields(plan)?;
    named
        .into_iter()
        .map(|(name, inferred)| {
            let number = name.strip_prefix('$').and_then(|number| number.parse().ok());
            let number = number.filter(|number| *number > 0).ok_or_else(|| Failure::Syntax {
                message: format!("there is no parameter {name}"),
                position: None,
            })?;
            let inferred = inferred.or_else(|| casts.get(&name).cloned());
            Ok((number, inferred.filter(|field| *field.data_type() != DataType::Null)))
        })
        .collect()
}

/// What a client encodes a value of this field as. Columns of object ids are integers here, but
/// drivers that look a type up by its id send it as one.
fn wire_type(field: &FieldRef) -> Option<Type> {
    let alias = field.metadata().get(arrow_pg::datatypes::PG_OID_ALIAS_KEY);
    if *field.data_type() == DataType::Int32 && alias.is_some_and(|alias| alias == "oid") {
        return Some(Type::OID);
    }
    let wire = arrow_pg::datatypes::into_pg_type(field.data_type()).ok();
    wire.filter(|wire| *wire != Type::UNKNOWN)
}

/// `$1::type` gives a type that the planner does not infer.
fn cast_fields(plan: &LogicalPlan) -> Result<HashMap<String, FieldRef>, Failure> {
    let mut fields = HashMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|expression| {
                if let Expr::Cast(cast) = expression
                    && let Expr::Placeholder(placeholder) = cast.expr.as_ref()
                {
                    fields.insert(placeholder.id.clone(), Arc::clone(&cast.field));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })
    .map_err(QueryError::from)?;
    Ok(fields)
}

/// What arrow-pg decodes a parameter of this type to.
fn arrow_type(wire: &Type) -> Option<DataType> {
    use datafusion::arrow::datatypes::TimeUnit::Microsecond;
    Some(match *wire {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIMESTAMP => DataType::Timestamp(Microsecond, None),
        Type::TEXT | Type::VARCHAR | Type::UUID | Type::JSON | Type::JSONB => DataType::Utf8,
        _ => return None,
    })
}
