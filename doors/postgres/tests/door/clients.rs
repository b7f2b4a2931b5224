//! What well-known clients ask of the system catalog.

use crate::support::{Node, one, rows};

#[tokio::test]
async fn a_topic_is_found_in_the_system_catalog() {
    let client = Node::start().await.client().await;
    client.simple_query("CREATE TOPIC flights (origin TEXT, dep_delay DOUBLE)").await.unwrap();
    let classes = "SELECT c.relname, n.nspname FROM pg_catalog.pg_class c \
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                   WHERE c.relname = 'flights'";
    assert_eq!(rows(&client, classes).await, [["flights", "public"]]);
    let attributes = "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) \
                      FROM pg_catalog.pg_attribute a \
                      WHERE a.attrelid = 'flights'::regclass AND a.attname = 'dep_delay'";
    assert_eq!(rows(&client, attributes).await, [["dep_delay", "double precision"]]);
    let columns = "SELECT count(*) FROM information_schema.columns \
                   WHERE table_name = 'flights' AND column_name = 'origin'";
    assert_eq!(one(&client, columns).await, "1");
}

#[tokio::test]
async fn drivers_can_look_types_up() {
    let client = Node::start().await.client().await;
    let row = client
        .query_one("SELECT typname FROM pg_catalog.pg_type WHERE oid = $1", &[&25_u32])
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "text");
    assert_eq!(one(&client, "SELECT current_schema()").await, "public");
    assert_eq!(one(&client, "SELECT 1 WHERE 'a' = ANY(ARRAY['a', 'b'])").await, "1");
}
