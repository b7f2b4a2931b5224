//! What the tests share. They wait for conditions, with a limit that only a defect reaches.

use std::future::Future;
use std::time::Duration;

use posthouse_zmtp::{Event, Message, Monitor, Options, Socket, SocketType};

const LIMIT: Duration = Duration::from_secs(30);

/// The result of `work`, which must not take long.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("this should not take so long")
}

/// A socket that closes at once.
pub(crate) fn socket(kind: SocketType) -> Socket {
    with(kind, |_| {})
}

pub(crate) fn with(kind: SocketType, change: impl FnOnce(&mut Options)) -> Socket {
    let mut options = Options {
        linger: Some(Duration::ZERO),
        reconnect_interval: Some(Duration::from_millis(10)),
        ..Options::default()
    };
    change(&mut options);
    Socket::new(kind, options)
}

/// One endpoint of each transport, with what must live as long as it is used.
pub(crate) fn endpoints(name: &str) -> (Vec<String>, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let ipc = format!("ipc://{}/{name}", directory.path().display());
    (vec!["tcp://127.0.0.1:0".to_owned(), ipc, format!("inproc://{name}")], directory)
}

/// Binds the one and connects the other.
pub(crate) async fn join(bound: &Socket, endpoint: &str, connected: &Socket) -> String {
    let endpoint = soon(bound.bind(endpoint)).await.unwrap().to_string();
    soon(connected.connect(&endpoint)).await.unwrap();
    endpoint
}

pub(crate) async fn send(socket: &Socket, message: impl Into<Message>) {
    soon(socket.send(message)).await.unwrap();
}

pub(crate) async fn recv(socket: &Socket) -> Message {
    soon(socket.recv()).await.unwrap()
}

pub(crate) async fn text(socket: &Socket) -> String {
    String::from_utf8(recv(socket).await.last().unwrap().to_vec()).unwrap()
}

/// Waits for an event that `wanted` accepts.
pub(crate) async fn event(monitor: &mut Monitor, wanted: impl Fn(&Event) -> bool) -> Event {
    soon(async {
        loop {
            let event = monitor.next().await.expect("the socket lives");
            if wanted(&event) {
                return event;
            }
        }
    })
    .await
}

/// Waits for so many handshakes.
pub(crate) async fn handshakes(monitor: &mut Monitor, count: usize) {
    for _ in 0..count {
        event(monitor, |event| matches!(event, Event::HandshakeSucceeded { .. })).await;
    }
}
