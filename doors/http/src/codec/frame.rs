//! WebSocket frames: what a client asks, and what it is told.
//!
//! A text frame is a JSON object with an `op`. A binary frame is the length of such an object (four
//! bytes, big-endian), the object without a value, and then the value, byte for byte.
//!
//! # Invariants
//! - A binary frame without a value (`null`) says `"value":null` in its object, and has no bytes
//!   after it.

use bytes::{BufMut, Bytes, BytesMut};
use posthouse_broker::{LiveMessage, Pattern};
use posthouse_record::Header;
use posthouse_types::{Offset, PartitionIndex, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::event::{self, Value};
use super::record::{HeaderJson, RecordError, base64, bytes, present, raw_value};
use super::{positions, start};

/// What a client asks, with the number it wants the answer to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientFrame {
    pub(crate) id: Option<u64>,
    pub(crate) command: Command,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Subscribe {
        pattern: Pattern,
        from: Begin,
    },
    Unsubscribe {
        pattern: Pattern,
    },
    Publish {
        channel: Bytes,
        message: Message,
    },
    /// Asks a service.
    Request {
        service: Bytes,
        message: Message,
        deadline_ms: Option<u64>,
        wait: bool,
    },
    /// Becomes a worker.
    Serve {
        service: Bytes,
        concurrency: usize,
        idempotent: bool,
    },
    /// Stops being one.
    Retire {
        service: Bytes,
    },
    /// A worker's answer.
    Reply {
        request: u64,
        message: Message,
    },
    Fail {
        request: u64,
        reason: String,
    },
    Pair {
        name: Bytes,
    },
    Send {
        name: Bytes,
        message: Message,
    },
    Leave {
        name: Bytes,
    },
}

/// Where a subscription begins, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    Start(start::Start),
    Positions(Vec<(PartitionIndex, Offset)>),
}

/// A message that may lack a timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<Header>,
    timestamp: Option<Timestamp>,
}

/// Why a frame is not understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Record(#[from] RecordError),
    #[error("a binary frame begins with the length of its JSON in four bytes, then that JSON")]
    Binary,
    #[error("it has a value in its JSON and another one after it")]
    TwoValues,
    #[error("op {op} needs {what}")]
    Missing { op: &'static str, what: &'static str },
    #[error("{name} {reason}")]
    Parameter { name: &'static str, reason: &'static str },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Op {
    Subscribe,
    Unsubscribe,
    Publish,
    Request,
    Serve,
    Retire,
    Reply,
    Fail,
    Pair,
    Send,
    Leave,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameJson<'a> {
    op: Op,
    id: Option<u64>,
    channel: Option<String>,
    channel_base64: Option<String>,
    prefix: Option<String>,
    prefix_base64: Option<String>,
    glob: Option<String>,
    glob_base64: Option<String>,
    service: Option<String>,
    pair: Option<String>,
    from: Option<String>,
    positions: Option<String>,
    key: Option<String>,
    key_base64: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    value_base64: Option<String>,
    #[serde(default)]
    headers: Vec<HeaderJson>,
    timestamp: Option<i64>,
    deadline_ms: Option<u64>,
    #[serde(default)]
    wait: bool,
    concurrency: Option<u32>,
    #[serde(default)]
    idempotent: bool,
    request: Option<u64>,
    reason: Option<String>,
}

impl Message {
    /// The message, made at `now` if it does not say when.
    pub(crate) fn at(self, now: Timestamp) -> LiveMessage {
        let Message { key, value, headers, timestamp } = self;
        LiveMessage { key, value, headers, timestamp: timestamp.unwrap_or(now) }
    }
}

/// Reads a text frame.
///
/// # Errors
/// [`FrameError`], whose text tells a person what to change.
pub(crate) fn text(frame: &[u8]) -> Result<ClientFrame, FrameError> {
    read(frame, None)
}

/// Reads a binary frame.
///
/// # Errors
/// As [`text`].
pub(crate) fn binary(frame: &Bytes) -> Result<ClientFrame, FrameError> {
    let len = frame.first_chunk::<4>().ok_or(FrameError::Binary)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| FrameError::Binary)?;
    let rest = frame.slice(4..);
    if len > rest.len() {
        return Err(FrameError::Binary);
    }
    read(&rest[..len], Some(rest.slice(len..)))
}

fn read(json: &[u8], beside: Option<Bytes>) -> Result<ClientFrame, FrameError> {
    let mut json: FrameJson<'_> = serde_json::from_slice(json)?;
    let id = json.id;
    let missing = |op, what| FrameError::Missing { op, what };
    let command = match json.op {
        Op::Subscribe => {
            Command::Subscribe { pattern: json.pattern("subscribe")?, from: json.from()? }
        }
        Op::Unsubscribe => Command::Unsubscribe { pattern: json.pattern("unsubscribe")? },
        Op::Publish => Command::Publish {
            channel: json.channel()?.ok_or(missing("publish", "a channel"))?,
            message: json.message(beside)?,
        },
        Op::Request => Command::Request {
            service: json.service("request")?,
            deadline_ms: json.deadline_ms,
            wait: json.wait,
            message: json.message(beside)?,
        },
        Op::Serve => Command::Serve {
            service: json.service("serve")?,
            concurrency: usize::try_from(json.concurrency.unwrap_or(1)).unwrap_or(usize::MAX),
            idempotent: json.idempotent,
        },
        Op::Retire => Command::Retire { service: json.service("retire")? },
        Op::Reply => Command::Reply {
            request: json.request.ok_or(missing("reply", "the number of a request"))?,
            message: json.message(beside)?,
        },
        Op::Fail => Command::Fail {
            request: json.request.ok_or(missing("fail", "the number of a request"))?,
            reason: json.reason.unwrap_or_default(),
        },
        Op::Pair => Command::Pair { name: json.pair("pair")? },
        Op::Send => Command::Send { name: json.pair("send")?, message: json.message(beside)? },
        Op::Leave => Command::Leave { name: json.pair("leave")? },
    };
    Ok(ClientFrame { id, command })
}

impl FrameJson<'_> {
    fn channel(&mut self) -> Result<Option<Bytes>, RecordError> {
        bytes("channel", self.channel.take(), self.channel_base64.take())
    }

    fn pattern(&mut self, op: &'static str) -> Result<Pattern, FrameError> {
        let channel = self.channel()?.map(Pattern::Exact);
        let prefix = bytes("prefix", self.prefix.take(), self.prefix_base64.take())?;
        let glob = bytes("glob", self.glob.take(), self.glob_base64.take())?;
        let mut given =
            channel.into_iter().chain(prefix.map(Pattern::Prefix)).chain(glob.map(Pattern::Glob));
        match (given.next(), given.next()) {
            (Some(pattern), None) => Ok(pattern),
            _ => {
                Err(FrameError::Missing { op, what: "a channel, a prefix or a glob, and only one" })
            }
        }
    }

    fn service(&mut self, op: &'static str) -> Result<Bytes, FrameError> {
        let service = self.service.take().map(Bytes::from);
        service.ok_or(FrameError::Missing { op, what: "a service" })
    }

    fn pair(&mut self, op: &'static str) -> Result<Bytes, FrameError> {
        let name = self.pair.take().map(Bytes::from);
        name.ok_or(FrameError::Missing { op, what: "a pair" })
    }

    fn from(&self) -> Result<Begin, FrameError> {
        let wrong = |name| move |reason| FrameError::Parameter { name, reason };
        match (&self.from, &self.positions) {
            (Some(_), Some(_)) => Err(wrong("positions")("come with from; give one of the two")),
            (None, None) => Ok(Begin::Start(start::Start::End)),
            (Some(from), None) => start::parse(from).map(Begin::Start).map_err(wrong("from")),
            (None, Some(text)) => {
                positions::parse(text).map(Begin::Positions).map_err(wrong("positions"))
            }
        }
    }

    fn message(&mut self, beside: Option<Bytes>) -> Result<Message, FrameError> {
        let inside = match (self.value, self.value_base64.take()) {
            (Some(_), Some(_)) => return Err(RecordError::Both { field: "value" }.into()),
            (Some(raw), None) => Some(raw_value(raw)?),
            (None, Some(text)) => Some(Some(base64("value", &text)?)),
            (None, None) => None,
        };
        let value = match (inside, beside) {
            (Some(value), None) => value,
            (Some(value), Some(beside)) if beside.is_empty() => value,
            (Some(_), Some(_)) => return Err(FrameError::TwoValues),
            (None, Some(beside)) => Some(beside),
            (None, None) => return Err(RecordError::NoValue.into()),
        };
        let headers = std::mem::take(&mut self.headers);
        Ok(Message {
            key: bytes("key", self.key.take(), self.key_base64.take())?,
            value,
            headers: headers.into_iter().map(HeaderJson::decode).collect::<Result<_, _>>()?,
            timestamp: self.timestamp.map(Timestamp::from_ms),
        })
    }
}

/// What a client is told that carries a message, in either kind of frame: `head` is JSON members
/// with a trailing comma.
pub(crate) fn carrying(head: &str, message: &LiveMessage, value: Value) -> Bytes {
    let mut output = Vec::with_capacity(head.len() + message.size() + 64);
    output.push(b'{');
    output.extend_from_slice(head.as_bytes());
    // Without a value there is nothing to put beside.
    let inside = if message.value.is_none() { Value::Inside } else { value };
    event::contents(&mut output, message, inside);
    output.push(b'}');
    output.into()
}

/// Puts a value after its JSON, as a binary frame.
pub(crate) fn beside(json: &[u8], value: Option<&[u8]>) -> Bytes {
    let len = u32::try_from(json.len()).expect("names and headers are far smaller than 4 GiB");
    let value = value.unwrap_or_default();
    let mut frame = BytesMut::with_capacity(4 + json.len() + value.len());
    frame.put_u32(len);
    frame.put_slice(json);
    frame.put_slice(value);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn refused(frame: &str) -> String {
        text(frame.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_subscription_is_to_exactly_one_pattern() {
        let frame = text(br#"{"op":"subscribe","id":3,"glob":"news.*"}"#).unwrap();
        let pattern = Pattern::Glob(Bytes::from("news.*"));
        let command = Command::Subscribe { pattern, from: Begin::Start(start::Start::End) };
        assert_eq!(frame, ClientFrame { id: Some(3), command });
        assert!(refused(r#"{"op":"subscribe"}"#).contains("needs a channel"));
        assert!(refused(r#"{"op":"subscribe","channel":"a","glob":"b"}"#).contains("only one"));
    }

    #[test]
    fn what_is_wrong_with_a_frame_is_said() {
        assert!(refused(r#"{"op":"fly"}"#).contains("unknown variant `fly`"));
        assert!(refused(r#"{"op":"publish","channel":"a"}"#).contains("no value"));
        assert!(refused(r#"{"op":"publish","value":"a"}"#).contains("needs a channel"));
        assert!(refused(r#"{"op":"subscribe","channel":"a","form":"end"}"#).contains("form"));
    }

    #[test]
    fn a_binary_frame_cut_short_is_refused() {
        let whole = beside(br#"{"op":"publish","channel":"a"}"#, Some(b"\xff\x00"));
        let Command::Publish { message, .. } = binary(&whole).unwrap().command else {
            panic!("it was a publish")
        };
        assert_eq!(message.value.as_deref(), Some(&b"\xff\x00"[..]));
        for len in 0..34 {
            assert!(binary(&whole.slice(..len)).is_err(), "{len}");
        }
        let twice = beside(br#"{"op":"publish","channel":"a","value":"x"}"#, Some(b"y"));
        assert!(matches!(binary(&twice), Err(FrameError::TwoValues)));
    }

    proptest! {
        #[test]
        fn a_message_written_in_either_frame_reads_back_the_same(
            key in option::of(vec(any::<u8>(), 0..8)),
            value in option::of(vec(any::<u8>(), 0..20)),
            header in vec((vec(any::<u8>(), 0..4), option::of(vec(any::<u8>(), 0..4))), 0..3),
            as_binary in any::<bool>(),
        ) {
            let headers = header.into_iter().map(|(name, value)| Header {
                name: name.into(),
                value: value.map(Bytes::from),
            });
            let message = LiveMessage {
                key: key.map(Bytes::from),
                value: value.map(Bytes::from),
                headers: headers.collect(),
                timestamp: Timestamp::from_ms(5),
            };
            let head = r#""op":"send","pair":"p","#;
            let read = if as_binary {
                let json = carrying(head, &message, Value::Beside);
                binary(&beside(&json, message.value.as_deref())).unwrap()
            } else {
                text(&carrying(head, &message, Value::Inside)).unwrap()
            };
            let Command::Send { message: read, .. } = read.command else { panic!("not a send") };
            prop_assert_eq!(read.at(Timestamp::NONE), message);
        }
    }
}
