//! Pairs: two peers, never three.

use std::sync::Arc;

use bytes::Bytes;
use posthouse_broker::{PairError, PairEvent, PairSendError, Peer};

use crate::harness::{Node, me};
use crate::live_channels::message;

fn peer(node: &Node) -> Result<Peer, PairError> {
    node.broker.pair(&me(), Bytes::from("p"))
}

#[tokio::test]
async fn two_peers_exchange_messages_in_order() {
    let node = Node::start().await;
    let (one, two) = (peer(&node).unwrap(), peer(&node).unwrap());
    assert_eq!(one.next().await, PairEvent::Joined);
    assert_eq!(two.next().await, PairEvent::Joined);
    for value in ["a", "b"] {
        one.send(message(value)).await;
    }
    two.send(message("c")).await;
    assert_eq!(two.next().await, PairEvent::Message(message("a")));
    assert_eq!(two.next().await, PairEvent::Message(message("b")));
    assert_eq!(one.next().await, PairEvent::Message(message("c")));
}

#[tokio::test]
async fn a_third_peer_is_refused_until_one_leaves() {
    let node = Node::start().await;
    let (one, two) = (peer(&node).unwrap(), peer(&node).unwrap());
    let refused = peer(&node).err().unwrap();
    assert_eq!(refused, PairError::Taken { name: "p".to_owned() });
    assert_eq!(one.next().await, PairEvent::Joined);
    drop(two);
    let three = peer(&node).unwrap();
    for expected in [PairEvent::Left, PairEvent::Joined] {
        assert_eq!(one.next().await, expected);
    }
    drop((one, three));
    peer(&node).unwrap();
}

#[tokio::test]
async fn what_was_sent_arrives_before_the_news_of_leaving() {
    let node = Node::start().await;
    let (one, two) = (peer(&node).unwrap(), peer(&node).unwrap());
    two.send(message("last words")).await;
    drop(two);
    for expected in [PairEvent::Joined, PairEvent::Message(message("last words")), PairEvent::Left]
    {
        assert_eq!(one.next().await, expected);
    }
}

#[tokio::test]
async fn a_sender_waits_for_the_other_to_come_and_to_take() {
    let node = Node::start().await;
    let one = Arc::new(peer(&node).unwrap());
    assert!(matches!(one.try_send(message("x")), Err(PairSendError::Alone(_))));
    let sender = Arc::clone(&one);
    let sending = tokio::spawn(async move { sender.send(message("early")).await });
    tokio::task::yield_now().await;
    assert!(!sending.is_finished());
    let two = peer(&node).unwrap();
    sending.await.unwrap();
    assert_eq!(two.next().await, PairEvent::Joined);
    assert_eq!(two.next().await, PairEvent::Message(message("early")));

    while one.try_send(message("x")).is_ok() {}
    assert!(matches!(one.try_send(message("x")), Err(PairSendError::Full(_))));
    let sender = Arc::clone(&one);
    let sending = tokio::spawn(async move { sender.send(message("y")).await });
    tokio::task::yield_now().await;
    assert!(!sending.is_finished());
    assert_eq!(two.next().await, PairEvent::Message(message("x")));
    sending.await.unwrap();
}

#[tokio::test]
async fn peers_that_come_and_go_unseen_take_no_memory() {
    let node = Node::start().await;
    let one = peer(&node).unwrap();
    for _ in 0..1000 {
        drop(peer(&node).unwrap());
    }
    let two = peer(&node).unwrap();
    two.send(message("x")).await;
    assert_eq!(one.next().await, PairEvent::Joined);
    assert_eq!(one.next().await, PairEvent::Message(message("x")));
}
