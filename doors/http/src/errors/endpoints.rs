//! What can go wrong with declarations and endpoints.

use axum::http::StatusCode;
use posthouse_broker::{DeclareError, EndpointError, EndpointRefused};

use super::{Problem, chain, denied, unavailable};

impl From<EndpointRefused> for Problem {
    fn from(refused: EndpointRefused) -> Problem {
        let problem =
            Problem::new(StatusCode::BAD_REQUEST, "invalid_endpoint", refused.to_string())
                .with("setting", refused.field)
                .with("value", refused.value);
        match refused.help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }
}

impl From<EndpointError> for Problem {
    fn from(error: EndpointError) -> Problem {
        let detail = chain(&error);
        match error {
            EndpointError::Refused(refused) => refused.into(),
            EndpointError::Declare(DeclareError::Exists { .. }) => {
                Problem::new(StatusCode::CONFLICT, "endpoint_exists", detail)
                    .help("DELETE /endpoints/{name} deletes it")
            }
            EndpointError::Declare(DeclareError::Unknown { .. }) => {
                Problem::new(StatusCode::NOT_FOUND, "unknown_endpoint", detail)
                    .help("GET /endpoints lists the endpoints, POST /endpoints makes one")
            }
            EndpointError::Declare(DeclareError::Name { .. } | DeclareError::TooLarge { .. }) => {
                Problem::new(StatusCode::BAD_REQUEST, "invalid_endpoint", detail)
            }
            EndpointError::Declare(DeclareError::TooMany { .. }) => {
                Problem::new(StatusCode::INSUFFICIENT_STORAGE, "limit", detail)
            }
            EndpointError::Declare(DeclareError::Catalog(failure)) => failure.into(),
            EndpointError::Declare(DeclareError::Denied(_)) => denied(detail),
            EndpointError::Configured(_) => {
                Problem::new(StatusCode::CONFLICT, "endpoint_configured", detail)
                    .help("change the node's configuration file and restart it")
            }
            EndpointError::NoRunner => unavailable("no_endpoints", detail),
        }
    }
}
