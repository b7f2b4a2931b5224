//! The door's own statements.

use pgwire::api::portal::Format;
use tokio::io::{AsyncRead, AsyncWrite};

use super::cursor::Fetch;
use super::{Exchange, Reply, Watch};
use crate::errors::{Failure, Stop, warning};
use crate::session::Session;
use crate::sql::{CursorName, DiscardScope, OwnStatement};

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    pub(super) async fn run_own(
        &mut self,
        statement: OwnStatement,
        format: &Format,
        watch: &Watch,
    ) -> Result<Reply, Stop> {
        let tag = match statement {
            OwnStatement::Begin => self.begin()?,
            OwnStatement::Commit => self.end_transaction(true)?,
            OwnStatement::Rollback => self.end_transaction(false)?,
            OwnStatement::Savepoint { command } => return Err(self.savepoint(command).into()),
            OwnStatement::Set { name, value, is_local } => self.set(&name, &value, is_local)?,
            OwnStatement::SetTransaction => "SET".to_owned(),
            OwnStatement::Show(name) => return Ok(self.show(&name, format)?),
            OwnStatement::Discard(scope) => self.discard(scope)?,
            OwnStatement::Deallocate(name) => deallocate(&mut self.session, &name)?,
            OwnStatement::Declare(declaration) => self.declare(declaration, watch).await?,
            OwnStatement::Fetch { cursor, count, is_move } => {
                return Ok(Reply::Fetch(Fetch { cursor, count, is_move }));
            }
            OwnStatement::CloseCursor(name) => self.close_cursor(&name)?,
            OwnStatement::CopyTo(copy) => return self.start_copy_out(copy, watch).await,
            OwnStatement::CopyFrom(copy) => return Ok(Reply::CopyIn(copy)),
            OwnStatement::Nothing { tag } => tag.to_owned(),
        };
        Ok(Reply::Done(tag))
    }

    fn begin(&mut self) -> Result<String, Failure> {
        if self.session.is_in_transaction() {
            self.send(&warning("25001", "there is already a transaction in progress"))?;
        } else {
            self.session.begin();
        }
        Ok("BEGIN".to_owned())
    }

    /// Statements act at once and for good: a rollback undoes settings and cursors, not records.
    fn end_transaction(&mut self, is_commit: bool) -> Result<String, Failure> {
        if !self.session.is_in_transaction() {
            self.send(&warning("25P01", "there is no transaction in progress"))?;
        }
        let is_commit = is_commit && !self.session.has_failed();
        let before = self.session.settings();
        self.session.end(is_commit);
        self.report_settings(&before)?;
        Ok(if is_commit { "COMMIT" } else { "ROLLBACK" }.to_owned())
    }

    fn savepoint(&self, command: &'static str) -> Failure {
        if !self.session.is_in_transaction() {
            return Failure::NoTransaction { command };
        }
        Failure::Unsupported { feature: command.to_owned(), position: None }
    }

    fn discard(&mut self, scope: DiscardScope) -> Result<String, Failure> {
        match scope {
            DiscardScope::All => {
                if self.session.is_in_transaction() {
                    let message = "DISCARD ALL cannot run inside a transaction block".to_owned();
                    return Err(Failure::InTransaction { message });
                }
                let before = self.session.settings();
                self.session.remove_all_portals();
                self.session.remove_all_statements();
                self.session.change_settings(false, |settings| {
                    settings.reset_all();
                    Ok(())
                })?;
                self.report_settings(&before)?;
                Ok("DISCARD ALL".to_owned())
            }
            DiscardScope::Plans => Ok("DISCARD PLANS".to_owned()),
            DiscardScope::Other(tag) => Ok(tag.to_owned()),
        }
    }

    fn close_cursor(&mut self, name: &CursorName) -> Result<String, Failure> {
        match name {
            CursorName::All => {
                self.session.remove_all_portals();
                Ok("CLOSE CURSOR ALL".to_owned())
            }
            CursorName::One(name) if self.session.remove_portal(name) => {
                Ok("CLOSE CURSOR".to_owned())
            }
            CursorName::One(name) => Err(Failure::UnknownCursor { name: name.clone() }),
        }
    }
}

fn deallocate(session: &mut Session, name: &CursorName) -> Result<String, Failure> {
    match name {
        CursorName::All => {
            session.remove_all_statements();
            Ok("DEALLOCATE ALL".to_owned())
        }
        CursorName::One(name) if session.remove_statement(name) => Ok("DEALLOCATE".to_owned()),
        CursorName::One(name) => Err(Failure::UnknownStatement { name: name.clone() }),
    }
}
