//! CURVE: keys, the configuration of both sides, and the traffic that follows a handshake.
//!
//! # Invariants
//! - A nonce is used once for each pair of keys: counters only go up, long nonces are random.
//! - Whoever opens a box checks that its nonce is above the last one, so nothing can be replayed.
//!
//! # Source
//! 26/CURVEZMQ and 25/ZMTP-CURVE. Boxes are those of NaCl (X25519, XSalsa20, Poly1305), by the
//! `crypto_box` and `crypto_secretbox` crates.

mod client;
mod server;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use crypto_box::aead::{Aead, AeadInPlace};
use crypto_box::{PublicKey, SalsaBox, SecretKey};
use zeroize::Zeroizing;

use super::{MechanismError, Verifier};
use crate::codec::outbox::Outbox;
use crate::codec::{CodecError, z85};
pub(crate) use client::Client;
pub(crate) use server::Server;

/// What a box adds to what is in it.
const MAC_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
/// Flags inside a MESSAGE.
const MORE: u8 = 1;
const COMMAND: u8 = 2;
const MESSAGE: &[u8; 8] = b"\x07MESSAGE";
/// MESSAGE's name and nonce, its flags and its authenticator: the least a sealed frame has.
pub(crate) const OVERHEAD_BYTES: usize = MESSAGE.len() + 8 + 1 + MAC_BYTES;

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a CURVE key is 40 characters of Z85")]
pub struct CurveKeyError;

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CurvePublicKey([u8; KEY_BYTES]);

impl CurvePublicKey {
    /// A key from its 40 characters.
    ///
    /// # Errors
    /// The text is no key.
    pub fn from_z85(text: &str) -> Result<CurvePublicKey, CurveKeyError> {
        z85::decode(text).map(CurvePublicKey).ok_or(CurveKeyError)
    }

    /// A key from its bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> CurvePublicKey {
        CurvePublicKey(bytes)
    }

    /// The key's 40 characters.
    pub fn to_z85(&self) -> String {
        z85::encode(&self.0)
    }

    fn key(self) -> PublicKey {
        PublicKey::from(self.0)
    }
}

impl fmt::Debug for CurvePublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CurvePublicKey({})", self.to_z85())
    }
}

/// A key pair. Its secret is never shown by `Debug` and is wiped when it is dropped.
#[derive(Clone)]
pub struct CurveKeys {
    secret: SecretKey,
    public: CurvePublicKey,
}

impl CurveKeys {
    /// A new pair.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate() -> Result<CurveKeys, MechanismError> {
        let bytes = Zeroizing::new(random::<KEY_BYTES>()?);
        Ok(CurveKeys::from_secret_bytes(*bytes))
    }

    /// The pair of a secret key's 40 characters.
    ///
    /// # Errors
    /// The text is no key.
    pub fn from_secret_z85(text: &str) -> Result<CurveKeys, CurveKeyError> {
        z85::decode(text).map(CurveKeys::from_secret_bytes).ok_or(CurveKeyError)
    }

    /// The pair of a secret key.
    pub fn from_secret_bytes(bytes: [u8; KEY_BYTES]) -> CurveKeys {
        let secret = SecretKey::from(bytes);
        let public = CurvePublicKey(*secret.public_key().as_bytes());
        CurveKeys { secret, public }
    }

    /// The public key.
    pub fn public(&self) -> CurvePublicKey {
        self.public
    }

    /// The secret key's 40 characters.
    pub fn secret_z85(&self) -> String {
        z85::encode(&self.secret.to_bytes())
    }
}

impl fmt::Debug for CurveKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CurveKeys").field("public", &self.public).finish_non_exhaustive()
    }
}

/// A CURVE client: its own keys, and the server that it wants to talk to.
#[derive(Clone, Debug)]
pub struct CurveClient {
    keys: CurveKeys,
    server: CurvePublicKey,
}

impl CurveClient {
    /// A client with these keys of that server.
    pub fn new(keys: CurveKeys, server: CurvePublicKey) -> CurveClient {
        CurveClient { keys, server }
    }
}

/// A CURVE server: its own keys, and who may come in.
#[derive(Clone)]
pub struct CurveServer {
    keys: CurveKeys,
    verifier: Verifier<CurvePublicKey>,
}

impl CurveServer {
    /// Lets in everyone who knows the server's public key.
    pub fn anyone(keys: CurveKeys) -> CurveServer {
        CurveServer::new(keys, |_| true)
    }

    /// Lets in the clients with these public keys.
    pub fn only(keys: CurveKeys, clients: impl IntoIterator<Item = CurvePublicKey>) -> CurveServer {
        let clients: HashSet<CurvePublicKey> = clients.into_iter().collect();
        CurveServer::new(keys, move |client| clients.contains(client))
    }

    /// Lets in whom `verifier` accepts. It is called on the connection's task and must not block.
    pub fn new(
        keys: CurveKeys,
        verifier: impl Fn(&CurvePublicKey) -> bool + Send + Sync + 'static,
    ) -> CurveServer {
        CurveServer { keys, verifier: Arc::new(verifier) }
    }
}

impl fmt::Debug for CurveServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CurveServer").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// Sealing and opening frames once the handshake is done.
pub(crate) struct Traffic {
    shared: SalsaBox,
    ours: Counter,
    theirs: Counter,
}

impl Traffic {
    pub(crate) fn seal(
        &mut self,
        outbox: &mut Outbox,
        more: bool,
        command: bool,
        body: &Bytes,
    ) -> Result<(), MechanismError> {
        let (short, nonce) = self.ours.next();
        let mut frame = Vec::with_capacity(OVERHEAD_BYTES + body.len());
        frame.extend_from_slice(MESSAGE);
        frame.extend_from_slice(&short);
        // NaCl puts the authenticator before what it authenticates.
        let inside = frame.len() + MAC_BYTES;
        frame.resize(inside, 0);
        frame.push(u8::from(more) * MORE + u8::from(command) * COMMAND);
        frame.extend_from_slice(body);
        let tag = self
            .shared
            .encrypt_in_place_detached(&nonce.into(), &[], &mut frame[inside..])
            .map_err(|_| MechanismError::Sealed("MESSAGE"))?;
        frame[inside - MAC_BYTES..inside].copy_from_slice(&tag);
        outbox.push_frame(false, false, &Bytes::from(frame));
        Ok(())
    }

    pub(crate) fn open(&mut self, body: &[u8]) -> Result<(bool, bool, Bytes), MechanismError> {
        let rest = body.strip_prefix(MESSAGE).ok_or(CodecError::Command("MESSAGE"))?;
        let (short, sealed) =
            rest.split_first_chunk::<8>().ok_or(CodecError::Command("MESSAGE"))?;
        let nonce = self.theirs.accept(*short)?;
        let mut plain = open(&self.shared, nonce, sealed, "MESSAGE")?;
        let flags = *plain.first().ok_or(CodecError::Command("MESSAGE"))?;
        let body = Bytes::from(std::mem::take(&mut *plain)).slice(1..);
        Ok((flags & MORE != 0, flags & COMMAND != 0, body))
    }
}

/// Short nonces: a name of 16 bytes and a counter of 8.
struct Counter {
    name: &'static [u8; 16],
    last: u64,
}

impl Counter {
    fn new(name: &'static [u8; 16]) -> Counter {
        Counter { name, last: 0 }
    }

    /// The next nonce of our own: as it travels, and whole.
    fn next(&mut self) -> ([u8; 8], [u8; 24]) {
        self.last += 1;
        let short = self.last.to_be_bytes();
        (short, join(self.name, short))
    }

    /// The peer's nonce, which must be above the one before it.
    fn accept(&mut self, short: [u8; 8]) -> Result<[u8; 24], MechanismError> {
        let number = u64::from_be_bytes(short);
        if number <= self.last {
            return Err(MechanismError::Replayed);
        }
        self.last = number;
        Ok(join(self.name, short))
    }

    fn named(&self, name: &'static [u8; 16]) -> Counter {
        Counter { name, last: self.last }
    }
}

fn join(name: &[u8; 16], short: [u8; 8]) -> [u8; 24] {
    let mut nonce = [0; 24];
    nonce[..16].copy_from_slice(name);
    nonce[16..].copy_from_slice(&short);
    nonce
}

fn long_nonce(name: &[u8; 8], long: &[u8; 16]) -> [u8; 24] {
    let mut nonce = [0; 24];
    nonce[..8].copy_from_slice(name);
    nonce[8..].copy_from_slice(long);
    nonce
}

fn seal(
    shared: &SalsaBox,
    nonce: [u8; 24],
    plain: &[u8],
    what: &'static str,
) -> Result<Vec<u8>, MechanismError> {
    shared.encrypt(&nonce.into(), plain).map_err(|_| MechanismError::Sealed(what))
}

fn open(
    shared: &SalsaBox,
    nonce: [u8; 24],
    sealed: &[u8],
    what: &'static str,
) -> Result<Zeroizing<Vec<u8>>, MechanismError> {
    let plain = shared.decrypt(&nonce.into(), sealed);
    plain.map(Zeroizing::new).map_err(|_| MechanismError::Sealed(what))
}

fn random<const N: usize>() -> Result<[u8; N], MechanismError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(MechanismError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
