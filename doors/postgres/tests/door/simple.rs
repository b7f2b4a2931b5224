//! The simple protocol: scripts, errors, transactions, settings.

use crate::support::{Node, one, refused, rows};

#[tokio::test]
async fn a_script_answers_each_of_its_statements() {
    let client = Node::start().await.client().await;
    let found = rows(&client, "SELECT 1; ; SELECT 'é;', NULL; -- end").await;
    assert_eq!(found, [vec!["1".to_owned()], vec!["é;".to_owned(), "∅".to_owned()]]);
}

#[tokio::test]
async fn values_look_as_in_postgresql() {
    let client = Node::start().await.client().await;
    for (sql, expected) in [
        ("SELECT 1.5::double", "1.5"),
        ("SELECT 2::double", "2"),
        ("SELECT true", "t"),
        ("SELECT TIMESTAMP '2013-01-01 09:00:00'", "2013-01-01 09:00:00"),
        ("SELECT TIMESTAMP '2013-01-01 09:00:00.250'", "2013-01-01 09:00:00.25"),
        ("SELECT DATE '2013-01-01'", "2013-01-01"),
        ("SELECT 12.50::decimal(10,2)", "12.50"),
        ("SELECT make_array(1, NULL)", "{1,NULL}"),
        ("SELECT X'00ff'", "\\x00ff"),
    ] {
        assert_eq!(one(&client, sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn errors_carry_code_and_position_in_the_whole_script() {
    let client = Node::start().await.client().await;
    let (code, _, position) = refused(&client, "SELECT nope FROM (SELECT 1 AS a) t").await;
    assert_eq!((code.as_str(), position), ("42703", Some(8)));
    let (code, _, position) = refused(&client, "SELECT 'é'; SELECT nope FROM (SELECT 1 a)").await;
    assert_eq!((code.as_str(), position), ("42703", Some(20)));
    let (code, ..) = refused(&client, "SELECT * FROM nowhere").await;
    assert_eq!(code, "42P01");
    let (code, _, position) = refused(&client, "SELECT 1,, 2").await;
    assert_eq!(code, "42601");
    assert!(position.is_some());
    let (code, ..) = refused(&client, "SELECT 1 / 0").await;
    assert_eq!(code, "22012");
    assert_eq!(one(&client, "SELECT 1").await, "1");
}

#[tokio::test]
async fn an_error_ends_the_script() {
    let client = Node::start().await.client().await;
    refused(
        &client,
        "SET application_name = 'before'; SELECT nope; SET application_name = 'after'",
    )
    .await;
    assert_eq!(one(&client, "SHOW application_name").await, "before");
}

#[tokio::test]
async fn a_failed_transaction_takes_only_its_end() {
    let client = Node::start().await.client().await;
    client.simple_query("BEGIN").await.unwrap();
    refused(&client, "SELECT nope").await;
    assert_eq!(refused(&client, "SELECT 1").await.0, "25P02");
    let error = client.query("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(crate::support::failure(&error).0, "25P02");
    client.simple_query("COMMIT").await.unwrap();
    assert_eq!(one(&client, "SELECT 1").await, "1");
    assert_eq!(refused(&client, "SAVEPOINT a").await.0, "25P01");
}

#[tokio::test]
async fn a_rollback_undoes_settings() {
    let client = Node::start().await.client().await;
    client.simple_query("BEGIN; SET TimeZone = 'Asia/Tokyo'; ROLLBACK").await.unwrap();
    assert_eq!(one(&client, "SHOW timezone").await, "UTC");
    client.simple_query("SET TimeZone = 'Asia/Tokyo'").await.unwrap();
    let moment =
        "SELECT arrow_cast('2013-01-01T00:00:00', 'Timestamp(Millisecond, Some(\"UTC\"))')";
    assert_eq!(one(&client, moment).await, "2013-01-01 09:00:00+09");
    client.simple_query("DISCARD ALL").await.unwrap();
    assert_eq!(one(&client, "SHOW timezone").await, "UTC");
}

#[tokio::test]
async fn settings_are_shown_and_refused_as_postgresql_does() {
    let client = Node::start().await.client().await;
    assert!(one(&client, "SHOW server_version").await.starts_with("16."));
    assert_eq!(one(&client, "SELECT current_setting('server_encoding')").await, "UTF8");
    assert!(one(&client, "SELECT version()").await.starts_with("PostgreSQL 16."));
    assert_eq!(one(&client, "SELECT current_user").await, "ada");
    assert_eq!(one(&client, "SELECT current_database()").await, "posthouse");
    assert_eq!(refused(&client, "SET no_such = 1").await.0, "42704");
    assert_eq!(refused(&client, "SET server_version = '1'").await.0, "55P02");
    assert_eq!(refused(&client, "SET client_encoding = 'LATIN1'").await.0, "22023");
    let all = rows(&client, "SHOW ALL").await;
    assert!(all.iter().any(|row| row == &["TimeZone", "UTC"]), "{all:?}");
}

#[tokio::test]
async fn cursors_are_fetched_in_parts() {
    let client = Node::start().await.client().await;
    let series = "SELECT value FROM generate_series(1, 5)";
    assert_eq!(refused(&client, &format!("DECLARE c CURSOR FOR {series}")).await.0, "25P01");
    client.simple_query(&format!("BEGIN; DECLARE c CURSOR FOR {series}")).await.unwrap();
    assert_eq!(rows(&client, "FETCH 2 FROM c").await, [["1"], ["2"]]);
    client.simple_query("MOVE 1 IN c").await.unwrap();
    assert_eq!(rows(&client, "FETCH ALL FROM c").await, [["4"], ["5"]]);
    assert!(rows(&client, "FETCH c").await.is_empty());
    client.simple_query("CLOSE c; COMMIT").await.unwrap();
    assert_eq!(refused(&client, "FETCH c").await.0, "34000");
    let held = format!("DECLARE h CURSOR WITH HOLD FOR {series}");
    client.simple_query(&held).await.unwrap();
    assert_eq!(rows(&client, "FETCH h").await, [["1"]]);
}

#[tokio::test]
async fn a_topic_is_made_filled_and_read() {
    let client = Node::start().await.client().await;
    client.simple_query("CREATE TOPIC t (a BIGINT, b TEXT)").await.unwrap();
    client.simple_query("INSERT INTO t (a, b) VALUES (1, 'x'), (2, NULL)").await.unwrap();
    assert_eq!(rows(&client, "SELECT a, b FROM t ORDER BY a").await, [["1", "x"], ["2", "∅"]]);
    assert_eq!(refused(&client, "CREATE TOPIC t (a BIGINT)").await.0, "42P07");
}
