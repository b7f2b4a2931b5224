//! Bytes on the wire, good and bad.

use std::time::Duration;

use posthouse_postgres::PostgresConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Node, PATIENCE, one};

const START: &[u8] = b"\0\0\0\x1d\0\x03\0\0user\0ada\0database\0x\0\0";

async fn connect(node: &Node) -> TcpStream {
    TcpStream::connect(node.address).await.unwrap()
}

/// One message: its type and body.
async fn message(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let read = async {
        let kind = stream.read_u8().await.unwrap();
        let len = stream.read_u32().await.unwrap();
        let mut body = vec![0; usize::try_from(len).unwrap() - 4];
        stream.read_exact(&mut body).await.unwrap();
        (kind, body)
    };
    timeout(PATIENCE, read).await.expect("an answer")
}

/// The types of messages up to and with ReadyForQuery, and the last body.
async fn until_ready(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut kinds = String::new();
    loop {
        let (kind, body) = message(stream).await;
        kinds.push(char::from(kind));
        if kind == b'Z' {
            return (kinds, body);
        }
    }
}

fn query(sql: &str) -> Vec<u8> {
    let mut bytes = vec![b'Q'];
    bytes.extend(u32::try_from(sql.len() + 5).unwrap().to_be_bytes());
    bytes.extend(sql.as_bytes());
    bytes.push(0);
    bytes
}

#[tokio::test]
async fn encryption_is_declined_and_the_session_goes_on_in_the_clear() {
    let node = Node::start().await;
    let mut stream = connect(&node).await;
    for request in [b"\0\0\0\x08\x04\xd2\x16\x30", b"\0\0\0\x08\x04\xd2\x16\x2f"] {
        stream.write_all(request).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'N');
    }
    stream.write_all(START).await.unwrap();
    let (kinds, status) = until_ready(&mut stream).await;
    assert!(kinds.starts_with('R') && kinds.ends_with("KZ"), "{kinds}");
    assert_eq!(status, b"I");
}

#[tokio::test]
async fn a_newer_protocol_is_negotiated_down() {
    let node = Node::start().await;
    let mut stream = connect(&node).await;
    stream.write_all(b"\0\0\0\x20\0\x03\0\x02user\0ada\0_pq_.fancy\0on\0\0").await.unwrap();
    let (kind, body) = message(&mut stream).await;
    assert_eq!(kind, b'v');
    assert!(body.ends_with(b"_pq_.fancy\0"), "{body:?}");
    assert_eq!(message(&mut stream).await.0, b'R');
}

#[tokio::test]
async fn the_transaction_status_follows_the_transaction() {
    let node = Node::start().await;
    let mut stream = connect(&node).await;
    stream.write_all(START).await.unwrap();
    until_ready(&mut stream).await;
    for (sql, kinds, status) in [
        ("", "IZ", b"I"),
        ("COMMIT", "NCZ", b"I"),
        ("BEGIN", "CZ", b"T"),
        ("BEGIN", "NCZ", b"T"),
        ("SELECT nope", "EZ", b"E"),
        ("ROLLBACK", "CZ", b"I"),
        ("SET TimeZone = 'Asia/Tokyo'", "SCZ", b"I"),
        ("SELECT 1", "TDCZ", b"I"),
    ] {
        stream.write_all(&query(sql)).await.unwrap();
        let found = until_ready(&mut stream).await;
        assert_eq!((found.0.as_str(), &found.1[..]), (kinds, &status[..]), "{sql}");
    }
}

#[tokio::test]
async fn after_an_error_messages_are_skipped_up_to_sync() {
    let node = Node::start().await;
    let mut stream = connect(&node).await;
    stream.write_all(START).await.unwrap();
    until_ready(&mut stream).await;
    let bind = b"B\0\0\0\x0d\0nope\0\0\0\0\0\0\0";
    let mut bytes = bind.to_vec();
    bytes[4] = u8::try_from(bind.len() - 1).unwrap();
    bytes.extend(b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04S\0\0\0\x04");
    stream.write_all(&bytes).await.unwrap();
    assert_eq!(until_ready(&mut stream).await.0, "EZ");
    assert_eq!(until_ready(&mut stream).await.0, "Z");
}

#[tokio::test]
async fn nonsense_is_refused_and_closed_without_harm() {
    let node = Node::start().await;
    let client = node.client().await;
    let started_then = |bytes: &[u8]| [START, bytes].concat();
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"\x7f\xff\xff\xff".to_vec(),
        b"\0\0\0\x04".to_vec(),
        b"\0\0\0\x08\0\x02\0\0".to_vec(),
        started_then(b"Q\x7f\xff\xff\xff"),
        started_then(b"Q\0\0\0\x03"),
        started_then(b"!\0\0\0\x04"),
        started_then(b"Q\0\0\0\x08abc\xff"),
        started_then(b"B\0\0\0\x0a\0\0\0\0\xff\xff"),
    ] {
        let mut stream = connect(&node).await;
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("a close").ok();
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains("FATAL"), "{bytes:?} gave {text:?}");
    }
    assert_eq!(one(&client, "SELECT 1").await, "1");
}

#[tokio::test]
async fn a_client_that_does_not_start_is_closed() {
    let startup_timeout = Duration::from_millis(100);
    let node = Node::start_with(PostgresConfig { startup_timeout, ..Default::default() }).await;
    let mut stream = connect(&node).await;
    stream.write_all(&START[..10]).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("a close").unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("57014"));
}
