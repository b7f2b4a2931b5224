//! Every error as a problem document (RFC 9457): what failed, the value, and the way out.
//!
//! The `code` of a problem is stable and made for programs; `detail` and `help` are for people.

mod access;
mod endpoints;
mod outlets;
mod queues;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use posthouse_broker::{
    AlterTopicError, AppendFailure, CommitError, CreateTopicError, DeleteGroupError, Denied,
    FetchError, GroupError, LookupError, PairError, PairSendError, PublishError, RequestError,
    SubscribeError,
};
use posthouse_log::{AppendError, ReadError};
use posthouse_query::QueryError;
use posthouse_types::NameError;
pub(crate) use posthouse_types::chain;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The media type of a problem.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// How one may say who one is: RFC 6750 and RFC 7617.
const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Bearer, Basic realm=\"posthouse\", charset=\"UTF-8\"");

/// A failed request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// What kind of failure it is, for programs: `unknown_topic`.
    #[schema(value_type = String)]
    pub(crate) code: &'static str,
    /// The HTTP status in words.
    pub(crate) title: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What failed, with the value that was wrong.
    pub(crate) detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
    /// What else a program may want to know.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub(crate) more: Map<String, Value>,
    /// Whether to say how one says who one is (`WWW-Authenticate`).
    #[serde(skip)]
    challenges: bool,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Problem {
        Problem {
            code,
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            help: None,
            more: Map::new(),
            challenges: false,
        }
    }

    /// A parameter, header or field that cannot be used; `reason` follows the value.
    pub(crate) fn parameter(name: &str, value: &str, reason: &str) -> Problem {
        let detail = format!("{name} {value:?} {reason}");
        Problem::new(StatusCode::BAD_REQUEST, "invalid_parameter", detail).with("parameter", name)
    }

    #[must_use]
    pub(crate) fn challenge(mut self) -> Problem {
        self.challenges = true;
        self
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.more.insert(name.to_owned(), value.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let challenges = self.challenges;
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        if challenges {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        response
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_topic_name", error.to_string())
    }
}

impl From<LookupError> for Problem {
    fn from(error: LookupError) -> Problem {
        let detail = chain(&error);
        match error {
            LookupError::UnknownTopic(name) => {
                unknown_topic(detail).with("topic", name.to_string())
            }
            LookupError::UnknownTopicId(_) => unknown_topic(detail),
            LookupError::UnknownPartition { partitions, .. } => {
                Problem::new(StatusCode::NOT_FOUND, "unknown_partition", detail)
                    .help(format!("its partitions are 0 to {}", partitions.saturating_sub(1)))
            }
            LookupError::Opening { .. } => unavailable("opening", detail),
            LookupError::Failed { .. } => {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "partition_failed", detail)
                    .help("look at the node's log and its disk, then restart the node")
            }
            LookupError::Denied(_) => denied(detail),
        }
    }
}

impl From<CreateTopicError> for Problem {
    fn from(error: CreateTopicError) -> Problem {
        let detail = chain(&error);
        match error {
            CreateTopicError::Exists(name) => {
                Problem::new(StatusCode::CONFLICT, "topic_exists", detail)
                    .with("topic", name.to_string())
            }
            CreateTopicError::AliasTaken { .. } => {
                Problem::new(StatusCode::CONFLICT, "topic_alias_taken", detail)
                    .help("choose another name; Kafka clients could not tell the two topics apart")
            }
            CreateTopicError::Name(error) => error.into(),
            CreateTopicError::Partitions { .. } => {
                Problem::new(StatusCode::BAD_REQUEST, "invalid_partitions", detail)
            }
            CreateTopicError::Config { name, .. } => invalid_config(detail, name),
            CreateTopicError::Schema { .. } => {
                Problem::new(StatusCode::BAD_REQUEST, "invalid_schema", detail)
            }
            CreateTopicError::Storage(_) => storage(detail),
            CreateTopicError::Catalog(failure) => failure.into(),
            CreateTopicError::Denied(_) => denied(detail),
        }
    }
}

impl From<AlterTopicError> for Problem {
    fn from(error: AlterTopicError) -> Problem {
        let detail = chain(&error);
        match error {
            AlterTopicError::Lookup(error) => error.into(),
            AlterTopicError::Partitions { .. } => {
                Problem::new(StatusCode::BAD_REQUEST, "invalid_partitions", detail)
                    .help("partitions can only be added, because a key must stay in its partition")
            }
            AlterTopicError::Config { name, .. } => invalid_config(detail, name),
            AlterTopicError::Schema { .. } => {
                Problem::new(StatusCode::BAD_REQUEST, "invalid_schema", detail)
            }
            AlterTopicError::Internal(_) => internal_topic(detail),
            AlterTopicError::Open(_)
            | AlterTopicError::Delete(_)
            | AlterTopicError::Truncate(_) => storage(detail),
            AlterTopicError::Catalog(failure) => failure.into(),
        }
    }
}

impl From<AppendFailure> for Problem {
    fn from(error: AppendFailure) -> Problem {
        let detail = chain(&error);
        match error {
            AppendFailure::Lookup(error) => error.into(),
            AppendFailure::Batch(_) => {
                Problem::new(StatusCode::BAD_REQUEST, "invalid_record", detail)
            }
            AppendFailure::Internal(_) => internal_topic(detail),
            AppendFailure::Create { source, .. } => (*source).into(),
            AppendFailure::Append(error) => refused_append(&error, detail),
            AppendFailure::Durability(_) => storage(detail).help(
                "the record may or may not be there; look before sending it again if it must not be there twice",
            ),
        }
    }
}

fn refused_append(error: &AppendError, detail: String) -> Problem {
    match error {
        AppendError::TooLarge { .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "record_too_large", detail)
                .help("send smaller records, or raise the topic's max.message.bytes")
        }
        AppendError::KeyMissing => {
            Problem::new(StatusCode::BAD_REQUEST, "key_missing", detail).help("add ?key=KEY")
        }
        AppendError::Batch(_)
        | AppendError::OutOfOrderSequence { .. }
        | AppendError::DuplicateSequence { .. }
        | AppendError::FencedProducer { .. } => {
            Problem::new(StatusCode::BAD_REQUEST, "invalid_record", detail)
        }
        AppendError::Fenced { .. } | AppendError::Closed => unavailable("not_leader", detail),
        AppendError::Failed(_) => storage(detail),
    }
}

impl From<Denied> for Problem {
    fn from(error: Denied) -> Problem {
        denied(chain(&error))
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Problem {
        match error {
            PublishError::Append(error) => error.into(),
            PublishError::Denied(error) => error.into(),
        }
    }
}

impl From<SubscribeError> for Problem {
    fn from(error: SubscribeError) -> Problem {
        let detail = chain(&error);
        match error {
            SubscribeError::PatternTooLong { .. } => {
                Problem::new(StatusCode::BAD_REQUEST, "invalid_pattern", detail)
            }
            SubscribeError::TooMany { .. } => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_subscriptions", detail)
            }
            SubscribeError::Stopped => Problem::stopping(),
            SubscribeError::Denied(_) => denied(detail),
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Problem {
        let detail = chain(&error);
        match error {
            RequestError::NoWorker => unavailable("no_worker", detail)
                .help("start a worker, or wait for one with wait=true"),
            RequestError::Busy { .. } => unavailable("busy", detail),
            RequestError::Deadline { .. } => {
                Problem::new(StatusCode::GATEWAY_TIMEOUT, "deadline", detail).help(
                    "a worker may have done it all the same; raise deadline_ms to wait longer",
                )
            }
            RequestError::WorkerLost { .. } => Problem::new(
                StatusCode::BAD_GATEWAY,
                "worker_lost",
                detail,
            )
            .help(
                "it may have been done; a worker that is idempotent has its requests tried again",
            ),
            RequestError::Failed { reason } => {
                Problem::new(StatusCode::BAD_GATEWAY, "worker_failed", detail)
                    .with("reason", reason)
            }
            RequestError::Denied(_) => denied(detail),
        }
    }
}

impl From<PairError> for Problem {
    fn from(error: PairError) -> Problem {
        let detail = chain(&error);
        match error {
            PairError::Taken { .. } => Problem::new(StatusCode::CONFLICT, "pair_taken", detail)
                .help("try again when one of the two has left"),
            PairError::Denied(_) => denied(detail),
        }
    }
}

impl From<PairSendError> for Problem {
    fn from(error: PairSendError) -> Problem {
        let detail = chain(&error);
        match error {
            PairSendError::Alone(_) => Problem::new(StatusCode::CONFLICT, "pair_alone", detail)
                .help("wait until the other one has joined"),
            PairSendError::Full(_) => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "pair_full", detail)
            }
        }
    }
}

/// What only a WebSocket can get wrong.
impl Problem {
    pub(crate) fn frame(detail: String) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_frame", detail)
    }

    pub(crate) fn no_request(number: u64) -> Problem {
        let detail = format!("request {number} is not in this connection's hands");
        Problem::new(StatusCode::NOT_FOUND, "unknown_request", detail)
    }

    pub(crate) fn no_pair(name: &[u8]) -> Problem {
        let name = String::from_utf8_lossy(name);
        let detail = format!("this connection is not in pair {name:?}");
        Problem::new(StatusCode::NOT_FOUND, "unknown_pair", detail)
    }

    pub(crate) fn held_already(what: &str, name: &[u8]) -> Problem {
        let name = String::from_utf8_lossy(name);
        let detail = format!("this connection has {what} {name:?} already");
        Problem::new(StatusCode::CONFLICT, "held_already", detail)
    }

    pub(crate) fn held_too_many(what: &str, max: usize) -> Problem {
        let detail = format!("one connection has at most {max} {what}");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "held_too_many", detail)
    }

    pub(crate) fn stopping() -> Problem {
        unavailable("draining", "the node is stopping".to_owned())
    }
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Problem {
        let detail = chain(&error);
        match error {
            FetchError::Lookup(error) => error.into(),
            FetchError::FencedEpoch { .. } | FetchError::UnknownEpoch { .. } => {
                unavailable("not_leader", detail)
            }
            FetchError::Read(ReadError::OutOfRange { log_start, durable_end, .. }) => {
                Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "offset_out_of_range", detail)
                    .help("read from=beginning or from=end")
                    .with("log_start", log_start.value())
                    .with("end", durable_end.value())
            }
            FetchError::Read(ReadError::Closed) => unavailable("closed", detail),
            FetchError::Read(ReadError::Storage(_) | ReadError::Damaged { .. }) => storage(detail),
        }
    }
}

impl From<GroupError> for Problem {
    fn from(error: GroupError) -> Problem {
        let detail = error.to_string();
        match error {
            GroupError::InvalidGroup(_) => {
                Problem::new(StatusCode::BAD_REQUEST, "invalid_group", detail)
            }
            GroupError::Loading(_) | GroupError::Unavailable(_) => unavailable("loading", detail),
            GroupError::Limit { .. } => {
                Problem::new(StatusCode::INSUFFICIENT_STORAGE, "limit", detail)
            }
            GroupError::UnknownMember { .. }
            | GroupError::IllegalGeneration { .. }
            | GroupError::Rebalancing(_)
            | GroupError::FencedInstance { .. }
            | GroupError::InconsistentProtocol { .. } => group_active(detail),
            GroupError::Denied(_) => denied(detail),
        }
    }
}

impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Problem {
        let detail = chain(&error);
        match error {
            CommitError::Group(error) => error.into(),
            CommitError::Lookup(error) => error.into(),
            CommitError::MetadataTooLarge { .. } => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "metadata_too_large", detail)
            }
            CommitError::Storage(failure) => failure.into(),
        }
    }
}

impl From<DeleteGroupError> for Problem {
    fn from(error: DeleteGroupError) -> Problem {
        let detail = chain(&error);
        match error {
            DeleteGroupError::NotFound(_) => {
                Problem::new(StatusCode::NOT_FOUND, "unknown_group", detail)
                    .help("GET /groups lists the groups")
            }
            DeleteGroupError::NotEmpty(_) | DeleteGroupError::Subscribed { .. } => {
                group_active(detail)
            }
            DeleteGroupError::Group(error) => error.into(),
            DeleteGroupError::Storage(failure) => failure.into(),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Problem {
        let mut problem = Problem::new(sql_status(error.sqlstate), "sql", error.message)
            .with("sqlstate", error.sqlstate);
        if let Some(position) = error.position {
            problem = problem.with("position", position);
        }
        problem.help = error.hint;
        problem
    }
}

/// The class of an SQLSTATE (its first two characters) says whose fault it was.
fn sql_status(sqlstate: &str) -> StatusCode {
    match sqlstate.get(..2) {
        Some("53") => StatusCode::INSUFFICIENT_STORAGE,
        Some("57") => StatusCode::SERVICE_UNAVAILABLE,
        Some("58" | "XX") => StatusCode::INTERNAL_SERVER_ERROR,
        _ if sqlstate == "42P01" => StatusCode::NOT_FOUND,
        _ if sqlstate == "42P07" => StatusCode::CONFLICT,
        _ if sqlstate == "42501" => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn unknown_topic(detail: String) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_topic", detail)
        .help("GET /topics lists the topics, POST /topics makes one")
}

fn invalid_config(detail: String, name: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_config", detail)
        .help("GET /topics/{name} lists every setting that acts, with its value")
        .with("setting", name)
}

fn internal_topic(detail: String) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "internal_topic", detail)
}

fn denied(detail: String) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "denied", detail)
}

fn group_active(detail: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, "group_active", detail)
        .help("stop the group's consumers first; members commit their own offsets")
}

fn unavailable(code: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).help("try again in a moment")
}

fn storage(detail: String) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "storage", detail)
        .help("look at the node's log and its disk")
}

#[cfg(test)]
mod tests {
    use posthouse_types::TopicName;

    use super::*;

    fn check(problem: impl Into<Problem>, status: u16, code: &str) {
        let problem = problem.into();
        assert_eq!((problem.status, problem.code), (status, code), "{}", problem.detail);
    }

    #[test]
    fn each_failure_has_its_status_and_code() {
        let name = || TopicName::new("orders").unwrap();
        check(LookupError::UnknownTopic(name()), 404, "unknown_topic");
        check(CreateTopicError::Exists(name()), 409, "topic_exists");
        check(AlterTopicError::Internal(name()), 403, "internal_topic");
        let too_large = AppendError::TooLarge { size: 9, max: 8 };
        check(AppendFailure::Append(too_large), 413, "record_too_large");
        check(AppendFailure::Append(AppendError::KeyMissing), 400, "key_missing");
        check(DeleteGroupError::NotFound("g".to_owned()), 404, "unknown_group");
        check(GroupError::Rebalancing("g".to_owned()), 409, "group_active");
        check(NameError::Empty, 400, "invalid_topic_name");
        check(QueryError::new("42601", "syntax error"), 400, "sql");
        check(QueryError::new("42P01", "no such table"), 404, "sql");
        check(QueryError::new("XX000", "defect"), 500, "sql");
    }

    #[test]
    fn a_query_error_keeps_its_position() {
        let error = QueryError { position: Some(8), ..QueryError::new("42601", "syntax error") };
        let json = serde_json::to_value(Problem::from(error)).unwrap();
        assert_eq!(json["position"], 8);
        assert_eq!(json["sqlstate"], "42601");
    }
}
