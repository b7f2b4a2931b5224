//! Claims about which statements are the door's and how they read.

use super::super::copy::{CopyFormat, CopySource};
use super::super::script::pieces;
use super::*;

fn parsed(sql: &str) -> Result<Option<OwnStatement>, Failure> {
    own_statement(&pieces(sql)[0])
}

fn own(sql: &str) -> OwnStatement {
    parsed(sql).unwrap_or_else(|failure| panic!("{sql}: {failure}")).expect(sql)
}

fn set_to(name: &str, value: &str) -> OwnStatement {
    OwnStatement::Set {
        name: SettingName::One(name.into()),
        value: Assignment::Value(value.into()),
        is_local: false,
    }
}

#[test]
fn queries_and_topics_are_the_engines() {
    for sql in [
        "SELECT 1",
        "CREATE TOPIC t (a INT)",
        "INSERT INTO t VALUES (1)",
        "SHOW TABLES",
        "SHOW TOPICS",
        "SET datafusion.execution.batch_size = 10",
        "SHOW datafusion.execution.batch_size",
        "EXPLAIN SELECT 1",
        "(SELECT 1)",
        "PREPARE p AS SELECT 1",
    ] {
        assert_eq!(parsed(sql).unwrap(), None, "{sql}");
    }
}

#[test]
fn transactions_are_known_by_all_their_words() {
    for sql in [
        "BEGIN",
        "begin work",
        "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY",
        "START TRANSACTION READ WRITE",
        "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
    ] {
        assert_eq!(own(sql), OwnStatement::Begin, "{sql}");
    }
    for sql in ["COMMIT", "END", "COMMIT WORK", "COMMIT AND NO CHAIN"] {
        assert_eq!(own(sql), OwnStatement::Commit, "{sql}");
    }
    for sql in ["ROLLBACK", "ABORT", "ROLLBACK TRANSACTION"] {
        assert_eq!(own(sql), OwnStatement::Rollback, "{sql}");
    }
    let expected = OwnStatement::Savepoint { command: "ROLLBACK TO SAVEPOINT" };
    assert_eq!(own("ROLLBACK TO SAVEPOINT a"), expected);
    assert!(parsed("BEGIN nonsense").is_err());
    assert!(parsed("COMMIT AND CHAIN").is_err());
}

#[test]
fn settings_are_set_in_every_spelling() {
    assert_eq!(own("SET DateStyle = 'ISO'"), set_to("datestyle", "ISO"));
    assert_eq!(own("set session search_path to a, \"B\""), set_to("search_path", "a, B"));
    assert_eq!(own("SET TIME ZONE 'UTC'"), set_to("timezone", "UTC"));
    assert_eq!(own("SET NAMES 'UTF8'"), set_to("client_encoding", "UTF8"));
    assert_eq!(own("SET extra_float_digits = -3"), set_to("extra_float_digits", "-3"));
    assert_eq!(own("SET my.flag TO on"), set_to("my.flag", "on"));
    let OwnStatement::Set { is_local: true, value: Assignment::Default, .. } =
        own("SET LOCAL statement_timeout TO DEFAULT")
    else {
        panic!("SET LOCAL … TO DEFAULT");
    };
    assert_eq!(own("SET TRANSACTION READ ONLY"), OwnStatement::SetTransaction);
}

#[test]
fn a_setting_is_shown_by_its_words() {
    let one = |name: &str| OwnStatement::Show(SettingName::One(name.into()));
    assert_eq!(own("SHOW server_version"), one("server_version"));
    assert_eq!(own("SHOW TIME ZONE"), one("timezone"));
    assert_eq!(own("SHOW TRANSACTION ISOLATION LEVEL"), one("transaction_isolation"));
    assert_eq!(own("SHOW ALL"), OwnStatement::Show(SettingName::All));
}

#[test]
fn cursors_move_forward_only() {
    let OwnStatement::Declare(declared) =
        own("DECLARE \"C\" NO SCROLL CURSOR WITH HOLD FOR SELECT 1, 2")
    else {
        panic!("DECLARE");
    };
    assert_eq!((declared.cursor.as_str(), declared.query.as_str()), ("C", "SELECT 1, 2"));
    assert!(declared.with_hold);
    assert_eq!(declared.characters_before, 43);
    let fetch = |count, is_move| OwnStatement::Fetch { cursor: "c".into(), count, is_move };
    assert_eq!(own("FETCH FORWARD 10 FROM c"), fetch(FetchCount::Rows(10), false));
    assert_eq!(own("FETCH c"), fetch(FetchCount::Rows(1), false));
    assert_eq!(own("FETCH ALL IN c"), fetch(FetchCount::All, false));
    assert_eq!(own("MOVE 5 c"), fetch(FetchCount::Rows(5), true));
    assert!(matches!(parsed("FETCH BACKWARD 1 FROM c"), Err(Failure::Unsupported { .. })));
    assert!(matches!(parsed("FETCH -1 FROM c"), Err(Failure::Unsupported { .. })));
}

#[test]
fn copy_reads_both_spellings_of_its_options() {
    let OwnStatement::CopyTo(copy) =
        own("COPY (SELECT 1, f(2)) TO STDOUT WITH (FORMAT csv, HEADER, DELIMITER ';')")
    else {
        panic!("COPY TO");
    };
    assert_eq!(
        copy.source,
        CopySource::Query { sql: "SELECT 1, f(2)".into(), characters_before: 6 }
    );
    assert_eq!(copy.options.format, CopyFormat::Csv);
    assert!(copy.options.header);
    assert_eq!(copy.options.delimiter, b';');

    let OwnStatement::CopyTo(copy) = own("copy Flights (a, \"B\") to stdout csv header null 'x'")
    else {
        panic!("COPY TO");
    };
    let sql = "SELECT \"a\", \"B\" FROM \"flights\"".to_owned();
    assert_eq!(copy.source, CopySource::Table { sql });
    assert_eq!(copy.options.null, "x");

    let OwnStatement::CopyFrom(copy) = own("COPY t FROM STDIN DELIMITER E'\\t'") else {
        panic!("COPY FROM");
    };
    assert_eq!((copy.table.as_str(), copy.options.delimiter), ("\"t\"", b'\t'));
}

#[test]
fn copy_with_files_or_binary_is_unsupported_at_its_place() {
    for (sql, place) in [
        ("COPY t TO '/tmp/x'", 11),
        ("COPY t FROM PROGRAM 'ls'", 13),
        ("COPY t TO STDOUT (FORMAT binary)", 19),
        ("COPY t TO STDOUT BINARY", 18),
    ] {
        match parsed(sql) {
            Err(Failure::Unsupported { position: Some(position), .. }) => {
                assert_eq!(position, place, "{sql}");
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[test]
fn a_wrong_word_is_a_syntax_error_at_its_place() {
    match parsed("DISCARD sequencez") {
        Err(Failure::Syntax { message, position }) => {
            assert_eq!(message, "syntax error at or near \"sequencez\"");
            assert_eq!(position, Some(9));
        }
        other => panic!("{other:?}"),
    }
}
