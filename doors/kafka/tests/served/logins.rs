//! Who is let in, and what becomes of who is not.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::*;
use posthouse_access::UserName;
use posthouse_broker::{AuthenticationConfig, BrokerConfig, NewToken, UserChange};
use posthouse_kafka::{KafkaConfig, PlainPolicy};
use posthouse_types::Principal;

use crate::client::{Client, Door, text};

const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
const ILLEGAL_SASL_STATE: i16 = 34;
const SASL_AUTHENTICATION_FAILED: i16 = 58;

pub(crate) async fn asking(kafka: KafkaConfig) -> Door {
    let authentication = AuthenticationConfig { required: true, ..AuthenticationConfig::default() };
    let broker = BrokerConfig {
        authentication,
        initial_rebalance_delay: Duration::ZERO,
        ..BrokerConfig::default()
    };
    let door = Door::open_with(broker, kafka).await;
    for name in ["alice", "root"] {
        let changes =
            vec![UserChange::Password(b"s3cret".to_vec()), UserChange::Superuser(name == "root")];
        let name = UserName::new(name).unwrap();
        door.broker.create_user(&Principal::node(), name, changes).await.unwrap();
    }
    door
}

pub(crate) fn on_loopback() -> KafkaConfig {
    KafkaConfig { sasl_plain: PlainPolicy::Loopback, ..KafkaConfig::default() }
}

async fn handshake(client: &mut Client, version: i16, name: &str) -> (i16, Vec<String>) {
    let request = SaslHandshakeRequest::default().with_mechanism(text(name));
    let response = client.call(version, &request).await;
    (response.error_code, response.mechanisms.iter().map(ToString::to_string).collect())
}

pub(crate) async fn plain(
    client: &mut Client,
    user: &str,
    password: &str,
) -> SaslAuthenticateResponse {
    assert_eq!(handshake(client, 1, "PLAIN").await.0, 0);
    let message = Bytes::from(format!("\0{user}\0{password}"));
    client.call(2, &SaslAuthenticateRequest::default().with_auth_bytes(message)).await
}

async fn metadata(client: &mut Client) -> MetadataResponse {
    client.call(13, &MetadataRequest::default().with_topics(None)).await
}

#[tokio::test]
async fn nothing_else_is_answered_before_login() {
    let door = asking(on_loopback()).await;
    let mut client = door.connect().await;
    let versions = client.call(0, &ApiVersionsRequest::default()).await;
    let keys: Vec<i16> = versions.api_keys.iter().map(|one| one.api_key).collect();
    assert!(keys.contains(&17) && keys.contains(&36));
    client.send(13, &MetadataRequest::default()).await;
    assert!(client.is_closed().await);
    door.close().await;
}

#[tokio::test]
async fn a_password_opens_the_door_and_a_wrong_one_closes_it() {
    let door = asking(on_loopback()).await;
    let mut client = door.connect().await;
    let response = plain(&mut client, "root", "s3cret").await;
    assert_eq!((response.error_code, response.session_lifetime_ms), (0, 0));
    metadata(&mut client).await;
    let mut told = Vec::new();
    for (user, password) in [("root", "wrong"), ("nobody", "s3cret"), ("", ""), ("root", "")] {
        let mut client = door.connect().await;
        let response = plain(&mut client, user, password).await;
        assert_eq!(response.error_code, SASL_AUTHENTICATION_FAILED, "{user}");
        told.push(response.error_message.unwrap().to_string());
        assert!(client.is_closed().await);
    }
    told.dedup();
    assert_eq!(told.len(), 1, "the answer says what was wrong: {told:?}");
    door.close().await;
}

#[tokio::test]
async fn a_token_stands_for_its_users_password() {
    let door = asking(on_loopback()).await;
    let new =
        NewToken { user: UserName::new("root").unwrap(), label: String::new(), expires: None };
    let token = door.broker.create_token(&Principal::node(), new).await.unwrap();
    let token = token.reveal();
    assert_eq!(plain(&mut door.connect().await, "root", &token).await.error_code, 0);
    let refused = plain(&mut door.connect().await, "alice", &token).await;
    assert_eq!(refused.error_code, SASL_AUTHENTICATION_FAILED, "it is not alice's");
    door.close().await;
}

#[tokio::test]
async fn a_password_is_not_taken_in_the_clear_unless_told_so() {
    let door = asking(KafkaConfig::default()).await;
    let mut client = door.connect().await;
    let (code, offered) = handshake(&mut client, 1, "PLAIN").await;
    assert_eq!(code, UNSUPPORTED_SASL_MECHANISM);
    assert_eq!(offered, ["SCRAM-SHA-256", "SCRAM-SHA-512"]);
    assert!(client.is_closed().await);
    door.close().await;
}

#[tokio::test]
async fn messages_after_the_first_handshake_version_have_no_header() {
    let door = asking(on_loopback()).await;
    let mut client = door.connect().await;
    assert_eq!(handshake(&mut client, 0, "PLAIN").await.0, 0);
    client.send_bytes(b"\0\0\0\x0c\0root\0s3cret").await;
    assert_eq!(client.receive_frame().await.unwrap(), Bytes::new());
    metadata(&mut client).await;
    let mut client = door.connect().await;
    handshake(&mut client, 0, "PLAIN").await;
    client.send_bytes(b"\0\0\0\x0b\0root\0wrong").await;
    assert!(client.is_closed().await, "there is no place for an error");
    door.close().await;
}

#[tokio::test]
async fn a_login_without_a_handshake_is_illegal() {
    let door = asking(on_loopback()).await;
    let mut client = door.connect().await;
    let response = client.call(2, &SaslAuthenticateRequest::default()).await;
    assert_eq!(response.error_code, ILLEGAL_SASL_STATE);
    assert!(client.is_closed().await);
    let mut client = door.connect().await;
    plain(&mut client, "root", "s3cret").await;
    assert_eq!(handshake(&mut client, 1, "PLAIN").await.0, ILLEGAL_SASL_STATE);
    metadata(&mut client).await;
    door.close().await;
}

#[tokio::test]
async fn where_nobody_is_asked_nobody_logs_in() {
    let door = Door::open().await;
    let mut client = door.connect().await;
    assert_eq!(handshake(&mut client, 1, "PLAIN").await.0, ILLEGAL_SASL_STATE);
    metadata(&mut client).await;
    door.close().await;
}

#[tokio::test]
async fn a_connection_ends_with_its_user() {
    let door = asking(on_loopback()).await;
    let mut client = door.connect().await;
    plain(&mut client, "alice", "s3cret").await;
    metadata(&mut client).await;
    door.broker.delete_user(&Principal::node(), "alice").await.unwrap();
    assert!(client.is_closed().await);
    door.close().await;
}

#[tokio::test]
async fn a_login_that_is_not_renewed_ends() {
    let lasts = Duration::from_millis(200);
    let door = asking(KafkaConfig { reauthenticate_after: Some(lasts), ..on_loopback() }).await;
    let mut client = door.connect().await;
    assert_eq!(plain(&mut client, "alice", "s3cret").await.session_lifetime_ms, 200);
    assert!(client.is_closed().await);
    door.close().await;
}

#[tokio::test]
async fn a_large_request_is_not_read_before_login() {
    let door = asking(on_loopback()).await;
    let mut client = door.connect().await;
    client.send_bytes(&65_537_u32.to_be_bytes()).await;
    assert!(client.is_closed().await);
    door.close().await;
}
