//! What a client may know of: names that lists leave out without a word.

use posthouse_broker::{Operation, Resource};
use posthouse_keyspace::DatabaseIndex;
use posthouse_types::{Principal, TopicName};

use super::Asker;
use crate::server::Server;
use crate::streams::{topic_id, topic_name};
use crate::table::Call;

/// Whether every key may be shown to the client, so that none has to be looked at.
pub(crate) fn sees_all_keys(call: &Call<'_>) -> bool {
    let (broker, principal) = (&call.server.broker, call.client.identity.principal());
    !call.server.guarded || broker.is_superuser(principal)
}

/// Whether a key of the client's database may be shown to it.
pub(crate) fn shows_key(call: &mut Call<'_>, key: &[u8]) -> bool {
    if !call.server.guarded {
        return true;
    }
    let held = call.database().stream(key).ok().flatten();
    let topic = held.and_then(|topic| call.server.topic_name(topic_id(topic)));
    let resource = topic.as_ref().map_or(Resource::Key(key), Resource::Topic);
    let principal = call.client.identity.principal();
    call.server.broker.shows(principal, Operation::Describe, resource)
}

/// Whether a channel may be shown to somebody.
pub(crate) fn shows_channel(asker: &Asker, channel: &[u8]) -> bool {
    let topic = topic_of(asker, DatabaseIndex::default(), channel);
    let resource = topic.as_ref().map_or(Resource::Channel(channel), Resource::Topic);
    !asker.guarded || asker.broker.shows(&asker.principal, Operation::Describe, resource)
}

/// Whether a message may be shown to somebody who subscribed to its channel: one that tells of a key
/// only to those who may know of the key.
pub(crate) fn shows_message(
    server: &Server,
    principal: &Principal,
    channel: &[u8],
    payload: &[u8],
) -> bool {
    let Some((db, key)) = notified_key(channel, payload) else { return true };
    let topic = topic_of(server, db, key);
    let resource = topic.as_ref().map_or(Resource::Key(key), Resource::Topic);
    server.broker.shows(principal, Operation::Describe, resource)
}

/// The topic that there is of a name.
fn topic_of(server: &Server, db: DatabaseIndex, name: &[u8]) -> Option<TopicName> {
    topic_name(db, name).ok().filter(|name| server.broker.has_topic(name.as_bytes()))
}

/// The key that a keyspace notification tells of, and its database.
fn notified_key<'a>(channel: &'a [u8], payload: &'a [u8]) -> Option<(DatabaseIndex, &'a [u8])> {
    let (rest, by_key) = match channel.strip_prefix(b"__keyspace@") {
        Some(rest) => (rest, true),
        None => (channel.strip_prefix(b"__keyevent@")?, false),
    };
    let end = rest.windows(3).position(|window| window == b"__:")?;
    let db = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    let db = DatabaseIndex::new(db).ok()?;
    Some((db, if by_key { &rest[end + 3..] } else { payload }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_tells_of_a_key() {
        let of = |channel: &'static str| notified_key(channel.as_bytes(), b"payload");
        let db = |number| DatabaseIndex::new(number).unwrap();
        assert_eq!(of("__keyspace@0__:a__:b"), Some((db(0), &b"a__:b"[..])));
        assert_eq!(of("__keyevent@3__:set"), Some((db(3), &b"payload"[..])));
        for other in ["news", "__keyspace@x__:a", "__keyspace@0__", "__keyevent@99__:set"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
