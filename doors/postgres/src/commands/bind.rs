//! `Bind`: values for a statement's parameters, and the formats of its result.

use std::sync::Arc;

use arrow_pg::datatypes::df::deserialize_parameters_with_server_types;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ParamValues;
use pgwire::api::Type;
use pgwire::api::portal::{Format, Portal as WirePortal};
use pgwire::api::stmt::StoredStatement;
use pgwire::error::ErrorInfo;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::extendedquery::{Bind, BindComplete};
use posthouse_query::QueryError;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Exchange;
use crate::errors::{Failure, Stop};
use crate::session::{Body, Parameter, Portal, PortalState, Prepared};

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    pub(super) fn bind(&mut self, bind: &Bind) -> Result<(), Stop> {
        let statement_name = bind.statement_name.as_deref().unwrap_or_default();
        let portal_name = bind.portal_name.as_deref().unwrap_or_default();
        let prepared = self.session.statement(statement_name)?;
        let own = match &prepared.body {
            Body::Own(own) => Some(own),
            _ => None,
        };
        self.check_transaction(own)?;
        check_counts(bind, &prepared, statement_name)?;
        let format = result_format(bind, &prepared)?;
        let plan = match &prepared.body {
            Body::Plan(plan, _) if prepared.parameters.is_empty() => Some(plan.clone()),
            Body::Plan(plan, _) => {
                let values = values(bind, &prepared.parameters)?;
                let bound = plan.as_ref().clone().replace_params_with_values(&values);
                Some(Box::new(bound.map_err(QueryError::from)?))
            }
            Body::Empty | Body::Own(_) | Body::Statement(..) => None,
        };
        let portal = Portal { prepared, format, state: PortalState::Bound(plan), with_hold: false };
        self.session.put_portal(portal_name, portal)?;
        Ok(self.send(&PgWireBackendMessage::BindComplete(BindComplete::new()))?)
    }
}

fn check_counts(bind: &Bind, prepared: &Prepared, name: &str) -> Result<(), Failure> {
    let (given, wanted) = (bind.parameters.len(), prepared.parameters.len());
    if given != wanted {
        let message = format!(
            "bind message supplies {given} parameters, but prepared statement \"{name}\" requires {wanted}"
        );
        return Err(Failure::BadBind { message });
    }
    let formats = bind.parameter_format_codes.len();
    if formats > 1 && formats != given {
        let message =
            format!("bind message has {formats} parameter formats but {given} parameters");
        return Err(Failure::BadBind { message });
    }
    let codes = bind.parameter_format_codes.iter().chain(&bind.result_column_format_codes);
    match codes.into_iter().find(|code| !matches!(code, 0 | 1)) {
        Some(code) => {
            Err(Failure::InvalidParameter { message: format!("unsupported format code: {code}") })
        }
        None => Ok(()),
    }
}

fn result_format(bind: &Bind, prepared: &Prepared) -> Result<Format, Failure> {
    let codes = &bind.result_column_format_codes;
    let columns = prepared.schema.as_ref().map(|schema| schema.fields().len());
    match (&codes[..], columns) {
        ([], _) => Ok(Format::UnifiedText),
        ([code], _) => Ok(Format::from(*code)),
        (codes, Some(columns)) if codes.len() != columns => {
            let formats = codes.len();
            let message = format!(
                "bind message has {formats} result formats but query has {columns} columns"
            );
            Err(Failure::BadBind { message })
        }
        (codes, _) => Ok(Format::Individual(codes.to_vec())),
    }
}

/// The values, each as the type that the plan takes.
fn values(bind: &Bind, parameters: &[Parameter]) -> Result<ParamValues, Failure> {
    let declared: Vec<Option<Type>> = parameters
        .iter()
        .map(|parameter| parameter.is_declared.then(|| parameter.wire.clone()))
        .collect();
    let statement = Arc::new(StoredStatement::new(String::new(), (), declared));
    let portal = WirePortal::try_new(bind, statement)
        .map_err(|error| Failure::BadBind { message: ErrorInfo::from(error).message })?;
    let arrow: Vec<Option<&DataType>> =
        parameters.iter().map(|parameter| parameter.arrow.as_ref()).collect();
    let wire: Vec<Option<&Type>> =
        parameters.iter().map(|parameter| Some(&parameter.wire)).collect();
    let values = deserialize_parameters_with_server_types(&portal, &arrow, &wire)
        .map_err(|error| bad_value(bind, error))?;
    let ParamValues::List(mut values) = values else { return Ok(values) };
    for (index, (value, parameter)) in values.iter_mut().zip(parameters).enumerate() {
        let Some(wanted) = &parameter.arrow else { continue };
        if value.value.data_type() != *wanted {
            value.value = value.value.cast_to(wanted).map_err(|error| Failure::BadParameter {
                number: index + 1,
                message: error.strip_backtrace(),
            })?;
        }
    }
    Ok(ParamValues::List(values))
}

/// The library does not say which value it was, unless there is only one.
fn bad_value(bind: &Bind, error: pgwire::error::PgWireError) -> Failure {
    let message = ErrorInfo::from(error).message;
    if bind.parameters.len() == 1 {
        return Failure::BadParameter { number: 1, message };
    }
    Failure::BadValue { message }
}
