use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::tls::testing::{Authority, localhost};
use crate::{Alpn, ClientCertificates, Place};

async fn door() -> (Listener, SocketAddr) {
    let listener = Listener::bind("test", "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_address();
    (listener, address)
}

#[tokio::test]
async fn draining_lets_a_connection_finish_what_it_began() {
    let (listener, address) = door().await;
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(listener.serve(
        ConnectionLimits::default(),
        shutdown.clone(),
        |mut connection| async move {
            connection.stream.write_all(b"hello").await.unwrap();
            connection.shutdown.cancelled().await;
            connection.stream.write_all(b"bye").await.unwrap();
        },
    ));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.read_exact(&mut [0; 5]).await.unwrap();
    shutdown.cancel();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"bye");
    server.await.unwrap();
}

#[tokio::test]
async fn a_connection_above_the_limit_is_closed() {
    let (listener, address) = door().await;
    let shutdown = CancellationToken::new();
    let limits = ConnectionLimits { connections_max: 1, ..ConnectionLimits::default() };
    let server = tokio::spawn(listener.serve(limits, shutdown.clone(), |connection| async move {
        connection.shutdown.cancelled().await;
    }));
    let _first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0);
    shutdown.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_panics_leaves_the_door_open() {
    let (listener, address) = door().await;
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(listener.serve(
        ConnectionLimits::default(),
        shutdown.clone(),
        |mut connection| async move {
            let mut first = [0; 1];
            connection.stream.read_exact(&mut first).await.unwrap();
            assert_ne!(&first, b"!", "told to panic");
            connection.stream.write_all(b"ok").await.unwrap();
        },
    ));
    TcpStream::connect(address).await.unwrap().write_all(b"!").await.unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b".").await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"ok");
    shutdown.cancel();
    server.await.unwrap();
}

async fn tls_door(authority: &Authority) -> (Listener, SocketAddr) {
    let tls = authority.load(ClientCertificates::Off).unwrap();
    let place = Place {
        security: Security::Tls(tls.acceptor(Alpn::None)),
        ..Place::plain("test", "127.0.0.1:0".parse().unwrap())
    };
    let listener = Listener::open(place).await.unwrap();
    let address = listener.local_address();
    (listener, address)
}

/// What a good client gets from a door that answers `ok` to everyone.
async fn ask(authority: &Authority, address: SocketAddr) -> Vec<u8> {
    let socket = TcpStream::connect(address).await.unwrap();
    let mut client = authority.connector(None).connect(localhost(), socket).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    answer
}

async fn answer_ok(mut connection: Connection) {
    connection.stream.write_all(b"ok").await.unwrap();
    connection.stream.flush().await.unwrap();
    connection.stream.farewell().await;
}

#[tokio::test]
async fn unfinished_handshakes_take_no_connections_place_and_the_oldest_goes() {
    let authority = Authority::new();
    let (listener, address) = tls_door(&authority).await;
    let shutdown = CancellationToken::new();
    let limits =
        ConnectionLimits { connections_max: 1, handshakes_max: 3, ..ConnectionLimits::default() };
    let server = tokio::spawn(listener.serve(limits, shutdown.clone(), answer_ok));
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(ask(&authority, address).await, b"ok");
    for dropped in &mut silent[..17] {
        assert_eq!(dropped.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
    shutdown.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_ended() {
    let authority = Authority::new();
    let (listener, address) = tls_door(&authority).await;
    let shutdown = CancellationToken::new();
    let limits = ConnectionLimits {
        handshake_timeout: Duration::from_millis(1),
        ..ConnectionLimits::default()
    };
    let server = tokio::spawn(listener.serve(limits, shutdown.clone(), answer_ok));
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
    shutdown.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn a_door_has_one_limit_over_its_addresses_and_tells_them_apart() {
    let authority = Authority::new();
    let (mut listener, plain) = door().await;
    let (encrypted, tls) = tls_door(&authority).await;
    listener.join(encrypted);
    let shutdown = CancellationToken::new();
    let limits = ConnectionLimits { connections_max: 1, ..ConnectionLimits::default() };
    let server =
        tokio::spawn(listener.serve(limits, shutdown.clone(), |mut connection| async move {
            let text = format!("{} {}", connection.stream.is_tls(), connection.tls.is_some());
            connection.stream.write_all(text.as_bytes()).await.unwrap();
            connection.stream.flush().await.unwrap();
            connection.shutdown.cancelled().await;
            connection.stream.farewell().await;
        }));
    let mut first = TcpStream::connect(plain).await.unwrap();
    let mut told = [0; 11];
    first.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"false false");
    let mut second = TcpStream::connect(tls).await.unwrap();
    assert_eq!(second.read(&mut [0; 1]).await.unwrap_or(0), 0, "the one place is taken");
    drop(first);
    shutdown.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn a_door_that_negotiates_upgrades_when_it_is_asked_to() {
    let authority = Authority::new();
    let tls = authority.load(ClientCertificates::Off).unwrap();
    let place = Place {
        security: Security::Negotiated(Some(tls.acceptor(Alpn::Postgres))),
        ..Place::plain("test", "127.0.0.1:0".parse().unwrap())
    };
    let listener = Listener::open(place).await.unwrap();
    let address = listener.local_address();
    let shutdown = CancellationToken::new();
    let limits = ConnectionLimits::default();
    let server =
        tokio::spawn(listener.serve(limits, shutdown.clone(), |mut connection| async move {
            assert!(!connection.stream.begins_with_tls().await.unwrap());
            connection.stream.read_exact(&mut [0; 1]).await.unwrap();
            let opening = connection.opening.take().unwrap();
            opening.upgrade(&mut connection.stream).await.unwrap();
            drop(opening);
            answer_ok(connection).await;
        }));
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"?").await.unwrap();
    let mut client = authority.connector(None).connect(localhost(), socket).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"ok");
    shutdown.cancel();
    server.await.unwrap();
}
