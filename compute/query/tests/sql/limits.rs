//! Memory, time, turns and cancellation.

use std::time::Duration;

use futures::StreamExt;
use posthouse_query::{Outcome, QueryConfig};
use posthouse_types::ByteSize;

use crate::node::{Node, config, run};

/// Far more rows than can be made in the time of a test.
const ENDLESS: &str = "SELECT a._offset FROM t a, t b, t c, t d WHERE a.n + b.n + c.n + d.n >= 0";

async fn node_with(config: QueryConfig, records: usize) -> Node {
    let node = Node::start_with(config).await;
    node.sql("CREATE TOPIC t (n INT, s TEXT) WITH (partitions = 2)").await;
    let insert = format!(
        "INSERT INTO t (n, s) SELECT value, concat(repeat('x', 200), CAST(value AS TEXT)) FROM generate_series(1, {records})"
    );
    assert_eq!(node.sql(&insert).await, format!("INSERT {records}\n"));
    node
}

async fn settled(node: &Node) -> bool {
    for _ in 0..500 {
        if node.engine.memory_used() == 0 {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_rows_ends_the_query_and_frees_its_turn() {
    let node = node_with(QueryConfig { concurrent_queries_max: 1, ..config() }, 2000).await;
    let session = node.session();
    let Some(Outcome::Rows { mut rows, .. }) = session.execute(ENDLESS).await.unwrap().pop() else {
        panic!("no rows")
    };
    rows.next().await.unwrap().unwrap();
    drop(rows);
    let next = tokio::time::timeout(Duration::from_secs(30), node.sql("SELECT count(*) FROM t"));
    assert_eq!(next.await.unwrap(), "count(*)\n2000\n");
    assert!(settled(&node).await, "{} bytes are still held", node.engine.memory_used());
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_nobody_reads_hold_no_turn() {
    let node = node_with(QueryConfig { concurrent_queries_max: 1, ..config() }, 10).await;
    let script = "SELECT n FROM t; SELECT n FROM t; INSERT INTO t (n) VALUES (1)";
    let outcomes =
        tokio::time::timeout(Duration::from_secs(30), node.session().execute(script)).await;
    assert_eq!(outcomes.unwrap().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_is_cancelled() {
    let node = node_with(config(), 2000).await;
    let session = node.session();
    run(&session, "SET statement_timeout = '200ms'").await.unwrap();
    assert_eq!(
        run(&session, "SHOW statement_timeout").await.unwrap(),
        "statement_timeout\n200ms\n"
    );
    let sql = format!("SELECT count(*) FROM ({ENDLESS})");
    let error = run(&session, &sql).await.unwrap_err();
    assert_eq!(error.sqlstate, "57014", "{error:?}");
    assert!(settled(&node).await, "{} bytes are still held", node.engine.memory_used());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_needs_too_much_memory_fails_alone() {
    let small = QueryConfig { memory: ByteSize::mib(4), ..config() };
    let node = node_with(small, 60_000).await;
    // About 13 MB of values: streamed, sorted with the disk's help, but not held as one value.
    assert_eq!(node.sql("SELECT count(s) FROM t").await, "count(t.s)\n60000\n");
    let error = node.sql_error("SELECT length(string_agg(s, ',')) FROM t").await;
    assert_eq!(error.sqlstate, "53200", "{error:?}");
    assert_eq!(node.sql("SELECT count(*) FROM t").await, "count(*)\n60000\n");
    assert!(settled(&node).await, "{} bytes are still held", node.engine.memory_used());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sort_larger_than_memory_spills() {
    // The rows alone are 20 MB, and one thread has all the memory.
    let small = QueryConfig { memory: ByteSize::mib(16), threads: 1, ..config() };
    let node = node_with(small, 100_000).await;
    let sql = "SELECT n FROM (SELECT n, row_number() OVER (ORDER BY s) AS place FROM t) WHERE place = 100000";
    assert_eq!(node.sql(sql).await, "n\n99999\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_gone_ends_its_streams_with_an_error() {
    let node = node_with(config(), 2000).await;
    let session = node.session();
    let Some(Outcome::Rows { mut rows, .. }) = session.execute(ENDLESS).await.unwrap().pop() else {
        panic!("no rows")
    };
    rows.next().await.unwrap().unwrap();
    drop(node);
    let mut last = None;
    while let Some(batch) = rows.next().await {
        last = Some(batch);
    }
    let last = last.expect("an end that is told");
    assert!(last.is_err(), "a result that was cut short looks complete");
}
