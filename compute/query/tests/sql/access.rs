//! Who sees what, where clients are asked who they are.

use futures::StreamExt;
use posthouse_broker::{AuthenticationConfig, BrokerConfig};
use posthouse_query::{Outcome, QueryError, QuerySession};
use posthouse_types::Principal;

use crate::node::{Node, config, run};

/// A node with a topic `orders` and a topic `secret`, and its administrator's session.
async fn asking() -> (Node, QuerySession) {
    let authentication = AuthenticationConfig { required: true, ..AuthenticationConfig::default() };
    let broker = BrokerConfig { authentication, ..BrokerConfig::default() };
    let node = Node::start_asking(config(), broker).await;
    let admin = node.engine.session(Principal::node());
    done(&admin, "CREATE TOPIC orders (id BIGINT); CREATE TOPIC secret (salary TEXT)").await;
    done(&admin, "INSERT INTO orders VALUES (1), (2); INSERT INTO secret VALUES ('a lot')").await;
    (node, admin)
}

async fn done(session: &QuerySession, sql: &str) -> String {
    run(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn denied(session: &QuerySession, sql: &str) -> QueryError {
    let error = run(session, sql).await.expect_err(sql);
    assert_eq!(error.sqlstate, "42501", "{sql}: {error}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_granted_is_seen_read_and_written() {
    let (node, admin) = asking().await;
    let ada = node.engine.session(Principal::user("ada"));
    for sql in ["SELECT * FROM orders", "INSERT INTO orders VALUES (3)", "DESCRIBE orders"] {
        denied(&ada, sql).await;
    }
    assert_eq!(done(&ada, "SHOW TOPICS").await.lines().count(), 1);
    done(&admin, "GRANT SELECT ON orders TO ada").await;
    assert_eq!(done(&ada, "SELECT count(*) FROM orders").await, "count(*)\n2\n");
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(done(&ada, tables).await, "table_name\norders\n");
    denied(&ada, "INSERT INTO orders VALUES (3)").await;
    denied(&ada, "INSERT INTO orders SELECT 3 WHERE false").await;
    done(&admin, "GRANT INSERT ON orders TO ada; REVOKE SELECT ON orders FROM ada").await;
    done(&ada, "INSERT INTO orders VALUES (3)").await;
    denied(&ada, "SELECT * FROM orders").await;
    denied(&ada, "SELECT * FROM orders WHERE _partition = 99").await;
    denied(&ada, "EXPLAIN SELECT * FROM orders").await;
    // Functions and names of the query's own are nobody's to allow.
    assert_eq!(done(&ada, "SELECT count(*) AS n FROM generate_series(1, 3)").await, "n\n3\n");
    assert_eq!(done(&ada, "WITH w AS (SELECT 1 AS a) SELECT a FROM w").await, "a\n1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_answers_as_what_is_not_there() {
    let (node, _admin) = asking().await;
    let ada = node.engine.session(Principal::user("ada"));
    for sql in ["SELECT * FROM $", "DROP TOPIC $", "DROP TOPIC IF EXISTS $", "DESCRIBE $"] {
        let hidden = denied(&ada, &sql.replace('$', "secret")).await;
        let absent = denied(&ada, &sql.replace('$', "absent")).await;
        let same = |error: QueryError| format!("{error:?}").replace("absent", "secret");
        assert_eq!(same(hidden), same(absent), "{sql}");
    }
    let near = denied(&ada, "SELECT * FROM secrett").await;
    assert!(near.hint.is_some_and(|hint| !hint.contains("secret ")), "a near name is named");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_for_superusers() {
    let (node, admin) = asking().await;
    done(&admin, "GRANT ALL ON TOPIC * TO ada").await;
    let ada = node.engine.session(Principal::user("ada"));
    denied(&ada, "SELECT * FROM 'weather.csv'").await;
    denied(&ada, "DESCRIBE \"weather.csv\"").await;
    done(&admin, "SELECT * FROM 'weather.csv'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_taken_back_ends_a_query_that_runs() {
    let (node, admin) = asking().await;
    done(&admin, "GRANT SELECT ON orders TO ada").await;
    let ada = node.engine.session(Principal::user("ada"));
    let statement = ada.statements("SELECT id FROM orders").unwrap().remove(0);
    let Outcome::Rows { mut rows, .. } = ada.run(&statement).await.unwrap() else { panic!() };
    // Planned and not read yet.
    done(&admin, "REVOKE SELECT ON orders FROM ada").await;
    let error = rows.next().await.unwrap().unwrap_err();
    assert_eq!(QueryError::from_datafusion(&error).sqlstate, "42501");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_rules_are_changed_and_shown() {
    let (_node, admin) = asking().await;
    done(&admin, "CREATE USER ada PASSWORD 'pw'; CREATE ROLE robot; CREATE USER IF NOT EXISTS ada")
        .await;
    assert_eq!(
        done(&admin, "SHOW USERS").await,
        "user|superuser|login|password|certificates|curve_keys\n\
         ada|false|true|SCRAM-SHA-256 SCRAM-SHA-512|0|0\n\
         robot|false|false||0|0\n"
    );
    done(&admin, "GRANT ALL ON orders TO ada; DENY INSERT ON \"sec*\" TO PUBLIC").await;
    done(
        &admin,
        "REVOKE CREATE, DELETE, ALTER, DESCRIBE_CONFIGS, ALTER_CONFIGS ON orders FROM ada",
    )
    .await;
    done(&admin, "REVOKE CLUSTER_ACTION, IDEMPOTENT_WRITE ON orders FROM ada").await;
    assert_eq!(
        done(&admin, "SHOW GRANTS").await,
        "user|effect|operations|kind|name\n\
         PUBLIC|deny|Write|topic|sec*\n\
         ada|allow|Read,Write,Describe|topic|orders\n"
    );
    done(&admin, "DROP USER ada").await;
    assert_eq!(done(&admin, "SHOW GRANTS FOR ada").await.lines().count(), 1);
    for (sql, state) in [
        ("CREATE USER robot", "42710"),
        ("DROP USER ada", "42704"),
        ("CREATE USER \"*\"", "42602"),
        ("ALTER USER robot CURVE KEY 'short'", "22023"),
        ("ALTER USER robot PASSWORD ''", "22023"),
    ] {
        let error = run(&admin, sql).await.expect_err(sql);
        assert_eq!(error.sqlstate, state, "{sql}: {error}");
    }
}
