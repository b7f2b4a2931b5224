//! `COPY` in both directions.

use bytes::Bytes;
use futures::{SinkExt, TryStreamExt, pin_mut};
use tokio_postgres::Client;

use crate::support::{Node, failure, rows};

async fn copied(client: &Client, sql: &str) -> Result<String, tokio_postgres::Error> {
    let stream = client.copy_out(sql).await?;
    let pieces: Vec<Bytes> = stream.try_collect().await?;
    Ok(String::from_utf8(pieces.concat()).unwrap())
}

async fn copy_in(
    client: &Client,
    sql: &str,
    data: &'static str,
) -> Result<u64, tokio_postgres::Error> {
    let sink = client.copy_in(sql).await?;
    pin_mut!(sink);
    sink.send(Bytes::from_static(data.as_bytes())).await?;
    sink.finish().await
}

#[tokio::test]
async fn a_query_is_copied_out_as_text_or_csv() {
    let client = Node::start().await.client().await;
    let query =
        "SELECT 1 AS a, 'x,\"y\"' AS b, NULL AS c UNION ALL SELECT 2, 'tab\there', 'z' ORDER BY a";
    let text = copied(&client, &format!("COPY ({query}) TO STDOUT")).await.unwrap();
    assert_eq!(text, "1\tx,\"y\"\t\\N\n2\ttab\\there\tz\n");
    let csv = copied(&client, &format!("COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)")).await;
    assert_eq!(csv.unwrap(), "a,b,c\n1,\"x,\"\"y\"\"\",\n2,tab\there,z\n");
}

#[tokio::test]
async fn copy_refuses_what_it_cannot_do() {
    let client = Node::start().await.client().await;
    for (sql, code, position) in [
        ("COPY (SELECT 1) TO STDOUT (FORMAT binary)", "0A000", Some(28)),
        ("COPY (SELECT nope FROM (SELECT 1 a) t) TO STDOUT", "42703", Some(14)),
        ("COPY nowhere TO STDOUT", "42P01", None),
        ("COPY (SELECT 1) TO '/tmp/file'", "0A000", Some(20)),
    ] {
        let error = copied(&client, sql).await.unwrap_err();
        let (found, _, place) = failure(&error);
        assert_eq!((found.as_str(), place), (code, position), "{sql}");
    }
}

#[tokio::test]
async fn rows_are_copied_into_a_topic() {
    let client = Node::start().await.client().await;
    client.simple_query("CREATE TOPIC c (a BIGINT, b TEXT)").await.unwrap();
    let count = copy_in(&client, "COPY c (a, b) FROM STDIN", "1\tone\n2\t\\N\n3\tit's\n").await;
    assert_eq!(count.unwrap(), 3);
    let csv =
        copy_in(&client, "COPY c FROM STDIN (FORMAT csv, HEADER)", "a,b\n4,\"f\nour\"\n").await;
    assert_eq!(csv.unwrap(), 1);
    let found = rows(&client, "SELECT a, b FROM c ORDER BY a").await;
    assert_eq!(found, [["1", "one"], ["2", "∅"], ["3", "it's"], ["4", "f\nour"]]);
    let text = copied(&client, "COPY c (b) TO STDOUT").await.unwrap();
    assert_eq!(text.lines().count(), 4);
}

#[tokio::test]
async fn a_copy_with_too_few_columns_fails_and_the_session_goes_on() {
    let client = Node::start().await.client().await;
    client.simple_query("CREATE TOPIC c (a BIGINT, b TEXT)").await.unwrap();
    let error = copy_in(&client, "COPY c (a, b) FROM STDIN", "1\n").await.unwrap_err();
    let (code, message, _) = failure(&error);
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("22P04", "missing data: 2 columns expected, line 1")
    );
    assert!(rows(&client, "SELECT a FROM c").await.is_empty());
}
