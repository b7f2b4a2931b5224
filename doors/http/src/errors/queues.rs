//! Failures of queue calls as problems.

use axum::http::StatusCode;
use posthouse_broker::QueueError;
use posthouse_log::ReadError;

use super::{Problem, chain, internal_topic, storage, unavailable};

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Problem {
        let detail = chain(&error);
        match error {
            QueueError::NotFound { .. } => {
                Problem::new(StatusCode::NOT_FOUND, "unknown_queue", detail)
                    .help("POST /queues/{topic}/{group} makes it")
            }
            QueueError::Exists { .. } => Problem::new(StatusCode::CONFLICT, "queue_exists", detail)
                .help("PATCH /queues/{topic}/{group} changes it"),
            QueueError::UnknownOwner { .. } => {
                Problem::new(StatusCode::NOT_FOUND, "unknown_owner", detail)
                    .help("GET /queues/{topic}/{group}/owners lists them")
            }
            QueueError::Name { .. } => {
                Problem::new(StatusCode::BAD_REQUEST, "invalid_name", detail)
            }
            QueueError::Window { .. }
            | QueueError::Timeout { .. }
            | QueueError::Deliveries
            | QueueError::DeadLetterToItself(_) => {
                Problem::new(StatusCode::BAD_REQUEST, "invalid_queue", detail)
            }
            QueueError::DeadLetter(failure) => failure.into(),
            QueueError::Internal(_) => internal_topic(detail),
            QueueError::Limit { .. } => {
                Problem::new(StatusCode::INSUFFICIENT_STORAGE, "limit", detail)
            }
            QueueError::Lookup(error) => error.into(),
            QueueError::Read(ReadError::Closed) => unavailable("closed", detail),
            QueueError::Read(
                ReadError::OutOfRange { .. } | ReadError::Storage(_) | ReadError::Damaged { .. },
            ) => storage(detail),
            QueueError::Storage(failure) => failure.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use posthouse_types::TopicName;

    use super::*;

    #[test]
    fn each_failure_has_its_status_and_code() {
        let topic = || TopicName::new("jobs").unwrap();
        let group = || "workers".to_owned();
        let check = |error: QueueError, status: u16, code: &str| {
            let problem = Problem::from(error);
            assert_eq!((problem.status, problem.code), (status, code), "{}", problem.detail);
        };
        check(QueueError::NotFound { topic: topic(), group: group() }, 404, "unknown_queue");
        check(QueueError::Exists { topic: topic(), group: group() }, 409, "queue_exists");
        check(QueueError::Window { asked: 0, max: 9 }, 400, "invalid_queue");
        check(QueueError::Internal(topic()), 403, "internal_topic");
        check(QueueError::Limit { what: "queues", max: 1 }, 507, "limit");
        check(QueueError::Read(ReadError::Closed), 503, "closed");
    }
}
