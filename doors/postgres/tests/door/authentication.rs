//! Who may come in, and what becomes of those who did.

use posthouse_access::{UserName, Verifier};
use posthouse_broker::UserChange;
use posthouse_types::Principal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Node, PATIENCE, one};

/// A start packet of `ada`.
const START: &[u8] = b"\0\0\0\x12\0\x03\0\0user\0ada\0\0";

async fn node_of_ada() -> Node {
    let node = Node::start_asking().await;
    add(&node, "ada", vec![UserChange::Password(b"right".to_vec())]).await;
    node
}

async fn add(node: &Node, name: &str, changes: Vec<UserChange>) {
    let name = UserName::new(name).unwrap();
    node.engine.broker().create_user(&Principal::node(), name, changes).await.unwrap();
}

async fn alter(node: &Node, name: &str, change: UserChange) {
    node.engine.broker().alter_user(&Principal::node(), name, vec![change]).await.unwrap();
}

/// Code and message of a refusal.
async fn refusal(node: &Node, more: &str) -> (String, String) {
    let Err(error) = node.try_client(more).await else { panic!("it was let in") };
    let error = error.as_db_error().unwrap_or_else(|| panic!("not the server's: {error:?}"));
    assert_eq!(error.severity(), "FATAL");
    (error.code().code().to_owned(), error.message().to_owned())
}

#[tokio::test]
async fn the_right_password_lets_its_user_in() {
    let node = node_of_ada().await;
    let client = node.try_client("password=right").await.unwrap();
    assert_eq!(one(&client, "SELECT current_user").await, "ada");
    assert_eq!(one(&client, "SELECT session_user").await, "ada");
    assert_eq!(one(&client, "SHOW is_superuser").await, "off");
    add(&node, "root", vec![UserChange::Superuser(true), UserChange::Password(b"r".to_vec())])
        .await;
    let root = node.try_client("user=root password=r").await.unwrap();
    assert_eq!(one(&root, "SHOW is_superuser").await, "on");
}

#[tokio::test]
async fn a_wrong_password_and_a_wrong_user_are_refused_in_the_same_words() {
    let node = node_of_ada().await;
    add(&node, "gone", vec![UserChange::Password(b"p".into()), UserChange::Disabled(true)]).await;
    let words = |user: &str| format!("password authentication failed for user \"{user}\"");
    for (more, user) in [
        ("password=wrong", "ada"),
        ("user=nobody password=right", "nobody"),
        ("user=gone password=p", "gone"),
        ("user=admin password=right", "admin"),
    ] {
        assert_eq!(refusal(&node, more).await, ("28P01".to_owned(), words(user)), "{more}");
    }
}

#[tokio::test]
async fn a_verifier_that_a_client_has_made_is_as_good_as_a_password() {
    let node = Node::start_asking().await;
    let mechanism = posthouse_access::Mechanism::ScramSha256;
    let verifier = Verifier::of_password(mechanism, b"made elsewhere", 4096).unwrap();
    add(&node, "ada", vec![UserChange::Verifier(verifier)]).await;
    node.try_client("password='made elsewhere'").await.unwrap();
    assert_eq!(refusal(&node, "password=other").await.0, "28P01");
}

#[tokio::test]
async fn a_session_ends_when_its_user_is_kept_out() {
    let node = node_of_ada().await;
    let client = node.try_client("password=right").await.unwrap();
    let busy = node.try_client("password=right").await.unwrap();
    let endless = tokio::spawn(async move {
        busy.simple_query("SELECT count(*) FROM generate_series(1, 1000000000000)").await
    });
    assert_eq!(one(&client, "SELECT 1").await, "1");
    alter(&node, "ada", UserChange::Disabled(true)).await;
    timeout(PATIENCE, async {
        while !client.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the idle session ends");
    let ended = timeout(PATIENCE, endless).await.expect("so does the busy one").unwrap();
    let error = ended.unwrap_err();
    let code = error.as_db_error().map(|error| error.code().code().to_owned());
    assert_eq!(code.as_deref(), Some("57P01"), "{error:?}");
    assert_eq!(refusal(&node, "password=right").await.0, "28P01");
}

#[tokio::test]
async fn a_node_that_asks_nobody_lets_everybody_in() {
    let node = Node::start().await;
    let client = node.try_client("user=whoever password=whatever").await.unwrap();
    assert_eq!(one(&client, "SELECT current_user").await, "whoever");
    assert_eq!(one(&client, "SHOW is_superuser").await, "off");
}

/// One message: its type and body.
async fn message(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let kind = stream.read_u8().await.unwrap();
    let len = stream.read_u32().await.unwrap();
    let mut body = vec![0; usize::try_from(len).unwrap() - 4];
    stream.read_exact(&mut body).await.unwrap();
    (kind, body)
}

fn answer(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [b"p", &len[..], body].concat()
}

/// The code that the node ends the connection with after these answers.
async fn end_after(node: &Node, answers: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(START).await.unwrap();
    let offered = message(&mut stream).await;
    assert_eq!(offered, (b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0".to_vec()));
    for body in answers {
        stream.write_all(body).await.unwrap();
    }
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("a close").unwrap();
    let text = String::from_utf8_lossy(&rest);
    let (_, code) = text.split_once("VFATAL\0C").unwrap_or_else(|| panic!("{text:?}"));
    code[..5].to_owned()
}

#[tokio::test]
async fn answers_that_are_no_answers_end_the_connection() {
    let node = node_of_ada().await;
    let plus = answer(b"SCRAM-SHA-256-PLUS\0\0\0\0\x05p=x,,");
    let md5 = answer(b"md5abc\0\0\0\0\0");
    let short = answer(b"SCRAM-SHA-256");
    let malformed = answer(b"SCRAM-SHA-256\0\0\0\0\x03abc");
    let asked = answer(b"SCRAM-SHA-256\0\xff\xff\xff\xff");
    let query = b"Q\0\0\0\x0dSELECT 1\0".to_vec();
    let first = answer(b"SCRAM-SHA-256\0\0\0\0\x0bn,,n=,r=abc");
    let nonce = answer(b"c=biws,r=other,p=AAAA");
    for (answers, code) in [
        (&[&plus[..]][..], "08P01"),
        (&[&md5[..]], "08P01"),
        (&[&short[..]], "08P01"),
        (&[&malformed[..]], "08P01"),
        (&[&asked[..], &answer(b"nonsense")[..]], "08P01"),
        (&[&query[..]], "08P01"),
        (&[&first[..], &nonce[..]], "08P01"),
        (&[&first[..], &query[..]], "08P01"),
    ] {
        assert_eq!(end_after(&node, answers).await, code, "{answers:?}");
    }
}
