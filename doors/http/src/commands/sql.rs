//! Asking in SQL: the rows stream as they are made, and stop when the client leaves.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use posthouse_query::{Outcome, QueryError};
use serde::Deserialize;
use serde_json::json;
use tracing::warn;
use utoipa::{IntoParams, ToSchema};

use super::input::{Parameters, Pieces, accepted, media_type};
use crate::codec::rows::{Encoder, Layout};
use crate::errors::{Problem, chain};
use crate::routes::Door;

const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";
const JSON: &str = "application/json";
/// What the statement was, as Postgres says it: `SELECT`, `CREATE TOPIC`.
const TAG: HeaderName = HeaderName::from_static("posthouse-tag");

/// How rows look.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlParameters {
    /// `objects` (the default), or `arrays`: in lines of JSON, first `{"columns": …}`, then an array
    /// a row, at last `{"rows": N}` or `{"error": …}`.
    shape: Option<String>,
}

/// A query as JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlBody {
    /// The SQL: one or more statements. The rows of the last one are the answer.
    query: String,
}

/// Ask in SQL: the body is one or more statements, and the answer is what the last one gives.
///
/// Rows come as lines of JSON, as one JSON array or as CSV, by `Accept`. A statement without rows
/// answers with its tag. An error in the SQL tells its position, counted in characters from 1.
#[utoipa::path(post, path = "/sql", tag = "sql", params(SqlParameters),
    request_body(content((String = "text/plain"), (SqlBody = "application/json"))),
    responses(
        (status = 200, content((Object = "application/x-ndjson"), (Vec<Object> = "application/json"), (String = "text/csv"))),
        (status = "default", body = Problem),
    )
)]
pub(crate) async fn run(
    door: Door,
    Parameters(parameters): Parameters<SqlParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (content_type, layout) = layout(&headers, parameters.shape.as_deref())?;
    let sql = query(&headers, Pieces::new(body, &door.config).collect().await?)?;
    let session = door.query.session(door.principal.clone());
    let outcomes = session.execute(&sql).await?;
    match last(outcomes).await? {
        Outcome::Rows { rows, .. } => rows_response(rows, content_type, layout).await,
        Outcome::Done { tag, count } => Ok(done_response(&tag, count)),
    }
}

fn layout(headers: &HeaderMap, shape: Option<&str>) -> Result<(&'static str, Layout), Problem> {
    let arrays = match shape {
        None | Some("objects") => false,
        Some("arrays") => true,
        Some(other) => {
            return Err(Problem::parameter("shape", other, "is neither objects nor arrays"));
        }
    };
    match (accepted(headers, &[NDJSON, JSON, CSV]), arrays) {
        (Some(NDJSON), true) => Ok((NDJSON, Layout::ArrayLines)),
        (Some(NDJSON), false) => Ok((NDJSON, Layout::ObjectLines)),
        (Some(JSON), false) => Ok((JSON, Layout::ObjectArray)),
        (Some(CSV), false) => Ok((CSV, Layout::Csv)),
        (Some(_), true) => {
            Err(Problem::parameter("shape", "arrays", "is for application/x-ndjson only"))
        }
        (None, _) | (Some(_), false) => Err(Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "not_acceptable",
            "rows cannot be sent in any of the types that are accepted",
        )
        .help("accept application/x-ndjson, application/json or text/csv")),
    }
}

fn query(headers: &HeaderMap, body: Bytes) -> Result<String, Problem> {
    let refuse = |detail: String| {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_body", detail)
            .help("the body is SQL, or {\"query\": \"SQL\"} as application/json")
    };
    let sql = if media_type(headers) == JSON {
        serde_json::from_slice::<SqlBody>(&body)
            .map_err(|error| refuse(format!("the body is no query: {error}")))?
            .query
    } else {
        String::from_utf8(body.into()).map_err(|_| refuse("the query is not UTF-8".to_owned()))?
    };
    if sql.trim().is_empty() { Err(refuse("the query is empty".to_owned())) } else { Ok(sql) }
}

/// The last outcome of a script; the rows of those before it are read to their end, because a
/// statement such as INSERT does its work while they are.
async fn last(outcomes: Vec<Outcome>) -> Result<Outcome, Problem> {
    let mut last = Outcome::Done { tag: String::new(), count: None };
    let count = outcomes.len();
    for (index, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Outcome::Rows { mut rows, .. } if index + 1 < count => {
                while let Some(batch) = rows.next().await {
                    batch.map_err(row_problem)?;
                }
            }
            outcome => last = outcome,
        }
    }
    Ok(last)
}

fn done_response(tag: &str, count: Option<u64>) -> Response {
    let body = json!({ "tag": tag, "count": count }).to_string() + "\n";
    ([(header::CONTENT_TYPE, JSON)], tag_header(tag), body).into_response()
}

fn tag_header(tag: &str) -> [(HeaderName, HeaderValue); 1] {
    [(TAG, HeaderValue::from_str(tag).unwrap_or_else(|_| HeaderValue::from_static("")))]
}

/// Rows on their way to one client.
struct Delivery {
    rows: SendableRecordBatchStream,
    encoder: Encoder,
    over: bool,
}

async fn rows_response(
    rows: SendableRecordBatchStream,
    content_type: &'static str,
    layout: Layout,
) -> Result<Response, Problem> {
    let encoder = Encoder::new(layout, rows.schema());
    let mut delivery = Delivery { rows, encoder, over: false };
    // The first rows are made before the head is sent, so that most failures are problems.
    let first = delivery.next().await.map_err(row_problem)?;
    let pieces = futures::stream::unfold((first, delivery), |(first, mut delivery)| async {
        if let Some(first) = first {
            return Some((Ok(first), (None, delivery)));
        }
        match delivery.next().await {
            Ok(piece) => piece.map(|piece| (Ok(piece), (None, delivery))),
            Err(error) => {
                delivery.over = true;
                match delivery.encoder.fail(&row_problem(error)) {
                    Ok(farewell) => Some((Ok(farewell), (None, delivery))),
                    // The head is gone and the layout has no place for an error: cut the body.
                    Err(cut) => Some((Err(cut), (None, delivery))),
                }
            }
        }
    });
    let body = Body::from_stream(pieces);
    Ok(([(header::CONTENT_TYPE, content_type)], tag_header("SELECT"), body).into_response())
}

impl Delivery {
    async fn next(&mut self) -> Result<Option<Bytes>, DataFusionError> {
        while !self.over {
            let piece = match self.rows.next().await {
                Some(batch) => self.encoder.encode(&batch?)?,
                None => {
                    self.over = true;
                    self.encoder.finish()?
                }
            };
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

/// An error among the rows is one of ours inside DataFusion's, or DataFusion's own.
fn row_problem(error: DataFusionError) -> Problem {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        if let Some(ours) = cause.downcast_ref::<QueryError>() {
            return ours.clone().into();
        }
        source = cause.source();
    }
    warn!(error = chain(&error), "a query failed among its rows");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "sql", error.strip_backtrace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_comes_as_text_or_as_json() {
        let mut headers = HeaderMap::new();
        assert_eq!(query(&headers, Bytes::from("SELECT 1")).unwrap(), "SELECT 1");
        headers.insert(header::CONTENT_TYPE, JSON.parse().unwrap());
        assert_eq!(query(&headers, Bytes::from(r#"{"query":"SELECT 2"}"#)).unwrap(), "SELECT 2");
        assert!(query(&headers, Bytes::from(r#"{"sql":"SELECT 2"}"#)).is_err());
        assert!(query(&HeaderMap::new(), Bytes::from("  ")).is_err());
    }

    #[test]
    fn arrays_are_lines_only() {
        let mut headers = HeaderMap::new();
        assert_eq!(layout(&headers, Some("arrays")).unwrap().1, Layout::ArrayLines);
        headers.insert(header::ACCEPT, CSV.parse().unwrap());
        assert_eq!(layout(&headers, None).unwrap().1, Layout::Csv);
        assert!(layout(&headers, Some("arrays")).is_err());
        assert!(layout(&headers, Some("columns")).is_err());
    }
}
