//! Claims about how statements about users and permissions are read.

use super::*;
use crate::statement::Statement;

fn parse(sql: &str) -> AccessStatement {
    let statement = Statement::parse(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    match statement.into_iter().next().expect("a statement").kind {
        StatementKind::Access(access) => access,
        other => panic!("{sql}: {other:?}"),
    }
}

/// Rules as people read them.
fn rules(sql: &str) -> Vec<String> {
    match parse(sql) {
        AccessStatement::Allow(rules) | AccessStatement::Deny(rules) => {
            rules.iter().map(ToString::to_string).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn options(sql: &str) -> Vec<UserOption> {
    match parse(sql) {
        AccessStatement::CreateUser { options, .. }
        | AccessStatement::AlterUser { options, .. } => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_user_is_made_with_options_in_any_order() {
    let secret = |text: &str| UserOption::Password(Some(Secret(text.into())));
    let all = [secret("it's"), UserOption::Superuser(true), UserOption::Login(false)];
    assert_eq!(options("CREATE USER ada WITH PASSWORD 'it''s' SUPERUSER NOLOGIN"), all);
    assert_eq!(options("create user ada"), []);
    assert_eq!(options("ALTER ROLE ada ENCRYPTED PASSWORD E'a\\'b'"), [secret("a'b")]);
    assert_eq!(options("ALTER USER ada PASSWORD $$x'y$$"), [secret("x'y")]);
    assert_eq!(options("ALTER USER ada PASSWORD NULL"), [UserOption::Password(None)]);
    assert_eq!(options("CREATE ROLE ada"), [UserOption::Login(false)]);
    assert_eq!(options("CREATE ROLE ada LOGIN"), [UserOption::Login(true)]);
    let proofs = options("ALTER USER ada CERTIFICATE 'CN=ada' NO CURVE KEY 'k'");
    let certificate = UserOption::Certificate { subject: "CN=ada".into(), is_added: true };
    assert_eq!(proofs, [certificate, UserOption::CurveKey { key: "k".into(), is_added: false }]);
}

#[test]
fn names_fold_unless_they_are_quoted() {
    let AccessStatement::DropUsers { names, if_exists, word } =
        parse("DROP USER IF EXISTS Ada, \"Bob B\"")
    else {
        panic!()
    };
    let names: Vec<_> = names.iter().map(|name| name.text.as_str()).collect();
    assert_eq!((names, if_exists, word), (vec!["ada", "Bob B"], true, "DROP USER"));
}

#[test]
fn permissions_take_the_words_of_sql_and_of_kafka() {
    assert_eq!(
        rules("GRANT SELECT, INSERT ON orders TO ada"),
        ["allow User:ada Read on topic orders", "allow User:ada Write on topic orders"]
    );
    assert_eq!(
        rules("GRANT DROP, ALTER, CREATE, DescribeConfigs, ALTER_CONFIGS ON TABLE public.t TO ada")
            [3..],
        ["allow User:ada DescribeConfigs on topic t", "allow User:ada AlterConfigs on topic t"]
    );
    assert_eq!(
        rules("DENY ALL PRIVILEGES ON TOPIC \"secret*\" TO PUBLIC"),
        ["deny User:* All on topic secret*"]
    );
    assert_eq!(rules("GRANT CREATE ON CLUSTER TO ada"), ["allow User:ada Create on cluster *"]);
    assert_eq!(
        rules("GRANT READ ON GROUP \"app-*\", b TO ada, Bob"),
        [
            "allow User:ada Read on group app-*",
            "allow User:ada Read on group b",
            "allow User:bob Read on group app-*",
            "allow User:bob Read on group b"
        ]
    );
    assert_eq!(
        rules("GRANT SELECT ON ALL TABLES IN SCHEMA public TO ada"),
        ["allow User:ada Read on topic *"]
    );
    assert_eq!(rules("GRANT READ ON CHANNEL * TO ada"), ["allow User:ada Read on channel *"]);
    assert_eq!(rules("GRANT READ ON key TO ada"), ["allow User:ada Read on topic key"]);
    assert_eq!(rules("GRANT READ ON KEY k TO ada"), ["allow User:ada Read on key k"]);
    assert_eq!(
        rules("GRANT WRITE ON TRANSACTIONAL_ID t TO ada"),
        ["allow User:ada Write on transactional-id t"]
    );
}

#[test]
fn a_revocation_names_whose_rules_lose_which_operations() {
    let AccessStatement::Revoke(revoked) = parse("REVOKE SELECT, INSERT ON t FROM ada, PUBLIC")
    else {
        panic!()
    };
    assert_eq!(revoked.len(), 2);
    assert_eq!(revoked[0].operations.to_string(), "Read,Write");
    assert_eq!(revoked[0].filter.effect, Some(Effect::Allow));
    assert_eq!(revoked[1].filter.grantee, Some(Grantee::everybody()));
    let AccessStatement::Revoke(revoked) = parse("REVOKE DENY ALL ON CLUSTER FROM ada") else {
        panic!()
    };
    assert_eq!(revoked[0].filter.effect, Some(Effect::Deny));
    assert_eq!(revoked[0].filter.kind, Some(ResourceKind::Cluster));
}

#[test]
fn grants_are_shown_of_all_or_of_one() {
    assert_eq!(parse("SHOW USERS"), AccessStatement::ShowUsers);
    assert_eq!(parse("SHOW GRANTS"), AccessStatement::ShowGrants { user: None });
    assert_eq!(
        parse("SHOW GRANTS FOR Ada"),
        AccessStatement::ShowGrants { user: Some("ada".into()) }
    );
    assert_eq!(
        parse("SHOW GRANTS FOR PUBLIC"),
        AccessStatement::ShowGrants { user: Some("*".into()) }
    );
}

#[test]
fn what_is_no_such_statement_is_refused_at_its_place() {
    for (sql, position) in [
        ("GRANT FLY ON t TO ada", 7),
        ("GRANT SELECT t TO ada", 14),
        ("GRANT SELECT ON t FROM ada", 19),
        ("REVOKE SELECT ON t TO ada", 20),
        ("GRANT SELECT ON t TO \"*\"", 22),
        ("GRANT SELECT ON t TO ada WITH GRANT OPTION", 26),
        ("GRANT SELECT ON ALL TABLES IN SCHEMA other TO ada", 38),
        ("ALTER USER ada", 15),
        ("ALTER USER ada NO PASSWORD", 19),
        ("DROP USER", 10),
    ] {
        let error = Statement::parse(sql).expect_err(sql);
        assert_eq!(error.position, Some(position), "{sql}: {error}");
    }
}

#[test]
fn a_password_is_never_in_an_error_nor_in_debug_output() {
    for sql in [
        "CREATE USER ada PASSWORD hunter2",
        "CREATE USER ada PASSWORD \"hunter2\"",
        "CREATE USER ada PASSWORD 'x' 'hunter2'",
        "CREATE USER ada PASSWORD = 'hunter2'",
        "CREATE USER ada PASSWORD 'x' hunter2",
        "CREATE USER ada WITH (PASSWORD 'hunter2')",
        "ALTER USER ada SET PASSWORD 'hunter2'",
        "ALTER USER ada PASSWORD 'hunter2",
        "EXPLAIN CREATE USER ada PASSWORD 'hunter2'",
        "CREATE USER IF EXISTS ada PASSWORD 'hunter2'",
        "CREATE USR ada PASSWORD 'hunter2'",
        "CREATE ROLE ada PASSWORD hunter2 LOGIN",
    ] {
        match Statement::parse(sql) {
            Err(error) => {
                assert!(!format!("{error} {error:?}").contains("hunter2"), "{sql}: {error:?}");
                assert_eq!(error.sqlstate, "42601", "{sql}");
            }
            Ok(statements) => {
                assert!(!format!("{statements:?}").contains("hunter2"), "{sql}: {statements:?}");
            }
        }
    }
    let statements = Statement::parse("ALTER USER ada PASSWORD 'hunter2'").unwrap();
    assert!(!format!("{statements:?}").contains("hunter2"));
}
