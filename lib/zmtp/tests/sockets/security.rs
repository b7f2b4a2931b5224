//! PLAIN and CURVE between sockets of ours.

use std::net::IpAddr;
use std::sync::Arc;

use posthouse_zmtp::{
    Authenticator, Credentials, CurveClient, CurveKeys, CurveServer, Event, Judgement, Pass,
    PlainClient, PlainServer, RecvError, Security, SocketType,
};
use tokio_util::sync::CancellationToken;

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

/// Lets in `admin` with the right password, until it is told otherwise.
#[derive(Debug)]
struct Judge {
    until: CancellationToken,
}

impl Authenticator for Judge {
    fn judge(&self, address: Option<IpAddr>, credentials: Credentials) -> Judgement {
        assert!(address.is_some_and(|address| address.is_loopback()));
        let right = Credentials::Plain { username: "admin".into(), password: "secret".into() };
        let until = self.until.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            let pass: Pass = Box::pin(until.cancelled_owned());
            (credentials == right).then_some(pass)
        })
    }
}

#[tokio::test]
async fn whoever_takes_time_to_judge_lets_in_refuses_and_puts_out() {
    let until = CancellationToken::new();
    let server = with(SocketType::Pull, |options| {
        options.security = Security::PlainServer(PlainServer::new(|_, _| true));
        options.authenticator = Some(Arc::new(Judge { until: until.clone() }));
    });
    let wrong = with(SocketType::Push, |options| options.security = plain("guess"));
    let mut refusals = wrong.monitor();
    let endpoint = join(&server, "tcp://127.0.0.1:0", &wrong).await;
    let refused = event(&mut refusals, |event| matches!(event, Event::Refused { .. })).await;
    assert!(format!("{refused:?}").contains("400"), "{refused:?}");
    let right = with(SocketType::Push, |options| options.security = plain("secret"));
    let mut monitor = right.monitor();
    right.connect(&endpoint).await.unwrap();
    send(&right, "hello").await;
    assert_eq!(text(&server).await, "hello");
    until.cancel();
    event(&mut monitor, |event| matches!(event, Event::Disconnected { .. })).await;
}
