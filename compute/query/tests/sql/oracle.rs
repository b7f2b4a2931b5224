//! Random records and predicates: the engine against a naive evaluation.

use posthouse_types::PartitionIndex;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::node::Node;

const PARTITIONS: u32 = 3;

#[derive(Clone, Debug)]
struct Row {
    partition: u32,
    offset: i64,
    ms: i64,
    a: Option<i64>,
    b: Option<String>,
}

/// A value as it is written, and what it decodes to.
#[derive(Clone, Debug)]
struct Written {
    partition: u32,
    ms: i64,
    value: Option<String>,
    a: Option<i64>,
    b: Option<String>,
}

#[derive(Clone, Debug)]
enum Predicate {
    Compare(&'static str, &'static str, i64),
    BIs(String),
    AIsNull,
    And(Box<Predicate>, Box<Predicate>),
    Or(Box<Predicate>, Box<Predicate>),
    Not(Box<Predicate>),
}

impl Predicate {
    fn sql(&self) -> String {
        match self {
            Predicate::Compare("_timestamp", operator, ms) => {
                format!("_timestamp {operator} to_timestamp_millis({ms})")
            }
            Predicate::Compare(column, operator, bound) => format!("{column} {operator} {bound}"),
            Predicate::BIs(text) => format!("b = '{text}'"),
            Predicate::AIsNull => "a IS NULL".to_owned(),
            Predicate::And(left, right) => format!("({} AND {})", left.sql(), right.sql()),
            Predicate::Or(left, right) => format!("({} OR {})", left.sql(), right.sql()),
            Predicate::Not(inner) => format!("NOT {}", inner.sql()),
        }
    }

    /// SQL's three-valued logic.
    fn holds(&self, row: &Row) -> Option<bool> {
        match self {
            Predicate::Compare(column, operator, bound) => {
                let value = match *column {
                    "_partition" => Some(i64::from(row.partition)),
                    "_offset" => Some(row.offset),
                    "_timestamp" => Some(row.ms),
                    _ => row.a,
                };
                value.map(|value| match *operator {
                    "=" => value == *bound,
                    "<>" => value != *bound,
                    "<" => value < *bound,
                    "<=" => value <= *bound,
                    ">" => value > *bound,
                    _ => value >= *bound,
                })
            }
            Predicate::BIs(text) => row.b.as_ref().map(|b| b == text),
            Predicate::AIsNull => Some(row.a.is_none()),
            Predicate::And(left, right) => match (left.holds(row), right.holds(row)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Predicate::Or(left, right) => match (left.holds(row), right.holds(row)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Predicate::Not(inner) => inner.holds(row).map(|held| !held),
        }
    }
}

fn written() -> impl Strategy<Value = Written> {
    let value = prop_oneof![
        6 => (prop::option::of(-3..6_i64), prop::option::of("[a-c]")).prop_map(|(a, b)| {
            let member = |value: Option<String>| value.unwrap_or_else(|| "null".to_owned());
            let text = format!(
                "{{\"b\": {}, \"other\": [1, {{}}], \"a\": {}}}",
                member(b.as_ref().map(|b| format!("\"{b}\""))),
                member(a.map(|a| a.to_string())),
            );
            (Some(text), a, b)
        }),
        1 => Just((Some("not json".to_owned()), None, None)),
        1 => Just((Some("{\"a\": \"x\", \"b\": \"a\"}".to_owned()), None, Some("a".to_owned()))),
        1 => Just((None, None, None)),
    ];
    (0..PARTITIONS, 0..40_i64, value).prop_map(|(partition, ms, (value, a, b))| Written {
        partition,
        ms,
        value,
        a,
        b,
    })
}

fn predicate() -> impl Strategy<Value = Predicate> {
    let column = prop::sample::select(vec!["_partition", "_offset", "_timestamp", "a"]);
    let operator = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        8 => (column, operator, -1..20_i64)
            .prop_map(|(column, operator, bound)| Predicate::Compare(column, operator, bound)),
        1 => "[a-c]".prop_map(Predicate::BIs),
        1 => Just(Predicate::AIsNull),
    ];
    leaf.prop_recursive(3, 10, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| Predicate::And(Box::new(left), Box::new(right))),
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| Predicate::Or(Box::new(left), Box::new(right))),
            inner.prop_map(|inner| Predicate::Not(Box::new(inner))),
        ]
    })
}

/// Writes the records, some to a statement, so that stored batches have many sizes.
async fn write(node: &Node, topic: &str, written: &[Written], per_statement: usize) -> Vec<Row> {
    let create =
        format!("CREATE TOPIC {topic} (a BIGINT, b TEXT) WITH (partitions = {PARTITIONS})");
    node.sql(&create).await;
    for some in written.chunks(per_statement) {
        let values: Vec<String> = some
            .iter()
            .map(|record| {
                let value =
                    record.value.as_ref().map_or("NULL".to_owned(), |value| format!("'{value}'"));
                let Written { partition, ms, .. } = record;
                format!("({value}, {partition}, to_timestamp_millis({ms}))")
            })
            .collect();
        let values = values.join(", ");
        node.sql(&format!("INSERT INTO {topic} (_value, _partition, _timestamp) VALUES {values}"))
            .await;
    }
    let mut rows = Vec::new();
    for index in 0..PARTITIONS {
        let index = PartitionIndex::new(index).value();
        let of_partition = written.iter().filter(|record| record.partition == index);
        rows.extend(of_partition.zip(0..).map(|(record, offset)| Row {
            partition: index,
            offset,
            ms: record.ms,
            a: record.a,
            b: record.b.clone(),
        }));
    }
    rows
}

#[test]
fn a_query_gives_the_rows_that_a_naive_evaluation_gives() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let node = runtime.block_on(Node::start());
    let topics = std::cell::Cell::new(0);
    let inputs = (
        prop::collection::vec(written(), 1..60),
        prop::collection::vec(predicate(), 6),
        1..20_usize,
    );
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let checked = TestRunner::new(config).run(&inputs, |(written, predicates, per_statement)| {
        topics.set(topics.get() + 1);
        let topic = format!("t{}", topics.get());
        let rows = runtime.block_on(write(&node, &topic, &written, per_statement));
        for predicate in predicates {
            let sql = format!(
                "SELECT _partition, _offset, a, b FROM {topic} WHERE {} ORDER BY 1, 2",
                predicate.sql()
            );
            let given = runtime.block_on(node.sql(&sql));
            let mut expected = "_partition|_offset|a|b\n".to_owned();
            for row in rows.iter().filter(|row| predicate.holds(row) == Some(true)) {
                let a = row.a.map_or("NULL".to_owned(), |a| a.to_string());
                let b = row.b.as_deref().unwrap_or("NULL");
                expected.push_str(&format!("{}|{}|{a}|{b}\n", row.partition, row.offset));
            }
            prop_assert_eq!(given, expected, "{}", sql);
            let count = format!("SELECT count(*) FROM {topic} WHERE {}", predicate.sql());
            let counted = runtime.block_on(node.sql(&count));
            let expected = rows.iter().filter(|row| predicate.holds(row) == Some(true)).count();
            prop_assert_eq!(counted, format!("count(*)\n{expected}\n"), "{}", count);
        }
        Ok(())
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}
