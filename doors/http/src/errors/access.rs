//! Failures of changing who may come in and what they may do, as problems.

use axum::http::StatusCode;
use posthouse_access::UserNameError;
use posthouse_broker::AccessError;

use super::{Problem, chain, denied};

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Problem {
        let detail = chain(&error);
        let problem = |status, code| Problem::new(status, code, detail.clone());
        match error {
            AccessError::UserExists(_) => problem(StatusCode::CONFLICT, "user_exists"),
            AccessError::UnknownUser(_) => problem(StatusCode::NOT_FOUND, "unknown_user"),
            AccessError::UnknownToken(_) => problem(StatusCode::NOT_FOUND, "unknown_token"),
            AccessError::Name(error) => error.into(),
            AccessError::Password(_) => problem(StatusCode::BAD_REQUEST, "invalid_password"),
            AccessError::Taken { .. } => problem(StatusCode::CONFLICT, "identity_taken"),
            AccessError::CurveKey { .. } => problem(StatusCode::BAD_REQUEST, "invalid_curve_key"),
            AccessError::TooMany { .. } => problem(StatusCode::INSUFFICIENT_STORAGE, "limit"),
            AccessError::TooLong { .. } | AccessError::Expired => {
                problem(StatusCode::BAD_REQUEST, "invalid_parameter")
            }
            AccessError::LastSuperuser(_) => problem(StatusCode::CONFLICT, "last_superuser"),
            AccessError::Superuser | AccessError::Denied(_) => denied(detail),
            AccessError::Catalog(failure) => failure.into(),
        }
    }
}

impl From<UserNameError> for Problem {
    fn from(error: UserNameError) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_user_name", error.to_string())
    }
}
