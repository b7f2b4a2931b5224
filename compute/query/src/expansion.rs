//! How many queries a statement comes to, once those in `WITH` stand wherever they are named.
//!
//! DataFusion puts them there. So queries each of which names the one before twice are two to the power of
//! their number, from a text that is short: neither its length nor the depth of its tree tells.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::ptr;

use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectNamePart, Query, Select, Visit, Visitor};

use crate::QueryError;
use crate::depth::QUERIES_MAX;
use crate::error::sqlstate;
use crate::statement::fold;

/// Refuses a statement that comes to more than [`QUERIES_MAX`].
pub(crate) fn check(statement: &DataFusionStatement) -> Result<(), QueryError> {
    let sql = match statement {
        DataFusionStatement::Explain(explain) => return check(&explain.statement),
        DataFusionStatement::Statement(sql) => sql,
        _ => return Ok(()),
    };
    match sql.visit(&mut Expansion::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(QueryError::new(
            sqlstate::STATEMENT_TOO_COMPLEX,
            format!("the statement comes to more than {QUERIES_MAX} queries"),
        )
        .with_hint("a query in WITH counts wherever it is named, with all that it names")),
    }
}

#[derive(Default)]
struct Expansion {
    /// What each name in a `WITH` comes to; of a name that is there twice the larger.
    named: HashMap<String, usize>,
    /// The queries in a `WITH` that are still to be looked at, by where they are.
    bodies: HashMap<usize, String>,
    /// What the queries come to that are being looked at, the outermost first.
    counts: Vec<usize>,
}

impl Expansion {
    fn add(&mut self, count: usize) -> ControlFlow<()> {
        let Some(innermost) = self.counts.last_mut() else { return ControlFlow::Continue(()) };
        *innermost += count;
        if *innermost > QUERIES_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Visitor for Expansion {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.bodies.insert(place(&cte.query), fold(&cte.alias.name));
        }
        self.counts.push(0);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let count = self.counts.pop().unwrap_or(0);
        match self.bodies.remove(&place(query)) {
            Some(name) => {
                let known = self.named.entry(name).or_insert(1);
                *known = count.max(*known);
                ControlFlow::Continue(())
            }
            None => self.add(count),
        }
    }

    fn pre_visit_select(&mut self, _select: &Select) -> ControlFlow<()> {
        self.add(1)
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let [ObjectNamePart::Identifier(name)] = &relation.0[..] else {
            return ControlFlow::Continue(());
        };
        let count = self.named.get(&fold(name)).copied().unwrap_or(0);
        self.add(count)
    }
}

/// Tells queries of one statement apart while it stays where it is.
fn place(query: &Query) -> usize {
    ptr::from_ref(query).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::{Statement, StatementKind};

    fn check_one(sql: &str, expected: bool) {
        let [statement] = &Statement::parse(sql).unwrap()[..] else { panic!("{sql}") };
        let StatementKind::DataFusion(parsed) = &statement.kind else { panic!("{sql}") };
        let refused = check(parsed).err().map(|error| error.sqlstate);
        assert_eq!(refused, (!expected).then_some("54001"), "{}", &sql[..sql.len().min(80)]);
    }

    fn doubled(first: &str, queries: usize) -> String {
        let named =
            |index: usize| format!(", c{index} AS (SELECT 1 FROM C{0} AS a, c{0})", index - 1);
        let others: String = (1..queries).map(named).collect();
        format!("WITH c0 AS ({first}){others} SELECT 1 FROM c{}", queries - 1)
    }

    #[test]
    fn what_doubles_is_counted_as_often_as_it_is_named() {
        for first in ["SELECT 1 FROM t", "SELECT 1", "VALUES (1)"] {
            check_one(&doubled(first, 8), true);
            check_one(&doubled(first, 11), false);
            check_one(&doubled(first, 80), false);
            check_one(&format!("EXPLAIN {}", doubled(first, 80)), false);
            check_one(&format!("SELECT a FROM t WHERE a IN ({})", doubled(first, 80)), false);
        }
        check_one(&doubled("SELECT 1", 80).replace(" SELECT 1 FROM c79", " SELECT 1"), false);
    }

    #[test]
    fn what_is_named_once_is_counted_once() {
        let chain: String =
            (1..300).map(|index| format!(", c{index} AS (SELECT 1 FROM c{})", index - 1)).collect();
        check_one(&format!("WITH c0 AS (SELECT 1){chain} SELECT 1 FROM c299"), true);
        check_one("WITH RECURSIVE c AS (SELECT 1 UNION ALL SELECT 1 FROM c) SELECT 1 FROM c", true);
        check_one("WITH a AS (SELECT 1 FROM a.b), t AS (SELECT 1 FROM x.a) SELECT 1 FROM t", true);
        check_one(&vec!["SELECT 1 FROM t"; 1000].join(" UNION ALL "), true);
    }
}
