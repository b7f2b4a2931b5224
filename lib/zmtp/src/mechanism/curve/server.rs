//! The server's side of a CURVE handshake.
//!
//! The specification lets a server forget a client between WELCOME and INITIATE, with its state sealed
//! in the cookie. A connection has a session here anyway, so the cookie is made and checked under a
//! key of this connection alone.

use crypto_box::SalsaBox;
use crypto_secretbox::XSalsa20Poly1305;
use crypto_secretbox::aead::{Aead, KeyInit};
use subtle::ConstantTimeEq;

use super::{
    Counter, CurveKeys, CurvePublicKey, CurveServer, KEY_BYTES, MAC_BYTES, MechanismError, Traffic,
    long_nonce, open, random, seal,
};
use crate::codec::CodecError;
use crate::codec::command::Metadata;
use crate::mechanism::{Credentials, Step, unexpected};

/// HELLO without its name: version, padding, key, nonce, box.
const HELLO_BYTES: usize = 2 + 72 + KEY_BYTES + 8 + 64 + MAC_BYTES;
/// What INITIATE's box has before the metadata: key, vouch nonce, vouch.
const VOUCHED_BYTES: usize = KEY_BYTES + 16 + 2 * KEY_BYTES + MAC_BYTES;

/// One client's handshake as the server sees it, then its traffic.
pub(crate) struct Server {
    config: CurveServer,
    metadata: Vec<u8>,
    theirs: Counter,
    state: State,
    shown: Option<Credentials>,
}

enum State {
    AwaitsHello,
    AwaitsInitiate { client: CurvePublicKey, transient: CurveKeys, cookie: Vec<u8> },
    AwaitsAdmission(SalsaBox),
    Done(Traffic),
    Failed,
}

impl Server {
    pub(crate) fn new(config: CurveServer, metadata: Vec<u8>) -> Result<Server, MechanismError> {
        let theirs = Counter::new(b"CurveZMQHELLO---");
        Ok(Server { config, metadata, theirs, state: State::AwaitsHello, shown: None })
    }

    pub(crate) fn on_command(&mut self, name: &[u8], rest: &[u8]) -> Result<Step, MechanismError> {
        match (&self.state, name) {
            (State::AwaitsHello, b"HELLO") => self.on_hello(rest),
            (State::AwaitsInitiate { .. }, b"INITIATE") => self.on_initiate(rest),
            _ => unexpected(name),
        }
    }

    pub(crate) fn credentials(&mut self) -> Option<Credentials> {
        self.shown.take()
    }

    /// READY, with which traffic begins.
    pub(crate) fn admit(&mut self) -> Result<Vec<u8>, MechanismError> {
        let State::AwaitsAdmission(shared) = std::mem::replace(&mut self.state, State::Failed)
        else {
            return unexpected(b"READY");
        };
        let mut ours = Counter::new(b"CurveZMQREADY---");
        let (short, nonce) = ours.next();
        let mut ready = b"\x05READY".to_vec();
        ready.extend_from_slice(&short);
        ready.extend_from_slice(&seal(&shared, nonce, &self.metadata, "READY")?);
        self.state = State::Done(Traffic {
            shared,
            ours: ours.named(b"CurveZMQMESSAGES"),
            theirs: self.theirs.named(b"CurveZMQMESSAGEC"),
        });
        Ok(ready)
    }

    pub(crate) fn traffic(&mut self) -> &mut Traffic {
        match &mut self.state {
            State::Done(traffic) => traffic,
            _ => unreachable!("a session has traffic only after its handshake"),
        }
    }

    fn on_hello(&mut self, rest: &[u8]) -> Result<Step, MechanismError> {
        if rest.len() != HELLO_BYTES || rest[..2] != [1, 0] {
            return Err(CodecError::Command("HELLO").into());
        }
        let rest = &rest[2 + 72..];
        let malformed = || CodecError::Command("HELLO");
        let (key, rest) = rest.split_first_chunk::<KEY_BYTES>().ok_or_else(malformed)?;
        let (short, sealed) = rest.split_first_chunk::<8>().ok_or_else(malformed)?;
        let client = CurvePublicKey(*key);
        let shared = SalsaBox::new(&client.key(), &self.config.keys.secret);
        let nonce = self.theirs.accept(*short)?;
        open(&shared, nonce, sealed, "HELLO")?;

        let transient = CurveKeys::generate()?;
        let cookie = cookie(client, &transient)?;
        let plain = [transient.public.0.as_slice(), &cookie].concat();
        let long = random::<16>()?;
        let mut welcome = b"\x07WELCOME".to_vec();
        welcome.extend_from_slice(&long);
        welcome.extend(seal(&shared, long_nonce(b"WELCOME-", &long), &plain, "WELCOME")?);
        self.state = State::AwaitsInitiate { client, transient, cookie };
        Ok(Step::Send(welcome))
    }

    fn on_initiate(&mut self, rest: &[u8]) -> Result<Step, MechanismError> {
        let malformed = || CodecError::Command("INITIATE");
        let State::AwaitsInitiate { client, transient, cookie } = &self.state else {
            return unexpected(b"INITIATE");
        };
        let (theirs, rest) = rest.split_at_checked(cookie.len()).ok_or_else(malformed)?;
        if !bool::from(theirs.ct_eq(cookie)) {
            return Err(MechanismError::Sealed("cookie"));
        }
        let (short, sealed) = rest.split_first_chunk::<8>().ok_or_else(malformed)?;
        self.theirs = self.theirs.named(b"CurveZMQINITIATE");
        let nonce = self.theirs.accept(*short)?;
        let shared = SalsaBox::new(&client.key(), &transient.secret);
        let plain = open(&shared, nonce, sealed, "INITIATE")?;
        let (vouched, metadata) = plain.split_at_checked(VOUCHED_BYTES).ok_or_else(malformed)?;
        let long_term = self.vouched_key(vouched, *client, transient)?;
        if !(self.config.verifier)(&long_term) {
            return Err(MechanismError::Denied);
        }
        let metadata = Metadata::read(metadata)?;
        self.shown = Some(Credentials::Curve(long_term));
        self.state = State::AwaitsAdmission(shared);
        Ok(Step::Peer(metadata))
    }

    /// The client's long-term key, once it has vouched for the transient one and means this server.
    fn vouched_key(
        &self,
        vouched: &[u8],
        client: CurvePublicKey,
        transient: &CurveKeys,
    ) -> Result<CurvePublicKey, MechanismError> {
        let malformed = || CodecError::Command("INITIATE");
        let (key, rest) = vouched.split_first_chunk::<KEY_BYTES>().ok_or_else(malformed)?;
        let (nonce, vouch) = rest.split_first_chunk::<16>().ok_or_else(malformed)?;
        let long_term = CurvePublicKey(*key);
        let voucher = SalsaBox::new(&long_term.key(), &transient.secret);
        let plain = open(&voucher, long_nonce(b"VOUCH---", nonce), vouch, "vouch")?;
        let expected = [client.0, self.config.keys.public.0].concat();
        if bool::from(plain.ct_eq(&expected)) {
            Ok(long_term)
        } else {
            Err(MechanismError::Sealed("vouch"))
        }
    }
}

/// What the client gives back in INITIATE: both transient keys under a key that nobody keeps.
fn cookie(client: CurvePublicKey, transient: &CurveKeys) -> Result<Vec<u8>, MechanismError> {
    let key = random::<KEY_BYTES>()?;
    let long = random::<16>()?;
    let plain = [client.0, transient.secret.to_bytes()].concat();
    let sealed = XSalsa20Poly1305::new(&key.into())
        .encrypt(&long_nonce(b"COOKIE--", &long).into(), plain.as_slice())
        .map_err(|_| MechanismError::Sealed("cookie"))?;
    Ok([long.as_slice(), &sealed].concat())
}
