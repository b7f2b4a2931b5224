//! From the first byte to the peer's introduction: opening, greeting, mechanism.
//!
//! # Source
//! 37/ZMTP "Greeting" and "Handshake"; 15/ZMTP for peers of 2.0.

use bytes::{Buf, Bytes};

use super::{
    HANDSHAKE_COMMAND_BYTES_MAX, IDENTITY_BYTES_MAX, Peer, Role, Session, SessionError, State,
};
use crate::codec::command::Metadata;
use crate::codec::greeting::{
    Opening, Version, read_opening, read_rest_of_greeting, rest_of_greeting,
};
use crate::codec::{CodecError, Decoded};
use crate::mechanism::{DENIED, Mechanism, MechanismError, Step};
use crate::socket_type::SocketType;

impl Session {
    /// One step towards traffic; `missing` is 0 when another may follow.
    pub(super) fn poll_handshake(&mut self) -> Result<Option<Peer>, SessionError> {
        match &mut self.state {
            State::Opening => self.poll_opening().map(|()| None),
            State::Greeting => self.poll_greeting().map(|()| None),
            State::V2SocketType => {
                let Some(&code) = self.input.first() else { return Ok(self.short(1)) };
                let kind = SocketType::from_code(code).ok_or(CodecError::SocketCode(code))?;
                self.input.advance(1);
                self.state = State::V2Identity(kind);
                self.missing = 0;
                Ok(None)
            }
            State::V2Identity(kind) => {
                let kind = *kind;
                let Some((_, _, identity)) = self.frame(IDENTITY_BYTES_MAX)? else {
                    return Ok(None);
                };
                self.state = State::Admission(None);
                self.arrived(kind, identity, Metadata::default()).map(Some)
            }
            State::Handshake(_) => self.poll_mechanism(),
            State::Admission(_) | State::Traffic(_) | State::Ended => Ok(self.short(1)),
        }
    }

    fn poll_opening(&mut self) -> Result<(), SessionError> {
        match read_opening(&self.input)? {
            Decoded::Need { at_least } => {
                self.missing = at_least - self.input.len();
                return Ok(());
            }
            Decoded::Value { value: Opening::V3, used } => {
                self.input.advance(used);
                let security = &self.config.security;
                let rest = rest_of_greeting(security.name(), security.is_server());
                self.output.push_raw(&rest);
                self.state = State::Greeting;
            }
            Decoded::Value { value: Opening::V2, used } => {
                // SPEC: 15/ZMTP has no mechanisms; a socket that asks for one does not talk to it.
                if !self.config.security.is_null() {
                    return Err(self.mismatch("ZMTP 2.0 without security".to_owned()).into());
                }
                self.input.advance(used);
                self.version = Version::V2;
                self.output.push_raw(&[self.config.socket_type.code()]);
                self.output.push_copied_frame(false, false, &self.config.identity);
                self.state = State::V2SocketType;
            }
        }
        self.missing = 0;
        Ok(())
    }

    fn poll_greeting(&mut self) -> Result<(), SessionError> {
        let (greeting, used) = match read_rest_of_greeting(&self.input)? {
            Decoded::Value { value, used } => (value, used),
            Decoded::Need { at_least } => {
                self.missing = at_least - self.input.len();
                return Ok(());
            }
        };
        self.input.advance(used);
        self.version = greeting.version;
        if greeting.mechanism != self.config.security.name() {
            return Err(self.mismatch(greeting.mechanism).into());
        }
        // A PAIR has room for one: whoever comes is heard out before READY, to be refused if need be.
        let waits = self.role == Role::Accepted && self.config.socket_type == SocketType::Pair;
        let mut mechanism = Mechanism::new(&self.config.security, &self.metadata(), waits)?;
        if let Some(body) = mechanism.start()? {
            self.output.push_copied_frame(false, true, &body);
        }
        self.state = State::Handshake(mechanism);
        self.missing = 0;
        Ok(())
    }

    fn poll_mechanism(&mut self) -> Result<Option<Peer>, SessionError> {
        let Some((more, command, body)) = self.frame(HANDSHAKE_COMMAND_BYTES_MAX)? else {
            return Ok(None);
        };
        if more || !command {
            return Err(CodecError::Unexpected("a message in the handshake".to_owned()).into());
        }
        let State::Handshake(mechanism) = &mut self.state else { return Ok(None) };
        match mechanism.on_command(&body)? {
            Step::Send(body) => {
                self.output.push_copied_frame(false, true, &body);
                Ok(None)
            }
            Step::Peer(metadata) => {
                let State::Handshake(mechanism) = std::mem::replace(&mut self.state, State::Ended)
                else {
                    return Ok(None);
                };
                self.state = State::Admission(Some(mechanism));
                let name = metadata.value("Socket-Type").cloned().unwrap_or_default();
                let kind = std::str::from_utf8(&name).ok().and_then(|name| name.parse().ok());
                let kind = kind.ok_or(CodecError::Command("READY"))?;
                let identity = metadata.value("Identity").cloned().unwrap_or_default();
                self.arrived(kind, identity, metadata).map(Some)
            }
        }
    }

    /// The peer, if our types may talk.
    fn arrived(
        &self,
        kind: SocketType,
        identity: Bytes,
        metadata: Metadata,
    ) -> Result<Peer, SessionError> {
        let ours = self.config.socket_type;
        if !ours.may_talk_to(kind) {
            return Err(SessionError::Incompatible { ours, theirs: kind });
        }
        if identity.len() > IDENTITY_BYTES_MAX {
            return Err(CodecError::Command("READY").into());
        }
        let version = self.version;
        Ok(Peer { socket_type: kind, identity, version, metadata })
    }

    /// What we tell about ourselves.
    fn metadata(&self) -> Metadata {
        let mut metadata = Metadata::default();
        metadata.push("Socket-Type", self.config.socket_type.name());
        if self.config.socket_type.announces_identity() {
            metadata.push("Identity", self.config.identity.clone());
        }
        metadata
    }

    fn mismatch(&self, theirs: String) -> MechanismError {
        MechanismError::Mismatch { ours: self.config.security.name().to_owned(), theirs }
    }

    /// Says goodbye in the protocol's words where it has some.
    pub(super) fn fail(&mut self, error: SessionError) -> SessionError {
        match &error {
            SessionError::Incompatible { .. } => self.refuse(&error.to_string()),
            SessionError::Mechanism(MechanismError::Denied) => self.refuse(DENIED),
            _ => self.state = State::Ended,
        }
        error
    }
}
