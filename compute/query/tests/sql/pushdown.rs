//! What a query does not need is not read.

use posthouse_broker::TopicRef;
use posthouse_types::{Offset, PartitionIndex, Principal, TopicName};

use crate::node::{Node, ReadAt};

/// Four partitions of a hundred records, each record its own stored batch, a second apart.
async fn node() -> Node {
    let node = Node::start().await;
    node.sql("CREATE TOPIC t (n INT) WITH (partitions = 4)").await;
    for n in 0..100 {
        let rows: Vec<String> = (0..4)
            .map(|partition| {
                format!(
                    "({n}, {partition}, TIMESTAMP '2024-01-01 00:00:00Z' + INTERVAL '{n} seconds')"
                )
            })
            .collect();
        node.sql(&format!("INSERT INTO t (n, _partition, _timestamp) VALUES {}", rows.join(", ")))
            .await;
    }
    node.take_reads();
    node
}

async fn reads(node: &Node, sql: &str, expected: &str) -> Vec<ReadAt> {
    node.take_reads();
    assert_eq!(node.sql(sql).await.lines().nth(1).unwrap_or_default(), expected, "{sql}");
    node.take_reads()
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_cannot_match_are_not_read() {
    let node = node().await;
    for (predicate, count, partitions) in [
        ("_partition = 2", "100", vec![2]),
        ("_partition IN (1, 3)", "200", vec![1, 3]),
        ("_partition = 0 AND _partition = 1", "0", vec![]),
        ("_partition > 5", "0", vec![]),
        ("_partition = 1 AND _offset = 7", "1", vec![1]),
    ] {
        let sql = format!("SELECT count(*) FROM t WHERE {predicate}");
        let mut read: Vec<u32> = reads(&node, &sql, count)
            .await
            .iter()
            .map(|read| read.partition.index.value())
            .collect();
        read.sort_unstable();
        read.dedup();
        assert_eq!(read, partitions, "{predicate}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_that_cannot_match_are_not_read() {
    let node = node().await;
    for (predicate, count, from, until) in [
        ("_offset >= 90", "40", 90, 100),
        ("_offset < 10", "40", 0, 10),
        ("_offset BETWEEN 40 AND 49", "40", 40, 50),
        ("50 <= _offset AND _offset < 60", "40", 50, 60),
        ("_offset = 5 OR _offset = 8", "8", 5, 9),
    ] {
        let sql = format!("SELECT count(n) FROM t WHERE {predicate}");
        for read in reads(&node, &sql, count).await {
            let range = (read.from.value(), read.until.value());
            assert!(from <= range.0 && range.1 <= until, "{predicate}: {range:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_older_than_asked_for_are_not_read() {
    let node = node().await;
    for predicate in [
        "_timestamp >= '2024-01-01T00:01:30Z'",
        "_timestamp > TIMESTAMP '2024-01-01 00:01:29.5'",
        "_timestamp >= TIMESTAMP '2024-01-01 00:01:20' + INTERVAL '10 seconds'",
    ] {
        let sql = format!("SELECT count(n) FROM t WHERE {predicate}");
        for read in reads(&node, &sql, "40").await {
            assert!(read.from.value() >= 90, "{predicate}: {read:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_reads_no_more_partitions_than_it_needs() {
    let node = node().await;
    let read = reads(&node, "SELECT n FROM t LIMIT 5", "0").await;
    assert!(!read.is_empty());
    assert!(read.iter().all(|read| read.partition.index.value() == 0), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_may_fall_inside_a_stored_batch() {
    let node = Node::start().await;
    node.sql("CREATE TOPIC one (n INT)").await;
    node.sql("INSERT INTO one SELECT value FROM generate_series(1, 100)").await;
    assert_eq!(node.sql("SELECT n FROM one LIMIT 3").await, "n\n1\n2\n3\n");
    let sql = "SELECT count(*) FROM (SELECT * FROM one LIMIT 7)";
    assert_eq!(node.sql(sql).await, "count(*)\n7\n");
    let sql = "SELECT n FROM one WHERE _offset >= 40 LIMIT 2 OFFSET 1";
    assert_eq!(node.sql(sql).await, "n\n42\n43\n");
    assert_eq!(node.sql("SELECT n FROM one LIMIT 0").await, "n\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_what_was_pushed() {
    let node = node().await;
    let plan = node
        .sql("EXPLAIN SELECT n FROM t WHERE _partition = 1 AND _offset >= 95 AND n > 3 LIMIT 2")
        .await;
    assert!(plan.contains("parts=[[1:95..100]], columns=[n]"), "{plan}");
    assert!(plan.contains("_partition = 1 AND _offset >= 95"), "{plan}");
    assert!(plan.contains("FilterExec: n"), "{plan}");
    let plan = node.sql("EXPLAIN SELECT n FROM t WHERE _offset >= 95 LIMIT 2").await;
    assert!(plan.contains("limit=2") && !plan.contains("FilterExec"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_decodes_nothing() {
    let node = node().await;
    let analyzed = node.sql("EXPLAIN ANALYZE SELECT count(*) FROM t").await;
    assert!(analyzed.contains("columns=[]"), "{analyzed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_sees_each_partition_as_it_was_when_it_began() {
    use futures::StreamExt;
    use posthouse_query::Outcome;

    let node = node().await;
    let session = node.session();
    let self_join = "SELECT count(*) FROM t a JOIN t b ON a._offset = b._offset AND a._partition = b._partition";
    for sql in ["SELECT count(n) FROM t", "SELECT count(*) FROM t", self_join] {
        let before = node.sql("SELECT count(*) FROM t").await;
        let mut begun = session.execute(sql).await.unwrap();
        node.sql("INSERT INTO t VALUES (1), (2), (3)").await;
        let Some(Outcome::Rows { mut rows, .. }) = begun.pop() else { panic!("no rows") };
        let batch = rows.next().await.unwrap().unwrap();
        let counted = datafusion::arrow::util::display::array_value_to_string(batch.column(0), 0);
        assert_eq!(before.lines().nth(1), counted.ok().as_deref(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_deleted_at_the_head_are_not_there() {
    let node = node().await;
    let topic = TopicRef::Name(TopicName::new("t").unwrap());
    let to = Some(Offset::new(60).unwrap());
    for index in 0..4 {
        let index = PartitionIndex::new(index);
        node.broker.delete_records(&Principal::anonymous(), &topic, index, to).await.unwrap();
    }
    assert_eq!(node.sql("SELECT count(*), min(n) FROM t").await, "count(*)|min(t.n)\n160|60\n");
}
