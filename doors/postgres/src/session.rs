//! What the door remembers of one client: transaction, settings, prepared statements and portals.
//!
//! Owns their life cycles and their bounds. Does no I/O and runs nothing.
//!
//! # Invariants
//! - Outside a transaction block no portal outlives a `Sync` or a simple query, unless it was
//!   declared `WITH HOLD`.
//! - The SQL of all prepared statements together stays below its limit.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use parking_lot::RwLock;
use pgwire::api::Type;
use pgwire::api::portal::Format;
use pgwire::messages::response::TransactionStatus;
use posthouse_query::Statement;

use crate::PostgresConfig;
use crate::errors::Failure;
use crate::settings::Settings;
use crate::sql::OwnStatement;
use crate::values::Rows;

/// The state of one session.
pub(crate) struct Session {
    pub(crate) transaction: TransactionStatus,
    /// In force now; functions of SQL read them too.
    settings: Arc<RwLock<Settings>>,
    /// What they become when the transaction commits, and what when it rolls back.
    kept: Settings,
    at_begin: Option<Settings>,
    statements: HashMap<String, Arc<Prepared>>,
    statement_bytes: usize,
    portals: HashMap<String, Portal>,
    limits: Limits,
}

/// The bounds of a session, from [`PostgresConfig`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) statements_max: usize,
    pub(crate) statement_bytes_max: usize,
    pub(crate) portals_max: usize,
}

/// A parsed statement.
pub(crate) struct Prepared {
    pub(crate) sql: String,
    pub(crate) body: Body,
    pub(crate) parameters: Vec<Parameter>,
    /// The columns of its result, when that is known and has any.
    pub(crate) schema: Option<SchemaRef>,
}

/// What a statement does when it is run.
pub(crate) enum Body {
    /// Nothing but white space and comments.
    Empty,
    /// One of the door's own.
    Own(OwnStatement),
    /// A query or change of data, planned.
    Plan(Box<LogicalPlan>, Tag),
    /// Anything else of the engine's, such as `CREATE TOPIC`.
    Statement(Box<Statement>, Tag),
}

/// `$1` and so on.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// What the client encodes it as.
    pub(crate) wire: Type,
    /// Whether the client said so itself.
    pub(crate) is_declared: bool,
    /// What the plan takes it as, when that is known.
    pub(crate) arrow: Option<DataType>,
}

/// How a statement that gives rows is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// With the number of rows.
    Counted(&'static str),
    Plain(&'static str),
}

/// A statement with its values, being run or to be run.
pub(crate) struct Portal {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) format: Format,
    pub(crate) state: PortalState,
    /// It outlives its transaction.
    pub(crate) with_hold: bool,
}

pub(crate) enum PortalState {
    /// Not run yet. A plan has its values in place of `$1`.
    Bound(Option<Box<LogicalPlan>>),
    /// Some of its rows have been sent, or none yet.
    Running(Box<Rows>, Tag),
    Done,
}

impl Tag {
    /// By the statement's first word, in capitals.
    pub(crate) fn of(first_word: &str) -> Tag {
        match first_word {
            "EXPLAIN" => Tag::Plain("EXPLAIN"),
            "SHOW" | "DESCRIBE" | "DESC" => Tag::Plain("SHOW"),
            "FETCH" => Tag::Counted("FETCH"),
            _ => Tag::Counted("SELECT"),
        }
    }

    pub(crate) fn text(self, rows: usize) -> String {
        match self {
            Tag::Counted(word) => format!("{word} {rows}"),
            Tag::Plain(word) => word.to_owned(),
        }
    }
}

impl From<&PostgresConfig> for Limits {
    fn from(config: &PostgresConfig) -> Limits {
        Limits {
            statements_max: config.statements_max,
            statement_bytes_max: config.statement_bytes_max,
            portals_max: config.portals_max,
        }
    }
}

impl Session {
    pub(crate) fn new(settings: Settings, limits: Limits) -> Session {
        Session {
            transaction: TransactionStatus::Idle,
            kept: settings.clone(),
            settings: Arc::new(RwLock::new(settings)),
            at_begin: None,
            statements: HashMap::new(),
            statement_bytes: 0,
            portals: HashMap::new(),
            limits,
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.read().clone()
    }

    pub(crate) fn shared_settings(&self) -> Arc<RwLock<Settings>> {
        Arc::clone(&self.settings)
    }

    /// Changes the settings, for the session or only for the transaction.
    pub(crate) fn change_settings(
        &mut self,
        is_local: bool,
        change: impl Fn(&mut Settings) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        change(&mut self.settings.write())?;
        if !is_local {
            change(&mut self.kept)?;
        }
        Ok(())
    }

    pub(crate) fn is_in_transaction(&self) -> bool {
        self.transaction != TransactionStatus::Idle
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.transaction == TransactionStatus::Error
    }

    /// A statement failed: an open transaction can only be ended now.
    pub(crate) fn fail(&mut self) {
        self.transaction = self.transaction.to_error_state();
    }

    pub(crate) fn begin(&mut self) {
        self.transaction = TransactionStatus::Transaction;
        self.at_begin = Some(self.kept.clone());
    }

    /// Ends the transaction, its local settings and its portals.
    pub(crate) fn end(&mut self, is_commit: bool) {
        self.transaction = TransactionStatus::Idle;
        let at_begin = self.at_begin.take();
        if !is_commit && let Some(at_begin) = at_begin {
            self.kept = at_begin;
        }
        *self.settings.write() = self.kept.clone();
        self.end_portals();
    }

    /// Drops what does not outlive a transaction, when none is open.
    pub(crate) fn end_implicit_transaction(&mut self) {
        if !self.is_in_transaction() {
            self.end_portals();
        }
    }

    fn end_portals(&mut self) {
        self.portals.retain(|_, portal| portal.with_hold);
    }

    /// Keeps a prepared statement. An unnamed one takes the place of the last.
    pub(crate) fn put_statement(
        &mut self,
        name: &str,
        prepared: Arc<Prepared>,
    ) -> Result<(), Failure> {
        if !name.is_empty() && self.statements.contains_key(name) {
            return Err(Failure::DuplicateStatement { name: name.to_owned() });
        }
        self.remove_statement(name);
        if self.statements.len() >= self.limits.statements_max {
            let max = self.limits.statements_max;
            return Err(Failure::TooMany { what: "prepared statements", max });
        }
        let bytes = self.statement_bytes + prepared.sql.len();
        if bytes > self.limits.statement_bytes_max {
            let max = self.limits.statement_bytes_max;
            return Err(Failure::TooMany { what: "bytes of prepared statements", max });
        }
        self.statement_bytes = bytes;
        self.statements.insert(name.to_owned(), prepared);
        Ok(())
    }

    pub(crate) fn statement(&self, name: &str) -> Result<Arc<Prepared>, Failure> {
        let found = self.statements.get(name).cloned();
        found.ok_or_else(|| Failure::UnknownStatement { name: name.to_owned() })
    }

    /// Whether there was one.
    pub(crate) fn remove_statement(&mut self, name: &str) -> bool {
        let removed = self.statements.remove(name);
        self.statement_bytes -= removed.as_ref().map_or(0, |prepared| prepared.sql.len());
        removed.is_some()
    }

    pub(crate) fn remove_all_statements(&mut self) {
        self.statements.clear();
        self.statement_bytes = 0;
    }

    /// Keeps a portal. An unnamed one takes the place of the last.
    pub(crate) fn put_portal(&mut self, name: &str, portal: Portal) -> Result<(), Failure> {
        if !name.is_empty() && self.portals.contains_key(name) {
            return Err(Failure::DuplicateCursor { name: name.to_owned() });
        }
        if self.portals.len() >= self.limits.portals_max && !self.portals.contains_key(name) {
            return Err(Failure::TooMany { what: "portals", max: self.limits.portals_max });
        }
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    pub(crate) fn portal(&mut self, name: &str) -> Option<&mut Portal> {
        self.portals.get_mut(name)
    }

    /// Whether there was one.
    pub(crate) fn remove_portal(&mut self, name: &str) -> bool {
        self.portals.remove(name).is_some()
    }

    pub(crate) fn remove_all_portals(&mut self) {
        self.portals.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn session() -> Session {
        let limits = Limits { statements_max: 2, statement_bytes_max: 10, portals_max: 2 };
        Session::new(Settings::new("ada", false, Duration::ZERO), limits)
    }

    fn prepared(sql: &str) -> Arc<Prepared> {
        let sql = sql.to_owned();
        Arc::new(Prepared { sql, body: Body::Empty, parameters: Vec::new(), schema: None })
    }

    fn portal(with_hold: bool) -> Portal {
        let format = Format::UnifiedText;
        Portal { prepared: prepared(""), format, state: PortalState::Done, with_hold }
    }

    #[test]
    fn a_named_statement_is_kept_until_it_is_closed() {
        let mut session = session();
        session.put_statement("s", prepared("abc")).unwrap();
        let again = session.put_statement("s", prepared("abc"));
        assert!(matches!(again, Err(Failure::DuplicateStatement { .. })));
        assert!(session.remove_statement("s"));
        assert!(matches!(session.statement("s"), Err(Failure::UnknownStatement { .. })));
        session.put_statement("", prepared("a")).unwrap();
        session.put_statement("", prepared("b")).unwrap();
        assert_eq!(session.statement("").unwrap().sql, "b");
    }

    #[test]
    fn statements_and_portals_are_bounded() {
        let mut session = session();
        session.put_statement("a", prepared("12345678")).unwrap();
        let long = session.put_statement("b", prepared("123"));
        assert!(matches!(long, Err(Failure::TooMany { max: 10, .. })));
        session.put_statement("b", prepared("12")).unwrap();
        let third = session.put_statement("c", prepared(""));
        assert!(matches!(third, Err(Failure::TooMany { max: 2, .. })));
        session.remove_all_statements();
        session.put_statement("c", prepared("1234567890")).unwrap();

        session.put_portal("a", portal(false)).unwrap();
        session.put_portal("", portal(false)).unwrap();
        session.put_portal("", portal(false)).unwrap();
        assert!(matches!(session.put_portal("c", portal(false)), Err(Failure::TooMany { .. })));
    }

    #[test]
    fn portals_end_with_their_transaction_unless_held() {
        let mut session = session();
        session.begin();
        session.put_portal("held", portal(true)).unwrap();
        session.put_portal("other", portal(false)).unwrap();
        session.end_implicit_transaction();
        assert!(session.portal("other").is_some());
        session.end(true);
        assert!(session.portal("other").is_none());
        assert!(session.portal("held").is_some());
    }

    #[test]
    fn settings_follow_the_fate_of_their_transaction() {
        let mut session = session();
        let set = |session: &mut Session, is_local: bool, value: &'static str| {
            session
                .change_settings(is_local, |settings| settings.set("application_name", value))
                .unwrap();
        };
        let name =
            |session: &Session| session.settings().value("application_name").unwrap().to_owned();
        session.begin();
        set(&mut session, false, "kept");
        set(&mut session, true, "local");
        assert_eq!(name(&session), "local");
        session.end(true);
        assert_eq!(name(&session), "kept");
        session.begin();
        set(&mut session, false, "undone");
        session.end(false);
        assert_eq!(name(&session), "kept");
    }

    #[test]
    fn only_an_open_transaction_fails() {
        let mut session = session();
        session.fail();
        assert!(!session.has_failed());
        session.begin();
        session.fail();
        assert!(session.has_failed());
    }
}
