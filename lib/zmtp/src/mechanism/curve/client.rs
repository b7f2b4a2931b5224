//! The client's side of a CURVE handshake: HELLO, WELCOME, INITIATE, READY.

use crypto_box::SalsaBox;

use super::{
    Counter, CurveClient, CurveKeys, CurvePublicKey, KEY_BYTES, MAC_BYTES, MechanismError, Traffic,
    long_nonce, open, random, seal,
};
use crate::codec::CodecError;
use crate::codec::command::Metadata;
use crate::mechanism::{Step, unexpected};

const COOKIE_BYTES: usize = 96;

/// One client's handshake, then its traffic.
pub(crate) struct Client {
    config: CurveClient,
    /// Keys of this connection only, so that old traffic stays sealed when a long-term key leaks.
    transient: CurveKeys,
    metadata: Vec<u8>,
    counter: Counter,
    state: State,
}

enum State {
    AwaitsWelcome,
    AwaitsReady(SalsaBox),
    Done(Traffic),
    Failed,
}

impl Client {
    pub(crate) fn new(config: CurveClient, metadata: Vec<u8>) -> Result<Client, MechanismError> {
        Ok(Client {
            config,
            transient: CurveKeys::generate()?,
            metadata,
            counter: Counter::new(b"CurveZMQHELLO---"),
            state: State::AwaitsWelcome,
        })
    }

    /// HELLO: our transient key, and 64 zeros that only the server can open.
    pub(crate) fn start(&mut self) -> Result<Vec<u8>, MechanismError> {
        let (short, nonce) = self.counter.next();
        let shared = SalsaBox::new(&self.config.server.key(), &self.transient.secret);
        let mut hello = b"\x05HELLO\x01\x00".to_vec();
        // Padding makes HELLO longer than WELCOME, so that a server cannot be used to amplify.
        hello.resize(hello.len() + 72, 0);
        hello.extend_from_slice(&self.transient.public.0);
        hello.extend_from_slice(&short);
        hello.extend_from_slice(&seal(&shared, nonce, &[0; 64], "HELLO")?);
        Ok(hello)
    }

    pub(crate) fn on_command(&mut self, name: &[u8], rest: &[u8]) -> Result<Step, MechanismError> {
        match (&self.state, name) {
            (State::AwaitsWelcome, b"WELCOME") => self.on_welcome(rest),
            (State::AwaitsReady(_), b"READY") => self.on_ready(rest),
            _ => unexpected(name),
        }
    }

    pub(crate) fn traffic(&mut self) -> &mut Traffic {
        match &mut self.state {
            State::Done(traffic) => traffic,
            _ => unreachable!("a session has traffic only after its handshake"),
        }
    }

    fn on_welcome(&mut self, rest: &[u8]) -> Result<Step, MechanismError> {
        let malformed = CodecError::Command("WELCOME");
        let (nonce, sealed) = rest.split_first_chunk::<16>().ok_or(malformed.clone())?;
        if sealed.len() != KEY_BYTES + COOKIE_BYTES + MAC_BYTES {
            return Err(malformed.into());
        }
        let server = SalsaBox::new(&self.config.server.key(), &self.transient.secret);
        let plain = open(&server, long_nonce(b"WELCOME-", nonce), sealed, "WELCOME")?;
        let (key, cookie) = plain.split_first_chunk::<KEY_BYTES>().ok_or(malformed)?;
        let server_transient = CurvePublicKey(*key);
        let shared = SalsaBox::new(&server_transient.key(), &self.transient.secret);
        let initiate = self.initiate(&shared, server_transient, cookie)?;
        self.state = State::AwaitsReady(shared);
        Ok(Step::Send(initiate))
    }

    /// INITIATE: the cookie, and sealed in it our long-term key, what vouches for it, and metadata.
    fn initiate(
        &mut self,
        shared: &SalsaBox,
        server_transient: CurvePublicKey,
        cookie: &[u8],
    ) -> Result<Vec<u8>, MechanismError> {
        let vouch_nonce = random::<16>()?;
        let vouched = [self.transient.public.0, self.config.server.0].concat();
        let voucher = SalsaBox::new(&server_transient.key(), &self.config.keys.secret);
        let vouch = seal(&voucher, long_nonce(b"VOUCH---", &vouch_nonce), &vouched, "INITIATE")?;
        let mut plain = self.config.keys.public.0.to_vec();
        plain.extend_from_slice(&vouch_nonce);
        plain.extend_from_slice(&vouch);
        plain.extend_from_slice(&self.metadata);
        self.counter = self.counter.named(b"CurveZMQINITIATE");
        let (short, nonce) = self.counter.next();
        let mut initiate = b"\x08INITIATE".to_vec();
        initiate.extend_from_slice(cookie);
        initiate.extend_from_slice(&short);
        initiate.extend_from_slice(&seal(shared, nonce, &plain, "INITIATE")?);
        Ok(initiate)
    }

    fn on_ready(&mut self, rest: &[u8]) -> Result<Step, MechanismError> {
        let (short, sealed) = rest.split_first_chunk::<8>().ok_or(CodecError::Command("READY"))?;
        let State::AwaitsReady(shared) = std::mem::replace(&mut self.state, State::Failed) else {
            return unexpected(b"READY");
        };
        let mut theirs = Counter::new(b"CurveZMQREADY---");
        let nonce = theirs.accept(*short)?;
        let metadata = Metadata::read(&open(&shared, nonce, sealed, "READY")?)?;
        self.state = State::Done(Traffic {
            shared,
            ours: self.counter.named(b"CurveZMQMESSAGEC"),
            theirs: theirs.named(b"CurveZMQMESSAGES"),
        });
        Ok(Step::Peer(metadata))
    }
}
