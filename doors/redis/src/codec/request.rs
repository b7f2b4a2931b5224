//! Requests out of a stream of bytes.
//!
//! Owns the receive buffer. A request is cut out of it in one piece, and its arguments are slices of
//! that piece; a partial request is resumed, never scanned again.
//!
//! # Invariants
//! - Memory grows with what has arrived, never with what a length announces.
//! - After an error nothing more is read.
//!
//! # Source
//! The texts of the errors are Redis 7.0's, because clients' tests compare them.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::inline;
use super::number::parse_integer;

/// LIMIT: a line (an inline request, or the length of something); Redis's PROTO_INLINE_MAX_SIZE.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// LIMIT: arguments of one request; a count is refused before anything is kept for it.
const ARGUMENTS_MAX: i64 = i32::MAX as i64;

/// LIMIT: places kept for the arguments of a request before they have arrived.
const ARGUMENTS_RESERVED_MAX: i64 = 64;

/// Bytes that a read from the socket has room for, at least.
const READ_BYTES: usize = 16 * 1024;

/// LIMIT: room made at once for the rest of a long argument.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// What a request may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLimits {
    /// `proto-max-bulk-len`: bytes of one argument.
    pub(crate) argument_bytes_max: usize,
    /// `client-query-buffer-limit`: bytes of one request, with what has arrived after it.
    pub(crate) request_bytes_max: usize,
}

impl RequestLimits {
    /// Of a client that has not logged in: a name and a password, or a token.
    pub(crate) const BEFORE_LOGIN: RequestLimits =
        RequestLimits { argument_bytes_max: 16 * 1024, request_bytes_max: 64 * 1024 };
}

/// What a client sent is not the protocol. The connection ends after it has been told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error("Protocol error: too big inline request")]
    InlineTooLarge,
    #[error("Protocol error: unbalanced quotes in request")]
    Unbalanced,
    #[error("Protocol error: too big mbulk count string")]
    CountTooLong,
    #[error("Protocol error: invalid multibulk length")]
    Count,
    #[error("Protocol error: too big bulk count string")]
    LengthTooLong,
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    NotALength(u8),
    #[error("Protocol error: invalid bulk length")]
    Length,
    #[error("Protocol error: request is larger than client-query-buffer-limit")]
    RequestTooLarge,
}

/// The receive side of a connection.
#[derive(Debug)]
pub(crate) struct Requests {
    limits: RequestLimits,
    buffer: BytesMut,
    /// Where parsing goes on.
    position: usize,
    /// Below it there is no end of the line that begins at `position`.
    searched: usize,
    state: State,
    /// Arguments that are complete, as ranges of `buffer`.
    arguments: Vec<Range<usize>>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between requests.
    Start,
    /// That many arguments are to come; next is the length of one.
    Length { remaining: i64 },
    /// The argument itself.
    Argument { remaining: i64, len: usize },
}

impl Requests {
    /// Nothing received yet.
    pub(crate) fn new(limits: RequestLimits) -> Requests {
        Requests {
            limits,
            buffer: BytesMut::new(),
            position: 0,
            searched: 0,
            state: State::Start,
            arguments: Vec::new(),
        }
    }

    /// Has requests from the next on keep to other limits.
    pub(crate) fn set_limits(&mut self, limits: RequestLimits) {
        self.limits = limits;
    }

    /// The buffer to read into, with room.
    pub(crate) fn spare(&mut self) -> &mut BytesMut {
        let wanted = match self.state {
            State::Argument { len, .. } => {
                (self.position + len + 2).saturating_sub(self.buffer.len())
            }
            State::Start | State::Length { .. } => 0,
        };
        // No more than has arrived already, so that a length alone takes no memory.
        let earned = self.buffer.len().clamp(READ_BYTES, READ_BYTES_MAX);
        self.buffer.reserve(wanted.clamp(READ_BYTES, earned));
        &mut self.buffer
    }

    /// Appends bytes, for those who have no socket.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.put_slice(bytes);
    }

    /// Bytes received and not yet given out.
    pub(crate) fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole request, without those that are empty. `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`ProtocolError`]; the connection is to be closed.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        loop {
            match self.step()? {
                Step::Request(request) if request.is_empty() => {}
                Step::Request(request) => return Ok(Some(request)),
                Step::Moved => {}
                Step::Need => {
                    if self.buffer.len() > self.limits.request_bytes_max {
                        return Err(ProtocolError::RequestTooLarge);
                    }
                    return Ok(None);
                }
            }
        }
    }

    fn step(&mut self) -> Result<Step, ProtocolError> {
        match self.state {
            State::Start => match self.buffer.first() {
                None => Ok(Step::Need),
                Some(b'*') => self.count(),
                Some(_) => self.inline(),
            },
            State::Length { remaining: 0 } => Ok(Step::Request(self.cut())),
            State::Length { remaining } => self.length(remaining),
            State::Argument { remaining, len } => Ok(self.argument(remaining, len)),
        }
    }

    fn count(&mut self) -> Result<Step, ProtocolError> {
        let Some(line) = self.line(ProtocolError::CountTooLong)? else { return Ok(Step::Need) };
        let count = parse_integer(&self.buffer[line.start + 1..line.end]);
        let count = count.filter(|count| *count <= ARGUMENTS_MAX).ok_or(ProtocolError::Count)?;
        if count <= 0 {
            self.skip();
            return Ok(Step::Moved);
        }
        let reserved = usize::try_from(count.min(ARGUMENTS_RESERVED_MAX)).unwrap_or(0);
        self.arguments.reserve(reserved);
        self.state = State::Length { remaining: count };
        Ok(Step::Moved)
    }

    fn length(&mut self, remaining: i64) -> Result<Step, ProtocolError> {
        // What is not a length is told apart before its end arrives.
        match self.buffer.get(self.position) {
            None => return Ok(Step::Need),
            Some(b'$') => {}
            Some(other) => return Err(ProtocolError::NotALength(*other)),
        }
        let Some(line) = self.line(ProtocolError::LengthTooLong)? else { return Ok(Step::Need) };
        let len = parse_integer(&self.buffer[line.start + 1..line.end])
            .and_then(|len| usize::try_from(len).ok())
            .filter(|len| *len <= self.limits.argument_bytes_max)
            .ok_or(ProtocolError::Length)?;
        if self.position + len + 2 > self.limits.request_bytes_max {
            return Err(ProtocolError::RequestTooLarge);
        }
        self.state = State::Argument { remaining, len };
        Ok(Step::Moved)
    }

    fn argument(&mut self, remaining: i64, len: usize) -> Step {
        let end = self.position + len;
        // As Redis does, the two bytes after an argument are passed over whatever they are.
        if self.buffer.len() < end + 2 {
            return Step::Need;
        }
        self.arguments.push(self.position..end);
        self.position = end + 2;
        self.searched = self.position;
        self.state = State::Length { remaining: remaining - 1 };
        Step::Moved
    }

    fn inline(&mut self) -> Result<Step, ProtocolError> {
        let Some(line) = self.line(ProtocolError::InlineTooLarge)? else { return Ok(Step::Need) };
        let words = inline::split(&self.buffer[line]).map_err(|_| ProtocolError::Unbalanced)?;
        self.skip();
        Ok(Step::Request(words))
    }

    /// The line at `position` without its end; `position` moves past it.
    fn line(&mut self, too_long: ProtocolError) -> Result<Option<Range<usize>>, ProtocolError> {
        let from = self.searched.max(self.position);
        let Some(found) = self.buffer[from..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            if self.buffer.len() - self.position > LINE_BYTES_MAX {
                return Err(too_long);
            }
            return Ok(None);
        };
        let (start, newline) = (self.position, from + found);
        let end = if newline > start && self.buffer[newline - 1] == b'\r' {
            newline - 1
        } else {
            newline
        };
        self.position = newline + 1;
        self.searched = self.position;
        Ok(Some(start..end))
    }

    /// Drops what has been parsed.
    fn skip(&mut self) {
        let _ = self.buffer.split_to(self.position);
        (self.position, self.searched) = (0, 0);
    }

    /// Cuts the request out of the buffer.
    fn cut(&mut self) -> Vec<Bytes> {
        let whole = self.buffer.split_to(self.position).freeze();
        (self.position, self.searched) = (0, 0);
        self.state = State::Start;
        self.arguments.drain(..).map(|range| whole.slice(range)).collect()
    }
}

enum Step {
    Request(Vec<Bytes>),
    Moved,
    Need,
}

#[cfg(test)]
mod tests;
