//! The golden table of codes, and the fields of a message.

use super::*;

fn name() -> String {
    "n".to_owned()
}

#[test]
fn each_failure_has_its_code_and_words() {
    let table = [
        (Failure::Syntax { message: "m".into(), position: None }, "42601", "m"),
        (
            Failure::Unsupported { feature: "f".into(), position: None },
            "0A000",
            "f is not supported",
        ),
        (Failure::InvalidParameter { message: "m".into() }, "22023", "m"),
        (
            Failure::UnknownSetting { name: name() },
            "42704",
            "unrecognized configuration parameter \"n\"",
        ),
        (Failure::FixedSetting { name: name() }, "55P02", "parameter \"n\" cannot be changed"),
        (
            Failure::UnknownStatement { name: name() },
            "26000",
            "prepared statement \"n\" does not exist",
        ),
        (
            Failure::DuplicateStatement { name: name() },
            "42P05",
            "prepared statement \"n\" already exists",
        ),
        (Failure::UnknownPortal { name: name() }, "34000", "portal \"n\" does not exist"),
        (Failure::UnknownCursor { name: name() }, "34000", "cursor \"n\" does not exist"),
        (Failure::DuplicateCursor { name: name() }, "42P03", "cursor \"n\" already exists"),
        (
            Failure::SeveralCommands,
            "42601",
            "cannot insert multiple commands into a prepared statement",
        ),
        (Failure::TooMany { what: "portals", max: 2 }, "54000", "too many portals: the limit is 2"),
        (
            Failure::InFailedTransaction,
            "25P02",
            "current transaction is aborted, commands ignored until end of transaction block",
        ),
        (
            Failure::NoTransaction { command: "SAVEPOINT" },
            "25P01",
            "SAVEPOINT can only be used in transaction blocks",
        ),
        (Failure::PortalDone { name: name() }, "55000", "portal \"n\" cannot be run again"),
        (Failure::InTransaction { message: "m".into() }, "25001", "m"),
        (Failure::InvalidCursor { message: "m".into() }, "42P11", "m"),
        (Failure::BadValue { message: "m".into() }, "22P02", "invalid parameter value: m"),
        (Failure::OutOfRange { data_type: "bigint" }, "22003", "bigint out of range"),
        (Failure::BadBind { message: "m".into() }, "08P01", "m"),
        (
            Failure::BadParameter { number: 1, message: "m".into() },
            "22P02",
            "invalid value for parameter $1: m",
        ),
        (Failure::Unencodable { message: "m".into() }, "XX000", "cannot send the result: m"),
        (Failure::BadCopyData { message: "m".into() }, "22P04", "m"),
        (Failure::CopyFailed { reason: "r".into() }, "57014", "COPY from stdin failed: r"),
        (Failure::UnexpectedInCopy, "08P01", "unexpected message type during COPY from stdin"),
        (
            Failure::UnexpectedPassword,
            "08P01",
            "unexpected message: no authentication is in progress",
        ),
        (Failure::Cancelled, "57014", "canceling statement due to user request"),
        (Failure::TimedOut, "57014", "canceling statement due to statement timeout"),
    ];
    for (failure, sqlstate, text) in table {
        assert_eq!((failure.sqlstate(), failure.to_string().as_str()), (sqlstate, text));
    }
}

#[test]
fn an_error_of_the_engine_keeps_its_code_place_and_hint() {
    let error = QueryError {
        sqlstate: "42703",
        message: "column \"a\0b\" does not exist".into(),
        position: Some(8),
        hint: Some("perhaps you meant \"b\"".into()),
    };
    let PgWireBackendMessage::ErrorResponse(response) =
        Failure::Query(error).moved_by(10).message()
    else {
        panic!("an error is an ErrorResponse");
    };
    let expected = [
        (b'S', "ERROR"),
        (b'V', "ERROR"),
        (b'C', "42703"),
        (b'M', "column \"a\\0b\" does not exist"),
        (b'P', "18"),
        (b'H', "perhaps you meant \"b\""),
    ];
    let found: Vec<_> =
        response.fields.iter().map(|(field, value)| (*field, value.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn each_end_of_a_connection_has_its_code() {
    let table = [
        (Fatal::Decode(DecodeError::Kind { kind: 1 }), Some("08P01")),
        (Fatal::Decode(DecodeError::NotText { what: "query" }), Some("22021")),
        (Fatal::Decode(DecodeError::Version { major: 2, minor: 0 }), Some("0A000")),
        (Fatal::Decode(DecodeError::TooLarge { len: 2, max: 1 }), Some("54000")),
        (Fatal::TooManyClients, Some("53300")),
        (Fatal::ShuttingDown, Some("57P01")),
        (Fatal::StartupTimeout, Some("57014")),
        (Fatal::login("ada", LoginError::Refused), Some("28P01")),
        (Fatal::login("ada", LoginError::Exchange(ScramError::Mismatch)), Some("28000")),
        (Fatal::login("ada", LoginError::Exchange(ScramError::Nonce)), Some("08P01")),
        (Fatal::Mechanism, Some("08P01")),
        (Fatal::NoAnswer, Some("08P01")),
        (Fatal::LoginEnded, Some("57P01")),
        (Fatal::NoUser, Some("28000")),
        (Fatal::NoReplication, Some("0A000")),
        (Fatal::Setting(Failure::UnknownSetting { name: name() }), Some("42704")),
        (Fatal::Session { message: "m".into() }, Some("XX000")),
        (Fatal::Gone, None),
        (Fatal::Io(io::Error::other("x")), None),
    ];
    for (fatal, sqlstate) in table {
        let code = fatal.message().map(|message| match message {
            PgWireBackendMessage::ErrorResponse(response) => response.fields[2].1.clone(),
            other => panic!("{other:?}"),
        });
        assert_eq!(code.as_deref(), sqlstate, "{fatal:?}");
    }
}
