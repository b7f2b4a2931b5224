//! PLAIN and CURVE between sockets of ours.

use posthouse_zmtp::{
    CurveClient, CurveKeys, CurveServer, Event, PlainClient, PlainServer, RecvError, Security,
    SocketType,
};

use crate::support::{event, join, send, soon, text, with};

fn plain(password: &str) -> Security {
    Security::PlainClient(PlainClient::new("admin", password).unwrap())
}

#[tokio::test]
async fn the_right_password_lets_in_and_a_wrong_one_does_not() {
    let server = with(SocketType::Pull, |options| {
        options.security = Security::PlainServer(PlainServer::single("admin", "secret"));
    });
    let mut monitor = server.monitor();
    let wrong = with(SocketType::Pair, |_| {});
    drop(wrong);
    let wrong = with(SocketType::Push, |options| options.security = plain("guess"));
    let endpoint = join(&server, "tcp://127.0.0.1:0", &wrong).await;
    let failed = event(&mut monitor, |event| matches!(event, Event::HandshakeFailed { .. })).await;
    assert!(format!("{failed:?}").contains("credentials"), "{failed:?}");
    let right = with(SocketType::Push, |options| options.security = plain("secret"));
    right.connect(&endpoint).await.unwrap();
    send(&right, "hello").await;
    assert_eq!(text(&server).await, "hello");
}

#[tokio::test]
async fn a_client_hears_that_its_password_is_wrong() {
    let server = with(SocketType::Rep, |options| {
        options.security = Security::PlainServer(PlainServer::single("admin", "secret"));
    });
    let client = with(SocketType::Dealer, |options| options.security = plain("guess"));
    join(&server, "tcp://127.0.0.1:0", &client).await;
    let Err(RecvError::Refused(reason)) = soon(client.recv()).await else { panic!() };
    assert!(reason.contains("400"), "{reason}");
}

#[tokio::test]
async fn curve_lets_in_the_keys_on_the_list_only() {
    let (keys, friend) = (CurveKeys::generate().unwrap(), CurveKeys::generate().unwrap());
    let server = with(SocketType::Pull, |options| {
        let config = CurveServer::only(keys.clone(), [friend.public()]);
        options.security = Security::CurveServer(config);
    });
    let client = |own: CurveKeys| {
        with(SocketType::Push, |options| {
            options.security = Security::CurveClient(CurveClient::new(own, keys.public()));
        })
    };
    let stranger = client(CurveKeys::generate().unwrap());
    let mut monitor = stranger.monitor();
    let endpoint = join(&server, "tcp://127.0.0.1:0", &stranger).await;
    event(&mut monitor, |event| matches!(event, Event::Refused { .. })).await;
    let friend = client(friend);
    friend.connect(&endpoint).await.unwrap();
    for number in 0..1000 {
        send(&friend, number.to_string()).await;
        assert_eq!(text(&server).await, number.to_string());
    }
    send(&friend, vec![b'x'; 100_000]).await;
    assert_eq!(text(&server).await.len(), 100_000);
}
