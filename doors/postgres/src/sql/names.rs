//! What the columns of a result are called when the query does not say.
//!
//! DataFusion names a column after its whole expression (`count(*)`, `Int64(1)`); PostgreSQL after
//! the function, the type of a cast, or `?column?`, and tools show what they are told. Only the
//! description of the result changes: within a query an expression keeps its own name.
//!
//! SPEC: PostgreSQL, "SELECT", "Select list"; the rules are those of `FigureColname` in its
//! `parse_target.c`.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, DataType, Expr, Ident, ObjectName, Query, Select, SelectItem, SetExpr, Statement,
    TrimWhereField,
};
use posthouse_query::PostgresDialect;

/// The name of what has none.
const UNNAMED: &str = "?column?";

/// The schema with PostgreSQL's names in the places where `sql` gives none.
pub(crate) fn with_postgres_names(sql: &str, schema: SchemaRef) -> SchemaRef {
    // A plain name was given, or is a column's own.
    let is_plain =
        |field: &Arc<Field>| field.name().bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric());
    if schema.fields().iter().all(is_plain) {
        return schema;
    }
    let Some(names) = names_in(sql, schema.fields().len()) else { return schema };
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .zip(names)
        .map(|(field, name)| match name {
            Some(name) => Arc::new(field.as_ref().clone().with_name(name)),
            None => Arc::clone(field),
        })
        .collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// A name for each of `width` columns, or `None` where the engine's is right.
fn names_in(sql: &str, width: usize) -> Option<Vec<Option<String>>> {
    let statements = PostgresDialect::of(sql).parser(sql).ok()?.parse_statements().ok()?;
    let [Statement::Query(query)] = &statements[..] else { return None };
    let items = &first_select(query)?.projection;
    let is_wildcard = |item: &&SelectItem| {
        matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
    };
    let wildcards = items.iter().filter(is_wildcard).count();
    // How many columns each of several wildcards stands for is not known here.
    let spread = match wildcards {
        0 if items.len() == width => 0,
        1 => (width + 1).checked_sub(items.len())?,
        _ => return None,
    };
    let mut names = Vec::with_capacity(width);
    for item in items {
        match item {
            SelectItem::UnnamedExpr(expr) => names.push(Some(name_of(expr))),
            item if is_wildcard(&item) => names.extend(std::iter::repeat_n(None, spread)),
            _ => names.push(None),
        }
    }
    Some(names)
}

/// The part of a query that names its columns.
fn first_select(query: &Query) -> Option<&Select> {
    let mut body = query.body.as_ref();
    loop {
        body = match body {
            SetExpr::Select(select) => return Some(select),
            SetExpr::Query(query) => query.body.as_ref(),
            SetExpr::SetOperation { left, .. } => left.as_ref(),
            _ => return None,
        };
    }
}

fn name_of(expr: &Expr) -> String {
    match figure(expr) {
        Figured::Nothing => UNNAMED.to_owned(),
        Figured::Weak(name) | Figured::Strong(name) => name,
    }
}

/// How sure a name is. A cast takes the name of what it casts if that is strong, else its type's.
enum Figured {
    Nothing,
    Weak(String),
    Strong(String),
}

fn figure(expr: &Expr) -> Figured {
    let strong = |name: &str| Figured::Strong(name.to_owned());
    match expr {
        Expr::Identifier(ident) => Figured::Strong(spelt(ident)),
        Expr::CompoundIdentifier(parts) => last(parts),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                AccessExpr::Dot(field) => Some(figure(field)),
                AccessExpr::Subscript(_) => None,
            });
            field.unwrap_or_else(|| figure(root))
        }
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => figure(inner),
        Expr::Cast { expr, data_type, .. } => match figure(expr) {
            Figured::Strong(name) => Figured::Strong(name),
            _ => Figured::Weak(type_name(data_type)),
        },
        Expr::TypedString(typed) => Figured::Weak(type_name(&typed.data_type)),
        Expr::Interval(_) => Figured::Weak("interval".to_owned()),
        Expr::Function(function) => last_of(&function.name),
        Expr::Case { else_result, .. } => match else_result.as_deref().map(figure) {
            Some(Figured::Strong(name)) => Figured::Strong(name),
            _ => Figured::Weak("case".to_owned()),
        },
        Expr::Subquery(query) => match first_select(query).map(|select| &select.projection[..]) {
            Some([SelectItem::UnnamedExpr(expr)]) => figure(expr),
            Some([SelectItem::ExprWithAlias { alias, .. }]) => Figured::Strong(spelt(alias)),
            _ => Figured::Nothing,
        },
        Expr::Exists { .. } => strong("exists"),
        Expr::Array(_) => strong("array"),
        Expr::Extract { .. } => strong("extract"),
        Expr::Ceil { .. } => strong("ceil"),
        Expr::Floor { .. } => strong("floor"),
        Expr::Position { .. } => strong("position"),
        Expr::Substring { .. } => strong("substring"),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::AtTimeZone { .. } => strong("timezone"),
        Expr::Tuple(_) => strong("row"),
        Expr::Trim { trim_where, .. } => strong(match trim_where {
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
            Some(TrimWhereField::Both) | None => "btrim",
        }),
        _ => Figured::Nothing,
    }
}

fn last(parts: &[Ident]) -> Figured {
    parts.last().map_or(Figured::Nothing, |ident| Figured::Strong(spelt(ident)))
}

fn last_of(name: &ObjectName) -> Figured {
    let ident = name.0.last().and_then(|part| part.as_ident());
    ident.map_or(Figured::Nothing, |ident| Figured::Strong(spelt(ident)))
}

/// An identifier as PostgreSQL takes it: lowercase unless quoted.
fn spelt(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

/// PostgreSQL's own name of a type, as `pg_type` has it.
fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::SmallInt(_) | DataType::Int2(_) => "int2",
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => "int4",
        DataType::BigInt(_) | DataType::Int8(_) => "int8",
        DataType::Real | DataType::Float4 => "float4",
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float8 | DataType::Float(_) => {
            "float8"
        }
        DataType::Numeric(_) | DataType::Decimal(_) => "numeric",
        DataType::Boolean | DataType::Bool => "bool",
        DataType::Varchar(_) | DataType::CharVarying(_) | DataType::CharacterVarying(_) => {
            "varchar"
        }
        DataType::Char(_) | DataType::Character(_) => "bpchar",
        DataType::Timestamp(_, zone) => match zone.to_string().contains("WITH TIME ZONE") {
            true => "timestamptz",
            false => "timestamp",
        },
        other => return other.to_string().to_lowercase(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::DataType as ArrowType;

    use super::*;

    fn check(list: &str, expected: &[&str]) {
        let sql = format!("SELECT {list} FROM t");
        let names = names_in(&sql, expected.len()).unwrap();
        let names: Vec<_> = names.iter().map(|name| name.as_deref().unwrap_or("-")).collect();
        assert_eq!(names, expected, "{sql}");
    }

    // The expectations are PostgreSQL 16's answers.
    #[test]
    fn columns_are_called_what_postgresql_calls_them() {
        check("a, t.b, \"C\", D", &["a", "b", "C", "d"]);
        check("count(*), COUNT(a), pg_catalog.version()", &["count", "count", "version"]);
        check("1, 'a', NULL, a + 1, -a, NOT b, a IS NULL", &["?column?"; 7]);
        check("a::text, 1::bigint, '1'::float, (1)", &["a", "int8", "float8", "?column?"]);
        check("CAST(sum(a) AS INT), date '2013-01-01'", &["sum", "date"]);
        check("CASE WHEN a THEN 1 END, CASE WHEN a THEN 1 ELSE b END", &["case", "b"]);
        check("(SELECT max(x) FROM u), EXISTS (SELECT 1), ARRAY[1]", &["max", "exists", "array"]);
        check("extract(hour FROM a), trim(a), coalesce(a, 1)", &["extract", "btrim", "coalesce"]);
        check("now(), current_date, interval '1 day'", &["now", "current_date", "interval"]);
    }

    #[test]
    fn names_that_were_given_stay() {
        check("a AS x, 1 AS \"Y\"", &["-", "-"]);
        check("*, 1", &["-", "-", "-", "?column?"]);
        check("1, t.*", &["?column?", "-", "-"]);
        assert_eq!(names_in("SELECT t.*, u.*, 1 FROM t, u", 5), None);
        assert_eq!(names_in("SELECT 1, 2", 3), None);
        assert_eq!(names_in("SHOW TABLES", 1), None);
    }

    #[test]
    fn a_union_is_named_by_its_first_part() {
        let names = names_in("WITH w AS (SELECT 2) (SELECT 1) UNION SELECT count(*) FROM w", 1);
        assert_eq!(names, Some(vec![Some("?column?".to_owned())]));
    }

    #[test]
    fn only_the_names_of_a_schema_change() {
        let field = |name: &str| Field::new(name, ArrowType::Int64, true);
        let schema = Arc::new(Schema::new(vec![field("a"), field("Int64(1)")]));
        let renamed = with_postgres_names("SELECT a, 1 FROM t", schema);
        assert_eq!(*renamed, Schema::new(vec![field("a"), field("?column?")]));
    }
}
