//! How deep a tree may become that is made of a text, judged by its tokens.
//!
//! The parser bounds only how deep it calls itself. `a OR b OR c` it reads in a loop, and each `OR` becomes
//! the parent of all before it: a tree as deep as the text is long, which whoever copies, compares, prints
//! or frees it walks by calling itself. That ends with the thread's stack, and so with the process; and
//! planning takes time that grows with the square of the depth, or its cube. So no tree is made of what
//! might be deeper than [`DEPTH_MAX`], and [`STACK_BYTES`] has room for what is not.
//!
//! The estimate is never too low. Whatever may put what is before it into another node counts, but what
//! stands on either side of a comma, an `OR` or a `THEN` is not nested in the other.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// LIMIT: nodes in one another, where each counts one that is quickly planned, such as `OR`.
const DEPTH_MAX: usize = 2048;

/// What another operator counts, such as `+`. SQLite's limit is twice as high, at 1000.
const OPERATOR: usize = 4;

/// LIMIT: queries and tables of one statement: a plan is as deep as these are many.
pub(crate) const QUERIES_MAX: usize = 1024;

/// LIMIT: subqueries in one another, but for those in `FROM`, and `WITH`s in one another. DataFusion 55 looks at
/// the inner ones twice for each that they are in.
const SUBQUERIES_MAX: usize = 12;

/// The stack of a thread that runs SQL, or holds what was parsed of it. Only what is used takes memory.
///
/// Of a build that is not optimized a node takes up to 9 KB.
pub const STACK_BYTES: usize = 64 * 1024 * 1024;

/// How deep a tree of these tokens may be at most, in what [`DEPTH_MAX`] counts; `None` when that is too deep.
pub(crate) fn bound(tokens: &[TokenWithSpan]) -> Option<usize> {
    let (mut nesting, mut previous, mut deepest) = (Nesting::default(), &Token::SemiColon, 0);
    let all = tokens.iter().map(|token| &token.token);
    for token in all.filter(|token| !matches!(token, Token::Whitespace(_))) {
        nesting.read(token, previous);
        previous = token;
        deepest = deepest.max(nesting.depth());
        if deepest > DEPTH_MAX
            || nesting.queries > QUERIES_MAX
            || nesting.subqueries > SUBQUERIES_MAX
        {
            return None;
        }
    }
    Some(deepest)
}

/// What has been read of a statement.
#[derive(Default)]
struct Nesting {
    /// The brackets that are open, the outermost first.
    open: Vec<Brackets>,
    /// What is in none, or in the innermost.
    innermost: Brackets,
    /// How deep `innermost` is in `open`.
    enclosing: usize,
    queries: usize,
    /// How many of the brackets that are open hold one.
    subqueries: usize,
    /// Brackets that come next are a table.
    expects_table: bool,
}

/// What is between two brackets, or in none, as far as it has been seen.
#[derive(Default)]
struct Brackets {
    is_case: bool,
    /// A query that is in these is a table.
    is_table: bool,
    /// It holds a query that is not a table, or a `WITH`.
    is_subquery: bool,
    /// The deepest item of a list that has ended.
    before: usize,
    /// What joins the parts of this item: conditions, branches of a `CASE`, queries, tables.
    joints: usize,
    /// The deepest part that has ended.
    part: usize,
    /// The operators of this part.
    operators: usize,
    /// The deepest brackets in it.
    inner: usize,
    /// How many `BETWEEN`s of this item wait for their `AND`, which is no condition's.
    betweens: usize,
    /// A comma may be followed by a table.
    lists_tables: bool,
    /// It holds a query, so that a `FROM` is its own: `EXTRACT(year FROM (SELECT …))` has none.
    has_select: bool,
    /// Nothing but tables, their names and joins has come since its `FROM`.
    is_in_from: bool,
}

impl Nesting {
    /// A keyword is the name of a column where an operand is expected (`a + or + b`), and then it parts
    /// nothing; so `AND` and its like count as what they are only behind an operand.
    fn read(&mut self, token: &Token, previous: &Token) {
        let keyword = keyword(token);
        let follows_operand = may_end_operand(previous);
        self.queries += usize::from(QUERIES.contains(&keyword));
        match (token, keyword) {
            (Token::LParen | Token::LBracket | Token::LBrace, _) => self.begin_brackets(),
            (Token::RParen | Token::RBracket | Token::RBrace, _) if !self.open.is_empty() => {
                while self.innermost.is_case {
                    self.end();
                }
                self.end();
            }
            (_, Keyword::CASE) if !follows_operand => {
                self.begin(Brackets { is_case: true, ..Brackets::default() });
            }
            (_, Keyword::END) if follows_operand && self.innermost.is_case => self.end(),
            (Token::SemiColon, _) => *self = Nesting::default(),
            (Token::Comma, _) => {
                self.queries += usize::from(self.innermost.lists_tables);
                self.innermost.end_item();
            }
            (_, Keyword::AND) if self.innermost.betweens > 0 => self.innermost.betweens -= 1,
            (_, Keyword::AND | Keyword::OR | Keyword::WHEN | Keyword::THEN | Keyword::ELSE)
                if follows_operand =>
            {
                self.innermost.end_part();
            }
            (_, Keyword::JOIN) if follows_operand || JOINS.contains(&self::keyword(previous)) => {
                self.innermost.end_part();
            }
            (_, Keyword::SELECT) if SET_OPERATORS.contains(&self::keyword(previous)) => {
                self.innermost.end_part();
            }
            (Token::Word(_), Keyword::NoKeyword) => {}
            (token, _) if is_value(token) => {}
            _ => self.innermost.operators += OPERATOR,
        }
        match keyword {
            Keyword::BETWEEN => self.innermost.betweens += 1,
            Keyword::FROM | Keyword::USING => self.innermost.lists_tables = true,
            Keyword::SELECT => self.innermost.lists_tables = false,
            _ => {}
        }
        self.follow_tables(token, keyword, previous);
        let is_query = match keyword {
            Keyword::SELECT | Keyword::VALUES | Keyword::TABLE => !self.innermost.is_table,
            Keyword::WITH => true,
            _ => false,
        };
        if is_query && !self.innermost.is_subquery && !self.open.is_empty() {
            self.innermost.is_subquery = true;
            self.subqueries += 1;
        }
    }

    fn begin_brackets(&mut self) {
        // They may be an operator on what is before them: `a[1][2]`.
        self.innermost.operators += OPERATOR;
        self.begin(Brackets { is_table: self.expects_table, ..Brackets::default() });
    }

    fn follow_tables(&mut self, token: &Token, keyword: Keyword, previous: &Token) {
        let innermost = &mut self.innermost;
        innermost.has_select |= keyword == Keyword::SELECT;
        match keyword {
            // Behind `DISTINCT` it is an operator's.
            Keyword::FROM => {
                innermost.is_in_from =
                    innermost.has_select && self::keyword(previous) != Keyword::DISTINCT;
            }
            Keyword::NoKeyword | Keyword::JOIN | Keyword::AS => {}
            other => innermost.is_in_from &= JOINS.contains(&other),
        }
        self.expects_table = match (token, keyword) {
            // The body of a query in `WITH`, which is counted where the `WITH` is.
            (_, Keyword::AS) => true,
            (Token::LParen, _) => innermost.is_table,
            (Token::Comma, _) | (_, Keyword::FROM | Keyword::JOIN) => innermost.is_in_from,
            _ => false,
        };
    }

    fn begin(&mut self, inner: Brackets) {
        self.enclosing += self.innermost.around();
        self.open.push(std::mem::replace(&mut self.innermost, inner));
    }

    fn end(&mut self) {
        let Some(around) = self.open.pop() else { return };
        let closed = std::mem::replace(&mut self.innermost, around);
        self.enclosing -= self.innermost.around();
        self.subqueries -= usize::from(closed.is_subquery);
        self.innermost.inner = self.innermost.inner.max(closed.depth());
    }

    fn depth(&self) -> usize {
        self.enclosing + self.innermost.depth()
    }
}

impl Brackets {
    /// How deep it is that what comes next is in.
    fn around(&self) -> usize {
        self.own() + self.joints + self.operators
    }

    /// A `CASE` is a node itself; for other brackets an operator was counted where they begin.
    fn own(&self) -> usize {
        if self.is_case { OPERATOR } else { 0 }
    }

    fn depth(&self) -> usize {
        let part = self.part.max(self.operators + self.inner);
        self.before.max(self.own() + self.joints + part)
    }

    fn end_part(&mut self) {
        self.part = self.part.max(self.operators + self.inner);
        self.joints += 1;
        (self.operators, self.inner) = (0, 0);
    }

    fn end_item(&mut self) {
        self.before = self.depth();
        (self.joints, self.part, self.operators, self.inner) = (0, 0, 0, 0);
        self.betweens = 0;
    }
}

/// What a plan has a node for; operators between queries are one less.
const QUERIES: &[Keyword] =
    &[Keyword::SELECT, Keyword::VALUES, Keyword::TABLE, Keyword::JOIN, Keyword::APPLY];

/// What may be before `JOIN`, and `SELECT`.
const JOINS: &[Keyword] = &[
    Keyword::INNER,
    Keyword::LEFT,
    Keyword::RIGHT,
    Keyword::FULL,
    Keyword::OUTER,
    Keyword::CROSS,
    Keyword::NATURAL,
];
const SET_OPERATORS: &[Keyword] =
    &[Keyword::UNION, Keyword::INTERSECT, Keyword::EXCEPT, Keyword::ALL, Keyword::DISTINCT];

/// Whether an operand may end with this token, and none may follow.
fn may_end_operand(token: &Token) -> bool {
    match token {
        Token::RParen | Token::RBracket | Token::RBrace => true,
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::NoKeyword | Keyword::NULL | Keyword::TRUE | Keyword::FALSE | Keyword::END
        ),
        token => is_value(token),
    }
}

fn is_value(token: &Token) -> bool {
    matches!(
        token,
        Token::EOF
            | Token::Number(..)
            | Token::Placeholder(_)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
    )
}

fn keyword(token: &Token) -> Keyword {
    match token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Visit, Visitor};
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;
    use proptest::prelude::*;

    use super::*;
    use crate::PostgresDialect;

    fn bound_of(sql: &str) -> Option<usize> {
        let dialect = PostgreSqlDialect {};
        bound(&Tokenizer::new(&dialect, sql).tokenize_with_location().unwrap())
    }

    fn check(sql: &str, is_too_deep: bool) {
        assert_eq!(bound_of(sql).is_none(), is_too_deep, "{}", &sql[..sql.len().min(60)]);
    }

    fn chain(item: &str, operator: &str, items: usize) -> String {
        vec![item; items].join(operator)
    }

    /// Expressions, some of them not SQL, whose names are keywords more often than not.
    fn expression() -> impl Strategy<Value = String> {
        const NAMES: [&str; 12] =
            ["a", "1", "NULL", "'x'", "and", "or", "when", "then", "else", "end", "case", "join"];
        const OPERATORS: [&str; 8] = ["+", "OR", "AND", "=", "||", "->", ".", "LIKE"];
        const AROUND: [(&str, &str); 10] = [
            ("(", ")"),
            ("NOT ", ""),
            ("- ", ""),
            ("", " IS NULL"),
            ("", "::INT"),
            ("", "[1]"),
            ("f(1, ", ")"),
            ("(SELECT a FROM t WHERE ", ")"),
            ("CASE ", " END"),
            ("EXISTS (SELECT 1 FROM t UNION ALL SELECT ", ")"),
        ];
        let one_of = prop::sample::select::<&'static str>;
        one_of(NAMES.to_vec()).prop_map(str::to_owned).prop_recursive(24, 64, 3, move |inner| {
            let three = (inner.clone(), inner.clone(), inner.clone());
            prop_oneof![
                4 => (inner.clone(), one_of(OPERATORS.to_vec()), inner.clone())
                    .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
                2 => (inner.clone(), prop::sample::select(AROUND.to_vec()))
                    .prop_map(|(inner, (open, close))| format!("{open}{inner}{close}")),
                1 => three.clone().prop_map(|(a, b, c)| format!("CASE WHEN {a} THEN {b} ELSE {c} END")),
                1 => three.clone().prop_map(|(a, b, c)| format!("{a} BETWEEN {b} AND {c}")),
                1 => three.prop_map(|(a, b, c)| format!("{a} IN ({b}, {c})")),
            ]
        })
    }

    /// Measures how deep expressions are in one another, in what [`DEPTH_MAX`] counts.
    #[derive(Default)]
    struct Measure {
        depth: usize,
        deepest: usize,
    }

    fn weight(expression: &Expr) -> usize {
        match expression {
            Expr::Identifier(_) | Expr::Value(_) => 0,
            Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. } => 1,
            _ => OPERATOR,
        }
    }

    impl Visitor for Measure {
        type Break = ();

        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
            self.depth += weight(expression);
            self.deepest = self.deepest.max(self.depth);
            ControlFlow::Continue(())
        }

        fn post_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
            self.depth -= weight(expression);
            ControlFlow::Continue(())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn a_tree_is_never_deeper_than_was_judged(expression in expression()) {
            let sql = format!("SELECT {expression}");
            let parsed = PostgresDialect::of(&sql).parser(&sql).and_then(|mut parser| parser.parse_statements());
            if let Ok(statements) = parsed {
                let mut measure = Measure::default();
                let _ = statements.visit(&mut measure);
                let bound = bound_of(&sql).unwrap();
                prop_assert!(measure.deepest <= bound, "{} is not {bound} at most", measure.deepest);
            }
        }
    }

    #[test]
    fn long_lists_are_not_deep() {
        let rows = chain("(1, 'a', -2.5, NULL, DATE '2020-01-01', f(x + 1))", ", ", 50_000);
        check(&format!("INSERT INTO t VALUES {rows}"), false);
        check(&format!("SELECT * FROM t WHERE a IN ({})", chain("-1", ", ", 100_000)), false);
        check(&format!("SELECT {} FROM t", chain("a + b * c AS d", ", ", 4_000)), false);
        check(&chain("SELECT a = 1 OR b", "; ", 10_000), false);
        check(&format!("SELECT '{}'", chain("a", " OR ", 10_000)), false);
    }

    #[test]
    fn a_chain_of_operators_is_as_deep_as_it_is_long() {
        for operator in [" + ", " || ", " -> ", " IS DISTINCT FROM ", "."] {
            let of = |items: usize| format!("SELECT {}", chain("a", operator, items));
            check(&of(150), false);
            check(&of(513), true);
        }
        check(&format!("SELECT a{}", "[1]".repeat(513)), true);
        check(&format!("SELECT a{}", "::INT".repeat(513)), true);
        check(&format!("SELECT CAST(a AS INT{})", "[]".repeat(513)), true);
        check(&format!("SELECT {} a", "NOT ".repeat(513)), true);
    }

    #[test]
    fn conditions_are_as_deep_as_they_are_many() {
        for condition in ["a", "t.a = 1", "(a = -1 AND b IS NULL)", "a IN (1, 2)", "NOT a = 'OR'"] {
            for operator in [" OR ", " AND "] {
                check(&format!("SELECT {}", chain(condition, operator, 2000)), false);
                check(&format!("SELECT {}", chain(condition, operator, 2100)), true);
            }
        }
        let branches = |count: usize| "WHEN a = 1 THEN b + c ".repeat(count);
        check(&format!("SELECT CASE {} ELSE 2 END", branches(1000)), false);
        check(&format!("SELECT CASE {} ELSE 2 END", branches(1100)), true);
        check(&chain(&format!("CASE {} END", branches(100)), " + ", 400), false);
    }

    #[test]
    fn chains_in_chains_are_as_deep_as_all_of_them() {
        let chain_of = |inner: &str| format!("({inner} + {})", chain("a", " + ", 120));
        let three = chain_of(&chain_of(&chain_of("b")));
        check(&format!("SELECT {three}"), false);
        check(&format!("SELECT {}", chain_of(&chain_of(&three))), true);
        check(&format!("SELECT {three} + {three}, {three}"), false);
        // Also where the inner one comes last, or is never closed.
        let behind = |inner: &str| format!("{} + ({inner}", chain("a", " + ", 200));
        check(&format!("SELECT {}", behind(&behind("b"))), false);
        check(&format!("SELECT {}", behind(&behind(&behind("b")))), true);
        check(&format!("SELECT ({}) + {}", chain("a", " + ", 300), chain("a", " + ", 300)), true);
        let case = |inner: &str| format!("CASE {} WHEN 1 THEN {inner} END", chain("a", " + ", 200));
        check(&format!("SELECT {}", case(&case("b"))), false);
        check(&format!("SELECT {} + {}", case("b"), chain("a", " + ", 400)), true);
    }

    #[test]
    fn a_keyword_that_is_an_operand_parts_nothing() {
        // Each may be a column's name, and then the chain goes on.
        for name in ["and", "or", "when", "then", "else", "end"] {
            let chained = chain(&format!("a + {name}"), " + ", 300);
            check(&format!("SELECT {chained}"), true);
            check(&format!("SELECT CASE {chained}"), true);
        }
        let parts = chain(&format!("{} + case", chain("a", " + ", 100)), " + ", 6);
        check(&format!("SELECT {parts}"), true);
    }

    #[test]
    fn queries_and_tables_are_counted_wherever_they_stand() {
        check(&chain("SELECT a FROM t", " UNION ALL ", 1000), false);
        check(&format!("SELECT 1 FROM {}", chain("t", " LEFT JOIN ", 1000)), false);
        check(&chain("SELECT a, b FROM t", " UNION ALL ", 1100), true);
        check(&format!("SELECT 1 FROM {}", chain("t", ", ", 1100)), true);
        check(&format!("SELECT 1 FROM {}", chain("t", " JOIN ", 1100)), true);
        let ctes = chain("c AS (SELECT a, b FROM d)", ", ", 1100);
        check(&format!("WITH {ctes} SELECT 1"), true);
    }

    #[test]
    fn subqueries_are_counted_where_each_doubles_the_time() {
        let nested = |open: &str, close: &str, count: usize| {
            format!("SELECT a FROM {}t{}", open.repeat(count), close.repeat(count))
        };
        for (open, close) in [
            ("t WHERE a IN (SELECT a FROM ", ")"),
            ("t WHERE EXISTS ((SELECT a FROM ", "))"),
            ("t WHERE a = (VALUES (1), ((SELECT a FROM ", ")))"),
            ("(WITH c AS (SELECT 1) SELECT a FROM ", ") AS c"),
            ("(WITH c AS (SELECT a FROM ", ") SELECT a FROM c) AS d"),
        ] {
            check(&nested(open, close, 6), false);
            check(&nested(open, close, 13), true);
        }
        // Not every FROM is a query's, nor is every comma behind one between tables.
        for (open, close) in [
            ("t WHERE a IS DISTINCT FROM (SELECT a FROM ", ")"),
            ("t WHERE EXTRACT(year FROM (SELECT a FROM ", "))"),
            ("t WHERE substring(a FROM (SELECT a FROM ", "))"),
            ("t ORDER BY a, (SELECT a FROM ", ")"),
            ("t GROUP BY a, (SELECT a FROM ", ")"),
            ("t JOIN u ON a = (SELECT a FROM ", ")"),
        ] {
            check(&nested(open, close, 12), false);
            check(&nested(open, close, 13), true);
        }
        for (open, close) in [
            ("(SELECT a FROM ", ") AS c"),
            ("((SELECT a FROM ", ")) AS c"),
            ("u, (SELECT a FROM ", ") AS c"),
            ("u AS d LEFT JOIN (SELECT a FROM ", ") AS c ON true"),
        ] {
            check(&nested(open, close, 50), false);
        }
        let ctes = chain("c AS (SELECT a FROM t WHERE a IN (SELECT a FROM u))", ", ", 100);
        check(&format!("WITH {ctes} SELECT 1"), false);
    }

    #[test]
    fn brackets_that_do_not_match_are_no_way_round() {
        check(&format!("SELECT ) a {}", chain("b", " OR ", 5000)), true);
        check(&format!("SELECT {} a", ")".repeat(5000)), true);
        check(&format!("SELECT {} a", "(".repeat(5000)), true);
        check(&format!("SELECT {} a", "CASE ".repeat(5000)), true);
    }
}
