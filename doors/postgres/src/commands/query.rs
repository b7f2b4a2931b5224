//! The simple protocol: a script in one message, answered in one go.

use pgwire::api::portal::Format;
use posthouse_query::Outcome;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{Exchange, Reply, Watch};
use crate::errors::{Failure, Stop};
use crate::session::Tag;
use crate::sql::{OwnStatement, Piece, own_statement, pieces, with_postgres_names};
use crate::values::{Rows, Style};

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    pub(super) async fn simple_query(&mut self, script: &str) -> Result<(), Stop> {
        let begun = Instant::now();
        let watch = self.watch();
        let result = self.run_script(script, &watch).await;
        self.registration.running.end();
        self.door.metrics.duration.record(begun.elapsed());
        result?;
        self.session.end_implicit_transaction();
        Ok(self.ready().await?)
    }

    async fn run_script(&mut self, script: &str, watch: &Watch) -> Result<(), Stop> {
        let pieces = pieces(script);
        if pieces.is_empty() {
            self.complete_empty()?;
        }
        for piece in &pieces {
            self.door.metrics.simple.increment(1);
            let moved = |stop| match stop {
                Stop::Failure(failure) => failure.moved_by(piece.characters_before).into(),
                fatal => fatal,
            };
            for reply in self.start(piece, &Format::UnifiedText, watch).await.map_err(moved)? {
                self.finish(reply, watch).await?;
            }
        }
        Ok(())
    }

    /// Begins a statement. Positions in errors count from the statement's own beginning.
    pub(super) async fn start(
        &mut self,
        piece: &Piece<'_>,
        format: &Format,
        watch: &Watch,
    ) -> Result<Vec<Reply>, Stop> {
        let own = own_statement(piece)?;
        self.check_transaction(own.as_ref())?;
        match own {
            Some(own) => Ok(vec![self.run_own(own, format, watch).await?]),
            None => self.run_engines(piece, format, watch).await,
        }
    }

    /// A failed transaction takes only its end.
    pub(super) fn check_transaction(&self, own: Option<&OwnStatement>) -> Result<(), Failure> {
        let is_end = matches!(own, Some(OwnStatement::Commit | OwnStatement::Rollback));
        if self.session.has_failed() && !is_end {
            return Err(Failure::InFailedTransaction);
        }
        Ok(())
    }

    /// Runs a statement that is the engine's, by its text.
    pub(super) async fn run_engines(
        &mut self,
        piece: &Piece<'_>,
        format: &Format,
        watch: &Watch,
    ) -> Result<Vec<Reply>, Stop> {
        let rewritten = self.door.catalog.rewrite(piece);
        let text = rewritten.as_deref().unwrap_or(piece.sql);
        let executed = super::watched(watch, self.query.execute(text)).await?;
        let outcomes = executed.map_err(|error| {
            let failure = Failure::from(error);
            if rewritten.is_some() { failure.without_position() } else { failure }
        })?;
        let tag = Tag::of(&piece.first_word());
        let style = Style::of(&self.session.settings());
        let reply = |outcome| Ok(reply(named(outcome, piece), tag, format, style.clone())?);
        outcomes.into_iter().map(reply).collect()
    }

    /// Sends all that a statement gives.
    async fn finish(&mut self, reply: Reply, watch: &Watch) -> Result<(), Stop> {
        match reply {
            Reply::Rows(mut rows, tag) => {
                self.send_description(rows.fields())?;
                let sent = self.send_rows(&mut rows, 0, watch).await?;
                self.complete(tag.text(sent.count))?;
            }
            Reply::Done(tag) => self.complete(tag)?,
            Reply::CopyOut(mut rows, options) => {
                self.copy_out(&mut rows, &options, watch).await?;
            }
            Reply::CopyIn(copy) => self.copy_in(&copy, watch).await?,
            Reply::Fetch(fetch) => self.send_fetched(&fetch, false, watch).await?,
        }
        Ok(())
    }
}

/// What the engine gave, with columns that are called as PostgreSQL calls them.
fn named(outcome: Outcome, piece: &Piece<'_>) -> Outcome {
    match outcome {
        Outcome::Rows { schema, rows } => {
            Outcome::Rows { schema: with_postgres_names(piece.sql, schema), rows }
        }
        done @ Outcome::Done { .. } => done,
    }
}

/// What the engine gave, ready to be sent.
pub(super) fn reply(
    outcome: Outcome,
    tag: Tag,
    format: &Format,
    style: Style,
) -> Result<Reply, Failure> {
    Ok(match outcome {
        Outcome::Rows { schema, rows } => {
            Reply::Rows(Box::new(Rows::new(&schema, rows, format, style)?), tag)
        }
        Outcome::Done { tag, count } => Reply::Done(done(&tag, count)),
    })
}

/// SPEC: "CommandComplete": an INSERT has an object id, always zero, before its count.
fn done(tag: &str, count: Option<u64>) -> String {
    match (tag, count) {
        ("INSERT", Some(count)) => format!("INSERT 0 {count}"),
        (tag, Some(count)) => format!("{tag} {count}"),
        (tag, None) => tag.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_postgresqls() {
        assert_eq!(done("INSERT", Some(3)), "INSERT 0 3");
        assert_eq!(done("CREATE TOPIC", None), "CREATE TOPIC");
        assert_eq!(done("DELETE", Some(2)), "DELETE 2");
        assert_eq!(Tag::of("WITH").text(5), "SELECT 5");
        assert_eq!(Tag::of("EXPLAIN").text(5), "EXPLAIN");
    }
}
