//! Runs the statements about endpoints.
//!
//! What an endpoint's settings mean, the door that runs them says; its refusals come with the setting's
//! place in the script.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
use posthouse_broker::{
    Broker, DeclareError, EndpointDescription, EndpointError, EndpointSettings,
};
use posthouse_types::Principal;

use crate::QueryError;
use crate::ddl::{TopicOutcome, table};
use crate::error::sqlstate;
use crate::statement::{EndpointStatement, Name, Setting};

/// Runs such statements for one principal.
pub(crate) struct EndpointStatements {
    pub(crate) broker: Arc<Broker>,
    pub(crate) principal: Principal,
}

impl EndpointStatements {
    pub(crate) async fn run(
        &self,
        statement: EndpointStatement,
    ) -> Result<TopicOutcome, QueryError> {
        match statement {
            EndpointStatement::Create { name, if_not_exists, settings } => {
                self.create(&name, if_not_exists, &settings).await
            }
            EndpointStatement::Drop { names, if_exists } => self.drop(&names, if_exists).await,
            EndpointStatement::Show => self.show().await,
        }
    }

    async fn create(
        &self,
        name: &Name,
        if_not_exists: bool,
        given: &[Setting],
    ) -> Result<TopicOutcome, QueryError> {
        let mut settings = EndpointSettings::default();
        for Setting { name, value } in given {
            settings.push(&name.text, value);
        }
        match self.broker.create_endpoint(&self.principal, &name.text, settings).await {
            Ok(_) => {}
            Err(EndpointError::Declare(DeclareError::Exists { .. })) if if_not_exists => {}
            Err(EndpointError::Refused(refused)) => {
                let setting = given.iter().find(|setting| setting.name.text == refused.field);
                let position = setting.map_or(name.position, |setting| setting.name.position);
                let state = sqlstate::INVALID_PARAMETER_VALUE;
                let error = QueryError::new(state, refused.to_string()).at(position);
                return Err(match refused.help {
                    Some(help) => error.with_hint(help),
                    None => error,
                });
            }
            Err(error) => return Err(failed(&error).at(name.position)),
        }
        Ok(TopicOutcome::Done("CREATE ENDPOINT"))
    }

    async fn drop(&self, names: &[Name], if_exists: bool) -> Result<TopicOutcome, QueryError> {
        for name in names {
            match self.broker.drop_endpoint(&self.principal, &name.text).await {
                Ok(()) => {}
                Err(EndpointError::Declare(DeclareError::Unknown { .. })) if if_exists => {}
                Err(error) => return Err(failed(&error).at(name.position)),
            }
        }
        Ok(TopicOutcome::Done("DROP ENDPOINT"))
    }

    async fn show(&self) -> Result<TopicOutcome, QueryError> {
        let all = self.broker.endpoints(&self.principal).await.map_err(|error| failed(&error))?;
        let text = |read: fn(&EndpointDescription) -> Option<String>| -> ArrayRef {
            Arc::new(StringArray::from_iter(all.iter().map(read)))
        };
        let count = |read: fn(&EndpointDescription) -> u64| -> ArrayRef {
            let whole = |endpoint| i64::try_from(read(endpoint)).unwrap_or(i64::MAX);
            Arc::new(Int64Array::from_iter_values(all.iter().map(whole)))
        };
        let names = [
            "endpoint",
            "socket",
            "target",
            "addresses",
            "state",
            "reason",
            "peers",
            "received",
            "sent",
            "dropped",
        ];
        let columns = vec![
            text(|endpoint| Some(endpoint.name.clone())),
            text(|endpoint| Some(endpoint.socket.clone())),
            text(|endpoint| Some(endpoint.target.clone())),
            text(|endpoint| Some(endpoint.addresses.join(" "))),
            text(|endpoint| Some(endpoint.state.word().to_owned())),
            text(|endpoint| endpoint.state.reason().map(str::to_owned)),
            count(|endpoint| endpoint.peers),
            count(|endpoint| endpoint.received),
            count(|endpoint| endpoint.sent),
            count(|endpoint| endpoint.dropped),
        ];
        table(&names, columns).map(TopicOutcome::Rows)
    }
}

fn failed(error: &EndpointError) -> QueryError {
    let (state, hint) = match error {
        EndpointError::Refused(_) => (sqlstate::INVALID_PARAMETER_VALUE, None),
        EndpointError::Declare(declare) => match declare {
            DeclareError::Exists { .. } => {
                (sqlstate::DUPLICATE_OBJECT, Some("DROP ENDPOINT name drops it"))
            }
            DeclareError::Unknown { .. } => {
                (sqlstate::UNDEFINED_OBJECT, Some("SHOW ENDPOINTS lists the endpoints"))
            }
            DeclareError::Name { .. } => (sqlstate::INVALID_NAME, None),
            DeclareError::TooLarge { .. } | DeclareError::TooMany { .. } => {
                (sqlstate::PROGRAM_LIMIT_EXCEEDED, None)
            }
            DeclareError::Catalog(_) => (sqlstate::IO_ERROR, None),
            DeclareError::Denied(denied) => return QueryError::denied(denied),
        },
        EndpointError::Configured(_) => (
            sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
            Some("change the node's configuration file and restart it"),
        ),
        EndpointError::NoRunner => (sqlstate::CANNOT_CONNECT_NOW, None),
    };
    let error = QueryError::new(state, error.to_string());
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}
