//! What a client is still sending when its answer is ready.
//!
//! An answer may be ready before the body of its request has been read, a refusal most of all. To leave
//! the rest unread closes an HTTP/1.1 connection and resets an HTTP/2 stream; both are allowed, and
//! there are clients that lose the answer by it. So a little of the rest is read first.
//!
//! # Source
//! RFC 9112 section 9.6; RFC 9113 section 8.1.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// LIMIT: what is read of a body that nobody wants. A larger one is cut off.
const REST_BYTES_MAX: usize = 256 * 1024;

/// How long that may take its client.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers a request when the rest of its body has been read.
pub(crate) async fn read_the_rest(request: Request, next: Next) -> Response {
    // Who asks whether to send the body takes the answer for a no; a tunnel's body is no message.
    let asks_first = request.headers().contains_key(header::EXPECT);
    if request.body().is_end_stream() || asks_first || request.method() == Method::CONNECT {
        return next.run(request).await;
    }
    let (owner, mut back) = oneshot::channel();
    let request = request.map(|body| Body::new(Lent { body, owner: Some(owner) }));
    let response = next.run(request).await;
    // What an answer goes on reading has not come back.
    if let Ok(rest) = back.try_recv() {
        drop(timeout(PATIENCE, read(rest)).await);
    }
    response
}

async fn read(mut rest: Body) {
    let mut left = REST_BYTES_MAX;
    while let Some(Ok(frame)) = rest.frame().await {
        let read = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(read) {
            Some(less) => left = less,
            None => return,
        }
    }
}

/// A body that goes back to its owner when its reader has had enough.
struct Lent {
    body: Body,
    owner: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let too_large = self.body.size_hint().lower() > REST_BYTES_MAX as u64;
        if let Some(owner) = self.owner.take().filter(|_| !self.body.is_end_stream() && !too_large)
        {
            // Nobody waits for what an answer has read itself.
            let _ = owner.send(std::mem::take(&mut self.body));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lent(body: Body) -> (Lent, oneshot::Receiver<Body>) {
        let (owner, back) = oneshot::channel();
        (Lent { body, owner: Some(owner) }, back)
    }

    #[tokio::test]
    async fn what_is_not_read_goes_back_and_what_is_read_does_not() {
        let (body, mut back) = lent(Body::from("unread"));
        drop(body);
        let rest = back.try_recv().unwrap().collect().await.unwrap();
        assert_eq!(rest.to_bytes(), "unread");
        let (body, mut back) = lent(Body::from("read"));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "read");
        assert!(back.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_body_of_a_known_size_that_is_too_large_is_cut_off() {
        let (body, mut back) = lent(Body::from(vec![0; REST_BYTES_MAX + 1]));
        drop(body);
        assert!(back.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_body_without_an_end_is_read_no_further_than_the_limit() {
        let piece = || Ok::<_, std::io::Error>(Bytes::from(vec![0; 64 * 1024]));
        let endless = Body::from_stream(futures::stream::repeat_with(piece));
        timeout(Duration::from_secs(30), read(endless)).await.expect("it ends");
    }
}
