//! One connection's requests and responses: what may begin, and what is sent when.
//!
//! A state machine without I/O. Bytes and answers go in; requests to begin and bytes to send come
//! out. It knows no broker: whoever drives it begins requests and brings their answers.
//!
//! # Invariants
//! - Responses leave in the order of the requests, as Kafka's clients require; a produce request with
//!   `acks=0` has its place in that order and no response.
//! - Requests take effect one after the other. Produce requests overlap in one way only: the next one
//!   begins once the one before is accepted, without waiting for it to be durable. Anything else
//!   begins when everything before it is answered, so that it sees what was produced before it.
//! - Before login no frame is read while one is unanswered, and none is large.
//! - Unanswered requests, their bytes and unsent bytes are bounded; at a bound the session asks for no
//!   more bytes.

use std::collections::VecDeque;
use std::io::IoSliceMut;

use crate::codec::api::Api;
use crate::codec::frame::{FrameError, Frames, LARGE_FRAME_BYTES};
use crate::codec::header::{self, HeaderError, Incoming};
use crate::codec::response::Response;
use crate::output::Output;

/// Bounds of one session; see [`crate::KafkaConfig`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionLimits {
    pub(crate) request_bytes_max: usize,
    pub(crate) connection_bytes_max: usize,
    pub(crate) unsent_bytes_max: usize,
    pub(crate) requests_in_flight_max: usize,
}

impl SessionLimits {
    fn frame_bytes_max(&self, entrance: Entrance) -> usize {
        match entrance {
            Entrance::Open => self.request_bytes_max,
            Entrance::Closed | Entrance::Tokens => {
                self.request_bytes_max.min(LOGIN_FRAME_BYTES_MAX)
            }
        }
    }
}

/// LIMIT: bytes of a frame before login. No such frame takes memory that is shared.
const LOGIN_FRAME_BYTES_MAX: usize = LARGE_FRAME_BYTES;

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// It is not logged in: its requests are small and come one at a time.
    Closed,
    /// What comes next is a bare message of a SASL mechanism.
    Tokens,
    /// It may send what it likes.
    Open,
}

/// Why a session cannot go on. There is no answer that the client could read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Header(#[from] HeaderError),
}

/// A request's place in its session, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(u64);

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    frames: Frames,
    /// Read, and waiting for what is before it.
    next: Option<Incoming>,
    /// Begun and not yet moved to `output`, in order.
    slots: VecDeque<Slot>,
    /// The id of the first slot.
    first_id: u64,
    /// Bytes of the requests in `slots`.
    slots_bytes: usize,
    /// Bytes of large requests that were granted and are not yet answered.
    granted_bytes: usize,
    output: Output,
    limits: SessionLimits,
    entrance: Entrance,
    /// No more requests are begun: the input ended, or the node is stopping.
    ending: bool,
}

#[derive(Debug)]
struct Slot {
    stage: Stage,
    size: usize,
}

#[derive(Debug)]
enum Stage {
    /// Begun.
    Begun,
    /// A produce request whose records have their offsets.
    Accepted,
    /// Answered; without a response for `acks=0`.
    Answered(Option<Response>),
}

impl Session {
    pub(crate) fn new(limits: SessionLimits, entrance: Entrance) -> Session {
        Session {
            frames: Frames::new(limits.frame_bytes_max(entrance)),
            next: None,
            slots: VecDeque::new(),
            first_id: 0,
            slots_bytes: 0,
            granted_bytes: 0,
            output: Output::default(),
            limits,
            entrance,
            ending: false,
        }
    }

    /// Says how the frames that follow are to be taken.
    pub(crate) fn set_entrance(&mut self, entrance: Entrance) {
        self.entrance = entrance;
        self.frames.limit(self.limits.frame_bytes_max(entrance));
    }

    /// Whether more bytes may be read into [`Session::spare`].
    pub(crate) fn wants_bytes(&self) -> bool {
        let held = self.slots_bytes + self.frames.partial_bytes();
        let has_room = held < self.limits.connection_bytes_max || self.slots.is_empty();
        !self.ending
            && self.next.is_none()
            && self.frames.awaits_grant().is_none()
            && self.frames.has_room()
            && has_room
            && !self.awaits_login()
            && self.may_begin_more()
    }

    /// The size of a large request that is read only after [`Session::on_grant`]; its memory is
    /// shared with other connections.
    pub(crate) fn awaits_grant(&self) -> Option<usize> {
        self.frames.awaits_grant().filter(|_| !self.ending)
    }

    /// Says that memory for the large request is there.
    pub(crate) fn on_grant(&mut self) {
        self.granted_bytes += self.frames.awaits_grant().unwrap_or(0);
        self.frames.grant();
    }

    /// Granted memory that is still in use.
    pub(crate) fn granted_bytes(&self) -> usize {
        self.granted_bytes
    }

    /// Whether a large request is still arriving.
    pub(crate) fn is_receiving_large(&self) -> bool {
        self.frames.is_receiving_large()
    }

    /// Where the next bytes go.
    pub(crate) fn spare(&mut self) -> [IoSliceMut<'_>; 2] {
        self.frames.spare()
    }

    /// Says that `count` bytes were read.
    pub(crate) fn on_bytes(&mut self, count: usize) {
        self.frames.advance(count);
    }

    /// Says that no more bytes come; requests that arrived whole are still served.
    pub(crate) fn on_end(&mut self) {
        self.ending = true;
    }

    /// The next request to begin now, if there is one and what is before it allows.
    ///
    /// # Errors
    /// [`SessionError`] ends the connection.
    pub(crate) fn poll_request(&mut self) -> Result<Option<(RequestId, Incoming)>, SessionError> {
        if self.awaits_login() {
            return Ok(None);
        }
        if self.next.is_none() {
            self.next = match self.frames.next()? {
                Some(frame) if self.entrance == Entrance::Tokens => Some(Incoming::Token(frame)),
                Some(frame) => Some(header::decode(frame)?),
                None => None,
            };
        }
        let Some(next) = &self.next else { return Ok(None) };
        if !self.may_begin(next) {
            return Ok(None);
        }
        let Some(incoming) = self.next.take() else { return Ok(None) };
        let size = match &incoming {
            Incoming::Request(request) => request.size,
            Incoming::Token(token) => token.len(),
            Incoming::UnsupportedApiVersions { .. } => 0,
        };
        let id = RequestId(self.first_id + u64::try_from(self.slots.len()).unwrap_or(u64::MAX));
        self.slots.push_back(Slot { stage: Stage::Begun, size });
        self.slots_bytes += size;
        Ok(Some((id, incoming)))
    }

    /// Says that a produce request's records have their offsets, so that the next may begin.
    pub(crate) fn on_accepted(&mut self, id: RequestId) {
        self.slot(id).stage = Stage::Accepted;
    }

    /// Brings an answer; `None` for a request that has no response.
    pub(crate) fn on_answer(&mut self, id: RequestId, response: Option<Response>) {
        self.slot(id).stage = Stage::Answered(response);
        while let Some(Slot { stage: Stage::Answered(_), .. }) = self.slots.front() {
            let Some(slot) = self.slots.pop_front() else { break };
            self.first_id += 1;
            self.slots_bytes -= slot.size;
            if slot.size > LARGE_FRAME_BYTES {
                self.granted_bytes -= slot.size;
            }
            if let Stage::Answered(Some(response)) = slot.stage {
                self.output.push(response);
            }
        }
    }

    /// What is to be sent.
    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    /// Says that `count` bytes of the output are sent.
    pub(crate) fn on_sent(&mut self, count: usize) {
        self.output.advance(count);
    }

    /// Requests begun and not yet answered in their turn.
    pub(crate) fn in_flight(&self) -> usize {
        self.slots.len()
    }

    /// Whether everything that was begun is answered and sent, and nothing more will begin.
    pub(crate) fn is_finished(&self) -> bool {
        self.ending
            && self.next.is_none()
            && self.slots.is_empty()
            && self.output.is_empty()
            && !self.frames.has_next()
    }

    /// Forgets a request that waits to begin, and whatever follows it.
    pub(crate) fn refuse_rest(&mut self) {
        self.ending = true;
        self.next = None;
        self.frames = Frames::new(self.limits.frame_bytes_max(self.entrance));
        let begun = self.slots.iter().map(|slot| slot.size);
        self.granted_bytes = begun.filter(|&size| size > LARGE_FRAME_BYTES).sum();
    }

    /// How the next frame is to be read depends on the answer to the one before.
    fn awaits_login(&self) -> bool {
        self.entrance != Entrance::Open && !self.slots.is_empty()
    }

    fn may_begin(&self, next: &Incoming) -> bool {
        let is_produce = matches!(next, Incoming::Request(request) if request.api == Api::Produce);
        let before_allows = if is_produce {
            !self.slots.iter().any(|slot| matches!(slot.stage, Stage::Begun))
        } else {
            self.slots.is_empty()
        };
        before_allows && self.may_begin_more()
    }

    fn may_begin_more(&self) -> bool {
        self.slots.len() < self.limits.requests_in_flight_max
            && self.output.len() < self.limits.unsent_bytes_max
    }

    fn slot(&mut self, id: RequestId) -> &mut Slot {
        let index = usize::try_from(id.0 - self.first_id).expect("ids of unanswered requests");
        &mut self.slots[index]
    }
}

/// Copies bytes in, for tests and fuzzing; a connection reads straight into the session.
#[cfg(test)]
impl Session {
    fn feed(&mut self, mut input: &[u8]) -> usize {
        let mut fed = 0;
        while !input.is_empty() && self.wants_bytes() {
            let mut wrote = 0;
            for slice in &mut self.spare() {
                let count = slice.len().min(input.len());
                slice[..count].copy_from_slice(&input[..count]);
                input = &input[count..];
                wrote += count;
            }
            if wrote == 0 {
                break;
            }
            self.on_bytes(wrote);
            fed += wrote;
        }
        fed
    }

    fn sent(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        let mut slices = [std::io::IoSlice::new(&[]); crate::output::GATHER_MAX];
        let count = self.output().gather(&mut slices);
        for slice in &slices[..count] {
            sent.extend_from_slice(slice);
        }
        self.on_sent(sent.len());
        sent
    }
}

#[cfg(test)]
mod tests;
