//! `SET`, `RESET` and `SHOW`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;
use pgwire::api::portal::Format;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::startup::ParameterStatus;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Exchange, Reply};
use crate::errors::{Failure, warning};
use crate::session::Tag;
use crate::settings::Settings;
use crate::sql::{Assignment, SettingName};
use crate::values::{Rows, Style};

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    pub(super) fn set(
        &mut self,
        name: &SettingName,
        value: &Assignment,
        is_local: bool,
    ) -> Result<String, Failure> {
        let tag = if *value == Assignment::Default && !is_local { "RESET" } else { "SET" };
        if is_local && !self.session.is_in_transaction() {
            self.send(&warning("25P01", "SET LOCAL can only be used in transaction blocks"))?;
            return Ok(tag.to_owned());
        }
        let before = self.session.settings();
        self.session.change_settings(is_local, |settings| match (name, value) {
            (SettingName::All, _) => {
                settings.reset_all();
                Ok(())
            }
            (SettingName::One(name), Assignment::Default) => settings.reset(name),
            (SettingName::One(name), Assignment::Value(value)) => settings.set(name, value),
        })?;
        self.report_settings(&before)?;
        Ok(tag.to_owned())
    }

    /// Tells the client of the settings that it is always told of.
    pub(super) fn report_settings(&mut self, before: &Settings) -> Result<(), Failure> {
        for (name, value) in self.session.settings().changes_from(before) {
            let status = ParameterStatus::new(name.to_owned(), value.to_owned());
            self.send(&PgWireBackendMessage::ParameterStatus(status))?;
        }
        Ok(())
    }

    pub(super) fn show(&self, name: &SettingName, format: &Format) -> Result<Reply, Failure> {
        let settings = self.session.settings();
        let (schema, rows) = shown(name, &settings)?;
        let rows = Rows::new(&schema, rows, format, Style::of(&settings))?;
        Ok(Reply::Rows(Box::new(rows), Tag::Plain("SHOW")))
    }
}

/// The columns that a `SHOW` has.
pub(super) fn show_schema(name: &SettingName) -> SchemaRef {
    let names = match name {
        SettingName::All => vec!["name", "setting"],
        SettingName::One(name) => vec![name.as_str()],
    };
    let field = |name| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(names.into_iter().map(field).collect::<Vec<_>>()))
}

fn shown(
    name: &SettingName,
    settings: &Settings,
) -> Result<(SchemaRef, SendableRecordBatchStream), Failure> {
    let columns: Vec<ArrayRef> = match name {
        SettingName::All => {
            let (names, values): (Vec<_>, Vec<_>) = settings.all().into_iter().unzip();
            vec![Arc::new(StringArray::from(names)), Arc::new(StringArray::from(values))]
        }
        SettingName::One(name) => vec![Arc::new(StringArray::from(vec![settings.value(name)?]))],
    };
    let schema = show_schema(name);
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(Into::into);
    let rows = RecordBatchStreamAdapter::new(Arc::clone(&schema), stream::iter([batch]));
    Ok((schema, Box::pin(rows)))
}
