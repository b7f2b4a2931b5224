//! A live message as JSON: a record's members, with the channel it was published on.
//!
//! `partition` and `offset` are there when the channel is a topic.

use std::io::Write as _;

use bytes::Bytes;
use posthouse_broker::{Delivery, Encoding, Event, LiveMessage, Pattern};

use super::record::{encode_contents, field};

/// Whether the value is a member of the JSON, or follows it as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Inside,
    Beside,
}

/// An event as one JSON object; made once for all who receive it.
pub(crate) fn event(event: &Event) -> Bytes {
    let encode = |event: &Event| -> Bytes {
        let mut output = vec![b'{'];
        members(&mut output, event, Value::Inside);
        output.push(b'}');
        output.into()
    };
    event.encoded(Encoding("http_event"), encode).into_owned()
}

/// A delivery as a WebSocket frame's JSON, with the pattern that matched unless it is the name.
pub(crate) fn delivery(delivery: &Delivery, value: Value) -> Bytes {
    let encode = |event: &Event| -> Bytes {
        let mut output = br#"{"op":"message","#.to_vec();
        let pattern = match delivery.pattern() {
            Pattern::Exact(_) => None,
            Pattern::Glob(bytes) => Some(("glob", bytes)),
            Pattern::Prefix(bytes) => Some(("prefix", bytes)),
        };
        if let Some((name, bytes)) = pattern {
            field(&mut output, name, Some(bytes));
            output.push(b',');
        }
        members(&mut output, event, value);
        output.push(b'}');
        output.into()
    };
    match (delivery.pattern(), value) {
        // The same for everyone who subscribed by name.
        (Pattern::Exact(_), Value::Inside) => {
            delivery.event.encoded(Encoding("websocket"), encode).into_owned()
        }
        _ => encode(&delivery.event),
    }
}

/// A message's own members, without braces: `"timestamp":…,"key":…,"value":…,"headers":[…]`.
pub(crate) fn contents(output: &mut Vec<u8>, message: &LiveMessage, value: Value) {
    write!(output, "\"timestamp\":{},", message.timestamp.as_ms())
        .expect("writing into memory does not fail");
    let value = (value == Value::Inside).then_some(message.value.as_deref());
    encode_contents(output, message.key.as_deref(), value, &message.headers);
}

fn members(output: &mut Vec<u8>, event: &Event, value: Value) {
    field(output, "channel", Some(&event.channel));
    output.push(b',');
    if let Some(at) = event.at {
        write!(output, "\"partition\":{},\"offset\":{},", at.partition, at.offset)
            .expect("writing into memory does not fail");
    }
    contents(output, &event.message, value);
}
