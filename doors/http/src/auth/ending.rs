//! Answers that go on (event streams, followed topics) end when the login does by which they began.

use std::future::pending;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use futures::StreamExt;
use posthouse_broker::{Broker, Login};

/// Cuts an answer of unknown length where its login ends.
pub(crate) fn until_it_ends(broker: &Broker, login: Option<Login>, response: Response) -> Response {
    let Some(login) = login else { return response };
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let mut watch = broker.watch_login(login);
    response.map(|body| {
        let ended = Box::pin(async move { watch.ended().await });
        Body::from_stream(body.into_data_stream().take_until(ended))
    })
}

/// Returns when a login ends; never where there is none.
pub(crate) async fn watched(broker: &Broker, login: Option<Login>) {
    match login {
        Some(login) => broker.watch_login(login).ended().await,
        None => pending().await,
    }
}
