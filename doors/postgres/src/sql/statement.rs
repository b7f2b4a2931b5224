//! The statements that the door answers itself: session, transaction, cursor and `COPY` commands.
//!
//! Owns their grammar. Everything else (queries, topics, views) goes to the engine as it was written.
//!
//! # Source
//! PostgreSQL 16 documentation, "SQL Commands".

use super::copy::{self, Copy, CopyFrom, CopyTo};
use super::parser::Parser;
use super::script::Piece;
use crate::errors::Failure;

/// A statement about the session rather than the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnStatement {
    Begin,
    Commit,
    Rollback,
    /// `SAVEPOINT`, `RELEASE` and `ROLLBACK TO`, which have nothing to return to here.
    Savepoint {
        command: &'static str,
    },
    Set {
        name: SettingName,
        value: Assignment,
        is_local: bool,
    },
    /// `SET TRANSACTION`, `SET SESSION CHARACTERISTICS`: isolation is what it is.
    SetTransaction,
    Show(SettingName),
    Discard(DiscardScope),
    Deallocate(CursorName),
    Declare(Declaration),
    Fetch {
        cursor: String,
        count: FetchCount,
        /// `MOVE`: rows are passed over, not sent.
        is_move: bool,
    },
    CloseCursor(CursorName),
    CopyTo(CopyTo),
    CopyFrom(CopyFrom),
    /// Accepted for the sake of clients that send it, and does nothing.
    Nothing {
        tag: &'static str,
    },
}

/// A setting, in small letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SettingName {
    One(String),
    All,
}

/// What a setting becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Assignment {
    Value(String),
    Default,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiscardScope {
    All,
    Plans,
    /// Sequences and temporary tables, of which there are none.
    Other(&'static str),
}

/// One name, or `ALL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CursorName {
    One(String),
    All,
}

/// `DECLARE name [BINARY] … CURSOR [WITH HOLD] FOR query`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declaration {
    pub(crate) cursor: String,
    pub(crate) is_binary: bool,
    /// The cursor outlives its transaction.
    pub(crate) with_hold: bool,
    pub(crate) query: String,
    /// Characters of the statement before the query.
    pub(crate) characters_before: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchCount {
    Rows(usize),
    All,
}

/// The door's own statement in `piece`, or `None` when it is the engine's.
///
/// # Errors
/// [`Failure`]: it begins like one of the door's and goes on wrongly, or asks for what is not there.
pub(crate) fn own_statement(piece: &Piece<'_>) -> Result<Option<OwnStatement>, Failure> {
    let parser = &mut Parser::new(piece);
    let word = piece.first_word();
    let statement = match word.as_str() {
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE" => {
            transaction(&word, parser)?
        }
        "SET" | "RESET" => match set(&word, parser)? {
            OwnStatement::Set { name, .. } if is_engines(&name) => return Ok(None),
            own => own,
        },
        "SHOW" => return show(parser),
        "DISCARD" => OwnStatement::Discard(discard(parser)?),
        "DEALLOCATE" => {
            parser.expect_keyword("DEALLOCATE")?;
            parser.keyword("PREPARE");
            OwnStatement::Deallocate(name_or_all(parser)?)
        }
        "DECLARE" => OwnStatement::Declare(declare(parser)?),
        "FETCH" | "MOVE" => fetch(&word, parser)?,
        "CLOSE" => {
            parser.expect_keyword("CLOSE")?;
            OwnStatement::CloseCursor(name_or_all(parser)?)
        }
        "COPY" => {
            parser.expect_keyword("COPY")?;
            match copy::parse(parser)? {
                Copy::To(copy) => OwnStatement::CopyTo(copy),
                Copy::From(copy) => OwnStatement::CopyFrom(copy),
            }
        }
        "LISTEN" | "NOTIFY" => {
            let feature = format!("{word}: subscribe to a topic at another door");
            return Err(Failure::Unsupported { feature, position: Some(1) });
        }
        // Nothing is ever listened to, and connection pools send this to be sure.
        "UNLISTEN" => return Ok(Some(OwnStatement::Nothing { tag: "UNLISTEN" })),
        _ => return Ok(None),
    };
    parser.finish()?;
    Ok(Some(statement))
}

/// `name` as a SQL name that means it exactly.
pub(super) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn transaction(word: &str, parser: &mut Parser<'_>) -> Result<OwnStatement, Failure> {
    parser.expect_keyword(word)?;
    if word == "START" {
        parser.expect_keyword("TRANSACTION")?;
    } else if !matches!(word, "SAVEPOINT" | "RELEASE") {
        let _ = parser.keyword("WORK") || parser.keyword("TRANSACTION");
    }
    if matches!(word, "BEGIN" | "START") {
        skip_transaction_modes(parser)?;
        return Ok(OwnStatement::Begin);
    }
    if matches!(word, "SAVEPOINT" | "RELEASE") || parser.keyword("TO") {
        parser.keyword("SAVEPOINT");
        parser.name()?;
        let command = match word {
            "SAVEPOINT" => "SAVEPOINT",
            "RELEASE" => "RELEASE SAVEPOINT",
            _ => "ROLLBACK TO SAVEPOINT",
        };
        return Ok(OwnStatement::Savepoint { command });
    }
    if parser.keywords(&["AND", "NO", "CHAIN"]) || !parser.keyword("AND") {
        let is_commit = matches!(word, "COMMIT" | "END");
        return Ok(if is_commit { OwnStatement::Commit } else { OwnStatement::Rollback });
    }
    Err(Failure::Unsupported { feature: "AND CHAIN".to_owned(), position: Some(parser.position()) })
}

/// Isolation and access modes, which promise no more than is given anyway.
fn skip_transaction_modes(parser: &mut Parser<'_>) -> Result<(), Failure> {
    while !parser.is_at_end() {
        let is_mode = parser.keywords(&["ISOLATION", "LEVEL", "READ", "COMMITTED"])
            || parser.keywords(&["ISOLATION", "LEVEL", "READ", "UNCOMMITTED"])
            || parser.keywords(&["ISOLATION", "LEVEL", "REPEATABLE", "READ"])
            || parser.keywords(&["ISOLATION", "LEVEL", "SERIALIZABLE"])
            || parser.keywords(&["READ", "WRITE"])
            || parser.keywords(&["READ", "ONLY"])
            || parser.keywords(&["NOT", "DEFERRABLE"])
            || parser.keyword("DEFERRABLE");
        if !is_mode {
            return Err(parser.syntax_error());
        }
        parser.symbol(",");
    }
    Ok(())
}

fn set(word: &str, parser: &mut Parser<'_>) -> Result<OwnStatement, Failure> {
    parser.expect_keyword(word)?;
    if word == "RESET" {
        let name = setting_name(parser)?;
        return Ok(OwnStatement::Set { name, value: Assignment::Default, is_local: false });
    }
    if parser.keywords(&["SESSION", "CHARACTERISTICS", "AS", "TRANSACTION"]) {
        skip_transaction_modes(parser)?;
        return Ok(OwnStatement::SetTransaction);
    }
    if parser.keyword("TRANSACTION") {
        skip_transaction_modes(parser)?;
        return Ok(OwnStatement::SetTransaction);
    }
    let is_local = parser.keyword("LOCAL");
    let _ = !is_local && parser.keyword("SESSION");
    if parser.keywords(&["TIME", "ZONE"]) {
        let name = SettingName::One("timezone".to_owned());
        let value = if parser.keyword("LOCAL") { Assignment::Default } else { assigned(parser)? };
        return Ok(OwnStatement::Set { name, value, is_local });
    }
    let named = if parser.keyword("NAMES") { "client_encoding" } else { "" };
    let name = if named.is_empty() {
        let name = SettingName::One(parser.dotted_name()?.to_lowercase());
        if !parser.symbol("=") {
            parser.expect_keyword("TO")?;
        }
        name
    } else {
        SettingName::One(named.to_owned())
    };
    Ok(OwnStatement::Set { name, value: assigned(parser)?, is_local })
}

/// `DEFAULT`, or one or more values, which a list setting joins by commas.
fn assigned(parser: &mut Parser<'_>) -> Result<Assignment, Failure> {
    if parser.keyword("DEFAULT") {
        return Ok(Assignment::Default);
    }
    let mut value = parser.value()?;
    while parser.symbol(",") {
        value.push_str(", ");
        value.push_str(&parser.value()?);
    }
    Ok(Assignment::Value(value))
}

fn setting_name(parser: &mut Parser<'_>) -> Result<SettingName, Failure> {
    if parser.keywords(&["TIME", "ZONE"]) {
        return Ok(SettingName::One("timezone".to_owned()));
    }
    if parser.keywords(&["TRANSACTION", "ISOLATION", "LEVEL"]) {
        return Ok(SettingName::One("transaction_isolation".to_owned()));
    }
    if parser.keywords(&["SESSION", "AUTHORIZATION"]) {
        return Ok(SettingName::One("session_authorization".to_owned()));
    }
    let name = parser.dotted_name()?.to_lowercase();
    Ok(if name == "all" { SettingName::All } else { SettingName::One(name) })
}

/// `SHOW` of a setting; `SHOW TABLES`, `SHOW TOPICS` and the like are the engine's.
fn show(parser: &mut Parser<'_>) -> Result<Option<OwnStatement>, Failure> {
    parser.expect_keyword("SHOW")?;
    let Ok(name) = setting_name(parser) else { return Ok(None) };
    let is_setting = match &name {
        name if is_engines(name) => false,
        SettingName::All => true,
        SettingName::One(name) => crate::settings::is_known(name) || name.contains('.'),
    };
    Ok((is_setting && parser.is_at_end()).then_some(OwnStatement::Show(name)))
}

/// Whether a setting is DataFusion's rather than the session's.
fn is_engines(name: &SettingName) -> bool {
    matches!(name, SettingName::One(name) if name.starts_with("datafusion."))
}

fn discard(parser: &mut Parser<'_>) -> Result<DiscardScope, Failure> {
    parser.expect_keyword("DISCARD")?;
    let scopes = [
        ("ALL", DiscardScope::All),
        ("PLANS", DiscardScope::Plans),
        ("SEQUENCES", DiscardScope::Other("DISCARD SEQUENCES")),
        ("TEMP", DiscardScope::Other("DISCARD TEMP")),
        ("TEMPORARY", DiscardScope::Other("DISCARD TEMP")),
    ];
    let found = scopes.into_iter().find(|(word, _)| parser.keyword(word));
    found.map(|(_, scope)| scope).ok_or_else(|| parser.syntax_error())
}

fn name_or_all(parser: &mut Parser<'_>) -> Result<CursorName, Failure> {
    if parser.keyword("ALL") { Ok(CursorName::All) } else { parser.name().map(CursorName::One) }
}

fn declare(parser: &mut Parser<'_>) -> Result<Declaration, Failure> {
    parser.expect_keyword("DECLARE")?;
    let cursor = parser.name()?;
    let mut is_binary = false;
    while !parser.keyword("CURSOR") {
        if parser.keyword("BINARY") {
            is_binary = true;
        } else if parser.keyword("SCROLL") {
            return Err(scroll(parser));
        } else if !(parser.keyword("INSENSITIVE")
            || parser.keyword("ASENSITIVE")
            || parser.keywords(&["NO", "SCROLL"]))
        {
            return Err(parser.syntax_error());
        }
    }
    let with_hold = parser.keywords(&["WITH", "HOLD"]);
    let _ = !with_hold && parser.keywords(&["WITHOUT", "HOLD"]);
    parser.expect_keyword("FOR")?;
    let characters_before = parser.position() - 1;
    let query = parser.rest()?.to_owned();
    Ok(Declaration { cursor, is_binary, with_hold, query, characters_before })
}

fn scroll(parser: &Parser<'_>) -> Failure {
    Failure::Unsupported {
        feature: "moving backward in a cursor".to_owned(),
        position: Some(parser.position()),
    }
}

/// `FETCH [direction] [FROM | IN] cursor`, forward only.
fn fetch(word: &str, parser: &mut Parser<'_>) -> Result<OwnStatement, Failure> {
    parser.expect_keyword(word)?;
    let count = if parser.keyword("NEXT") {
        FetchCount::Rows(1)
    } else if parser.keyword("ALL") || parser.keywords(&["FORWARD", "ALL"]) {
        FetchCount::All
    } else {
        let backward = ["PRIOR", "BACKWARD", "FIRST", "LAST", "ABSOLUTE", "RELATIVE"];
        if backward.iter().any(|direction| parser.keyword(direction)) {
            return Err(scroll(parser));
        }
        parser.keyword("FORWARD");
        counted(parser)?
    };
    let _ = parser.keyword("FROM") || parser.keyword("IN");
    Ok(OwnStatement::Fetch { cursor: parser.name()?, count, is_move: word == "MOVE" })
}

/// A count if one is next; otherwise one row.
fn counted(parser: &mut Parser<'_>) -> Result<FetchCount, Failure> {
    use super::lexer::TokenKind;
    match parser.peek().map(|token| token.kind) {
        Some(TokenKind::Number) => {
            let position = parser.position();
            let count = parser.value()?;
            count.parse().map(FetchCount::Rows).map_err(|_| Failure::Syntax {
                message: format!("syntax error at or near \"{count}\""),
                position: Some(position),
            })
        }
        Some(TokenKind::Symbol) => Err(scroll(parser)),
        _ => Ok(FetchCount::Rows(1)),
    }
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
