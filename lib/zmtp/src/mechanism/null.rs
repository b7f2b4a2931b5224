//! NULL: both sides say READY.
//!
//! # Source
//! 37/ZMTP "The NULL Security Mechanism".

use super::{MechanismError, Step, unexpected};
use crate::codec::command::Metadata;

/// One side of the handshake.
pub(crate) struct Null {
    /// READY, until it has been said.
    ready: Option<Vec<u8>>,
    waits: bool,
    heard: bool,
}

impl Null {
    pub(crate) fn new(metadata: Vec<u8>, waits: bool) -> Null {
        let ready = [b"\x05READY".as_slice(), &metadata].concat();
        Null { ready: Some(ready), waits, heard: false }
    }

    pub(crate) fn start(&mut self) -> Option<Vec<u8>> {
        if self.waits { None } else { self.ready.take() }
    }

    pub(crate) fn on_command(&mut self, name: &[u8], rest: &[u8]) -> Result<Step, MechanismError> {
        if name != b"READY" || self.heard {
            return unexpected(name);
        }
        self.heard = true;
        Ok(Step::Peer(Metadata::read(rest)?))
    }

    pub(crate) fn admit(&mut self) -> Option<Vec<u8>> {
        self.ready.take()
    }
}
