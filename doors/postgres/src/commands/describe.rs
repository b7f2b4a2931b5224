//! `Describe`: the parameters of a statement and the columns of a result.

use std::sync::Arc;

use pgwire::api::portal::Format;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{NoData, ParameterDescription};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Exchange;
use crate::codec::Target;
use crate::errors::{Failure, Stop};
use crate::session::Prepared;
use crate::values::{Style, fields};

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    pub(super) fn describe(&mut self, target: Target) -> Result<(), Stop> {
        let (prepared, format) = match target {
            Target::Statement(name) => {
                let prepared = self.session.statement(&name)?;
                let types = prepared.parameters.iter().map(|parameter| parameter.wire.oid());
                let description = ParameterDescription::new(types.collect());
                self.send(&PgWireBackendMessage::ParameterDescription(description))?;
                (prepared, Format::UnifiedText)
            }
            Target::Portal(name) => match self.session.portal(&name) {
                Some(portal) => (Arc::clone(&portal.prepared), portal.format.clone()),
                None => return Err(Failure::UnknownPortal { name }.into()),
            },
        };
        Ok(self.send_description_of(&prepared, &format)?)
    }

    /// The columns of a prepared statement's result, or that it has none.
    pub(super) fn send_description_of(
        &mut self,
        prepared: &Prepared,
        format: &Format,
    ) -> Result<(), Failure> {
        let Some(schema) = &prepared.schema else {
            return self.send(&PgWireBackendMessage::NoData(NoData::new()));
        };
        let style = Style::of(&self.session.settings());
        self.send_description(&fields(schema, format, &style)?)
    }
}
