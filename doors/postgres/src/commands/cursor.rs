//! Cursors: `DECLARE`, `FETCH` and `MOVE`, forward only.
//!
//! A cursor is a portal with a name, so that `FETCH` and the protocol's `Execute` see the same one.

use std::mem::replace;
use std::sync::Arc;

use pgwire::api::portal::Format;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Exchange, Reply, Watch, watched_by_client};
use crate::errors::{Failure, Stop};
use crate::session::{Body, Portal, PortalState, Prepared, Tag};
use crate::sql::{Declaration, FetchCount, pieces};
use crate::values::Rows;

/// A `FETCH` or `MOVE`.
pub(crate) struct Fetch {
    pub(super) cursor: String,
    pub(super) count: FetchCount,
    pub(super) is_move: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    pub(super) async fn declare(
        &mut self,
        declaration: Declaration,
        watch: &Watch,
    ) -> Result<String, Stop> {
        let Declaration { cursor, is_binary, with_hold, query, characters_before } = declaration;
        if !with_hold && !self.session.is_in_transaction() {
            return Err(Failure::NoTransaction { command: "DECLARE CURSOR" }.into());
        }
        let format = if is_binary { Format::UnifiedBinary } else { Format::UnifiedText };
        let found = pieces(&query);
        let [piece] = &found[..] else { return Err(Failure::SeveralCommands.into()) };
        let started = self.run_engines(piece, &format, watch).await;
        let mut replies = started.map_err(|stop| match stop {
            Stop::Failure(failure) => failure.moved_by(characters_before).into(),
            fatal => fatal,
        })?;
        let (Some(Reply::Rows(rows, _)), true) = (replies.pop(), replies.is_empty()) else {
            let message = "a cursor must be of a query that gives rows".to_owned();
            return Err(Failure::InvalidCursor { message }.into());
        };
        let prepared = Prepared {
            sql: String::new(),
            body: Body::Empty,
            parameters: Vec::new(),
            schema: Some(Arc::clone(rows.schema())),
        };
        let state = PortalState::Running(rows, Tag::Counted("SELECT"));
        let portal = Portal { prepared: Arc::new(prepared), format, state, with_hold };
        self.session.put_portal(&cursor, portal)?;
        Ok("DECLARE CURSOR".to_owned())
    }

    /// Sends, or with `MOVE` passes over, rows of a cursor, and says how many.
    ///
    /// A cursor that fails is over: its query cannot be taken up again.
    pub(super) async fn send_fetched(
        &mut self,
        fetch: &Fetch,
        is_described: bool,
        watch: &Watch,
    ) -> Result<(), Stop> {
        let Some(portal) = self.session.portal(&fetch.cursor) else {
            return Err(Failure::UnknownCursor { name: fetch.cursor.clone() }.into());
        };
        let state = replace(&mut portal.state, PortalState::Done);
        if !fetch.is_move && !is_described {
            let prepared = Arc::clone(&portal.prepared);
            let format = portal.format.clone();
            self.send_description_of(&prepared, &format)?;
        }
        let mut passed = 0;
        if let PortalState::Running(mut rows, tag) = state {
            let (count, is_over) = match fetch.count {
                FetchCount::Rows(0) => (0, false),
                FetchCount::Rows(wanted) => {
                    self.fetch_some(&mut rows, wanted, fetch, watch).await?
                }
                FetchCount::All => self.fetch_some(&mut rows, 0, fetch, watch).await?,
            };
            passed = count;
            if let (false, Some(portal)) = (is_over, self.session.portal(&fetch.cursor)) {
                portal.state = PortalState::Running(rows, tag);
            }
        }
        let word = if fetch.is_move { "MOVE" } else { "FETCH" };
        Ok(self.complete(format!("{word} {passed}"))?)
    }

    /// Up to `wanted` rows, all for zero. How many there were, and whether there are no more.
    async fn fetch_some(
        &mut self,
        rows: &mut Rows,
        wanted: usize,
        fetch: &Fetch,
        watch: &Watch,
    ) -> Result<(usize, bool), Stop> {
        if !fetch.is_move {
            let sent = self.send_rows(rows, wanted, watch).await?;
            return Ok((sent.count, !sent.is_suspended));
        }
        let mut passed = 0;
        loop {
            while let Some(row) = rows.next_row() {
                row?;
                passed += 1;
                if passed == wanted {
                    return Ok((passed, false));
                }
            }
            if !watched_by_client(&mut self.wire, watch, rows.next_batch()).await?? {
                return Ok((passed, true));
            }
        }
    }
}
