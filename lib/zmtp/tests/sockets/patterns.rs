//! Every pattern over every transport.

use std::collections::HashSet;

use posthouse_zmtp::{Message, RecvError, SendError, SocketType};

use crate::support::{endpoints, handshakes, join, recv, send, socket, soon, text, with};

#[tokio::test]
async fn a_pair_talks_both_ways_and_keeps_frames_together() {
    let (endpoints, _directory) = endpoints("pair");
    for endpoint in endpoints {
        let (one, other) = (socket(SocketType::Pair), socket(SocketType::Pair));
        join(&one, &endpoint, &other).await;
        send(&other, ["a", "", "c"]).await;
        assert_eq!(recv(&one).await, Message::from(["a", "", "c"]), "{endpoint}");
        send(&one, "back").await;
        assert_eq!(text(&other).await, "back");
    }
}

#[tokio::test]
async fn what_was_sent_before_there_was_a_peer_arrives() {
    let (endpoints, _directory) = endpoints("early");
    for endpoint in endpoints {
        let push = socket(SocketType::Push);
        let pull = socket(SocketType::Pull);
        let probe = socket(SocketType::Pull);
        // The first bind finds a free port; the socket that sends comes before the one that receives.
        let endpoint = probe.bind(&endpoint).await.unwrap().to_string();
        soon(probe.close()).await;
        push.connect(&endpoint).await.unwrap();
        send(&push, "early").await;
        soon(pull.bind(&endpoint)).await.unwrap();
        assert_eq!(text(&pull).await, "early");
    }
}

#[tokio::test]
async fn workers_share_the_work_and_a_collector_gets_all() {
    let (producer, collector) = (socket(SocketType::Push), socket(SocketType::Pull));
    let mut monitor = producer.monitor();
    let work = producer.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let results = collector.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    for name in ["a", "b", "c"] {
        let (input, output) = (socket(SocketType::Pull), socket(SocketType::Push));
        input.connect(&work).await.unwrap();
        output.connect(&results).await.unwrap();
        tokio::spawn(async move {
            while let Ok(message) = input.recv().await {
                let number = String::from_utf8(message.last().unwrap().to_vec()).unwrap();
                output.send(format!("{name} {number}")).await.unwrap();
            }
        });
    }
    handshakes(&mut monitor, 3).await;
    for number in 0..30 {
        send(&producer, number.to_string()).await;
    }
    let mut numbers = HashSet::new();
    let mut workers = HashSet::new();
    for _ in 0..30 {
        let line = text(&collector).await;
        let (worker, number) = line.split_once(' ').unwrap();
        numbers.insert(number.to_owned());
        workers.insert(worker.to_owned());
    }
    assert_eq!((numbers.len(), workers.len()), (30, 3));
}

#[tokio::test]
async fn many_messages_arrive_in_order_through_small_pipes() {
    let (endpoints, _directory) = endpoints("order");
    for endpoint in endpoints {
        let push = with(SocketType::Push, |options| options.send_hwm = 3);
        let pull = with(SocketType::Pull, |options| options.receive_hwm = 2);
        join(&pull, &endpoint, &push).await;
        let sender = push.clone();
        let sending = tokio::spawn(async move {
            for number in 0..5000_u32 {
                sender.send(number.to_be_bytes().to_vec()).await.unwrap();
            }
        });
        for number in 0..5000_u32 {
            assert_eq!(recv(&pull).await.last().unwrap().as_ref(), number.to_be_bytes());
        }
        soon(sending).await.unwrap();
    }
}

#[tokio::test]
async fn large_and_small_messages_arrive_as_they_were() {
    let (push, pull) = (socket(SocketType::Push), socket(SocketType::Pull));
    join(&pull, "tcp://127.0.0.1:0", &push).await;
    let lens = [0, 1, 255, 256, 8191, 8192, 65_536, 3_000_000, 5];
    let sender = push.clone();
    tokio::spawn(async move {
        for len in lens {
            let frames = [vec![1; len], vec![2; 3], vec![3; len / 2]];
            sender.send(frames.into_iter().map(Into::into).collect::<Message>()).await.unwrap();
        }
    });
    for len in lens {
        let message = recv(&pull).await;
        let frames: Vec<&[u8]> = message.frames().iter().map(AsRef::as_ref).collect();
        assert_eq!(frames, [&vec![1; len][..], &[2; 3], &vec![3; len / 2]]);
    }
}

#[tokio::test]
async fn a_subscriber_of_two_publishers_gets_its_prefixes_of_both() {
    let (endpoints, _directory) = endpoints("publish");
    for endpoint in endpoints {
        // XPUBs, because they say when the subscription has arrived.
        let publishers = [socket(SocketType::Xpub), socket(SocketType::Xpub)];
        let subscriber = socket(SocketType::Sub);
        subscriber.subscribe("news").unwrap();
        for (number, publisher) in publishers.iter().enumerate() {
            let endpoint = if endpoint.contains("tcp") {
                endpoint.clone()
            } else {
                format!("{endpoint}{number}")
            };
            join(publisher, &endpoint, &subscriber).await;
            assert_eq!(recv(publisher).await, Message::from("\x01news"));
            send(publisher, ["sports", "not wanted"]).await;
            send(publisher, ["news.local", "wanted"]).await;
            assert_eq!(recv(&subscriber).await, Message::from(["news.local", "wanted"]));
        }
        subscriber.subscribe("sports").unwrap();
        assert_eq!(recv(&publishers[0]).await, Message::from("\x01sports"));
        subscriber.unsubscribe("news").unwrap();
        assert_eq!(recv(&publishers[0]).await, Message::from("\0news"));
        send(&publishers[0], "news").await;
        send(&publishers[0], "sports").await;
        assert_eq!(text(&subscriber).await, "sports");
    }
}

#[tokio::test]
async fn a_proxy_of_xsub_and_xpub_forwards_subscriptions() {
    let (front, back) = (socket(SocketType::Xsub), socket(SocketType::Xpub));
    let (publisher, subscriber) = (socket(SocketType::Xpub), socket(SocketType::Sub));
    join(&front, "tcp://127.0.0.1:0", &publisher).await;
    join(&back, "tcp://127.0.0.1:0", &subscriber).await;
    subscriber.subscribe("a").unwrap();
    let subscription = recv(&back).await;
    send(&front, subscription).await;
    assert_eq!(text(&publisher).await, "\x01a");
    send(&publisher, "b").await;
    send(&publisher, "abc").await;
    let message = recv(&front).await;
    send(&back, message).await;
    assert_eq!(text(&subscriber).await, "abc");
}

#[tokio::test]
async fn several_clients_get_each_its_own_reply() {
    let (endpoints, _directory) = endpoints("request");
    for endpoint in endpoints {
        let server = socket(SocketType::Rep);
        let endpoint = server.bind(&endpoint).await.unwrap().to_string();
        tokio::spawn(async move {
            while let Ok(request) = server.recv().await {
                server.send(request).await.unwrap();
            }
        });
        let mut clients = Vec::new();
        for name in 0..5 {
            let client = with(SocketType::Req, |options| options.req_correlate = name % 2 == 0);
            client.connect(&endpoint).await.unwrap();
            clients.push(tokio::spawn(async move {
                for number in 0..20 {
                    let question = format!("{name} {number}");
                    client.send(question.clone()).await.unwrap();
                    assert_eq!(text(&client).await, question);
                }
            }));
        }
        for client in clients {
            soon(client).await.unwrap();
        }
    }
}

#[tokio::test]
async fn requests_and_replies_come_in_turns() {
    let (client, server) = (socket(SocketType::Req), socket(SocketType::Rep));
    join(&server, "tcp://127.0.0.1:0", &client).await;
    assert!(matches!(client.recv().await, Err(RecvError::NotNow(_))));
    assert!(matches!(server.send("x").await, Err(SendError::NotNow(_))));
    send(&client, "question").await;
    assert!(matches!(client.send("again").await, Err(SendError::NotNow(_))));
    assert_eq!(text(&server).await, "question");
    assert!(matches!(server.recv().await, Err(RecvError::NotNow(_))));
    send(&server, "answer").await;
    assert_eq!(text(&client).await, "answer");
}

#[tokio::test]
async fn a_router_answers_the_dealer_that_asked() {
    let (endpoints, _directory) = endpoints("router");
    for endpoint in endpoints {
        let router = with(SocketType::Router, |options| options.router_mandatory = true);
        let named = with(SocketType::Dealer, |options| options.identity = "named".into());
        let nameless = socket(SocketType::Dealer);
        let endpoint = join(&router, &endpoint, &named).await;
        nameless.connect(&endpoint).await.unwrap();
        for (dealer, text_) in [(&named, "one"), (&nameless, "two")] {
            send(dealer, text_).await;
            let mut request = recv(&router).await;
            assert_eq!(request.last().unwrap(), text_);
            let identity = request.pop_front().unwrap();
            assert_eq!(identity == "named", text_ == "one");
            let reply = [identity, "reply".into()].into_iter().collect::<Message>();
            send(&router, reply).await;
            assert_eq!(text(dealer).await, "reply");
        }
        let nobody = router.send(["nobody", "hello"]).await;
        assert!(matches!(nobody, Err(SendError::Unroutable(_))), "{nobody:?}");
    }
}

#[tokio::test]
async fn a_conflating_subscriber_gets_the_last() {
    let publisher = socket(SocketType::Xpub);
    let subscriber = with(SocketType::Sub, |options| options.conflate = true);
    let mut monitor = subscriber.monitor();
    subscriber.subscribe("").unwrap();
    let endpoint = join(&publisher, "inproc://conflate", &subscriber).await;
    recv(&publisher).await;
    for number in 0..100 {
        send(&publisher, number.to_string()).await;
    }
    // What arrived before it looked is the last only: the publisher leaves, and that is what is left.
    soon(publisher.close()).await;
    crate::support::event(&mut monitor, |event| {
        matches!(event, posthouse_zmtp::Event::Disconnected { .. })
    })
    .await;
    assert_eq!(text(&subscriber).await, "99", "{endpoint}");
    assert!(matches!(subscriber.try_recv(), Err(RecvError::Empty)));
}

#[tokio::test]
async fn an_addressed_rep_answers_out_of_turn_and_hears_who_leaves() {
    let (endpoints, _directory) = endpoints("addressed");
    for endpoint in endpoints {
        let rep = with(SocketType::Rep, |options| options.addressed = true);
        let (one, other) = (socket(SocketType::Req), socket(SocketType::Req));
        let endpoint = join(&rep, &endpoint, &one).await;
        let came = recv(&rep).await;
        other.connect(&endpoint).await.unwrap();
        assert_ne!(recv(&rep).await, came, "each peer has an address of its own");

        send(&one, "first").await;
        let first = recv(&rep).await;
        assert_eq!(first.first(), came.first());
        send(&other, "second").await;
        let second = recv(&rep).await;
        for asked in [second, first] {
            send(&rep, asked).await;
        }
        assert_eq!((text(&one).await, text(&other).await), ("first".into(), "second".into()));

        soon(one.close()).await;
        assert_eq!(recv(&rep).await, came, "its address alone, a second time");
    }
}
