//! The extended protocol: parameters, types, portals, binary results.

use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt, pin_mut};
use tokio_postgres::types::Type;

use crate::support::{Node, failure};

#[tokio::test]
async fn parameters_are_inferred_and_bound() {
    let client = Node::start().await.client().await;
    let statement = client
        .prepare("SELECT $1 + 1, $2::text, a FROM (SELECT 5 AS a) t WHERE a > $3")
        .await
        .unwrap();
    assert_eq!(statement.params(), [Type::INT8, Type::TEXT, Type::INT8]);
    let row = client.query_one(&statement, &[&41_i64, &"x", &1_i64]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 42);
    assert_eq!(row.get::<_, &str>(1), "x");
    assert_eq!(row.get::<_, i64>(2), 5);
    let none = client.query(&statement, &[&41_i64, &"x", &9_i64]).await.unwrap();
    assert!(none.is_empty());
}

#[tokio::test]
async fn declared_types_are_honoured() {
    let client = Node::start().await.client().await;
    let types = [Type::INT4, Type::FLOAT8, Type::BOOL];
    let statement = client.prepare_typed("SELECT $1, $2, $3", &types).await.unwrap();
    let columns: Vec<_> = statement.columns().iter().map(|column| column.type_().clone()).collect();
    assert_eq!(columns, types);
    let row = client.query_one(&statement, &[&7_i32, &0.5_f64, &true]).await.unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, f64>(1), row.get::<_, bool>(2)), (7, 0.5, true));
}

#[tokio::test]
async fn nulls_and_every_common_type_cross_in_binary() {
    let client = Node::start().await.client().await;
    let row = client
        .query_one(
            "SELECT NULL::bigint, 1::smallint, 2::int, 3::bigint, 0.25::float4, 0.5::float8, \
             'é', true, X'00ff', TIMESTAMP '1970-01-01 00:00:01', make_array(1, 2)",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, Option<i64>>(0), None);
    assert_eq!(row.get::<_, i16>(1), 1);
    assert_eq!(row.get::<_, i32>(2), 2);
    assert_eq!(row.get::<_, i64>(3), 3);
    assert_eq!(row.get::<_, f32>(4), 0.25);
    assert_eq!(row.get::<_, f64>(5), 0.5);
    assert_eq!(row.get::<_, &str>(6), "é");
    assert!(row.get::<_, bool>(7));
    assert_eq!(row.get::<_, &[u8]>(8), [0, 255]);
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    assert_eq!(row.get::<_, SystemTime>(9), moment);
    assert_eq!(row.get::<_, Vec<i64>>(10), [1, 2]);
}

#[tokio::test]
async fn a_portal_is_read_in_parts_and_ends_with_its_transaction() {
    let mut client = Node::start().await.client().await;
    let transaction = client.transaction().await.unwrap();
    let statement = transaction.prepare("SELECT value FROM generate_series(1, 5)").await.unwrap();
    let portal = transaction.bind(&statement, &[]).await.unwrap();
    let mut sizes = Vec::new();
    for _ in 0..4 {
        sizes.push(transaction.query_portal(&portal, 2).await.unwrap().len());
    }
    assert_eq!(sizes, [2, 2, 1, 0]);
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn the_doors_own_statements_can_be_prepared() {
    let client = Node::start().await.client().await;
    client.execute("SET application_name TO 'prepared'", &[]).await.unwrap();
    let row = client.query_one("SHOW application_name", &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "prepared");
    client.execute("CREATE TOPIC p (a BIGINT)", &[]).await.unwrap();
    assert_eq!(client.execute("INSERT INTO p (a) VALUES ($1)", &[&7_i64]).await.unwrap(), 1);
    let row = client.query_one("SELECT a FROM p WHERE a = $1", &[&7_i64]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 7);
    assert!(!client.query("SHOW TOPICS", &[]).await.unwrap().is_empty());
    client.execute("", &[]).await.unwrap();
}

#[tokio::test]
async fn errors_of_preparation_and_execution_leave_the_session_usable() {
    let client = Node::start().await.client().await;
    let error = client.prepare("SELECT nope FROM (SELECT 1 AS a) t").await.unwrap_err();
    let (code, _, position) = failure(&error);
    assert_eq!((code.as_str(), position), ("42703", Some(8)));
    let error = client.prepare("SELECT 1; SELECT 2").await.unwrap_err();
    assert_eq!(failure(&error).0, "42601");
    let statement = client.prepare("SELECT 1 / $1").await.unwrap();
    let error = client.query(&statement, &[&0_i64]).await.unwrap_err();
    assert_eq!(failure(&error).0, "22012");
    let row = client.query_one(&statement, &[&1_i64]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn pipelined_queries_are_answered_in_order() {
    let client = Node::start().await.client().await;
    let queries = (0..50_i64).map(|number| {
        let client = &client;
        async move { client.query_one("SELECT $1::bigint", &[&number]).await.unwrap().get(0) }
    });
    let answers: Vec<i64> = futures::future::join_all(queries).await;
    assert_eq!(answers, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_large_result_streams() {
    let client = Node::start().await.client().await;
    let none: [i64; 0] = [];
    let rows =
        client.query_raw("SELECT value FROM generate_series(1, 200000)", none).await.unwrap();
    pin_mut!(rows);
    let first: i64 = rows.next().await.unwrap().unwrap().get(0);
    let rest: Vec<_> = rows.try_collect().await.unwrap();
    assert_eq!((first, rest.len()), (1, 199_999));
}
