//! Both sides of CURVE on one thread.

use super::*;
use crate::codec::command::{Metadata, split};
use crate::mechanism::Step;

fn metadata() -> Vec<u8> {
    let mut metadata = Metadata::default();
    metadata.push("Socket-Type", "DEALER");
    let mut bytes = Vec::new();
    metadata.write(&mut bytes);
    bytes
}

fn on_client(client: &mut Client, body: &[u8]) -> Result<Step, MechanismError> {
    let (name, rest) = split(body)?;
    client.on_command(name, rest)
}

fn on_server(server: &mut Server, body: &[u8]) -> Result<Step, MechanismError> {
    let (name, rest) = split(body)?;
    server.on_command(name, rest)
}

fn sent(step: Step) -> Vec<u8> {
    match step {
        Step::Send(body) => body,
        Step::Peer(_) => panic!("not yet"),
    }
}

/// A client and a server after their handshake.
fn shake(client: CurveClient, server: CurveServer) -> Result<(Client, Server), MechanismError> {
    let mut client = Client::new(client, metadata())?;
    let mut server = Server::new(server, metadata())?;
    let hello = client.start()?;
    assert_eq!(hello.len(), 200);
    let welcome = sent(on_server(&mut server, &hello)?);
    assert_eq!(welcome.len(), 168);
    let initiate = sent(on_client(&mut client, &welcome)?);
    assert!(matches!(on_server(&mut server, &initiate)?, Step::Peer(_)));
    let ready = server.admit()?;
    assert!(matches!(on_client(&mut client, &ready)?, Step::Peer(_)));
    Ok((client, server))
}

fn keys() -> CurveKeys {
    CurveKeys::generate().unwrap()
}

/// The body of the one frame in an outbox.
fn sealed(traffic: &mut Traffic, more: bool, command: bool, body: &'static str) -> Vec<u8> {
    let mut outbox = Outbox::default();
    traffic.seal(&mut outbox, more, command, &Bytes::from(body)).unwrap();
    let mut slices = [std::io::IoSlice::new(&[]); crate::codec::outbox::SLICES_MAX];
    let count = outbox.slices(&mut slices);
    let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
    assert_eq!(bytes[0], 0, "a sealed frame says nothing about what is inside");
    bytes[2..].to_vec()
}

#[test]
fn what_one_side_seals_the_other_opens() {
    let (server_keys, client_keys) = (keys(), keys());
    let client = CurveClient::new(client_keys.clone(), server_keys.public());
    let server = CurveServer::only(server_keys, [client_keys.public()]);
    let (mut client, mut server) = shake(client, server).unwrap();
    for (more, command) in [(true, false), (false, true), (false, false)] {
        let body = sealed(client.traffic(), more, command, "to the server");
        let opened = server.traffic().open(&body).unwrap();
        assert_eq!(opened, (more, command, Bytes::from("to the server")));
    }
    let body = sealed(server.traffic(), false, false, "to the client");
    assert_eq!(client.traffic().open(&body).unwrap().2, "to the client");
}

#[test]
fn a_client_that_knows_another_server_is_not_understood() {
    let client = CurveClient::new(keys(), keys().public());
    let result = shake(client, CurveServer::anyone(keys()));
    assert!(matches!(result, Err(MechanismError::Sealed("HELLO"))));
}

#[test]
fn a_client_that_is_not_on_the_list_is_denied() {
    let server_keys = keys();
    let client = CurveClient::new(keys(), server_keys.public());
    let result = shake(client, CurveServer::only(server_keys, [keys().public()]));
    assert!(matches!(result, Err(MechanismError::Denied)));
}

#[test]
fn a_message_cannot_be_repeated_changed_or_sent_back() {
    let server_keys = keys();
    let client = CurveClient::new(keys(), server_keys.public());
    let (mut client, mut server) = shake(client, CurveServer::anyone(server_keys)).unwrap();
    let body = sealed(client.traffic(), false, false, "pay 10");
    let mut changed = body.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert!(client.traffic().open(&body).is_err(), "sent back");
    assert!(matches!(server.traffic().open(&changed), Err(MechanismError::Sealed(_))));
    // The changed one has used up its nonce, as a peer that sends such a thing is disconnected.
    assert!(matches!(server.traffic().open(&body), Err(MechanismError::Replayed)));
}

#[test]
fn every_truncation_of_a_handshake_is_refused() {
    let server_keys = keys();
    let config = CurveClient::new(keys(), server_keys.public());
    let hello = Client::new(config, metadata()).unwrap().start().unwrap();
    for cut in 0..hello.len() {
        let mut server = Server::new(CurveServer::anyone(server_keys.clone()), metadata()).unwrap();
        assert!(on_server(&mut server, &hello[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_key_pair_reads_back_and_shows_no_secret() {
    let pair = keys();
    let again = CurveKeys::from_secret_z85(&pair.secret_z85()).unwrap();
    assert_eq!(again.public(), pair.public());
    assert!(!format!("{pair:?}").contains(&pair.secret_z85()));
    assert_eq!(CurvePublicKey::from_z85(&pair.public().to_z85()), Ok(pair.public()));
    assert_eq!(CurvePublicKey::from_z85("short"), Err(CurveKeyError));
}
