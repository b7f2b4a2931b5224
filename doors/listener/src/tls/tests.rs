use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsConnector;
use tokio_rustls::{client, server};

use super::testing::{Authority, Pair, der, localhost};
use super::*;

type Ends = (server::TlsStream<DuplexStream>, TlsPeer, client::TlsStream<DuplexStream>);

/// A handshake over a pipe.
async fn shake(tls: &Tls, alpn: Alpn, connector: &TlsConnector) -> Result<Ends, HandshakeError> {
    let (near, far) = duplex(16 * 1024);
    let acceptor = tls.acceptor(alpn);
    let (accepted, connected) =
        tokio::join!(acceptor.accept(near, || {}), connector.connect(localhost(), far));
    let (server, peer) = accepted?;
    Ok((server, peer, connected.unwrap()))
}

fn shown(client: &client::TlsStream<DuplexStream>) -> Vec<u8> {
    client.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn is_resumed(client: &client::TlsStream<DuplexStream>) -> bool {
    client.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
}

/// Sends both ways, so that tickets arrive, too.
async fn converse(
    server: &mut server::TlsStream<DuplexStream>,
    client: &mut client::TlsStream<DuplexStream>,
) {
    for _ in 0..2 {
        server.write_all(b"ping").await.unwrap();
        server.flush().await.unwrap();
        client.read_exact(&mut [0; 4]).await.unwrap();
        client.write_all(b"pong").await.unwrap();
        client.flush().await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
    }
}

#[tokio::test]
async fn a_handshake_tells_who_the_client_is_and_what_binds_to_it() {
    let authority = Authority::new();
    let server = authority.server(2027);
    authority.install(&server);
    let tls = authority.load(ClientCertificates::Require).unwrap();
    let ada = authority.client("ada");
    let (_, peer, _) = shake(&tls, Alpn::None, &authority.connector(Some(&ada))).await.unwrap();
    let certificate = peer.certificate.unwrap();
    assert_eq!(certificate.subject, "CN=ada");
    assert_eq!(certificate.der, der(&ada).to_vec());
    assert_eq!(peer.endpoint_binding.unwrap(), Sha256::digest(der(&server))[..]);
    assert_eq!(peer.version, "1.3");
}

#[tokio::test]
async fn a_required_certificate_must_be_shown_and_must_be_ours() {
    let authority = Authority::new();
    let required = authority.load(ClientCertificates::Require).unwrap();
    let requested = authority.load(ClientCertificates::Request).unwrap();
    let nothing = authority.connector(None);
    let stranger = Authority::new().client("ada");
    let stranger = authority.connector(Some(&stranger));
    let refused = |result: Result<Ends, HandshakeError>| match result {
        Err(error) => assert!(matches!(error, HandshakeError::Tls(_)), "{error:?}"),
        Ok(_) => panic!("it was let in"),
    };
    // In TLS 1.3 a client is done before the server has seen its certificate, so only the server
    // knows.
    refused(shake(&required, Alpn::None, &nothing).await);
    refused(shake(&required, Alpn::None, &stranger).await);
    refused(shake(&requested, Alpn::None, &stranger).await);
    let (_, peer, _) = shake(&requested, Alpn::None, &nothing).await.unwrap();
    assert_eq!(peer.certificate, None);
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_old_ones_go_on() {
    let authority = Authority::new();
    let tls = authority.load(ClientCertificates::Off).unwrap();
    let connector = authority.connector(None);
    let (mut server, _, mut client) = shake(&tls, Alpn::None, &connector).await.unwrap();
    converse(&mut server, &mut client).await;
    assert_eq!(tls.reload().unwrap(), Reload::Unchanged);
    let next = authority.server(2028);
    authority.install(&next);
    assert_eq!(tls.reload().unwrap(), Reload::Replaced);
    let (_, peer, after) = shake(&tls, Alpn::None, &authority.connector(None)).await.unwrap();
    assert_eq!(shown(&after), der(&next).to_vec());
    assert_ne!(shown(&client), shown(&after));
    assert_eq!(peer.endpoint_binding.unwrap(), Sha256::digest(der(&next))[..]);
    converse(&mut server, &mut client).await;
}

#[tokio::test]
async fn nothing_from_before_a_reload_is_resumed() {
    let authority = Authority::new();
    let tls = authority.load(ClientCertificates::Request).unwrap();
    let ada = authority.client("ada");
    let connector = authority.connector(Some(&ada));
    let (mut server, _, mut client) = shake(&tls, Alpn::None, &connector).await.unwrap();
    converse(&mut server, &mut client).await;
    let (mut server, peer, mut client) = shake(&tls, Alpn::None, &connector).await.unwrap();
    assert!(is_resumed(&client));
    assert_eq!(peer.certificate.unwrap().subject, "CN=ada", "a resumed client is who it was");
    converse(&mut server, &mut client).await;
    authority.install(&authority.server(2028));
    tls.reload().unwrap();
    let (_, _, client) = shake(&tls, Alpn::None, &connector).await.unwrap();
    assert!(!is_resumed(&client));
}

#[tokio::test]
async fn bad_new_files_change_nothing_and_are_told_of_once() {
    let authority = Authority::new();
    let good = authority.server(2027);
    authority.install(&good);
    let tls = authority.load(ClientCertificates::Off).unwrap();
    authority.write("server.key", "no key");
    assert!(matches!(tls.reload(), Err(TlsError::NoKey { .. })));
    assert_eq!(tls.reload().unwrap(), Reload::Unchanged);
    std::fs::remove_file(authority.path().join("server.pem")).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Read { .. })));
    assert_eq!(tls.reload().unwrap(), Reload::Unchanged);
    let connector = authority.connector(None);
    let (_, _, client) = shake(&tls, Alpn::None, &connector).await.unwrap();
    assert_eq!(shown(&client), der(&good).to_vec());
    authority.install(&good);
    assert_eq!(tls.reload().unwrap(), Reload::Replaced);
}

#[tokio::test]
async fn each_door_agrees_on_its_own_protocol() {
    let authority = Authority::new();
    let tls = authority.load(ClientCertificates::Off).unwrap();
    let offering = |protocols: &[&[u8]]| {
        let mut config = authority.connector(None).config().as_ref().clone();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        TlsConnector::from(std::sync::Arc::new(config))
    };
    let agreed = async |alpn, protocols: &[&[u8]]| {
        let (_, peer, _) = shake(&tls, alpn, &offering(protocols)).await.unwrap();
        peer.alpn
    };
    assert_eq!(agreed(Alpn::Http, &[b"http/1.1", b"h2"]).await.unwrap(), "h2");
    assert_eq!(agreed(Alpn::Http, &[b"http/1.1"]).await.unwrap(), "http/1.1");
    assert_eq!(agreed(Alpn::Postgres, &[b"postgresql"]).await.unwrap(), "postgresql");
    assert_eq!(agreed(Alpn::Postgres, &[]).await, None);
    assert_eq!(agreed(Alpn::None, &[b"kafka"]).await, None);
}

fn refused(install: impl FnOnce(&Authority) -> Option<Pair>) -> TlsError {
    let authority = Authority::new();
    if let Some(pair) = install(&authority) {
        authority.install(&pair);
    }
    authority.load(ClientCertificates::Require).unwrap_err()
}

#[test]
fn what_cannot_serve_is_refused_with_the_file_and_the_way_out() {
    let certificate = |authority: &Authority| authority.server(2027).certificate;
    let check = |error: TlsError, words: &[&str]| {
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    let error = refused(|authority| {
        let key = authority.server(2027).key;
        Some(Pair { certificate: certificate(authority), key })
    });
    check(error, &["server.key", "server.pem", "belong"]);
    check(refused(|authority| Some(authority.server(2025))), &["server.pem", "expired"]);
    let error = refused(|authority| Some(Pair { key: String::new(), ..authority.server(2027) }));
    check(error, &["server.key", "no private key"]);
    let error =
        refused(|authority| Some(Pair { certificate: String::new(), ..authority.server(2027) }));
    check(error, &["server.pem", "no certificate"]);
    let error = refused(|authority| {
        std::fs::remove_file(authority.path().join("server.key")).unwrap();
        None
    });
    check(error, &["server.key", "may read it"]);
    let error = refused(|authority| {
        authority.write("authority.pem", "");
        None
    });
    check(error, &["authority.pem", "no certificate"]);
    let authority = Authority::new();
    let files =
        TlsFiles { client_authorities: None, ..authority.files(ClientCertificates::Request) };
    let clock = std::sync::Arc::new(posthouse_types::ManualClock::new(
        posthouse_types::Timestamp::from_ms(testing::TODAY_MS),
    ));
    check(Tls::load(files, clock).unwrap_err(), &["tls.client_authorities"]);
}

#[test]
fn neither_errors_nor_debug_output_show_a_key() {
    let authority = Authority::new();
    let tls = authority.load(ClientCertificates::Off).unwrap();
    let secret: String = authority.server(2027).key.lines().skip(1).take(1).collect();
    assert!(secret.len() > 20);
    let error = refused(|authority| {
        Some(Pair {
            key: format!("-----BEGIN PRIVATE KEY-----\n{secret}\n"),
            ..authority.server(2027)
        })
    });
    for text in [
        format!("{tls:?}"),
        format!("{:?}", tls.acceptor(Alpn::Http)),
        format!("{error:?} {error}"),
    ] {
        assert!(!text.contains(&secret) && !text.contains("PRIVATE KEY"), "{text}");
    }
}
