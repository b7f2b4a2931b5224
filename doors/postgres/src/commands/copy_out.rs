//! `COPY … TO STDOUT`.

use pgwire::api::portal::Format;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::copy::{CopyData, CopyDone, CopyOutResponse};
use tokio::io::{AsyncRead, AsyncWrite};

use super::copy_text::{header_line, row_line};
use super::{Exchange, Reply, Watch};
use crate::errors::{Failure, Stop};
use crate::sql::{CopyOptions, CopySource, CopyTo, pieces};
use crate::values::Rows;

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    /// Starts the query whose rows are copied.
    pub(super) async fn start_copy_out(
        &mut self,
        copy: CopyTo,
        watch: &Watch,
    ) -> Result<Reply, Stop> {
        let (sql, characters_before) = match &copy.source {
            CopySource::Query { sql, characters_before } => (sql, Some(*characters_before)),
            CopySource::Table { sql } => (sql, None),
        };
        let found = pieces(sql);
        let [piece] = &found[..] else { return Err(Failure::SeveralCommands.into()) };
        let started = self.run_engines(piece, &Format::UnifiedText, watch).await;
        let mut replies = started.map_err(|stop| match (stop, characters_before) {
            (Stop::Failure(failure), Some(characters)) => failure.moved_by(characters).into(),
            (Stop::Failure(failure), None) => failure.without_position().into(),
            (fatal, _) => fatal,
        })?;
        match (replies.pop(), replies.is_empty()) {
            (Some(Reply::Rows(rows, _)), true) => Ok(Reply::CopyOut(rows, copy.options)),
            _ => {
                let feature = "COPY of a statement that gives no rows".to_owned();
                Err(Failure::Unsupported { feature, position: None }.into())
            }
        }
    }

    /// Sends the rows as lines of text.
    pub(super) async fn copy_out(
        &mut self,
        rows: &mut Rows,
        options: &CopyOptions,
        watch: &Watch,
    ) -> Result<(), Stop> {
        let columns = rows.fields().len();
        // `fields` has checked that the count fits.
        let count = i16::try_from(columns).unwrap_or(i16::MAX);
        let response = CopyOutResponse::new(0, count, vec![0; columns]);
        self.send(&PgWireBackendMessage::CopyOutResponse(response))?;
        if options.header {
            let line = header_line(rows.fields(), options);
            self.send(&PgWireBackendMessage::CopyData(CopyData::new(line)))?;
        }
        let line = |row| Ok(PgWireBackendMessage::CopyData(CopyData::new(row_line(row, options)?)));
        let sent = self.send_each(rows, 0, watch, line).await?;
        self.send(&PgWireBackendMessage::CopyDone(CopyDone::new()))?;
        Ok(self.complete(format!("COPY {}", sent.count))?)
    }
}
