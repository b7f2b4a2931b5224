//! Slow peers, second peers, lost peers, peers that are none, and closing.

use std::time::Duration;

use posthouse_zmtp::{ConnectError, Event, RecvError, SendError, Socket, SocketType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{endpoints, event, handshakes, join, recv, send, socket, soon, text, with};

async fn raw(endpoint: &str) -> TcpStream {
    TcpStream::connect(endpoint.strip_prefix("tcp://").unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_second_peer_of_a_pair_is_refused_and_told_why_and_the_next_gets_in() {
    let (endpoints, _directory) = endpoints("second");
    for endpoint in endpoints {
        let pair = socket(SocketType::Pair);
        let mut monitor = pair.monitor();
        let first = socket(SocketType::Pair);
        let endpoint = join(&pair, &endpoint, &first).await;
        handshakes(&mut monitor, 1).await;

        let second = socket(SocketType::Pair);
        second.connect(&endpoint).await.unwrap();
        let Err(RecvError::Refused(reason)) = soon(second.recv()).await else { panic!() };
        assert!(reason.contains("already has a peer"), "{reason}");
        event(&mut monitor, |event| matches!(event, Event::PeerRefused { .. })).await;

        send(&first, "still here").await;
        assert_eq!(text(&pair).await, "still here");
        soon(first.close()).await;
        event(&mut monitor, |event| matches!(event, Event::Disconnected { .. })).await;
        let next = socket(SocketType::Pair);
        next.connect(&endpoint).await.unwrap();
        send(&next, "my turn").await;
        assert_eq!(text(&pair).await, "my turn");
    }
}

#[tokio::test]
async fn a_pair_connects_once() {
    let pair = socket(SocketType::Pair);
    pair.connect("tcp://127.0.0.1:1").await.unwrap();
    let again = pair.connect("tcp://127.0.0.1:2").await;
    assert!(matches!(again, Err(ConnectError::NoRoom { .. })), "{again:?}");
}

#[tokio::test]
async fn a_push_without_room_waits_and_a_publisher_drops() {
    let push = with(SocketType::Push, |options| options.send_hwm = 4);
    push.connect("inproc://nobody-there").await.unwrap();
    for number in 0..4 {
        push.try_send(number.to_string()).unwrap();
    }
    assert!(matches!(push.try_send("5"), Err(SendError::Full(_))));

    let publisher = with(SocketType::Xpub, |options| options.send_hwm = 5);
    let subscriber = with(SocketType::Sub, |options| options.receive_hwm = 5);
    subscriber.subscribe("").unwrap();
    join(&publisher, "inproc://slow", &subscriber).await;
    recv(&publisher).await;
    for number in 0..100_u32 {
        send(&publisher, number.to_string()).await;
        tokio::task::yield_now().await;
    }
    let mut received = Vec::new();
    while let Ok(message) = subscriber.try_recv() {
        received.push(message);
        tokio::task::yield_now().await;
    }
    assert!(received.len() >= 5, "{}", received.len());
    // What was taken for delivery besides the two marks is one batch of at most a mark.
    assert!(received.len() <= 15, "{}", received.len());
}

#[tokio::test]
async fn a_push_that_waits_goes_on_when_there_is_room() {
    let push = with(SocketType::Push, |options| options.send_hwm = 1);
    let pull = with(SocketType::Pull, |options| options.receive_hwm = 1);
    push.connect("inproc://room").await.unwrap();
    send(&push, "1").await;
    let sender = push.clone();
    let sending = tokio::spawn(async move { sender.send("2").await });
    pull.bind("inproc://room").await.unwrap();
    assert_eq!(text(&pull).await, "1");
    assert_eq!(text(&pull).await, "2");
    soon(sending).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_peer_that_comes_back_is_found_again() {
    let (pull, push) = (socket(SocketType::Pull), socket(SocketType::Push));
    let endpoint = join(&pull, "tcp://127.0.0.1:0", &push).await;
    send(&push, "before").await;
    assert_eq!(text(&pull).await, "before");
    let mut monitor = push.monitor();
    soon(pull.close()).await;
    event(&mut monitor, |event| matches!(event, Event::Retrying { .. })).await;
    send(&push, "between").await;
    let pull = socket(SocketType::Pull);
    soon(pull.bind(&endpoint)).await.expect("the port is free at once");
    assert_eq!(text(&pull).await, "between");
}

#[tokio::test]
async fn a_subscriber_subscribes_again_after_its_publisher_was_away() {
    let (publisher, subscriber) = (socket(SocketType::Xpub), socket(SocketType::Sub));
    subscriber.subscribe("a").unwrap();
    let endpoint = join(&publisher, "tcp://127.0.0.1:0", &subscriber).await;
    assert_eq!(text(&publisher).await, "\x01a");
    soon(publisher.close()).await;
    let publisher = socket(SocketType::Xpub);
    soon(publisher.bind(&endpoint)).await.unwrap();
    assert_eq!(text(&publisher).await, "\x01a");
    send(&publisher, "abc").await;
    assert_eq!(text(&subscriber).await, "abc");
}

#[tokio::test]
async fn what_was_sent_before_the_end_arrives_after_it() {
    let pull = socket(SocketType::Pull);
    let push = with(SocketType::Push, |options| options.linger = None);
    join(&pull, "tcp://127.0.0.1:0", &push).await;
    for number in 0..900 {
        send(&push, number.to_string()).await;
    }
    soon(push.close()).await;
    for number in 0..900 {
        assert_eq!(text(&pull).await, number.to_string());
    }
}

#[tokio::test]
async fn closing_waits_no_longer_than_the_linger_time() {
    let push = with(SocketType::Push, |options| options.linger = Some(Duration::from_millis(50)));
    push.connect("tcp://127.0.0.1:1").await.unwrap();
    send(&push, "for nobody").await;
    soon(push.close()).await;
    assert!(matches!(push.send("more").await, Err(SendError::Closed)));
}

#[tokio::test]
async fn a_receiver_that_waits_hears_that_the_socket_is_closed() {
    let pull = socket(SocketType::Pull);
    pull.bind("inproc://closing").await.unwrap();
    let waiting = pull.clone();
    let waiting = tokio::spawn(async move { waiting.recv().await });
    tokio::task::yield_now().await;
    soon(pull.close()).await;
    assert!(matches!(soon(waiting).await.unwrap(), Err(RecvError::Closed)));
}

#[tokio::test]
async fn garbage_ends_a_connection_and_disturbs_nobody() {
    let (pull, push) = (socket(SocketType::Pull), socket(SocketType::Push));
    let mut monitor = pull.monitor();
    let endpoint = join(&pull, "tcp://127.0.0.1:0", &push).await;
    let mut browser = raw(&endpoint).await;
    browser.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let failed = event(&mut monitor, |event| matches!(event, Event::HandshakeFailed { .. })).await;
    assert!(format!("{failed:?}").contains("does not speak ZMTP"), "{failed:?}");
    let mut rest = Vec::new();
    let _ = soon(browser.read_to_end(&mut rest)).await;
    send(&push, "hello").await;
    assert_eq!(text(&pull).await, "hello");
}

#[tokio::test]
async fn an_oversized_message_ends_its_connection_only() {
    let pull = with(SocketType::Pull, |options| options.message_bytes_max = 100);
    let (good, bad) = (socket(SocketType::Push), socket(SocketType::Push));
    let mut monitor = pull.monitor();
    let endpoint = join(&pull, "tcp://127.0.0.1:0", &good).await;
    bad.connect(&endpoint).await.unwrap();
    send(&bad, vec![0; 101]).await;
    let ended = event(&mut monitor, |event| matches!(event, Event::Disconnected { .. })).await;
    assert!(format!("{ended:?}").contains("limit"), "{ended:?}");
    send(&good, "hello").await;
    assert_eq!(text(&pull).await, "hello");
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_given_up() {
    let limit = Duration::from_millis(50);
    let pull = with(SocketType::Pull, |options| options.handshake_timeout = Some(limit));
    let mut monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let _silent = raw(&endpoint).await;
    let failed = event(&mut monitor, |event| matches!(event, Event::HandshakeFailed { .. })).await;
    assert!(format!("{failed:?}").contains("in time"), "{failed:?}");
}

#[tokio::test]
async fn a_half_open_connection_is_found_by_its_heartbeat() {
    let pull = with(SocketType::Pull, |options| {
        options.heartbeat_interval = Duration::from_millis(20);
        options.heartbeat_timeout = Duration::from_millis(60);
    });
    let mut monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let mut silent = raw(&endpoint).await;
    let mut hello = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL".to_vec();
    hello.resize(64, 0);
    hello.extend_from_slice(b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH");
    silent.write_all(&hello).await.unwrap();
    let ended = event(&mut monitor, |event| matches!(event, Event::Disconnected { .. })).await;
    assert!(format!("{ended:?}").contains("silent"), "{ended:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let (one, other) = (socket(SocketType::Pull), socket(SocketType::Pull));
    for endpoint in ["tcp://127.0.0.1:0", "inproc://taken"] {
        let endpoint = one.bind(endpoint).await.unwrap().to_string();
        let error = other.bind(&endpoint).await.unwrap_err().to_string();
        assert!(error.contains(&endpoint), "{error}");
    }
}

#[tokio::test]
async fn a_socket_file_that_was_left_behind_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("left");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let endpoint = format!("ipc://{}", path.display());
    let pull = socket(SocketType::Pull);
    pull.bind(&endpoint).await.unwrap();
    assert!(socket(SocketType::Pull).bind(&endpoint).await.is_err(), "this one is in use");
    soon(pull.close()).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn unbound_and_disconnected_endpoints_are_left_alone() {
    let (pull, push) = (socket(SocketType::Pull), socket(SocketType::Push));
    let mut monitor = pull.monitor();
    let bound = pull.bind("tcp://127.0.0.1:0").await.unwrap();
    let connected = push.connect(&bound.to_string()).await.unwrap();
    handshakes(&mut monitor, 1).await;
    assert!(pull.unbind(&bound) && !pull.unbind(&bound));
    send(&push, "still connected").await;
    assert_eq!(text(&pull).await, "still connected");
    assert!(push.disconnect(&connected));
    event(&mut monitor, |event| matches!(event, Event::Disconnected { .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_tasks_use_one_socket() {
    let (pull, push) = (socket(SocketType::Pull), socket(SocketType::Push));
    join(&pull, "tcp://127.0.0.1:0", &push).await;
    let spawn_sender = |push: Socket| {
        tokio::spawn(async move {
            for _ in 0..10_000 {
                push.send("x").await.unwrap();
            }
        })
    };
    let senders = [spawn_sender(push.clone()), spawn_sender(push.clone())];
    let spawn_receiver = |pull: Socket| {
        tokio::spawn(async move {
            for _ in 0..10_000 {
                pull.recv().await.unwrap();
            }
        })
    };
    for task in [spawn_receiver(pull.clone()), spawn_receiver(pull)].into_iter().chain(senders) {
        soon(task).await.unwrap();
    }
}
