//! What a statement comes to that says much in few words.
//!
//! DataFusion puts a query in `WITH` wherever it is named. So queries each of which names the one before twice
//! are two to the power of their number; and so are the grouping sets of a `CUBE`. Neither the length of the
//! text nor the depth of its tree tells.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::ptr;

use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, GroupByWithModifier, ObjectName, ObjectNamePart, Query, Select, Visit,
    Visitor,
};

use crate::QueryError;
use crate::depth::QUERIES_MAX;
use crate::error::sqlstate;
use crate::statement::fold;

/// LIMIT: grouping sets of one query, as in PostgreSQL.
const GROUPING_SETS_MAX: usize = 4096;

/// As many grouping sets count as a query, in a statement that has several of either.
const GROUPING_SETS_OF_A_QUERY: usize = 8;

/// Refuses a statement that comes to more than [`QUERIES_MAX`] or [`GROUPING_SETS_MAX`].
pub(crate) fn check(statement: &DataFusionStatement) -> Result<(), QueryError> {
    let sql = match statement {
        DataFusionStatement::Explain(explain) => return check(&explain.statement),
        DataFusionStatement::Statement(sql) => sql,
        _ => return Ok(()),
    };
    let ControlFlow::Break(excess) = sql.visit(&mut Expansion::default()) else { return Ok(()) };
    let refused = |message| QueryError::new(sqlstate::STATEMENT_TOO_COMPLEX, message);
    Err(match excess {
        Excess::Queries => {
            refused(format!("the statement comes to more than {QUERIES_MAX} queries"))
                .with_hint("a query in WITH counts wherever it is named, with all that it names")
        }
        Excess::GroupingSets => {
            refused(format!("too many grouping sets present (maximum {GROUPING_SETS_MAX})"))
        }
    })
}

/// What a statement has too many of.
enum Excess {
    Queries,
    GroupingSets,
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
    fn add(&mut self, count: usize) -> ControlFlow<Excess> {
        let Some(innermost) = self.counts.last_mut() else { return ControlFlow::Continue(()) };
        *innermost += count;
        at_most(*innermost, QUERIES_MAX, Excess::Queries)
    }
}

impl Visitor for Expansion {
    type Break = Excess;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Excess> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.bodies.insert(place(&cte.query), fold(&cte.alias.name));
        }
        self.counts.push(0);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Excess> {
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

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Excess> {
        let sets = grouping_sets(&select.group_by);
        at_most(sets, GROUPING_SETS_MAX, Excess::GroupingSets)?;
        self.add(sets.div_ceil(GROUPING_SETS_OF_A_QUERY).max(1))
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Excess> {
        let [ObjectNamePart::Identifier(name)] = &relation.0[..] else {
            return ControlFlow::Continue(());
        };
        let count = self.named.get(&fold(name)).copied().unwrap_or(0);
        self.add(count)
    }
}

fn at_most(count: usize, max: usize, excess: Excess) -> ControlFlow<Excess> {
    if count > max { ControlFlow::Break(excess) } else { ControlFlow::Continue(()) }
}

/// How many grouping sets a `GROUP BY` comes to: its items are combined each with each.
fn grouping_sets(group_by: &GroupByExpr) -> usize {
    match group_by {
        GroupByExpr::All(_) => 1,
        GroupByExpr::Expressions(items, modifiers) => {
            let modified = modifiers.iter().map(|modifier| match modifier {
                GroupByWithModifier::Cube => subsets(items.len()),
                GroupByWithModifier::Rollup => items.len() + 1,
                GroupByWithModifier::GroupingSets(sets) => sets_of(sets),
                GroupByWithModifier::Totals => 1,
            });
            items.iter().map(sets_of).chain(modified).fold(1, usize::saturating_mul)
        }
    }
}

fn sets_of(item: &Expr) -> usize {
    match item {
        Expr::Cube(items) => subsets(items.len()),
        Expr::Rollup(items) => items.len() + 1,
        Expr::GroupingSets(sets) => {
            let combined = |set: &Vec<Expr>| set.iter().map(sets_of).fold(1, usize::saturating_mul);
            sets.iter().map(combined).fold(0, usize::saturating_add)
        }
        _ => 1,
    }
}

fn subsets(items: usize) -> usize {
    u32::try_from(items).ok().and_then(|items| 2_usize.checked_pow(items)).unwrap_or(usize::MAX)
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
    fn grouping_sets_are_counted_before_they_are_made() {
        let grouped = |by: String| format!("SELECT count(*) FROM t GROUP BY {by}");
        let items = |count: usize| vec!["a"; count].join(", ");
        check_one(&grouped(items(100)), true);
        check_one(&grouped(format!("CUBE({})", items(12))), true);
        check_one(&grouped(format!("CUBE({})", items(13))), false);
        check_one(&grouped(format!("CUBE({})", items(500))), false);
        check_one(&grouped(format!("ROLLUP({})", items(500))), true);
        check_one(&grouped(format!("ROLLUP({0}), ROLLUP({0})", items(100))), false);
        check_one(&grouped(format!("GROUPING SETS ({})", vec!["(a, b)"; 900].join(", "))), true);
        check_one(&grouped(vec!["GROUPING SETS ((a), (b))"; 13].join(", ")), false);
        let cube = grouped(format!("CUBE({})", items(12)));
        check_one(&[cube.as_str(); 2].join(" UNION ALL "), true);
        check_one(&[cube.as_str(); 3].join(" UNION ALL "), false);
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
