//! Who may come in, and what they may do.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use posthouse_access::scram::ChannelBinding;
use posthouse_access::{
    AttemptsConfig, Effect, Grantee, Mechanism, NamePattern, OperationSet, ResourceKind, Rule,
    RuleFilter, UserName,
};
use posthouse_broker::{
    AUDIT_TOPIC, AccessError, AuthenticationConfig, Broker, BrokerConfig, Credentials, Knock,
    LiveMessage, LoginError, LookupError, NewToken, Operation, Pass, Pattern, PublishError,
    Resource, SubscribeError, SubscribeFrom, SubscriberEnded, TopicRef, UserChange,
};
use posthouse_log::Chunk;
use posthouse_types::{ByteSize, Clock, Principal, SystemClock, Timestamp, TopicName};

use crate::harness::{Node, batch, fetch, partition, quick, to_create, values};
use crate::live_channels::roomy;

const KNOCK: Knock =
    Knock { door: "test", address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)) };

fn asking() -> BrokerConfig {
    let authentication = AuthenticationConfig { required: true, ..AuthenticationConfig::default() };
    BrokerConfig { authentication, ..quick() }
}

fn node() -> Principal {
    Principal::node()
}

fn alice() -> Principal {
    Principal::user("alice")
}

async fn with_alice() -> Node {
    let node = Node::start_with(asking()).await;
    add_user(&node.broker, "alice", vec![UserChange::Password(b"pw".to_vec())]).await;
    node
}

async fn add_user(broker: &Broker, name: &str, changes: Vec<UserChange>) {
    broker.create_user(&node(), UserName::new(name).unwrap(), changes).await.unwrap();
}

fn rule(who: &str, operation: Operation, kind: ResourceKind, name: &str) -> Rule {
    Rule {
        grantee: Grantee::named(who),
        effect: Effect::Allow,
        operations: OperationSet::of(operation),
        kind,
        pattern: NamePattern::parse(name),
    }
}

async fn allow(broker: &Broker, operation: Operation, kind: ResourceKind, name: &str) {
    broker.add_rules(&node(), vec![rule("alice", operation, kind, name)]).await.unwrap();
}

async fn create(broker: &Broker, name: &str) -> TopicRef {
    broker.create_topic(&node(), to_create(name, 1)).await.unwrap();
    TopicRef::Name(TopicName::new(name).unwrap())
}

fn password<'a>(user: &'a str, password: &'a str) -> Credentials<'a> {
    Credentials::Password { user, password: password.as_bytes() }
}

#[tokio::test]
async fn without_authentication_everything_is_allowed_to_everybody() {
    let node = Node::start().await;
    create(&node.broker, "orders").await;
    let anyone = Principal::anonymous();
    assert!(node.broker.authorize(&anyone, Operation::Alter, Resource::Cluster).is_ok());
    assert!(node.broker.topics(&anyone).await.len() > 1);
    assert!(!node.broker.authentication_required());
}

#[tokio::test]
async fn what_is_not_allowed_is_denied_and_hidden() {
    let node = with_alice().await;
    let orders = create(&node.broker, "orders").await;
    create(&node.broker, "secret").await;
    assert!(node.broker.topics(&alice()).await.is_empty());
    let denied = node.broker.topic(&alice(), &orders).await.unwrap_err();
    assert!(matches!(denied, LookupError::Denied(_)), "{denied}");
    // Whether or not there is such a topic.
    let none = TopicRef::Name(TopicName::new("none").unwrap());
    let denied = node.broker.topic(&alice(), &none).await.unwrap_err();
    assert!(matches!(denied, LookupError::Denied(_)), "{denied}");
    allow(&node.broker, Operation::Read, ResourceKind::Topic, "ord*").await;
    assert_eq!(names(&node.broker, &alice()).await, ["orders"]);
}

async fn names(broker: &Broker, principal: &Principal) -> Vec<String> {
    broker.topics(principal).await.iter().map(|topic| topic.name.to_string()).collect()
}

#[tokio::test]
async fn the_nodes_own_topics_are_for_superusers() {
    let node = with_alice().await;
    allow(&node.broker, Operation::Read, ResourceKind::Topic, "*").await;
    allow(&node.broker, Operation::Create, ResourceKind::Cluster, "*").await;
    assert!(names(&node.broker, &alice()).await.is_empty());
    node.broker.create_topic(&alice(), to_create("__posthouse_mine", 1)).await.unwrap_err();
    add_user(&node.broker, "root", vec![UserChange::Superuser(true)]).await;
    let shown = names(&node.broker, &Principal::user("root")).await;
    assert!(shown.contains(&"__posthouse_catalog".to_owned()), "{shown:?}");
}

#[tokio::test]
async fn what_one_keeps_of_its_permissions_follows_every_change() {
    let node = with_alice().await;
    let broker = &node.broker;
    let (mut pass, mut nodes) = (Pass::new(alice()), Pass::new(Principal::node()));
    let mut may = |key: &[u8]| broker.shows_to(&mut pass, Operation::Read, Resource::Key(key));
    assert!(!may(b"cart:1"));
    allow(broker, Operation::Read, ResourceKind::Key, "cart:*").await;
    assert!(may(b"cart:1"));
    assert!(!may(b"stock:1"));
    let barred = rule("alice", Operation::Read, ResourceKind::Key, "cart:9");
    broker
        .add_rules(&Principal::node(), vec![Rule { effect: Effect::Deny, ..barred }])
        .await
        .unwrap();
    assert!(!may(b"cart:9"));
    broker.delete_user(&Principal::node(), "alice").await.unwrap();
    assert!(!may(b"cart:1"));
    assert!(broker.shows_to(&mut nodes, Operation::Read, Resource::Key(b"cart:1")));
    let own = TopicName::new(AUDIT_TOPIC).unwrap();
    allow(broker, Operation::Read, ResourceKind::Topic, "*").await;
    assert!(!broker.shows_to(&mut pass, Operation::Read, Resource::Topic(&own)));
}

#[tokio::test]
async fn a_login_needs_the_password_or_a_token_or_what_stands_for_the_user() {
    let node = with_alice().await;
    let broker = &node.broker;
    let key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    let changes =
        vec![UserChange::Certificate("CN=alice".into()), UserChange::CurveKey(key.into())];
    broker.alter_user(&self::node(), "alice", changes).await.unwrap();
    let new =
        NewToken { user: UserName::new("alice").unwrap(), label: String::new(), expires: None };
    let token = broker.create_token(&self::node(), new).await.unwrap().reveal();
    for right in [
        password("alice", "pw"),
        password("alice", &token),
        Credentials::Token(&token),
        Credentials::Certificate { subject: "CN=alice" },
        Credentials::CurveKey(key),
    ] {
        assert_eq!(broker.log_in(KNOCK, right).await.unwrap().principal, alice());
    }
    for wrong in [
        password("alice", "wrong"),
        password("bob", "pw"),
        password("bob", &token),
        Credentials::Token("ph_"),
        Credentials::Certificate { subject: "CN=bob" },
        Credentials::CurveKey("none"),
    ] {
        assert_eq!(broker.log_in(KNOCK, wrong).await.unwrap_err(), LoginError::Refused);
    }
}

#[tokio::test]
async fn an_exchange_for_nobody_goes_like_one_for_somebody() {
    let node = with_alice().await;
    let challenge = async |user: &str| {
        let binding = ChannelBinding::Unavailable;
        let mut login = node.broker.scram(KNOCK, Mechanism::ScramSha256, binding);
        let first = format!("n,,n={user},r=abc");
        let challenge = login.first(first.as_bytes(), None).await.unwrap();
        let nonce = challenge.split(',').next().unwrap().to_owned();
        let proof = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let last = format!("c=biws,{nonce},p={proof}");
        assert_eq!(login.last(last.as_bytes()).unwrap_err(), LoginError::Refused);
        challenge.split_once(',').unwrap().1.to_owned()
    };
    // The salt is the user's own, and the same each time.
    assert_eq!(challenge("alice").await, challenge("alice").await);
    assert_eq!(challenge("bob").await, challenge("bob").await);
    assert_eq!(challenge("bob").await.len(), challenge("alice").await.len());
}

#[tokio::test]
async fn access_survives_a_restart() {
    let node = with_alice().await;
    create(&node.broker, "orders").await;
    allow(&node.broker, Operation::Describe, ResourceKind::Topic, "orders").await;
    let node = node.restart().await;
    assert_eq!(names(&node.broker, &alice()).await, ["orders"]);
    node.broker.log_in(KNOCK, password("alice", "pw")).await.unwrap();
}

#[tokio::test]
async fn the_first_administrator_is_made_once() {
    let node = Node::start_with(asking()).await;
    let made = node.broker.make_first_administrator(b"first".to_vec()).await.unwrap();
    assert_eq!(made.unwrap().as_str(), "admin");
    assert!(node.broker.make_first_administrator(b"second".to_vec()).await.unwrap().is_none());
    let login = node.broker.log_in(KNOCK, password("admin", "first")).await.unwrap();
    node.broker.authorize(&login.principal, Operation::Alter, Resource::Cluster).unwrap();
    let last = node.broker.delete_user(&login.principal, "admin").await.unwrap_err();
    assert!(matches!(last, AccessError::LastSuperuser(_)), "{last}");
    let open = Node::start().await;
    assert!(open.broker.make_first_administrator(b"x".to_vec()).await.unwrap().is_none());
}

#[tokio::test]
async fn only_a_superuser_makes_or_changes_superusers() {
    let node = with_alice().await;
    let broker = &node.broker;
    allow(broker, Operation::Alter, ResourceKind::Cluster, "*").await;
    add_user(broker, "root", vec![UserChange::Superuser(true)]).await;
    let promote = broker.alter_user(&alice(), "alice", vec![UserChange::Superuser(true)]).await;
    assert!(matches!(promote, Err(AccessError::Superuser)), "{promote:?}");
    let taken = vec![UserChange::Password(b"mine".to_vec())];
    let taken = broker.alter_user(&alice(), "root", taken).await;
    assert!(matches!(taken, Err(AccessError::Superuser)), "{taken:?}");
    let new =
        NewToken { user: UserName::new("root").unwrap(), label: String::new(), expires: None };
    let token = broker.create_token(&alice(), new).await;
    assert!(matches!(token, Err(AccessError::Superuser)), "{token:?}");
}

#[tokio::test]
async fn everybody_may_change_their_own_password_and_nobody_elses() {
    let node = with_alice().await;
    let broker = &node.broker;
    add_user(broker, "bob", Vec::new()).await;
    let new = || vec![UserChange::Password(b"new".to_vec())];
    broker.alter_user(&alice(), "alice", new()).await.unwrap();
    broker.log_in(KNOCK, password("alice", "new")).await.unwrap();
    assert!(broker.log_in(KNOCK, password("alice", "pw")).await.is_err());
    let others = broker.alter_user(&alice(), "bob", new()).await;
    assert!(matches!(others, Err(AccessError::Denied(_))), "{others:?}");
    let more = vec![UserChange::Password(b"x".to_vec()), UserChange::Superuser(true)];
    let more = broker.alter_user(&alice(), "alice", more).await;
    assert!(matches!(more, Err(AccessError::Denied(_))), "{more:?}");
}

#[tokio::test]
async fn a_login_ends_with_its_token_its_user_or_its_time() {
    let node = with_alice().await;
    let broker = &node.broker;
    let expires = Timestamp::from_ms(SystemClock.wall().as_ms() + 200);
    let new = |expires| NewToken {
        user: UserName::new("alice").unwrap(),
        label: "build".into(),
        expires,
    };
    let lasting = broker.create_token(&alice(), new(None)).await.unwrap();
    let short = broker.create_token(&alice(), new(Some(expires))).await.unwrap();
    let log_in = async |token: &posthouse_access::Token| {
        let login = broker.log_in(KNOCK, Credentials::Token(&token.reveal())).await.unwrap();
        broker.watch_login(login)
    };
    let by_password = broker.log_in(KNOCK, password("alice", "pw")).await.unwrap();
    let (mut by_password, mut by_token) = (broker.watch_login(by_password), log_in(&lasting).await);
    log_in(&short).await.ended().await;
    assert!(broker.log_in(KNOCK, Credentials::Token(&short.reveal())).await.is_err());
    broker.delete_token(&alice(), lasting.id().clone()).await.unwrap();
    by_token.ended().await;
    let early = tokio::time::timeout(Duration::from_millis(1), by_password.ended()).await;
    assert!(early.is_err(), "the user is still there");
    broker.delete_user(&self::node(), "alice").await.unwrap();
    by_password.ended().await;
}

#[tokio::test]
async fn a_subscriber_is_ended_when_it_may_not_listen_any_more() {
    let node = with_alice().await;
    let broker = &node.broker;
    let subscriber = broker.subscriber(&alice(), roomy());
    let news = || Pattern::Exact(Bytes::from_static(b"news"));
    let refused = subscriber.subscribe(news(), SubscribeFrom::Now).await.unwrap_err();
    assert!(matches!(refused, SubscribeError::Denied(_)), "{refused}");
    allow(broker, Operation::Read, ResourceKind::Channel, "news").await;
    subscriber.subscribe(news(), SubscribeFrom::Now).await.unwrap();
    let wide = Pattern::Glob(Bytes::from_static(b"new*"));
    subscriber.subscribe(wide, SubscribeFrom::Now).await.unwrap_err();
    let message = LiveMessage::of_value("1", Timestamp::from_ms(1));
    let sent = broker.publish(&alice(), Bytes::from_static(b"news"), message.clone()).await;
    assert!(matches!(sent, Err(PublishError::Denied(_))), "{sent:?}");
    broker.publish(&self::node(), Bytes::from_static(b"news"), message).await.unwrap();
    subscriber.next().await.unwrap();
    broker.remove_rules(&self::node(), RuleFilter::default()).await.unwrap();
    assert_eq!(subscriber.next().await.unwrap_err(), SubscriberEnded::Denied);
}

#[tokio::test]
async fn a_pattern_follows_only_the_topics_that_may_be_read() {
    let node = with_alice().await;
    let broker = &node.broker;
    create(broker, "a.open").await;
    create(broker, "a.secret").await;
    allow(broker, Operation::Read, ResourceKind::Channel, "a.*").await;
    allow(broker, Operation::Read, ResourceKind::Topic, "a.open").await;
    let subscriber = broker.subscriber(&alice(), roomy());
    let all = Pattern::Prefix(Bytes::from_static(b"a."));
    subscriber.subscribe(all, SubscribeFrom::Beginning).await.unwrap();
    for (channel, value) in [("a.secret", "hidden"), ("a.open", "seen")] {
        let message = LiveMessage::of_value(value, Timestamp::from_ms(1));
        broker
            .publish(&self::node(), Bytes::from_static(channel.as_bytes()), message)
            .await
            .unwrap();
    }
    let delivery = subscriber.next().await.unwrap();
    assert_eq!(delivery.event.channel, "a.open");
    assert!(subscriber.try_next().unwrap().is_none());
}

#[tokio::test]
async fn logins_refusals_and_changes_are_written_down_without_secrets() {
    let node = with_alice().await;
    let broker = &node.broker;
    broker.log_in(KNOCK, password("alice", "pw")).await.unwrap();
    broker.log_in(KNOCK, password("alice", "hunter2")).await.unwrap_err();
    broker.authorize(&alice(), Operation::Alter, Resource::Cluster).unwrap_err();
    let mut text = String::new();
    let wanted = ["\"created, password set\"", "\"login\"", "\"login-refused\"", "\"denied\""];
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !wanted.iter().all(|event| text.contains(event)) {
        assert!(tokio::time::Instant::now() < deadline, "{text}");
        tokio::task::yield_now().await;
        if broker.has_topic(AUDIT_TOPIC.as_bytes()) {
            let fetch = fetch(&[(AUDIT_TOPIC, 0, 0)], Duration::ZERO);
            text = values(&broker.fetch(&self::node(), fetch).await, 0).join("\n");
        }
    }
    assert!(!text.contains("hunter2") && !text.contains("pw"), "{text}");
}

#[tokio::test]
async fn what_is_shown_with_every_request_is_one_login_an_hour() {
    let (node, clock) = Node::start_at(Timestamp::from_ms(0), asking()).await;
    let broker = &node.broker;
    add_user(broker, "alice", vec![UserChange::Password(b"pw".to_vec())]).await;
    let elsewhere = Knock { address: [192, 0, 2, 2].into(), ..KNOCK };
    for _ in 0..3 {
        for _ in 0..5 {
            broker.log_in_by_request(KNOCK, password("alice", "pw")).await.unwrap();
        }
        broker.log_in_by_request(elsewhere, password("alice", "pw")).await.unwrap();
        broker.log_in_by_request(KNOCK, password("alice", "wrong")).await.unwrap_err();
    }
    clock.advance(Duration::from_secs(60 * 60));
    broker.log_in_by_request(KNOCK, password("alice", "pw")).await.unwrap();
    let node = node.restart().await;
    let fetch = fetch(&[(AUDIT_TOPIC, 0, 0)], Duration::ZERO);
    let records = values(&node.broker.fetch(&self::node(), fetch).await, 0);
    let count = |event: &str, address: &str| {
        let parts = [format!("\"event\":\"{event}\""), format!("\"{address}\"")];
        records.iter().filter(|one| parts.iter().all(|part| one.contains(part))).count()
    };
    assert_eq!(count("login", "192.0.2.1"), 2, "{records:?}");
    assert_eq!(count("login", "192.0.2.2"), 1, "{records:?}");
    assert_eq!(count("login-refused", "192.0.2.1"), 3, "{records:?}");
}

#[tokio::test]
async fn what_is_shown_again_and_right_forgives_what_was_wrong_before() {
    let hour = Duration::from_secs(60 * 60);
    let attempts = AttemptsConfig {
        free: 1,
        delay_first: hour,
        delay_max: hour,
        shared_delay_max: Duration::ZERO,
        ..AttemptsConfig::default()
    };
    let mut config = asking();
    config.authentication.attempts = attempts;
    let node = Node::start_with(config).await;
    let broker = &node.broker;
    add_user(broker, "alice", vec![UserChange::Password(b"pw".to_vec())]).await;
    broker.log_in_by_request(KNOCK, password("alice", "pw")).await.unwrap();
    for _ in 0..3 {
        broker.log_in_by_request(KNOCK, password("alice", "wrong")).await.unwrap_err();
        let right = broker.log_in_by_request(KNOCK, password("alice", "pw"));
        tokio::time::timeout(Duration::from_secs(30), right)
            .await
            .expect("it does not wait an hour")
            .unwrap();
    }
}

#[tokio::test]
async fn a_certificate_or_a_key_is_one_users_only() {
    let node = with_alice().await;
    let broker = &node.broker;
    let key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    let proofs =
        || vec![UserChange::Certificate("CN=a".into()), UserChange::CurveKey(key.to_owned())];
    let disabled = vec![UserChange::Disabled(true)];
    broker.alter_user(&self::node(), "alice", [proofs(), disabled].concat()).await.unwrap();
    add_user(broker, "bob", Vec::new()).await;
    for change in proofs() {
        let taken = broker.alter_user(&self::node(), "bob", vec![change]).await.unwrap_err();
        assert!(taken.to_string().contains("is user alice's already"), "{taken}");
    }
    assert!(!broker.knows_certificate("CN=a"), "its user is disabled");
    broker.delete_user(&self::node(), "alice").await.unwrap();
    broker.alter_user(&self::node(), "bob", proofs()).await.unwrap();
    let login = broker.log_in(KNOCK, Credentials::CurveKey(key)).await.unwrap();
    assert_eq!(login.principal, Principal::user("bob"));
    assert!(broker.knows_certificate("CN=a"));
    assert!(broker.holds(&login));
    broker
        .alter_user(&self::node(), "bob", vec![UserChange::NoCurveKey(key.into())])
        .await
        .unwrap();
    assert!(!broker.holds(&login));
}

#[tokio::test]
async fn one_who_moves_more_than_the_rate_waits_and_nobody_else_does() {
    let authentication = AuthenticationConfig {
        required: true,
        write_rate: Some(ByteSize(100)),
        read_rate: Some(ByteSize(1_000_000)),
        ..AuthenticationConfig::default()
    };
    let config = BrokerConfig { authentication, ..quick() };
    let (node, _clock) = Node::start_at(Timestamp::from_ms(0), config).await;
    let broker = &node.broker;
    let topic = create(broker, "t").await;
    for name in ["alice", "bob"] {
        add_user(broker, name, Vec::new()).await;
        let rule = rule(name, Operation::Write, ResourceKind::Topic, "t");
        broker.add_rules(&self::node(), vec![rule]).await.unwrap();
    }
    let large = "x".repeat(1500);
    let write = async |name: &str| {
        let principal = Principal::user(name);
        let batch = batch(&[&large]);
        broker.append(&principal, &topic, partition(0), batch).await.unwrap();
    };
    let soon = Duration::from_millis(100);
    let first = tokio::time::timeout(soon, write("alice")).await;
    assert!(first.is_err(), "it is more than a second's worth");
    let second = tokio::time::timeout(soon, write("alice")).await;
    assert!(second.is_err(), "and so it has nothing left");
    broker.append(&self::node(), &topic, partition(0), batch(&[&large])).await.unwrap();
    let small = batch(&["1"]);
    broker.append(&Principal::user("bob"), &topic, partition(0), small).await.unwrap();
}

#[tokio::test]
async fn a_caller_that_paces_its_clients_is_told_and_not_kept_waiting() {
    let authentication = AuthenticationConfig {
        required: true,
        write_rate: Some(ByteSize(400)),
        read_rate: Some(ByteSize(300)),
        ..AuthenticationConfig::default()
    };
    let config = BrokerConfig { authentication, ..quick() };
    let (node, clock) = Node::start_at(Timestamp::from_ms(0), config).await;
    let broker = &node.broker;
    let topic = create(broker, "t").await;
    add_user(broker, "alice", Vec::new()).await;
    allow(broker, Operation::Write, ResourceKind::Topic, "t").await;
    allow(broker, Operation::Read, ResourceKind::Topic, "t").await;
    let large = "x".repeat(2000);
    let write = async || {
        let batch = batch(&[&large]);
        let written = broker.append_paced(&alice(), &topic, partition(0), batch).await.unwrap();
        written.done.ticket.durable().await.unwrap();
        written.pause
    };
    broker.pay_off_writes(&alice()).await;
    // A burst of a second is free, and a batch of 2 kB is five.
    let pauses = [write().await, write().await, write().await].map(|pause| pause.as_secs());
    assert_eq!(pauses, [4, 9, 14]);
    let soon = Duration::from_millis(100);
    let alice = alice();
    let fourth = tokio::time::timeout(soon, broker.pay_off_writes(&alice)).await;
    assert!(fourth.is_err(), "who did not heed it is kept waiting");
    clock.advance(Duration::from_secs(5));
    broker.pay_off_writes(&alice).await;

    let read = broker.fetch_paced(&alice, fetch(&[("t", 0, 0)], Duration::ZERO)).await;
    let fetched = read.done.partitions[0].as_ref().unwrap();
    let bytes: usize = fetched.chunks.iter().map(Chunk::len).sum();
    assert!((2000..3000).contains(&bytes), "ten seconds' worth: one batch of three, not {bytes}");
    assert!(read.pause > Duration::from_secs(5) && read.pause < Duration::from_secs(10));
}

#[tokio::test]
async fn a_users_own_rate_goes_before_everybodys() {
    let authentication = AuthenticationConfig {
        required: true,
        write_rate: Some(ByteSize(100)),
        ..AuthenticationConfig::default()
    };
    let config = BrokerConfig { authentication, ..quick() };
    let (node, _clock) = Node::start_at(Timestamp::from_ms(0), config).await;
    let broker = &node.broker;
    let topic = create(broker, "t").await;
    add_user(broker, "alice", vec![UserChange::WriteRate(Some(ByteSize(1_000_000)))]).await;
    allow(broker, Operation::Write, ResourceKind::Topic, "t").await;
    let large = "x".repeat(1500);
    broker.append(&alice(), &topic, partition(0), batch(&[&large])).await.unwrap();
    let (default, users) = broker.user_rates(&self::node()).unwrap();
    assert_eq!(default.write, Some(ByteSize(100)));
    assert_eq!(users[0].1.write, Some(ByteSize(1_000_000)));
    broker.alter_user(&self::node(), "alice", vec![UserChange::WriteRate(None)]).await.unwrap();
    let soon = Duration::from_millis(100);
    let alice = alice();
    let write = broker.append(&alice, &topic, partition(0), batch(&[&large]));
    assert!(tokio::time::timeout(soon, write).await.is_err(), "it has everybody's rate again");
}

#[tokio::test]
async fn who_may_alter_the_clusters_settings_may_change_rates_and_nothing_else() {
    let node = with_alice().await;
    let broker = &node.broker;
    add_user(broker, "bob", Vec::new()).await;
    let rate = || vec![UserChange::ReadRate(Some(ByteSize(1)))];
    for user in ["alice", "bob"] {
        let denied = broker.alter_user(&alice(), user, rate()).await;
        assert!(matches!(denied, Err(AccessError::Denied(_))), "{denied:?}");
    }
    assert!(matches!(broker.user_rates(&alice()), Err(AccessError::Denied(_))));
    allow(broker, Operation::AlterConfigs, ResourceKind::Cluster, "*").await;
    broker.alter_user(&alice(), "bob", rate()).await.unwrap();
    assert_eq!(broker.user_rates(&alice()).unwrap().1.len(), 2);
    let more = [rate(), vec![UserChange::Disabled(true)]].concat();
    let denied = broker.alter_user(&alice(), "bob", more).await;
    assert!(matches!(denied, Err(AccessError::Denied(_))), "{denied:?}");
    let unknown = broker.alter_user(&self::node(), "nobody", rate()).await;
    assert!(matches!(unknown, Err(AccessError::UnknownUser(_))), "{unknown:?}");
}

#[tokio::test]
async fn one_who_asks_more_than_the_rate_waits_and_nobody_else_does() {
    let (node, clock) = Node::start_at(Timestamp::from_ms(0), asking()).await;
    let broker = &node.broker;
    for name in ["alice", "bob"] {
        add_user(broker, name, Vec::new()).await;
    }
    let ask = |count: usize, who: &Principal| {
        (0..count).map(|_| broker.request_wait(who)).max().unwrap_or_default()
    };
    assert_eq!(ask(1000, &alice()), Duration::ZERO, "there is no limit");
    let rate = vec![UserChange::RequestRate(NonZeroU32::new(10))];
    broker.alter_user(&self::node(), "alice", rate).await.unwrap();
    assert_eq!(ask(10, &alice()), Duration::ZERO, "a second's worth");
    assert_eq!(ask(1, &alice()), Duration::from_millis(100));
    assert_eq!(ask(1, &alice()), Duration::from_millis(200));
    for other in [Principal::user("bob"), self::node(), Principal::anonymous()] {
        assert_eq!(ask(1000, &other), Duration::ZERO, "{other}");
    }
    clock.advance(Duration::from_secs(2));
    assert_eq!(ask(10, &alice()), Duration::ZERO, "it has waited");
}

#[tokio::test]
async fn what_was_refused_just_before_the_node_stopped_is_written_down() {
    let node = with_alice().await;
    node.broker.authorize(&alice(), Operation::Alter, Resource::Cluster).unwrap_err();
    let node = node.restart().await;
    let fetch = fetch(&[(AUDIT_TOPIC, 0, 0)], Duration::ZERO);
    let text = values(&node.broker.fetch(&self::node(), fetch).await, 0).join("\n");
    assert!(text.contains("\"denied\""), "{text}");
}
