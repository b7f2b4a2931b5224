//! What each pattern promises, on pipes that are plain queues.

use bytes::Bytes;
use proptest::prelude::*;

use super::fake::Fake;
use super::*;
use crate::codec::command::Metadata;
use crate::codec::greeting::Version;

fn new(kind: SocketType, change: impl FnOnce(&mut Options)) -> Box<dyn Pattern> {
    let mut options = Options::default();
    change(&mut options);
    pattern(kind, &options)
}

fn peer(socket_type: SocketType, identity: &'static str) -> Peer {
    let (identity, metadata) = (Bytes::from(identity), Metadata::default());
    Peer { socket_type, identity, version: Version::V3_1, metadata }
}

fn item(message: impl Into<Message>) -> Item {
    Item::Message(message.into())
}

/// A pattern with `count` attached pipes that hold `capacity` items each.
fn with_pipes(
    kind: SocketType,
    count: usize,
    capacity: usize,
) -> (Box<dyn Pattern>, Fake, Vec<PipeId>) {
    let mut pattern = new(kind, |_| {});
    let mut fake = Fake::new(capacity);
    let pipes: Vec<PipeId> = (0..count).map(|index| fake.open(index)).collect();
    for &pipe in &pipes {
        pattern.attach(pipe).unwrap();
    }
    (pattern, fake, pipes)
}

proptest! {
    #[test]
    fn work_is_shared_evenly_among_those_with_room(count in 1_usize..6, rounds in 1_usize..20) {
        let (mut push, mut fake, pipes) = with_pipes(SocketType::Push, count, usize::MAX);
        for _ in 0..count * rounds {
            push.send("x".into(), &mut fake).unwrap();
        }
        for pipe in pipes {
            prop_assert_eq!(fake.sent[&pipe].len(), rounds);
        }
    }

    #[test]
    fn no_peer_starves_another(counts in prop::collection::vec(1_usize..20, 2..5)) {
        let (mut pull, mut fake, pipes) = with_pipes(SocketType::Pull, counts.len(), 0);
        for (&pipe, &count) in pipes.iter().zip(&counts) {
            (0..count).for_each(|_| fake.arrives(pipe, pipe.index.to_string()));
            pull.readable(pipe);
        }
        // While all have something, each is heard once in every round.
        let rounds = counts.iter().min().unwrap();
        for _ in 0..*rounds {
            let mut heard: Vec<Message> =
                counts.iter().map(|_| pull.recv(&mut fake).unwrap()).collect();
            heard.sort_by_key(|message| message.first().cloned());
            heard.dedup();
            prop_assert_eq!(heard.len(), counts.len());
        }
        let rest: usize = counts.iter().map(|count| count - rounds).sum();
        (0..rest).for_each(|_| assert!(pull.recv(&mut fake).is_ok()));
        prop_assert_eq!(pull.recv(&mut fake), Err(Unreceived::Empty));
    }
}

#[test]
fn a_full_worker_is_passed_over_until_it_has_room() {
    let (mut push, mut fake, pipes) = with_pipes(SocketType::Push, 2, 2);
    for _ in 0..4 {
        push.send("x".into(), &mut fake).unwrap();
    }
    assert_eq!(push.send("y".into(), &mut fake), Err(Unsent::Full("y".into())));
    fake.take_sent(pipes[1]);
    push.writable(pipes[1]);
    push.send("y".into(), &mut fake).unwrap();
    assert_eq!(fake.take_sent(pipes[1]), [item("y")]);
}

#[test]
fn a_pair_has_one_peer_at_a_time() {
    let (mut pair, mut fake, pipes) = with_pipes(SocketType::Pair, 1, 9);
    let second = fake.open(7);
    assert_eq!(pair.attach(second), Err(Refusal(pair::TAKEN)));
    pair.detach(second);
    pair.send("x".into(), &mut fake).unwrap();
    assert_eq!(fake.take_sent(pipes[0]), [item("x")], "the refused one changed nothing");
    fake.arrives(pipes[0], "last words");
    pair.readable(pipes[0]);
    pair.detach(pipes[0]);
    assert_eq!(pair.attach(second), Ok(()));
    assert_eq!(pair.recv(&mut fake), Ok("last words".into()));
}

#[test]
fn a_request_comes_back_in_its_envelope() {
    let (mut rep, mut fake, pipes) = with_pipes(SocketType::Rep, 2, 9);
    fake.arrives(pipes[1], ["router", "client", "", "question", "part"]);
    fake.arrives(pipes[1], "no envelope");
    rep.readable(pipes[1]);
    assert_eq!(rep.recv(&mut fake), Ok(["question", "part"].into()));
    assert!(matches!(rep.recv(&mut fake), Err(Unreceived::NotNow(_))));
    rep.send("answer".into(), &mut fake).unwrap();
    assert_eq!(fake.take_sent(pipes[1]), [item(["router", "client", "", "answer"])]);
    assert_eq!(rep.recv(&mut fake), Err(Unreceived::Empty));
    assert_eq!(fake.dropped, 1, "what has no envelope is nobody's question");
}

#[test]
fn a_reply_is_taken_only_from_who_was_asked_and_in_the_right_form() {
    let (mut req, mut fake, pipes) = with_pipes(SocketType::Req, 2, 9);
    req.send("question".into(), &mut fake).unwrap();
    assert_eq!(fake.take_sent(pipes[0]), [item(["", "question"])]);
    fake.arrives(pipes[1], ["", "from another"]);
    fake.arrives(pipes[0], "without its delimiter");
    fake.arrives(pipes[0], ["", "answer"]);
    pipes.iter().for_each(|pipe| req.readable(*pipe));
    assert_eq!(req.recv(&mut fake), Ok("answer".into()));
    assert_eq!(fake.dropped, 2);
}

#[test]
fn a_relaxed_request_takes_the_reply_to_its_last_question_only() {
    let mut req = new(SocketType::Req, |options| {
        options.req_relaxed = true;
        options.req_correlate = true;
    });
    let mut fake = Fake::new(9);
    let pipe = fake.open(0);
    req.attach(pipe).unwrap();
    req.send("one".into(), &mut fake).unwrap();
    req.send("two".into(), &mut fake).unwrap();
    let sent = fake.take_sent(pipe);
    let reply = |item: &Item, text: &'static str| {
        let Item::Message(request) = item else { panic!() };
        let mut reply = request.clone();
        let mut envelope = reply.split_front(2);
        envelope.push(text);
        envelope
    };
    fake.arrives(pipe, reply(&sent[0], "to one"));
    fake.arrives(pipe, reply(&sent[1], "to two"));
    req.readable(pipe);
    assert_eq!(req.recv(&mut fake), Ok("to two".into()));
}

#[test]
fn an_unsent_request_comes_back_without_an_envelope() {
    let mut req = new(SocketType::Req, |options| options.req_correlate = true);
    let unsent = req.send("question".into(), &mut Fake::new(0));
    assert_eq!(unsent, Err(Unsent::Full("question".into())));
}

#[test]
fn a_router_knows_its_peers_by_name_and_invents_names() {
    let (mut router, mut fake, pipes) = with_pipes(SocketType::Router, 3, 9);
    router.identify(pipes[0], &peer(SocketType::Dealer, "a"), &mut fake).unwrap();
    router.identify(pipes[1], &peer(SocketType::Dealer, ""), &mut fake).unwrap();
    let again = router.identify(pipes[2], &peer(SocketType::Dealer, "a"), &mut fake);
    assert!(again.is_err(), "one name, one peer");
    router.send(["a", "hello"].into(), &mut fake).unwrap();
    assert_eq!(fake.take_sent(pipes[0]), [item("hello")]);
    fake.arrives(pipes[1], "from nobody known");
    router.readable(pipes[1]);
    let mut message = router.recv(&mut fake).unwrap();
    let name = message.pop_front().unwrap();
    assert_eq!((name.len(), name[0]), (5, 0));
    router.send(["b", "nobody"].into(), &mut fake).unwrap();
    assert_eq!(fake.dropped, 1);
}

#[test]
fn a_mandatory_router_gives_back_what_it_cannot_route() {
    let mut router = new(SocketType::Router, |options| options.router_mandatory = true);
    let mut fake = Fake::new(1);
    let pipe = fake.open(0);
    router.attach(pipe).unwrap();
    router.identify(pipe, &peer(SocketType::Dealer, "a"), &mut fake).unwrap();
    let message = Message::from(["b", "x"]);
    assert_eq!(router.send(message.clone(), &mut fake), Err(Unsent::Unroutable(message)));
    let message = Message::from(["a", "x"]);
    router.send(message.clone(), &mut fake).unwrap();
    assert_eq!(router.send(message.clone(), &mut fake), Err(Unsent::Full(message)));
}

#[test]
fn a_publisher_drops_for_the_slow_and_counts() {
    let (mut publisher, mut fake, pipes) = with_pipes(SocketType::Pub, 3, 2);
    publisher.subscription(pipes[0], true, &Bytes::from("a"));
    publisher.subscription(pipes[1], true, &Bytes::from(""));
    fake.take_sent(pipes[0]);
    for _ in 0..3 {
        publisher.send("abc".into(), &mut fake).unwrap();
        fake.take_sent(pipes[0]);
    }
    publisher.send("b".into(), &mut fake).unwrap();
    assert_eq!(fake.take_sent(pipes[1]).len(), 2);
    assert_eq!(fake.take_sent(pipes[2]), [], "it has not subscribed");
    assert_eq!(fake.dropped, 2);
}

#[test]
fn an_xpub_is_told_of_first_and_last_subscriptions_and_verbosely_of_all() {
    for (verbose, expected) in [(false, None), (true, Some(Message::from("\x01a")))] {
        let mut xpub = new(SocketType::Xpub, |options| options.xpub_verbose = verbose);
        let mut fake = Fake::new(9);
        let (one, other) = (fake.open(0), fake.open(1));
        let prefix = Bytes::from("a");
        assert_eq!(xpub.subscription(one, true, &prefix), Some("\x01a".into()));
        assert_eq!(xpub.subscription(other, true, &prefix), expected);
        assert_eq!(xpub.subscription(one, false, &prefix), None);
        assert_eq!(xpub.detach(other), [Message::from("\0a")], "leaving cancels");
    }
}

#[test]
fn every_publisher_hears_of_every_subscription_once() {
    let (mut sub, mut fake, pipes) = with_pipes(SocketType::Sub, 2, 0);
    let prefix = Bytes::from("a");
    sub.identify(pipes[0], &peer(SocketType::Pub, ""), &mut fake).unwrap();
    sub.subscribe(true, &prefix, &mut fake).unwrap();
    sub.subscribe(true, &prefix, &mut fake).unwrap();
    sub.identify(pipes[1], &peer(SocketType::Pub, ""), &mut fake).unwrap();
    for &pipe in &pipes {
        assert_eq!(fake.take_sent(pipe), [Item::Subscribe(prefix.clone())]);
    }
    sub.subscribe(false, &prefix, &mut fake).unwrap();
    assert_eq!(fake.take_sent(pipes[0]), [], "it was asked for twice");
    sub.subscribe(false, &prefix, &mut fake).unwrap();
    assert_eq!(fake.take_sent(pipes[0]), [Item::Cancel(prefix)]);
}

#[test]
fn a_subscriber_receives_nothing_that_it_did_not_ask_for() {
    let (mut sub, mut fake, pipes) = with_pipes(SocketType::Sub, 1, 0);
    sub.subscribe(true, &Bytes::from("a"), &mut fake).unwrap();
    fake.arrives(pipes[0], "b");
    fake.arrives(pipes[0], "ab");
    sub.readable(pipes[0]);
    assert_eq!(sub.recv(&mut fake), Ok("ab".into()));
}

#[test]
fn what_a_socket_type_cannot_do_is_said() {
    for kind in [SocketType::Pull, SocketType::Sub] {
        let sent = new(kind, |_| {}).send("x".into(), &mut Fake::new(9));
        assert!(matches!(sent, Err(Unsent::NotNow(_))), "{kind}");
    }
    for kind in [SocketType::Push, SocketType::Pub] {
        let received = new(kind, |_| {}).recv(&mut Fake::new(9));
        assert!(matches!(received, Err(Unreceived::NotNow(_))), "{kind}");
    }
    let mut push = new(SocketType::Push, |_| {});
    assert!(push.subscribe(true, &Bytes::new(), &mut Fake::new(0)).is_err());
}

fn addressed(kind: SocketType) -> Box<dyn Pattern> {
    new(kind, |options| options.addressed = true)
}

#[test]
fn an_addressed_socket_tells_who_comes_what_they_say_and_who_goes() {
    let mut pattern = addressed(SocketType::Rep);
    let mut fake = Fake::new(1);
    let (first, second) = (fake.open(0), fake.open(1));
    for pipe in [first, second] {
        pattern.attach(pipe).unwrap();
        pattern.identify(pipe, &peer(SocketType::Req, "same"), &mut fake).unwrap();
    }
    let came: Vec<Message> = (0..2).map(|_| pattern.recv(&mut fake).unwrap()).collect();
    assert!(came.iter().all(|message| message.frame_count() == 1) && came[0] != came[1]);

    fake.arrives(second, ["", "question"]);
    pattern.readable(second);
    let mut question = pattern.recv(&mut fake).unwrap();
    let address = question.pop_front().unwrap();
    assert_eq!((Some(&address), question), (came[1].first(), Message::from(["", "question"])));

    let answer = |text: &'static str| {
        let mut message = Message::from(["", text]);
        message.push_front(address.clone());
        message
    };
    pattern.send(answer("one"), &mut fake).unwrap();
    assert_eq!(fake.take_sent(second), [item(["", "one"])]);
    pattern.send(answer("two"), &mut fake).unwrap();
    assert_eq!(pattern.send(answer("three"), &mut fake), Err(Unsent::Full(answer("three"))));

    let last_words = pattern.detach(second);
    assert_eq!(pattern.send(answer("four"), &mut fake), Err(Unsent::Unroutable(answer("four"))));
    last_words.into_iter().for_each(|word| fake.arrives(second, word));
    pattern.readable(second);
    assert_eq!(pattern.recv(&mut fake), Ok(Message::single(address)));
    assert_eq!(pattern.recv(&mut fake), Err(Unreceived::Empty));
}

#[test]
fn an_addressed_pair_has_one_peer_and_the_next_has_another_address() {
    let mut pattern = addressed(SocketType::Pair);
    let mut fake = Fake::new(1);
    let pipes: Vec<PipeId> = (0..3).map(|index| fake.open(index)).collect();
    let introduce = |pattern: &mut Box<dyn Pattern>, fake: &mut Fake, index: usize| {
        pattern.attach(pipes[index]).unwrap();
        pattern.identify(pipes[index], &peer(SocketType::Pair, ""), fake)
    };
    introduce(&mut pattern, &mut fake, 0).unwrap();
    assert!(introduce(&mut pattern, &mut fake, 1).is_err());
    assert!(pattern.detach(pipes[1]).is_empty(), "who was refused leaves no word");
    let first = pattern.recv(&mut fake).unwrap();
    pattern.detach(pipes[0]);
    introduce(&mut pattern, &mut fake, 2).unwrap();
    assert_ne!(pattern.recv(&mut fake).unwrap(), first);
}
