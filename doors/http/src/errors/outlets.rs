//! Failures of declaring webhooks and file sinks as problems.

use axum::http::StatusCode;
use posthouse_broker::{DeclarationKind, DeclareError};

use super::{Problem, chain, denied};
use crate::webhooks::SpecError;

impl From<DeclareError> for Problem {
    fn from(error: DeclareError) -> Problem {
        let detail = chain(&error);
        match error {
            DeclareError::Exists { kind, .. } => {
                Problem::new(StatusCode::CONFLICT, exists(kind), detail)
                    .help("choose another name, or delete that one first")
            }
            DeclareError::Unknown { kind, .. } => {
                Problem::new(StatusCode::NOT_FOUND, unknown(kind), detail)
            }
            DeclareError::Name { .. } => {
                Problem::new(StatusCode::BAD_REQUEST, "invalid_name", detail)
            }
            DeclareError::TooLarge { .. } => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
            }
            DeclareError::TooMany { .. } => {
                Problem::new(StatusCode::INSUFFICIENT_STORAGE, "limit", detail)
            }
            DeclareError::Catalog(failure) => failure.into(),
            DeclareError::Denied(_) => denied(detail),
        }
    }
}

impl From<SpecError> for Problem {
    fn from(error: SpecError) -> Problem {
        Problem::parameter(error.member, &error.value, &error.reason)
    }
}

fn exists(kind: DeclarationKind) -> &'static str {
    match kind {
        DeclarationKind::Endpoint => "endpoint_exists",
        DeclarationKind::Webhook => "webhook_exists",
        DeclarationKind::FileSink => "sink_exists",
    }
}

fn unknown(kind: DeclarationKind) -> &'static str {
    match kind {
        DeclarationKind::Endpoint => "unknown_endpoint",
        DeclarationKind::Webhook => "unknown_webhook",
        DeclarationKind::FileSink => "unknown_sink",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_status_and_code() {
        let check = |error: DeclareError, status: u16, code: &str| {
            let problem = Problem::from(error);
            assert_eq!((problem.status, problem.code), (status, code), "{}", problem.detail);
        };
        let name = || "x".to_owned();
        let (webhook, sink) = (DeclarationKind::Webhook, DeclarationKind::FileSink);
        check(DeclareError::Exists { kind: webhook, name: name() }, 409, "webhook_exists");
        check(DeclareError::Unknown { kind: sink, name: name() }, 404, "unknown_sink");
        check(DeclareError::Name { kind: sink, name: name(), max: 1 }, 400, "invalid_name");
        check(DeclareError::TooMany { kind: sink, max: 1 }, 507, "limit");
    }
}
