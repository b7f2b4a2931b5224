//! What handlers take from a request, refused as a problem that names what is wrong.

use axum::body::{Body, HttpBody};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use posthouse_types::TopicName;
use serde::de::DeserializeOwned;

use crate::HttpConfig;
use crate::errors::Problem;

/// The topic that a path names, as itself or as Kafka spells it.
pub(crate) struct TopicPath(pub(crate) TopicName);

impl<S: Send + Sync> FromRequestParts<S> for TopicPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<TopicPath, Problem> {
        let Path(name) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| wrong_path(&rejection))?;
        Ok(TopicPath(TopicName::from_kafka_alias(&name)?))
    }
}

/// The channel or service that a path names, as it is.
pub(crate) struct NamePath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for NamePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<NamePath, Problem> {
        let Path(name) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| wrong_path(&rejection))?;
        Ok(NamePath(name))
    }
}

/// The parameters after the question mark; one that does not exist is refused.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Parameters<T>, Problem> {
        let Query(parameters) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| wrong_query(&rejection))?;
        Ok(Parameters(parameters))
    }
}

pub(crate) fn wrong_path(rejection: &PathRejection) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_path", rejection.body_text())
        .help("a name that is not UTF-8 is written as Kafka clients see it: _xHH for a byte")
}

fn wrong_query(rejection: &QueryRejection) -> Problem {
    let text = rejection.body_text();
    let detail = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
    Problem::new(StatusCode::BAD_REQUEST, "invalid_parameter", detail.to_owned())
        .help("GET /openapi.json lists the parameters")
}

/// A body that is read piece by piece; a client that stops in the middle is not waited for.
pub(crate) struct Pieces<'a> {
    stream: axum::body::BodyDataStream,
    /// Bytes that the client says will come, at least.
    declared: u64,
    config: &'a HttpConfig,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(body: Body, config: &'a HttpConfig) -> Pieces<'a> {
        let declared = body.size_hint().lower();
        Pieces { stream: body.into_data_stream(), declared, config }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        match tokio::time::timeout(self.config.body_timeout, self.stream.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(piece))) => Ok(Some(piece)),
            Ok(Some(Err(error))) => {
                let detail = format!("the body ended early: {error}");
                Err(Problem::new(StatusCode::BAD_REQUEST, "body_cut_short", detail))
            }
            Err(_) => {
                let seconds = self.config.body_timeout.as_secs();
                let detail = format!("nothing of the body came for {seconds} seconds");
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail))
            }
        }
    }

    /// The whole body, which must fit into memory.
    pub(crate) async fn collect(mut self) -> Result<Bytes, Problem> {
        let len_max = self.config.body_bytes_max.as_usize();
        if self.declared > self.config.body_bytes_max.0 {
            return Err(too_large(len_max));
        }
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else {
            return if first.len() > len_max { Err(too_large(len_max)) } else { Ok(first) };
        };
        let mut whole = BytesMut::from(first);
        let mut piece = Some(second);
        while let Some(bytes) = piece {
            if whole.len() + bytes.len() > len_max {
                return Err(too_large(len_max));
            }
            whole.extend_from_slice(&bytes);
            piece = self.next().await?;
        }
        Ok(whole.freeze())
    }
}

/// A body that is one JSON value.
pub(crate) async fn json<T: DeserializeOwned>(
    body: Body,
    config: &HttpConfig,
) -> Result<T, Problem> {
    parse(&Pieces::new(body, config).collect().await?)
}

/// As [`json`], where an empty body says nothing.
pub(crate) async fn json_or_default<T: DeserializeOwned + Default>(
    body: Body,
    config: &HttpConfig,
) -> Result<T, Problem> {
    let bytes = Pieces::new(body, config).collect().await?;
    if bytes.is_empty() { Ok(T::default()) } else { parse(&bytes) }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_body",
            format!("the body is not what is expected: {error}"),
        )
        .help("GET /openapi.json describes the body")
    })
}

pub(crate) fn too_large(len_max: usize) -> Problem {
    let detail = format!("the body is larger than {len_max} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
        .help("send less at a time; POST /topics/{name}/records/batch takes any number of lines")
}

/// The media type of a body, lower case and without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = text.unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// The first of `offered` that the client accepts; the first when it accepts anything.
pub(crate) fn accepted<'a>(headers: &HeaderMap, offered: &[&'a str]) -> Option<&'a str> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let Some(accept) = accept else { return offered.first().copied() };
    accept.split(',').find_map(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        match range.split_once('/') {
            Some(("*", "*")) => offered.first().copied(),
            Some((kind, "*")) => {
                offered.iter().copied().find(|name| name.split('/').next() == Some(kind))
            }
            _ => offered.iter().copied().find(|name| name.eq_ignore_ascii_case(range)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: &str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        let offered = ["application/x-ndjson", "text/csv", "application/json"];
        assert_eq!(accepted(&headers, &offered), expected, "{accept}");
    }

    #[test]
    fn the_first_acceptable_type_is_chosen() {
        check("*/*", Some("application/x-ndjson"));
        check("text/csv", Some("text/csv"));
        check("application/json;q=0.9, text/csv", Some("application/json"));
        check("text/*", Some("text/csv"));
        check("image/png", None);
        check("text/html,application/xhtml+xml,*/*;q=0.8", Some("application/x-ndjson"));
    }
}
