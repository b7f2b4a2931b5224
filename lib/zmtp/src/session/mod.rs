//! One connection's protocol, from the first byte to the last, without I/O.
//!
//! Bytes are read into `Session::input`, events come out of `Session::poll`, what is to be sent
//! goes into `Session::send` and comes out of `Session::output` as bytes. Time is an argument.
//! Deciding whether a peer is welcome, and where its messages go, is for the owner.
//!
//! # Invariants
//! - No message comes out before the owner has admitted the peer.
//! - A message comes out whole; its frames together are within the configured size.
//!
//! # Source
//! 37/ZMTP, with 23/ZMTP (3.0) and 15/ZMTP (2.0) for older peers.

mod error;
mod handshake;
mod heartbeat;
mod peer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};

use crate::codec::command::{Command, error_body};
use crate::codec::frame::read_header;
use crate::codec::greeting::{Version, opening};
use crate::codec::outbox::Outbox;
use crate::codec::{CodecError, Decoded};
use crate::mechanism::{Credentials, DENIED, Mechanism, MechanismError, Security};
use crate::message::Message;
use crate::socket_type::SocketType;
pub use error::SessionError;
use heartbeat::Heartbeat;
pub use heartbeat::HeartbeatConfig;
pub use peer::Peer;

/// LIMIT: a command of a handshake; the largest that a peer needs is an INITIATE with its metadata.
const HANDSHAKE_COMMAND_BYTES_MAX: usize = 16 * 1024;
/// LIMIT: a routing id, by the specification.
const IDENTITY_BYTES_MAX: usize = 255;
/// LIMIT: frames of one message, because an empty frame takes memory too.
const FRAMES_MAX: usize = 64 * 1024;
/// What sealing adds to a frame, at most.
const SEAL_BYTES_MAX: usize = 64;

/// What a session is to be.
#[derive(Clone, Debug)]
pub(crate) struct SessionConfig {
    pub(crate) socket_type: SocketType,
    pub(crate) identity: Bytes,
    pub(crate) security: Security,
    pub(crate) message_bytes_max: usize,
    pub(crate) handshake_timeout: Option<Duration>,
    pub(crate) heartbeat: Option<HeartbeatConfig>,
}

/// Which side of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Accepted,
    Connected,
}

/// What a peer did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It has said who it is and waits for [`Session::admit`] or [`Session::refuse`].
    Arrived(Peer),
    Message(Message),
    Subscribe(Bytes),
    Cancel(Bytes),
}

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Message(Message),
    Subscribe(Bytes),
    Cancel(Bytes),
}

#[derive(Debug)]
enum State {
    Opening,
    Greeting,
    V2SocketType,
    V2Identity(SocketType),
    Handshake(Mechanism),
    Admission(Option<Mechanism>),
    Traffic(Option<Mechanism>),
    Ended,
}

/// One connection's protocol.
#[derive(Debug)]
pub(crate) struct Session {
    config: Arc<SessionConfig>,
    role: Role,
    state: State,
    version: Version,
    input: BytesMut,
    output: Outbox,
    /// The frames so far of a message that is not whole yet.
    partial: Message,
    partial_bytes: usize,
    /// How many bytes the frame at the start of the input is short of.
    missing: usize,
    handshake_deadline: Option<Instant>,
    heartbeat: Option<Heartbeat>,
}

impl Session {
    pub(crate) fn new(config: Arc<SessionConfig>, role: Role, now: Instant) -> Session {
        let mut output = Outbox::default();
        output.push_raw(&opening());
        Session {
            handshake_deadline: config.handshake_timeout.map(|timeout| now + timeout),
            config,
            role,
            state: State::Opening,
            version: Version::V3_1,
            input: BytesMut::new(),
            output,
            partial: Message::new(),
            partial_bytes: 0,
            missing: 1,
            heartbeat: None,
        }
    }

    /// Where received bytes are appended.
    pub(crate) fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// How many bytes are missing for the next event, as far as is known.
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    /// What is to be written to the peer.
    pub(crate) fn output(&mut self) -> &mut Outbox {
        &mut self.output
    }

    /// Whether messages flow.
    #[cfg(test)]
    fn is_in_traffic(&self) -> bool {
        matches!(self.state, State::Traffic(_))
    }

    /// Notes that bytes have come, which is what a heartbeat wants to know.
    pub(crate) fn heard(&mut self, now: Instant) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.heard(now);
        }
    }

    /// The next thing that the peer did; `None` when more bytes or a decision are needed.
    ///
    /// # Errors
    /// The connection is to be closed, once what is in [`Session::output`] has been written.
    pub(crate) fn poll(&mut self, now: Instant) -> Result<Option<Event>, SessionError> {
        loop {
            let progressed = match &mut self.state {
                State::Traffic(_) => match self.poll_traffic(now)? {
                    Traffic::Event(event) => return Ok(Some(event)),
                    Traffic::Nothing => true,
                    Traffic::Short => false,
                },
                State::Admission(_) | State::Ended => false,
                _ => match self.poll_handshake() {
                    Ok(Some(peer)) => return Ok(Some(Event::Arrived(peer))),
                    Ok(None) => self.missing == 0,
                    Err(error) => return Err(self.fail(error)),
                },
            };
            if !progressed {
                return Ok(None);
            }
        }
    }

    /// Lets the peer in.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(), SessionError> {
        let State::Admission(mechanism) = std::mem::replace(&mut self.state, State::Ended) else {
            return Err(SessionError::NotWaiting);
        };
        let mut mechanism = mechanism;
        if let Some(mechanism) = &mut mechanism
            && let Some(body) = mechanism.admit()?
        {
            self.output.push_copied_frame(false, true, &body);
        }
        if self.version.has_commands() {
            let config = self.config.heartbeat.clone().unwrap_or_default();
            self.heartbeat = Some(Heartbeat::new(config, now));
        }
        self.handshake_deadline = None;
        self.state = State::Traffic(mechanism.filter(|mechanism| !mechanism.is_transparent()));
        Ok(())
    }

    /// What the peer that waits to be let in has shown of itself, where it was asked to.
    pub(crate) fn credentials(&mut self) -> Option<Credentials> {
        match &mut self.state {
            State::Admission(Some(mechanism)) => mechanism.credentials(),
            _ => None,
        }
    }

    /// Refuses the peer as one whose credentials are not accepted.
    pub(crate) fn deny(&mut self) {
        self.refuse(DENIED);
    }

    /// Tells the peer why it is not let in, as far as its version can be told.
    pub(crate) fn refuse(&mut self, reason: &str) {
        self.state = State::Ended;
        if self.version != Version::V2 {
            self.output.push_copied_frame(false, true, &error_body(reason));
        }
    }

    /// Encodes something to send.
    ///
    /// # Errors
    /// It could not be sealed.
    pub(crate) fn send(&mut self, item: &Item) -> Result<(), SessionError> {
        match item {
            Item::Message(message) => self.send_message(message),
            Item::Subscribe(prefix) => self.send_subscription(1, prefix),
            Item::Cancel(prefix) => self.send_subscription(0, prefix),
        }
    }

    /// When [`Session::on_deadline`] is to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let heartbeat = self.heartbeat.as_ref().and_then(Heartbeat::deadline);
        self.handshake_deadline.into_iter().chain(heartbeat).min()
    }

    /// Does what time has come for.
    ///
    /// # Errors
    /// The peer has been silent for too long.
    pub(crate) fn on_deadline(&mut self, now: Instant) -> Result<(), SessionError> {
        if self.handshake_deadline.is_some_and(|deadline| deadline <= now) {
            return Err(SessionError::HandshakeTimeout);
        }
        let Some(heartbeat) = &mut self.heartbeat else { return Ok(()) };
        if let Some(ping) = heartbeat.on_deadline(now)? {
            self.send_command(&ping)?;
        }
        Ok(())
    }

    fn short<T>(&mut self, missing: usize) -> Option<T> {
        self.missing = missing;
        None
    }

    /// Takes a frame off the input, once it is there whole.
    fn frame(&mut self, max: usize) -> Result<Option<(bool, bool, Bytes)>, CodecError> {
        let (header, used) = match read_header(&self.input, self.version, max)? {
            Decoded::Value { value, used } => (value, used),
            Decoded::Need { at_least } => {
                return Ok(self.short(at_least - self.input.len()));
            }
        };
        let end = used.saturating_add(header.len);
        if self.input.len() < end {
            return Ok(self.short(end - self.input.len()));
        }
        let mut whole = if self.input.capacity() == end {
            // The frame takes with it a buffer that was made for it, or is used up.
            std::mem::take(&mut self.input)
        } else {
            self.input.split_to(end)
        };
        whole.advance(used);
        let body = whole.freeze();
        self.missing = 0;
        Ok(Some((header.more, header.command, body)))
    }

    fn poll_traffic(&mut self, now: Instant) -> Result<Traffic, SessionError> {
        let left = self.config.message_bytes_max.saturating_sub(self.partial_bytes);
        let sealed = matches!(self.state, State::Traffic(Some(_)));
        let max = if sealed { left.saturating_add(SEAL_BYTES_MAX) } else { left };
        let Some((more, command, body)) = self.frame(max)? else { return Ok(Traffic::Short) };
        let (more, command, body) = match &mut self.state {
            State::Traffic(Some(mechanism)) => mechanism.open(&body)?,
            _ => (more, command, body),
        };
        if body.len() > left {
            let len = u64::try_from(body.len()).unwrap_or(u64::MAX);
            return Err(CodecError::TooLarge { len, max: left }.into());
        }
        if command {
            return self.on_command(now, &body);
        }
        self.on_frame(more, body)
    }

    fn on_frame(&mut self, more: bool, body: Bytes) -> Result<Traffic, SessionError> {
        if !more && self.partial.is_empty() {
            return Ok(Traffic::Event(self.whole(Message::single(body))));
        }
        if self.partial.frame_count() >= FRAMES_MAX {
            return Err(CodecError::TooManyFrames { max: FRAMES_MAX }.into());
        }
        self.partial_bytes += body.len();
        self.partial.push(body);
        if more {
            return Ok(Traffic::Nothing);
        }
        self.partial_bytes = 0;
        let message = std::mem::take(&mut self.partial);
        Ok(Traffic::Event(Event::Message(message)))
    }

    /// A message of one frame, which to a publisher may be a subscription.
    fn whole(&self, message: Message) -> Event {
        // SPEC: 29/PUBSUB; peers of any version send subscriptions so, libzmq among them.
        let publishes = matches!(self.config.socket_type, SocketType::Pub | SocketType::Xpub);
        if publishes && let Some(frame) = message.first() {
            match frame.first() {
                Some(1) => return Event::Subscribe(frame.slice(1..)),
                Some(0) => return Event::Cancel(frame.slice(1..)),
                _ => {}
            }
        }
        Event::Message(message)
    }

    fn on_command(&mut self, now: Instant, body: &Bytes) -> Result<Traffic, SessionError> {
        if !self.partial.is_empty() {
            return Err(CodecError::InterruptedMessage.into());
        }
        match Command::read(body)? {
            Command::Subscribe(prefix) => return Ok(Traffic::Event(Event::Subscribe(prefix))),
            Command::Cancel(prefix) => return Ok(Traffic::Event(Event::Cancel(prefix))),
            Command::Ping { ttl_ds, context } => {
                if let Some(heartbeat) = &mut self.heartbeat {
                    heartbeat.promised(now, Duration::from_millis(u64::from(ttl_ds) * 100));
                }
                self.send_command(&Command::Pong(context))?;
            }
            Command::Error(reason) => return Err(MechanismError::Refused(reason).into()),
            Command::Pong(_) | Command::Unknown => {}
        }
        Ok(Traffic::Nothing)
    }

    fn send_message(&mut self, message: &Message) -> Result<(), SessionError> {
        let State::Traffic(Some(mechanism)) = &mut self.state else {
            self.output.push_message(message);
            return Ok(());
        };
        let frames = message.frames();
        for (index, frame) in frames.iter().enumerate() {
            mechanism.seal(&mut self.output, index + 1 < frames.len(), false, frame)?;
        }
        Ok(())
    }

    fn send_subscription(&mut self, first: u8, prefix: &Bytes) -> Result<(), SessionError> {
        if self.version.has_commands() {
            return self.send_command(&match first {
                0 => Command::Cancel(prefix.clone()),
                _ => Command::Subscribe(prefix.clone()),
            });
        }
        let body = [&[first], prefix.as_ref()].concat();
        self.send_message(&Message::single(body))
    }

    fn send_command(&mut self, command: &Command) -> Result<(), SessionError> {
        let body = command.to_body();
        match &mut self.state {
            State::Traffic(Some(mechanism)) => {
                mechanism.seal(&mut self.output, false, true, &body)?;
            }
            _ => self.output.push_frame(false, true, &body),
        }
        Ok(())
    }
}

enum Traffic {
    Event(Event),
    /// Something that is nobody else's business.
    Nothing,
    /// More bytes are needed.
    Short,
}

#[cfg(test)]
mod tests;
