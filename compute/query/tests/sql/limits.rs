//! Memory, time, turns and cancellation.

use std::time::Duration;

use futures::StreamExt;
use posthouse_query::{Outcome, QueryConfig, STACK_BYTES};
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
async fn a_function_makes_no_more_than_there_is_memory_for() {
    let small = QueryConfig { memory: ByteSize::mib(64), ..config() };
    let node = node_with(small, 20_000).await;
    for call in [
        "repeat('x', 2000000000)",
        "repeat(s, 1000000)",
        "lpad(s, 1000000)",
        "rpad('x', 2000000000, 'ö')",
        "replace(repeat(s, 100), '', repeat('x', 100000))",
        "regexp_replace(repeat(s, 100), '.', repeat('x', 100000), 'g')",
        "array_repeat(s, 1000000)",
        "list_repeat('x', 2000000000)",
        "array_resize([n], 1000000)",
        "array_to_string(range(10000), repeat('x', 100000))",
        "range(1, 10000000000)",
        "generate_series(n, n + 1000000)",
        "generate_series(DATE '0001-01-01', DATE '9999-01-01', INTERVAL '1' DAY)",
        "generate_series(now(), now() + INTERVAL '1' DAY, INTERVAL '1' NANOSECOND)",
    ] {
        let error = node.sql_error(&format!("SELECT {call} FROM t")).await;
        assert_eq!(error.sqlstate, "53200", "{call}: {error:?}");
        assert!(error.hint.is_some(), "{call}: {error:?}");
    }
    // What was refused may still be given back.
    assert!(settled(&node).await, "{} bytes are still held", node.engine.memory_used());
    for (call, expected) in [
        ("sum(length(repeat(s, 2)))", "8177788"),
        ("sum(length(replace(s, 'x', 'yz')))", "8088894"),
        ("sum(length(regexp_replace(s, 'x', 'yz', 'g')))", "8088894"),
        ("max(n + length(repeat('x', 10000000)))", "10020000"),
        ("sum(array_length(generate_series(n, n + 9)))", "200000"),
    ] {
        assert!(
            node.sql(&format!("SELECT {call} FROM t")).await.ends_with(&format!("\n{expected}\n")),
            "{call}"
        );
    }
    // What one call made of rows is counted while the next is made.
    let columns = |count| {
        let columns: Vec<_> = (0..count).map(|at| format!("repeat(s, 1{at})")).collect();
        format!("SELECT {} FROM t", columns.join(", "))
    };
    assert!(settled(&node).await, "{} bytes are still held", node.engine.memory_used());
    node.sql(&columns(1)).await;
    assert_eq!(node.sql_error(&columns(10)).await.sqlstate, "53200");
    assert!(settled(&node).await, "{} bytes are still held", node.engine.memory_used());
    // Constants are held for as long as the statement runs.
    let constants = |count| {
        let columns: Vec<_> =
            (0..count).map(|at| format!("length(repeat('{at}', 10000000))")).collect();
        format!("SELECT {}", columns.join(" + "))
    };
    node.sql(&constants(3)).await;
    assert_eq!(node.sql_error(&constants(9)).await.sqlstate, "53200");
    assert!(settled(&node).await, "{} bytes are still held", node.engine.memory_used());
    let session = node.session();
    let statement = session.statements(&constants(1)).unwrap().remove(0);
    let plan = session.prepare(&statement).await.unwrap().unwrap();
    for _ in 0..20 {
        let Outcome::Rows { rows, .. } = session.run_plan(plan.clone()).await.unwrap() else {
            panic!("no rows")
        };
        assert_eq!(
            rows.map(Result::unwrap).map(|batch| batch.num_rows()).collect::<Vec<_>>().await,
            [1]
        );
    }
    assert!(settled(&node).await, "{} bytes are still held", node.engine.memory_used());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_constant_is_beside_few_rows_at_a_time() {
    let node = node_with(config(), 2000).await;
    let large = format!("'{}'", "x".repeat(3_000_000));
    let explained = node.sql(&format!("EXPLAIN SELECT n, {large} FROM t")).await;
    assert!(explained.contains("SliceExec: rows=2"));
    let query = format!("SELECT n, {large} AS a FROM t");
    let Some(Outcome::Rows { mut rows, .. }) = node.session().execute(&query).await.unwrap().pop()
    else {
        panic!("no rows")
    };
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        count += batch.unwrap().num_rows();
    }
    assert_eq!(count, 2000);
    let joined = node.sql(&format!("SELECT count(*) FROM t WHERE {large} || s > 'x'")).await;
    assert_eq!(joined, "count(*)\n2000\n");
    let explained = node.sql("EXPLAIN SELECT n, 'x' FROM t WHERE s IN ('a', 'b')").await;
    assert!(!explained.contains("SliceExec"), "{explained}");
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

/// As on a node's own threads, whose stacks are as large as what is parsed may need.
fn on_large_stacks(work: impl Future<Output = ()> + Send + 'static) {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    let threads = threads.worker_threads(1).thread_stack_size(STACK_BYTES).enable_all().build();
    let threads = threads.unwrap();
    threads.block_on(threads.spawn(work)).unwrap();
}

#[test]
fn a_statement_as_deep_as_it_may_be_is_run() {
    on_large_stacks(async {
        let node = node_with(config(), 3).await;
        let chain = |item: &str, operator: &str, items: usize| vec![item; items].join(operator);
        let deepest = chain("n = 4", " OR ", 2000);
        assert_eq!(node.sql(&format!("SELECT n FROM t WHERE {deepest}")).await, "n\n");
        for (sql, expected) in [
            (chain("n < 4", " AND ", 800), "true"),
            (chain("(n = 4 AND s = 'a')", " OR ", 300), "false"),
            (chain("n", " + ", 150) + " > 0", "true"),
            (chain("s", " || ", 500) + " > ''", "true"),
            (format!("n{} > 0", "::BIGINT::INT".repeat(60)), "true"),
            (format!("{}n > 0{}", "NOT (".repeat(40), ")".repeat(40)), "true"),
            (format!("n = CASE {} ELSE 4 END", "WHEN n = 5 THEN 6 ".repeat(1000)), "false"),
        ] {
            let begun = &sql[..sql.len().min(40)];
            let filtered =
                node.sql(&format!("SELECT count(*) > 0 AS found FROM t WHERE {sql}")).await;
            assert_eq!(filtered, format!("found\n{expected}\n"), "{begun}");
            let computed = node.sql(&format!("SELECT bool_or({sql}) AS found FROM t")).await;
            assert_eq!(computed, format!("found\n{expected}\n"), "{begun}");
        }
    });
}

#[test]
fn as_many_queries_in_one_as_there_may_be_are_run() {
    on_large_stacks(async {
        let node = node_with(config(), 3).await;
        let union = vec!["SELECT n FROM t"; 1000].join(" UNION ALL ");
        assert_eq!(
            node.sql(&format!("SELECT count(*) AS c FROM ({union}) AS u")).await,
            "c\n3000\n"
        );
        let mut ctes = "WITH c0 AS (SELECT n FROM t)".to_owned();
        for index in 1..500 {
            ctes += &format!(", c{index} AS (SELECT n + 1 AS n FROM c{})", index - 1);
        }
        assert_eq!(node.sql(&format!("{ctes} SELECT max(n) AS m FROM c499")).await, "m\n502\n");
    });
}

/// Queries each of which names the one before twice.
fn doubled(queries: usize) -> String {
    let named = |index: usize| {
        format!(", c{index} AS (SELECT n FROM c{0} UNION ALL SELECT n FROM c{0})", index - 1)
    };
    let others: String = (1..queries).map(named).collect();
    format!("WITH c0 AS (SELECT n FROM t){others} SELECT count(*) AS c FROM c{}", queries - 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_might_be_too_deep_is_refused_and_nothing_else_is() {
    let node = node_with(config(), 3).await;
    for sql in [
        format!("SELECT n FROM t WHERE {}", vec!["n = 4"; 1_000_000].join(" OR ")),
        format!("SELECT {}", vec!["1"; 5000].join(" + ")),
        format!("SELECT n{} FROM t", "::INT".repeat(5000)),
        vec!["SELECT 1"; 5000].join(" UNION "),
        format!("CREATE TOPIC deep (n INT{})", "[]".repeat(5000)),
        format!(
            "SELECT n FROM t WHERE {}true{}",
            "EXISTS (SELECT 1 FROM t WHERE ".repeat(40),
            ")".repeat(40)
        ),
        format!(
            "SELECT n FROM t WHERE {}1{}",
            "n IS DISTINCT FROM (SELECT n FROM t WHERE n = ".repeat(40),
            ")".repeat(40)
        ),
        format!("{}SELECT n FROM t{}", "WITH c AS (".repeat(40), ") SELECT n FROM c".repeat(40)),
        doubled(60),
        format!("SELECT count(*) FROM t GROUP BY CUBE({})", vec!["n"; 40].join(", ")),
    ] {
        let error = node.sql_error(&sql).await;
        assert_eq!(error.sqlstate, "54001", "{error}");
    }
    assert_eq!(node.sql("SELECT count(*) AS c FROM t").await, "c\n3\n");
    assert_eq!(node.sql(&doubled(8)).await, "c\n384\n");
}
