//! A multipart message as a record, and back.
//!
//! The first frame is the key, the last one the value, those between are headers `zmq.frame` in order;
//! a message of one frame is a value without a key.
//!
//! # Invariants
//! - A message that became a record is the same message when it comes back: an empty first frame is an
//!   empty key, and no key is no frame.
//! - A record of another door is frames in the same manner; other headers do not travel.

use bytes::Bytes;
use posthouse_broker::LiveMessage;
use posthouse_record::{Header, Record};
use posthouse_types::Timestamp;
use posthouse_zmtp::Message;

/// The header of a frame between the first and the last.
pub const FRAME_HEADER: &[u8] = b"zmq.frame";

/// The record of a message, which has at least one frame.
pub fn to_live(message: Message, timestamp: Timestamp) -> LiveMessage {
    let mut frames = message.into_frames();
    let value = frames.next_back().unwrap_or_default();
    let key = frames.next();
    let name = Bytes::from_static(FRAME_HEADER);
    let headers = frames.map(|frame| Header { name: name.clone(), value: Some(frame) }).collect();
    LiveMessage { key, value: Some(value), headers, timestamp }
}

/// The message of a record.
pub fn of_live(message: &LiveMessage) -> Message {
    frames(message.key.as_ref(), message.value.as_ref(), &message.headers)
}

/// The message of a record in a log.
pub(crate) fn of_record(record: &Record) -> Message {
    frames(record.key.as_ref(), record.value.as_ref(), &record.headers)
}

/// ZeroMQ has no absent value; it is an empty frame.
fn frames(key: Option<&Bytes>, value: Option<&Bytes>, headers: &[Header]) -> Message {
    let value = value.cloned().unwrap_or_default();
    let Some(key) = key else { return Message::single(value) };
    let mut message = Message::single(key.clone());
    for header in headers.iter().filter(|header| header.name == FRAME_HEADER) {
        message.push(header.value.clone().unwrap_or_default());
    }
    message.push(value);
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
    }

    proptest! {
        #[test]
        fn any_message_is_the_same_when_it_comes_back(frames in prop::collection::vec(bytes(), 1..9)) {
            let message: Message = frames.iter().cloned().collect();
            let live = to_live(message.clone(), Timestamp::from_ms(7));
            prop_assert_eq!(live.key.as_ref(), (frames.len() > 1).then(|| &frames[0]));
            prop_assert_eq!(live.value.as_ref(), frames.last());
            prop_assert_eq!(of_live(&live), message);
        }
    }

    #[test]
    fn an_empty_first_frame_is_an_empty_key() {
        let live = to_live(Message::from(["", "value"]), Timestamp::from_ms(0));
        assert_eq!(live.key, Some(Bytes::new()));
        assert_eq!(of_live(&live), Message::from(["", "value"]));
    }

    #[test]
    fn a_record_of_another_door_is_its_key_and_its_value() {
        let other = Header { name: Bytes::from_static(b"trace"), value: None };
        let timestamp = Timestamp::from_ms(0);
        let mut live =
            LiveMessage { headers: vec![other], ..LiveMessage::of_value("v", timestamp) };
        assert_eq!(of_live(&live), Message::from("v"));
        live.key = Some(Bytes::from_static(b"k"));
        assert_eq!(of_live(&live), Message::from(["k", "v"]));
        live.value = None;
        assert_eq!(of_live(&live), Message::from(["k", ""]));
    }
}
