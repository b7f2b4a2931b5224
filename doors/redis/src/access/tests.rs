//! Clients of a node that asks who they are, without sockets.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use posthouse_access::{
    Effect, Grantee, NamePattern, Operation, OperationSet, ResourceKind, Rule, UserName,
};
use posthouse_broker::{AuthenticationConfig, Broker, BrokerConfig, NewToken, UserChange};
use posthouse_log::{MemoryConfig, MemoryEngine};
use posthouse_types::{Clock, Principal, SystemClock};

use crate::RedisConfig;
use crate::access::log_in_by_certificate;
use crate::client::Client;
use crate::codec::Reply;
use crate::commands::dispatch;
use crate::keys::{Keys, KeysDurability};
use crate::registry::Member;
use crate::server::Server;
use crate::table::{self, Call, Outcome};

async fn server(required: bool) -> Arc<Server> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = MemoryEngine::new(MemoryConfig::default(), Arc::clone(&clock));
    let authentication =
        AuthenticationConfig { required, iterations: 4096, ..AuthenticationConfig::default() };
    let config = BrokerConfig { authentication, ..BrokerConfig::default() };
    let broker = Broker::open(engine, config, clock).await.unwrap();
    let keys = Keys::open(&broker, KeysDurability::EverySecond).await.unwrap();
    Server::new(broker, keys, RedisConfig::default(), "127.0.0.1:6379".parse().unwrap())
}

/// A user who may do everything with keys, topics and groups that begin so.
async fn user(broker: &Broker, name: &str, prefix: &str) {
    let (node, password) = (Principal::node(), format!("{name}'s").into_bytes());
    let user = UserName::new(name).unwrap();
    broker.create_user(&node, user, vec![UserChange::Password(password)]).await.unwrap();
    let rule = |kind| Rule {
        grantee: Grantee::named(name),
        effect: Effect::Allow,
        operations: OperationSet::ALL,
        kind,
        pattern: NamePattern::Prefixed(prefix.into()),
    };
    let kinds = [ResourceKind::Key, ResourceKind::Topic, ResourceKind::Queue];
    broker.add_rules(&node, kinds.map(rule).into()).await.unwrap();
}

struct Connected {
    server: Arc<Server>,
    client: Client,
    _member: Member,
}

impl Connected {
    fn to(server: &Arc<Server>) -> Connected {
        let peer = "127.0.0.1:1".parse().unwrap();
        let member = server.clients.join(peer, peer);
        let client = Client::new(Arc::clone(&member.handle));
        Connected { server: Arc::clone(server), client, _member: member }
    }

    async fn known(server: &Arc<Server>, name: &str) -> Connected {
        let mut connected = Connected::to(server);
        assert_eq!(connected.run(&format!("auth {name} {name}'s")).await, Reply::OK);
        connected
    }

    /// Runs a command; the last word may be quoted.
    async fn run(&mut self, command: &str) -> Reply {
        let (words, quoted) = command.split_once('"').unwrap_or((command, ""));
        let mut arguments: Vec<Bytes> =
            words.split_whitespace().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        if !quoted.is_empty() {
            let (body, rest) = quoted.split_once('"').unwrap();
            arguments.push(Bytes::copy_from_slice(body.as_bytes()));
            arguments.extend(
                rest.split_whitespace().map(|word| Bytes::copy_from_slice(word.as_bytes())),
            );
        }
        let entry = table::find(&arguments[0]);
        let outcome = {
            let (server, client) = (&self.server, &mut self.client);
            let now = server.broker.clock().now();
            dispatch(&mut Call::new(server, client, now), entry, arguments)
        };
        match outcome {
            Outcome::Reply(reply) => reply,
            Outcome::Replies(replies) => Reply::Array(replies),
            Outcome::Accepted(answer) | Outcome::Later(answer) => answer.await,
            Outcome::Blocked(blocked) => blocked.on_timeout,
            Outcome::LoggingIn(mut login) => {
                poll_fn(|cx| login.poll(&self.server, &mut self.client, cx)).await
            }
            Outcome::Silent | Outcome::Execute(_) | Outcome::Executing(_) => Reply::Null,
        }
    }

    async fn error(&mut self, command: &str) -> String {
        match self.run(command).await {
            Reply::Error(text) => text,
            other => panic!("{command}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn with_authentication_off_everybody_may_do_everything() {
    let server = server(false).await;
    let mut client = Connected::to(&server);
    assert_eq!(client.run("set k v").await, Reply::OK);
    assert_eq!(client.run("config set hz 10").await, Reply::OK);
    assert_eq!(client.run("acl whoami").await, Reply::bulk("default"));
    assert_eq!(client.run("auth default anything").await, Reply::OK);
    assert!(client.error("auth anything").await.starts_with("ERR AUTH <password> called without"));
    assert!(client.error("auth alice anything").await.starts_with("WRONGPASS"));
    let Reply::Array(lines) = client.run("acl list").await else { panic!() };
    assert_eq!(lines, [Reply::bulk("user default on ~* &* +@all")]);
}

#[tokio::test]
async fn whoever_has_not_logged_in_may_only_do_that() {
    let server = server(true).await;
    user(&server.broker, "alice", "").await;
    let mut client = Connected::to(&server);
    for command in ["get k", "ping", "multi", "info", "subscribe c", "acl whoami"] {
        assert_eq!(client.error(command).await, "NOAUTH Authentication required.", "{command}");
    }
    assert!(client.error("hello 3").await.starts_with("NOAUTH HELLO must be called"));
    for wrong in ["auth alice x", "auth bob bob's", "auth x", "hello 3 auth alice x"] {
        assert!(client.error(wrong).await.starts_with("WRONGPASS"), "{wrong}");
    }
    assert!(matches!(client.run("hello 3 auth alice alice's setname me").await, Reply::Map(_)));
    assert_eq!(client.run("acl whoami").await, Reply::bulk("alice"));
    assert_eq!(client.run("client getname").await, Reply::bulk("me"));
    assert_eq!(client.run("reset").await, Reply::Simple("RESET"));
    assert!(client.error("get k").await.starts_with("NOAUTH"));
}

#[tokio::test]
async fn a_token_is_its_users_password_and_nobody_elses() {
    let server = server(true).await;
    for name in ["alice", "bob"] {
        user(&server.broker, name, name).await;
    }
    let new =
        NewToken { user: UserName::new("alice").unwrap(), label: String::new(), expires: None };
    let token = server.broker.create_token(&Principal::node(), new).await.unwrap();
    for login in ["auth alice", "auth", "hello 2 auth alice"] {
        let mut client = Connected::to(&server);
        let reply = client.run(&format!("{login} {}", token.reveal())).await;
        assert!(!matches!(reply, Reply::Error(_)), "{login}: {reply:?}");
        assert_eq!(client.run("acl whoami").await, Reply::bulk("alice"));
    }
    let mut client = Connected::to(&server);
    let error = client.error(&format!("auth bob {}", token.reveal())).await;
    assert!(error.starts_with("WRONGPASS"));
    let mut client = Connected::to(&server);
    assert_eq!(client.run(&format!("auth {}", token.reveal())).await, Reply::OK);
    let id = token.id().clone();
    server.broker.delete_token(&Principal::node(), id).await.unwrap();
    poll_fn(|cx| client.client.identity.poll_ended(cx)).await;
}

#[tokio::test]
async fn a_certificate_that_stands_for_a_user_lets_in() {
    let server = server(true).await;
    user(&server.broker, "alice", "").await;
    let (node, subject) = (Principal::node(), "CN=alice".to_owned());
    let certificate = vec![UserChange::Certificate(subject.clone())];
    server.broker.alter_user(&node, "alice", certificate).await.unwrap();
    let mut client = Connected::to(&server);
    log_in_by_certificate(&server, &mut client.client, "CN=mallory").await;
    assert!(client.error("acl whoami").await.starts_with("NOAUTH"));
    log_in_by_certificate(&server, &mut client.client, &subject).await;
    assert_eq!(client.run("acl whoami").await, Reply::bulk("alice"));
    server
        .broker
        .alter_user(&node, "alice", vec![UserChange::NoCertificate(subject)])
        .await
        .unwrap();
    poll_fn(|cx| client.client.identity.poll_ended(cx)).await;
}

#[tokio::test]
async fn a_login_ends_with_its_user() {
    let server = server(true).await;
    user(&server.broker, "alice", "").await;
    let mut client = Connected::known(&server, "alice").await;
    server.broker.delete_user(&Principal::node(), "alice").await.unwrap();
    poll_fn(|cx| client.client.identity.poll_ended(cx)).await;
}

#[tokio::test]
async fn keys_are_checked_in_commands_transactions_and_scripts() {
    const KEY: &str =
        "NOPERM this user has no permissions to access one of the keys used as arguments";
    let server = server(true).await;
    user(&server.broker, "alice", "a:").await;
    let mut client = Connected::known(&server, "alice").await;
    assert_eq!(client.run("set a:k v").await, Reply::OK);
    for command in ["get b", "mget a:k b", "rename a:k b", "exists b", "watch b", "eval x 1 b"] {
        assert_eq!(client.error(command).await, KEY, "{command}");
    }
    let flush = "NOPERM this user has no permissions to run the 'flushall' command";
    assert_eq!(client.error("flushall").await, flush);
    let script = client.error(r#"eval "return redis.call('get', 'b')" 0"#).await;
    assert!(script.contains("can't access at least one of the keys"), "{script}");
    let inner = r#"eval "return redis.call('get', KEYS[1])" 1 a:k"#;
    assert_eq!(client.run(inner).await, Reply::bulk("v"));
    assert_eq!(client.run("multi").await, Reply::OK);
    assert_eq!(client.error("get b").await, KEY);
    assert!(client.error("exec").await.starts_with("EXECABORT"));
}

#[tokio::test]
async fn a_transaction_runs_only_what_is_still_allowed() {
    let server = server(true).await;
    user(&server.broker, "alice", "a:").await;
    let mut client = Connected::known(&server, "alice").await;
    client.run("multi").await;
    client.run("set a:k v").await;
    let filter = posthouse_access::RuleFilter {
        kind: Some(ResourceKind::Key),
        ..posthouse_access::RuleFilter::default()
    };
    server.broker.remove_rules(&Principal::node(), filter).await.unwrap();
    let Reply::Array(answers) = client.run("exec").await else { panic!() };
    let [Reply::Error(error)] = &answers[..] else { panic!("{answers:?}") };
    assert!(error.starts_with("NOPERM ACLs rules changed"), "{error}");
}

#[tokio::test]
async fn a_key_that_holds_a_stream_is_its_topic() {
    let server = server(true).await;
    user(&server.broker, "alice", "a:").await;
    user(&server.broker, "root", "").await;
    let (mut alice, mut root) =
        (Connected::known(&server, "alice").await, Connected::known(&server, "root").await);
    assert!(matches!(root.run("xadd secret * f v").await, Reply::Bulk(_)));
    assert_eq!(root.run("rename secret a:mine").await, Reply::OK);
    for command in ["xrange a:mine - +", "xadd a:mine * f v", "type a:mine", "del a:mine"] {
        assert!(alice.error(command).await.starts_with("NOPERM"), "{command}");
    }
    assert_eq!(alice.run("keys *").await, Reply::Array(vec![]));
    assert!(matches!(alice.run("xadd a:own * f v").await, Reply::Bulk(_)));
    assert_eq!(alice.run("xlen a:own").await, Reply::Integer(1));
    assert_eq!(alice.run("dbsize").await, Reply::Integer(1));
    assert_eq!(root.run("dbsize").await, Reply::Integer(2));
}

#[tokio::test]
async fn users_are_made_in_redis_words_by_those_who_may() {
    let server = server(true).await;
    user(&server.broker, "alice", "a:").await;
    let cluster = Rule {
        grantee: Grantee::named("alice"),
        effect: Effect::Allow,
        operations: OperationSet::of(Operation::Alter),
        kind: ResourceKind::Cluster,
        pattern: NamePattern::Any,
    };
    let mut alice = Connected::known(&server, "alice").await;
    assert!(alice.error("acl setuser bob").await.starts_with("NOPERM"));
    server.broker.add_rules(&Principal::node(), vec![cluster]).await.unwrap();
    assert_eq!(alice.run("acl setuser bob >bob's ~b:* +@read").await, Reply::OK);
    let mut bob = Connected::to(&server);
    assert!(bob.error("auth bob bob's").await.starts_with("WRONGPASS"), "a new user is off");
    assert_eq!(alice.run("acl setuser bob on").await, Reply::OK);
    assert_eq!(bob.run("auth bob bob's").await, Reply::OK);
    assert_eq!(bob.run("get b:k").await, Reply::Null);
    assert!(bob.error("set b:k v").await.starts_with("NOPERM"));
    assert_eq!(alice.run("acl setuser bob +@write").await, Reply::OK);
    assert_eq!(bob.run("get b:k").await, Reply::Null);
    assert_eq!(alice.run("acl deluser bob nobody").await, Reply::Integer(1));
}
