//! Sending rows: with back-pressure, and watched.

use pgwire::api::results::FieldInfo;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{DataRow, RowDescription};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Exchange, Watch, watched_by_client};
use crate::errors::{Failure, Stop};
use crate::values::Rows;

/// How far a result got.
pub(super) struct Sent {
    pub(super) count: usize,
    /// The limit came before the end.
    pub(super) is_suspended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    /// Sends rows until there are no more, or `rows_max` of them; zero is no limit.
    ///
    /// Rows are taken from the query only as fast as the client takes them from us.
    pub(super) async fn send_rows(
        &mut self,
        rows: &mut Rows,
        rows_max: usize,
        watch: &Watch,
    ) -> Result<Sent, Stop> {
        let message = |row| Ok(PgWireBackendMessage::DataRow(row));
        self.send_each(rows, rows_max, watch, message).await
    }

    /// Sends what `message` makes of each row.
    pub(super) async fn send_each(
        &mut self,
        rows: &mut Rows,
        rows_max: usize,
        watch: &Watch,
        mut message: impl FnMut(DataRow) -> Result<PgWireBackendMessage, Failure>,
    ) -> Result<Sent, Stop> {
        let mut count = 0;
        loop {
            while let Some(row) = rows.next_row() {
                self.send(&message(row?)?)?;
                count += 1;
                if self.wire.is_full() {
                    self.flush_watched(watch).await?;
                }
                if count == rows_max {
                    self.door.metrics.rows_sent.increment(count as u64);
                    return Ok(Sent { count, is_suspended: true });
                }
            }
            if !watched_by_client(&mut self.wire, watch, rows.next_batch()).await?? {
                self.door.metrics.rows_sent.increment(count as u64);
                return Ok(Sent { count, is_suspended: false });
            }
        }
    }

    pub(super) fn send_description(&mut self, fields: &[FieldInfo]) -> Result<(), Failure> {
        let description = RowDescription::new(fields.iter().map(Into::into).collect());
        self.send(&PgWireBackendMessage::RowDescription(description))
    }

    /// Waits for a client that reads slowly, but not beyond the statement's end.
    async fn flush_watched(&mut self, watch: &Watch) -> Result<(), Stop> {
        tokio::select! {
            biased;
            flushed = self.wire.flush() => Ok(flushed?),
            failure = watch.ended() => Err(failure.into()),
        }
    }
}
