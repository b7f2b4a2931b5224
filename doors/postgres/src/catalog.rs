//! `pg_catalog`: the tables and functions by which clients find out what there is.
//!
//! The tables, and the rewriting of clients' queries into what DataFusion plans, are
//! datafusion-pg-catalog's. Owns their installation in a session, what of them depends on the
//! session, and when a query is rewritten at all: a query that names nothing of PostgreSQL's is run
//! as it was written, so that errors keep their positions.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::{DataFusionError, exec_err};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArguments, ObjectNamePart, Statement, visit_expressions_mut,
};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::generate_series_arg_coercion::CoerceIntArgsToBigInt;
use datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;
use datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables};
use datafusion_pg_catalog::setup_pg_catalog;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use posthouse_query::PostgresDialect;

use crate::functions::{Identity, functions};
use crate::roles::Roles;
use crate::sql::Piece;

/// The words that only a query about the system, or in PostgreSQL's own idiom, has.
const SYSTEM_WORDS: [&str; 20] = [
    "regclass",
    "regtype",
    "regproc",
    "regprocedure",
    "regnamespace",
    "regrole",
    "regoper",
    "regoperator",
    "regconfig",
    "regdictionary",
    "regcollation",
    "collate",
    "current_user",
    "current_role",
    "current_catalog",
    "current_schema",
    "session_user",
    "user",
    "version",
    "information_schema",
];

/// What clients ask in ways that DataFusion cannot plan, and what they are told instead.
///
/// - `psql`'s `\d+` asks for storage options, which topics do not have, through an array made of a
///   subquery.
/// - `psql`'s `\du` asks for the roles that a role is a member of in the same way; there are none.
/// - `psql`'s `\dT` and the JDBC driver ask with a subquery, which DataFusion takes for one that may
///   give several rows, whether a type is a composite one.
/// - The JDBC driver unrolls the keys of constraints and indexes, of which topics have none; it asks
///   for a setting as a row of a table, and for a function by its object id where the table has names.
const UNPLANNABLE: [(&str, &str); 11] = [
    (
        "array_to_string(c.reloptions || array(select 'toast.' || x \
         from pg_catalog.unnest(tc.reloptions) x), ', ')",
        "current_setting('no.options', true)",
    ),
    (
        "ARRAY(SELECT b.rolname
        FROM pg_catalog.pg_auth_members m
        JOIN pg_catalog.pg_roles b ON (m.roleid = b.oid)
        WHERE m.member = r.oid)",
        "'{}'",
    ),
    (
        "(SELECT c.relkind = 'c' FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid)",
        "(t.typrelid IN (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relkind = 'c'))",
    ),
    ("(information_schema._pg_expandarray(i.indkey)).n", "NULL::INT"),
    ("information_schema._pg_expandarray(i.indkey)", "NULL::INT"),
    ("(information_schema._pg_expandarray(con.conkey)).n", "NULL::INT"),
    ("information_schema._pg_expandarray(con.conkey)", "NULL::INT"),
    ("(result.KEYS).x", "NULL::INT"),
    ("(i.keys).x", "NULL::INT"),
    (
        "SELECT setting FROM pg_catalog.pg_settings WHERE name='max_index_keys'",
        "SELECT current_setting('max_index_keys') AS setting",
    ),
    ("typinput='pg_catalog.array_in'::regproc", "typinput='array_in'"),
];

/// LIMIT: brackets in one another in what the library parses, whose time doubles with each. Clients'
/// own queries about the system have up to six.
const LIBRARY_BRACKETS_MAX: usize = 12;

/// What all sessions share of `pg_catalog`.
pub(crate) struct SystemCatalog {
    database: String,
    tables: Arc<PgCatalogStaticTables>,
    functions: Vec<Arc<ScalarUDF>>,
    parser: PostgresCompatibilityParser,
}

impl SystemCatalog {
    /// Reads the tables that are the same for everybody.
    ///
    /// # Errors
    /// [`DataFusionError`] when the tables that are compiled in cannot be read: a defect.
    pub(crate) fn new(database: &str) -> Result<SystemCatalog, DataFusionError> {
        let tables = Arc::new(PgCatalogStaticTables::try_new()?);
        // The library installs its functions only together with its tables, so it does that once,
        // in a context that serves for nothing else.
        let pattern = SessionContext::new();
        let before = pattern.state().scalar_functions().clone();
        setup_pg_catalog(&pattern, "datafusion", EmptyContextProvider).map_err(|error| *error)?;
        let added = pattern.state().scalar_functions().clone();
        let functions = added
            .into_iter()
            .filter(|(name, function)| before.get(name) != Some(function))
            .map(|(_, function)| function)
            .collect();
        let parser = PostgresCompatibilityParser::new();
        Ok(SystemCatalog { database: database.to_owned(), tables, functions, parser })
    }

    /// Adds `pg_catalog` to a session.
    pub(crate) fn install(
        &self,
        context: &SessionContext,
        identity: Identity,
        roles: Roles,
    ) -> Result<(), DataFusionError> {
        let Some(catalog) = context.catalog(&self.database) else {
            return exec_err!("the engine has no catalog named {}", self.database);
        };
        let catalogs = Arc::clone(context.state().catalog_list());
        let system = PgCatalogSchemaProvider::try_new(catalogs, Arc::clone(&self.tables), roles)?;
        catalog.register_schema("pg_catalog", Arc::new(system))?;
        for function in &self.functions {
            context.register_udf(function.as_ref().clone());
        }
        for function in functions(identity, &self.database) {
            context.register_udf(function);
        }
        context.register_udtf("pg_get_keywords", Arc::clone(&self.tables.pg_get_keywords) as _);
        let state = context.state_ref();
        let planned = SessionStateBuilder::new_from_existing(state.read().clone())
            .with_type_planner(Arc::new(PgOidTypePlanner))
            .build();
        *state.write() = planned;
        CoerceIntArgsToBigInt::widen(context);
        Ok(())
    }

    /// The query as DataFusion can plan it, or `None` when it can be run as it is.
    pub(crate) fn rewrite(&self, piece: &Piece<'_>) -> Option<String> {
        if !piece.words().any(is_system_word) && !piece.compares_with_many() {
            return None;
        }
        // What does not parse is for the engine to refuse, in its own words.
        let [plain] = &parse(piece.sql).ok()?[..] else { return None };
        let asked = with_user_called(plain).unwrap_or_else(|| piece.sql.to_owned());
        let replaced = UNPLANNABLE.iter().fold(asked, |sql, (asked, told)| {
            if sql.contains(asked) { sql.replace(asked, told) } else { sql }
        });
        let rewritten = if piece.brackets() > LIBRARY_BRACKETS_MAX {
            let parsed = parse(&replaced).ok()?;
            parsed.into_iter().map(|statement| self.parser.rewrite(statement)).collect()
        } else {
            self.parser.parse(&replaced).ok()?
        };
        let [rewritten] = &rewritten[..] else { return None };
        (rewritten != plain).then(|| rewritten.to_string())
    }
}

fn parse(sql: &str) -> Result<Vec<Statement>, ParserError> {
    PostgresDialect::of(sql).parser(sql)?.parse_statements()
}

/// The statement with `current_user` in place of `user`, which is a reserved word and means the
/// same; `None` when it has none.
fn with_user_called(statement: &Statement) -> Option<String> {
    let mut called = statement.clone();
    let _: ControlFlow<()> = visit_expressions_mut(&mut called, |expression| {
        if is_user(expression)
            && let dialect = PostgresDialect::of("current_user")
            && let Ok(call) =
                dialect.parser("current_user").and_then(|mut parser| parser.parse_expr())
        {
            *expression = call;
        }
        ControlFlow::Continue(())
    });
    (called != *statement).then(|| called.to_string())
}

fn is_user(expression: &Expr) -> bool {
    let name = match expression {
        Expr::Identifier(name) => Some(name),
        Expr::Function(call) if matches!(call.args, FunctionArguments::None) => {
            call.name.0.last().and_then(ObjectNamePart::as_ident)
        }
        _ => None,
    };
    name.is_some_and(|name| name.quote_style.is_none() && name.value.eq_ignore_ascii_case("user"))
}

fn is_system_word(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    word.starts_with("pg_") || SYSTEM_WORDS.contains(&word.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::pieces;

    #[test]
    fn a_query_without_system_words_is_left_alone() {
        let catalog = SystemCatalog::new("posthouse").unwrap();
        let rewritten = |sql: &str| catalog.rewrite(&pieces(sql)[0]);
        assert_eq!(rewritten("SELECT a, b FROM flights WHERE a = 1 ORDER BY b"), None);
        assert_eq!(rewritten("SELECT sum(a) FROM t UNION ALL SELECT 1"), None);
        assert_eq!(rewritten("SELECT FROM pg_class WHERE ("), None);
        let array = rewritten("SELECT 1 WHERE 'a' = ANY (ARRAY['a'])");
        assert!(array.is_some_and(|sql| sql.contains("array_contains")));
    }

    #[test]
    fn rewriting_takes_no_more_time_than_a_query_is_long() {
        // Twice the time for each bracket would be more than the age of the universe.
        let catalog = SystemCatalog::new("posthouse").unwrap();
        let rewritten = |sql: &str| catalog.rewrite(&pieces(sql)[0]);
        let calls = |close: &str| {
            let (open, close) = ("lower(".repeat(40), close.repeat(40));
            format!("SELECT {open}'a'::regclass{close} FROM pg_class")
        };
        assert!(rewritten(&calls(")")).is_some_and(|sql| !sql.contains("::regclass")));
        assert_eq!(rewritten(&calls("")), None);
        let chain = vec!["relname = 'a'"; 10_000].join(" OR ");
        assert_eq!(rewritten(&format!("SELECT * FROM pg_class WHERE {chain}")), None);
    }

    #[test]
    fn user_is_who_asks_unless_it_is_a_column_in_quotes() {
        let catalog = SystemCatalog::new("posthouse").unwrap();
        let rewritten = |sql: &str| catalog.rewrite(&pieces(sql)[0]);
        // The library's parser makes one of the two of the other; here they are the same.
        assert_eq!(rewritten("SELECT user").unwrap(), "SELECT session_user");
        assert_eq!(rewritten("SELECT \"user\", 1 FROM t"), None);
    }

    #[test]
    fn a_query_about_the_system_is_made_plannable() {
        let catalog = SystemCatalog::new("posthouse").unwrap();
        let sql = "SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relname \
                   OPERATOR(pg_catalog.~) '^(t)$' COLLATE pg_catalog.default";
        let rewritten = catalog.rewrite(&pieces(sql)[0]).unwrap();
        assert!(!rewritten.contains("OPERATOR"), "{rewritten}");
        assert!(!rewritten.contains("COLLATE"), "{rewritten}");
    }
}
