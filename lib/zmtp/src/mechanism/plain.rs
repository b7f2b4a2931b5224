//! PLAIN: a user name and a password in clear text.
//!
//! # Source
//! 24/ZMTP-PLAIN.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::{Credentials, MechanismError, Step, Verifier, unexpected};
use crate::codec::CodecError;
use crate::codec::command::Metadata;

/// What a PLAIN client says.
#[derive(Clone)]
pub struct PlainClient {
    username: String,
    password: String,
}

impl PlainClient {
    /// A user name and a password.
    ///
    /// # Errors
    /// One of them is longer than 255 bytes, which the protocol cannot say.
    pub fn new(username: &str, password: &str) -> Result<PlainClient, PlainTooLong> {
        if username.len() > 255 || password.len() > 255 {
            return Err(PlainTooLong);
        }
        Ok(PlainClient { username: username.to_owned(), password: password.to_owned() })
    }
}

impl fmt::Debug for PlainClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PlainClient")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// A user name or a password is longer than the protocol can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a PLAIN user name or password is longer than 255 bytes")]
pub struct PlainTooLong;

/// Decides whom a PLAIN server lets in.
#[derive(Clone)]
pub struct PlainServer {
    verifier: Verifier<(String, String)>,
}

impl PlainServer {
    /// Lets in exactly one user.
    pub fn single(username: &str, password: &str) -> PlainServer {
        let expected = (username.to_owned(), password.to_owned());
        PlainServer::new(move |username, password| {
            // Both are compared whole, so that the time taken tells nothing.
            let name = username.as_bytes().ct_eq(expected.0.as_bytes());
            bool::from(name & password.as_bytes().ct_eq(expected.1.as_bytes()))
        })
    }

    /// Lets in whom `verifier` accepts, which is given the user name and the password. It is called on
    /// the connection's task and must not block.
    pub fn new(verifier: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> PlainServer {
        PlainServer { verifier: Arc::new(move |(name, password)| verifier(name, password)) }
    }
}

impl fmt::Debug for PlainServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PlainServer")
    }
}

/// The client's side: HELLO, WELCOME, INITIATE, READY.
pub(crate) struct Client {
    config: PlainClient,
    metadata: Vec<u8>,
    awaits: &'static [u8],
}

impl Client {
    pub(crate) fn new(config: PlainClient, metadata: Vec<u8>) -> Client {
        Client { config, metadata, awaits: b"WELCOME" }
    }

    pub(crate) fn start(&mut self) -> Vec<u8> {
        let mut hello = b"\x05HELLO".to_vec();
        for text in [&self.config.username, &self.config.password] {
            hello.push(u8::try_from(text.len()).expect("checked when the client was made"));
            hello.extend_from_slice(text.as_bytes());
        }
        hello
    }

    pub(crate) fn on_command(&mut self, name: &[u8], rest: &[u8]) -> Result<Step, MechanismError> {
        match name {
            b"WELCOME" if name == self.awaits => {
                self.awaits = b"READY";
                Ok(Step::Send([b"\x08INITIATE".as_slice(), &self.metadata].concat()))
            }
            b"READY" if name == self.awaits => {
                self.awaits = b"";
                Ok(Step::Peer(Metadata::read(rest)?))
            }
            _ => unexpected(name),
        }
    }
}

/// The server's side.
pub(crate) struct Server {
    config: PlainServer,
    metadata: Vec<u8>,
    awaits: &'static [u8],
    shown: Option<Credentials>,
}

impl Server {
    pub(crate) fn new(config: PlainServer, metadata: Vec<u8>) -> Server {
        Server { config, metadata, awaits: b"HELLO", shown: None }
    }

    pub(crate) fn on_command(&mut self, name: &[u8], rest: &[u8]) -> Result<Step, MechanismError> {
        match name {
            b"HELLO" if name == self.awaits => {
                let credentials = read_hello(rest).ok_or(CodecError::Command("HELLO"))?;
                if !(self.config.verifier)(&credentials) {
                    return Err(MechanismError::Denied);
                }
                let (username, password) = credentials;
                self.shown = Some(Credentials::Plain { username, password });
                self.awaits = b"INITIATE";
                Ok(Step::Send(b"\x07WELCOME".to_vec()))
            }
            b"INITIATE" if name == self.awaits => {
                self.awaits = b"";
                Ok(Step::Peer(Metadata::read(rest)?))
            }
            _ => unexpected(name),
        }
    }

    pub(crate) fn credentials(&mut self) -> Option<Credentials> {
        self.shown.take()
    }

    pub(crate) fn admit(&mut self) -> Vec<u8> {
        [b"\x05READY".as_slice(), &self.metadata].concat()
    }
}

/// The user name and the password; what is not UTF-8 belongs to no user.
fn read_hello(rest: &[u8]) -> Option<(String, String)> {
    let text = |input: &[u8]| -> Option<(String, usize)> {
        let (&len, rest) = input.split_first()?;
        let text = rest.get(..usize::from(len))?;
        Some((String::from_utf8(text.to_vec()).ok()?, 1 + usize::from(len)))
    };
    let (username, used) = text(rest)?;
    let (password, last) = text(&rest[used..])?;
    (used + last == rest.len()).then_some((username, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shake(client: &str, server: &str) -> Result<(Metadata, Metadata), MechanismError> {
        let mut metadata = Vec::new();
        let mut ours = Metadata::default();
        ours.push("Socket-Type", "PUSH");
        ours.write(&mut metadata);
        let config = PlainClient::new("admin", client).unwrap();
        let mut client = Client::new(config, metadata.clone());
        let mut server = Server::new(PlainServer::single("admin", server), metadata);
        let on_client = |client: &mut Client, body: Vec<u8>| {
            let (name, rest) = crate::codec::command::split(&body).unwrap();
            client.on_command(name, rest)
        };
        let on_server = |server: &mut Server, body: Vec<u8>| {
            let (name, rest) = crate::codec::command::split(&body).unwrap();
            server.on_command(name, rest)
        };
        let Step::Send(welcome) = on_server(&mut server, client.start())? else { panic!() };
        let Step::Send(initiate) = on_client(&mut client, welcome)? else { panic!() };
        let Step::Peer(of_client) = on_server(&mut server, initiate)? else { panic!() };
        let Step::Peer(of_server) = on_client(&mut client, server.admit())? else { panic!() };
        Ok((of_client, of_server))
    }

    #[test]
    fn the_right_password_lets_in() {
        let (one, other) = shake("secret", "secret").unwrap();
        assert_eq!(one, other);
        assert_eq!(one.value("Socket-Type").unwrap(), "PUSH");
    }

    #[test]
    fn a_wrong_password_is_denied() {
        for wrong in ["", "secre", "Secret", "secrets"] {
            assert!(matches!(shake(wrong, "secret"), Err(MechanismError::Denied)), "{wrong:?}");
        }
    }

    #[test]
    fn no_step_can_be_left_out_or_repeated() {
        let mut server = Server::new(PlainServer::single("a", "b"), Vec::new());
        assert!(server.on_command(b"INITIATE", b"").is_err());
        assert!(server.on_command(b"HELLO", b"\x01a\x01b").is_ok());
        assert!(server.on_command(b"HELLO", b"\x01a\x01b").is_err());
        assert!(server.on_command(b"INITIATE", b"").is_ok());
        assert!(server.on_command(b"INITIATE", b"").is_err());
    }

    #[test]
    fn a_hello_that_does_not_fit_is_malformed() {
        for rest in [&b""[..], b"\x02a", b"\x01a", b"\x01a\x02b", b"\x01a\x01bc", b"\x01\xff\x00"] {
            assert_eq!(read_hello(rest), None, "{rest:?}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let client = PlainClient::new("admin", "hunter2").unwrap();
        assert!(!format!("{client:?}").contains("hunter2"));
    }
}
