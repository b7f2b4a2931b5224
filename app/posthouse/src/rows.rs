//! The answer to a query, line by line, as the HTTP door sends it with `shape=arrays`.

use bytes::BytesMut;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response};
use serde_json::Value;

use crate::client::{Client, Problem};
use crate::exit::{Code, Failure};

/// One line of an answer.
pub(crate) enum Line {
    /// The names of the columns; comes first.
    Columns(Vec<String>),
    /// A row.
    Row(Vec<Value>),
    /// A statement without rows is done.
    Done { tag: String, count: Option<u64> },
    /// The query failed among its rows.
    Error(Problem),
    /// There are no more rows.
    End,
}

/// An answer that is being read.
pub(crate) struct Rows {
    client: Client,
    response: Response,
    buffer: BytesMut,
}

impl Rows {
    /// Sends a query. The inner error is the query's own.
    pub(crate) async fn ask(
        client: &Client,
        query: &str,
    ) -> Result<Result<Rows, Problem>, Failure> {
        let request = client
            .request_with(Method::POST, &["sql"], &[("shape", "arrays".to_owned())])
            .header(ACCEPT, "application/x-ndjson")
            .header(CONTENT_TYPE, "text/plain")
            .body(query.to_owned());
        let answered = client.try_send(request).await?;
        let client = client.clone();
        Ok(answered.map(|response| Rows { client, response, buffer: BytesMut::new() }))
    }

    /// The next line; `None` when the node sent no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>, Failure> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return parse(&self.buffer.split_to(end + 1)).map(Some);
            }
            let piece = self.response.chunk().await;
            match piece.map_err(|error| self.client.unreachable(&error))? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }
}

fn parse(line: &[u8]) -> Result<Line, Failure> {
    let wrong =
        |error| Failure::new(Code::Failed, format!("the node sent a line that is no row: {error}"));
    let mut object = match serde_json::from_slice(line).map_err(wrong)? {
        Value::Array(row) => return Ok(Line::Row(row)),
        object => object,
    };
    if let Some(columns) = object["columns"].as_array() {
        let name = |column: &Value| column["name"].as_str().unwrap_or_default().to_owned();
        return Ok(Line::Columns(columns.iter().map(name).collect()));
    }
    if let Some(tag) = object["tag"].as_str() {
        return Ok(Line::Done { tag: tag.to_owned(), count: object["count"].as_u64() });
    }
    match object["error"].take() {
        Value::Null => Ok(Line::End),
        error => serde_json::from_value(error).map(Line::Error).map_err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_what_it_says() {
        let line = |text: &str| parse(text.as_bytes()).unwrap();
        assert!(
            matches!(line(r#"{"columns":[{"name":"a","type":"Int64"}]}"#), Line::Columns(names) if names == ["a"])
        );
        assert!(matches!(line(r#"[1,null]"#), Line::Row(row) if row.len() == 2));
        assert!(matches!(line(r#"{"tag":"INSERT","count":2}"#), Line::Done { count: Some(2), .. }));
        assert!(
            matches!(line(r#"{"error":{"code":"sql","detail":"x"}}"#), Line::Error(problem) if problem.detail == "x")
        );
        assert!(matches!(line(r#"{"rows":2}"#), Line::End));
        assert!(parse(b"oops").is_err());
    }
}
