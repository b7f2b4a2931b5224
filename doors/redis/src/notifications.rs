//! Keyspace notifications: events of keys, published on `__keyspace@<db>__:<key>` and
//! `__keyevent@<db>__:<event>` for those who subscribe, as `notify-keyspace-events` says.
//!
//! The key space notes what happened to a key; what Redis calls that depends on the command, so the
//! names are chosen here.
//!
//! # Source
//! Redis 7.0 `notify.c`, and the calls of `notifyKeyspaceEvent` all over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use futures::FutureExt;
use posthouse_broker::{Broker, LiveMessage, Publisher};
use posthouse_keyspace::{DatabaseIndex, End, Happened, Notice};
use posthouse_types::{Clock, Principal};

use crate::commands::is;

/// What is notified of.
pub(crate) struct Notifications {
    classes: AtomicU16,
    publisher: Arc<Publisher>,
    clock: Arc<dyn Clock>,
}

/// A kind of event, or a form of notification: one letter of `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(u16);

impl Class {
    pub(crate) const KEYSPACE: Class = Class(1);
    pub(crate) const KEYEVENT: Class = Class(1 << 1);
    pub(crate) const GENERIC: Class = Class(1 << 2);
    pub(crate) const STRING: Class = Class(1 << 3);
    pub(crate) const LIST: Class = Class(1 << 4);
    pub(crate) const SET: Class = Class(1 << 5);
    pub(crate) const HASH: Class = Class(1 << 6);
    pub(crate) const SORTED_SET: Class = Class(1 << 7);
    pub(crate) const EXPIRED: Class = Class(1 << 8);
    /// Accepted; nothing is evicted.
    pub(crate) const EVICTED: Class = Class(1 << 9);
    pub(crate) const STREAM: Class = Class(1 << 10);
    /// Accepted; there are no modules.
    pub(crate) const MODULE: Class = Class(1 << 11);
    pub(crate) const NEW: Class = Class(1 << 12);
    pub(crate) const MISS: Class = Class(1 << 13);
}

/// In the order in which Redis writes them.
const LETTERS: &[(char, Class)] = &[
    ('g', Class::GENERIC),
    ('$', Class::STRING),
    ('l', Class::LIST),
    ('s', Class::SET),
    ('h', Class::HASH),
    ('z', Class::SORTED_SET),
    ('x', Class::EXPIRED),
    ('e', Class::EVICTED),
    ('t', Class::STREAM),
    ('d', Class::MODULE),
    ('n', Class::NEW),
    ('K', Class::KEYSPACE),
    ('E', Class::KEYEVENT),
    ('m', Class::MISS),
];

/// What `A` stands for.
const ALL: u16 = Class::GENERIC.0
    | Class::STRING.0
    | Class::LIST.0
    | Class::SET.0
    | Class::HASH.0
    | Class::SORTED_SET.0
    | Class::EXPIRED.0
    | Class::EVICTED.0
    | Class::STREAM.0
    | Class::MODULE.0;

/// Something to be told of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeyEvent {
    pub(crate) database: DatabaseIndex,
    pub(crate) key: Bytes,
    pub(crate) class: Class,
    pub(crate) name: &'static str,
}

impl Notifications {
    /// Nobody is told of anything yet.
    pub(crate) fn new(broker: &Broker) -> Notifications {
        Notifications {
            classes: AtomicU16::new(0),
            publisher: Arc::new(broker.publisher(&Principal::node())),
            clock: Arc::clone(broker.clock()),
        }
    }

    /// What is notified of, in Redis's letters.
    pub(crate) fn letters(&self) -> String {
        let classes = self.classes.load(Ordering::Relaxed);
        let all = classes & ALL == ALL;
        let shown = LETTERS.iter().filter(|(_, class)| classes & class.0 != 0);
        let shown = shown.filter(|(_, class)| !all || class.0 & ALL == 0);
        let letters: String = shown.map(|(letter, _)| letter).collect();
        // `n` comes before the forms and after `A`, as everything else does.
        if all { format!("A{letters}") } else { letters }
    }

    /// Sets that; `None` where a letter means nothing.
    pub(crate) fn set(&self, letters: &str) -> Option<()> {
        let mut classes = 0;
        for letter in letters.chars() {
            classes |= match letter {
                'A' => ALL,
                letter => LETTERS.iter().find(|(known, _)| *known == letter)?.1.0,
            };
        }
        self.classes.store(classes, Ordering::Relaxed);
        Some(())
    }

    /// Whether anything is notified of: events in some form.
    pub(crate) fn are_wanted(&self) -> bool {
        let classes = self.classes.load(Ordering::Relaxed);
        let forms = Class::KEYSPACE.0 | Class::KEYEVENT.0;
        classes & forms != 0 && classes & !forms != 0
    }

    /// Whether events of a class are notified of.
    pub(crate) fn want(&self, class: Class) -> bool {
        self.are_wanted() && self.classes.load(Ordering::Relaxed) & class.0 != 0
    }

    /// Publishes an event, if it is wanted. Whoever calls in some order is heard in that order, but
    /// for a subscriber that makes publishers wait.
    pub(crate) fn publish(&self, event: &KeyEvent) {
        let classes = self.classes.load(Ordering::Relaxed);
        if classes & event.class.0 == 0 {
            return;
        }
        let number = event.database.get();
        if classes & Class::KEYSPACE.0 != 0 {
            let channel = [format!("__keyspace@{number}__:").as_bytes(), &event.key].concat();
            self.send(channel.into(), Bytes::from_static(event.name.as_bytes()));
        }
        if classes & Class::KEYEVENT.0 != 0 {
            let channel = format!("__keyevent@{number}__:{}", event.name);
            self.send(channel.into(), Bytes::copy_from_slice(&event.key));
        }
    }

    fn send(&self, channel: Bytes, message: Bytes) {
        let message = LiveMessage::of_value(message, self.clock.wall());
        let publisher = Arc::clone(&self.publisher);
        let mut start = Box::pin(async move {
            if let Err(error) = publisher.start(channel, message).await {
                tracing::debug!(%error, "event of a key not published");
            }
        });
        if (&mut start).now_or_never().is_none() {
            tokio::spawn(start);
        }
    }
}

/// The events that a command's notices are, in order.
pub(crate) fn named(command: &str, arguments: &[Bytes], notices: Vec<Notice>) -> Vec<KeyEvent> {
    let replaces = matches!(command, "sort" | "restore" | "copy") || command.ends_with("store");
    let keep_ttl = command == "set" && arguments.iter().any(|word| is(word, "keepttl"));
    let mut events: Vec<KeyEvent> = Vec::new();
    for (at, notice) in notices.iter().enumerate() {
        let event = |(class, name)| KeyEvent {
            database: notice.database,
            key: notice.key.clone(),
            class,
            name,
        };
        // What is replaced is not deleted for anyone to see.
        let built_again = || notices[at + 1..].iter().any(|later| later.key == notice.key);
        if replaces && notice.what == Happened::Removed && built_again() {
            continue;
        }
        if notice.created {
            events.push(event((Class::NEW, "new")));
        }
        let Some(named) = name(command, notice.what) else { continue };
        let next = event(named);
        if !(replaces && events.last() == Some(&next)) {
            events.push(next);
        }
        let expires = notice.what == (Happened::Set { expires: true }) && !keep_ttl;
        if expires && matches!(command, "set" | "setex" | "psetex") {
            events.push(event((Class::GENERIC, "expire")));
        }
        if notice.gone && !matches!(named.1, "del" | "expired") {
            events.push(event((Class::GENERIC, "del")));
        }
    }
    events
}

/// Class and name of one event; `None` when nobody is told of it.
fn name(command: &str, what: Happened) -> Option<(Class, &'static str)> {
    if command == "restore" || command == "copy" {
        let name = if command == "copy" { "copy_to" } else { "restore" };
        return (what != Happened::Expires).then_some((Class::GENERIC, name));
    }
    Some(match what {
        Happened::Set { .. } | Happened::Spliced => (Class::STRING, of_string(command)?),
        Happened::FieldsSet => (
            Class::HASH,
            match command {
                "hincrby" => "hincrby",
                "hincrbyfloat" => "hincrbyfloat",
                _ => "hset",
            },
        ),
        Happened::FieldsRemoved => (Class::HASH, "hdel"),
        Happened::MembersAdded => (
            Class::SET,
            match command {
                "sinterstore" => "sinterstore",
                "sunionstore" => "sunionstore",
                "sdiffstore" => "sdiffstore",
                _ => "sadd",
            },
        ),
        Happened::MembersRemoved if command == "spop" => (Class::SET, "spop"),
        Happened::MembersRemoved => (Class::SET, "srem"),
        Happened::ScoresSet => (
            Class::SORTED_SET,
            match command {
                "zincrby" => "zincr",
                "zunionstore" => "zunionstore",
                "zinterstore" => "zinterstore",
                "zdiffstore" => "zdiffstore",
                "zrangestore" => "zrangestore",
                _ => "zadd",
            },
        ),
        Happened::ScoresRemoved => (
            Class::SORTED_SET,
            match command {
                "zremrangebyrank" => "zremrangebyrank",
                "zremrangebyscore" => "zremrangebyscore",
                "zremrangebylex" => "zremrangebylex",
                _ => "zrem",
            },
        ),
        Happened::ScoresPopped { highest: true } => (Class::SORTED_SET, "zpopmax"),
        Happened::ScoresPopped { highest: false } => (Class::SORTED_SET, "zpopmin"),
        Happened::Pushed(_) if command == "sort" => (Class::LIST, "sortstore"),
        Happened::Pushed(End::Left) => (Class::LIST, "lpush"),
        Happened::Pushed(End::Right) => (Class::LIST, "rpush"),
        Happened::Popped(End::Left) => (Class::LIST, "lpop"),
        Happened::Popped(End::Right) => (Class::LIST, "rpop"),
        Happened::ItemSet => (Class::LIST, "lset"),
        Happened::ItemInserted => (Class::LIST, "linsert"),
        Happened::ItemsRemoved => (Class::LIST, "lrem"),
        Happened::Trimmed => (Class::LIST, "ltrim"),
        Happened::Removed if command == "ltrim" => (Class::LIST, "ltrim"),
        Happened::Expires => (Class::GENERIC, "expire"),
        Happened::Persists => (Class::GENERIC, "persist"),
        Happened::Removed => (Class::GENERIC, "del"),
        Happened::Expired => (Class::EXPIRED, "expired"),
        Happened::RenamedFrom if command == "move" => (Class::GENERIC, "move_from"),
        Happened::RenamedTo if command == "move" => (Class::GENERIC, "move_to"),
        Happened::RenamedFrom => (Class::GENERIC, "rename_from"),
        Happened::RenamedTo => (Class::GENERIC, "rename_to"),
        // The command on the stream says what it did.
        Happened::StreamSet => return None,
    })
}

fn of_string(command: &str) -> Option<&'static str> {
    Some(match command {
        "incr" | "decr" | "incrby" | "decrby" => "incrby",
        "incrbyfloat" => "incrbyfloat",
        "append" => "append",
        "setrange" => "setrange",
        "setbit" => "setbit",
        "pfadd" | "pfmerge" => "pfadd",
        // It keeps its own estimate, which changes nothing that a client sees.
        "pfcount" => return None,
        _ => "set",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(key: &'static str, what: Happened, created: bool, gone: bool) -> Notice {
        let database = DatabaseIndex::default();
        Notice { database, key: Bytes::from(key), what, created, gone }
    }

    fn names(command: &str, notices: Vec<Notice>) -> Vec<&'static str> {
        named(command, &[], notices).into_iter().map(|event| event.name).collect()
    }

    #[test]
    fn an_event_has_the_name_that_redis_gives_it() {
        let set = |expires| notice("k", Happened::Set { expires }, false, false);
        assert_eq!(names("getset", vec![set(false)]), ["set"]);
        assert_eq!(names("setex", vec![set(true)]), ["set", "expire"]);
        assert_eq!(names("incr", vec![set(false)]), ["incrby"]);
        let popped = notice("l", Happened::Popped(End::Right), false, true);
        assert_eq!(names("rpop", vec![popped]), ["rpop", "del"]);
        let new = notice("s", Happened::MembersAdded, true, false);
        assert_eq!(names("sadd", vec![new]), ["new", "sadd"]);
        let trimmed = notice("l", Happened::Removed, false, true);
        assert_eq!(names("ltrim", vec![trimmed]), ["ltrim", "del"]);
    }

    #[test]
    fn what_is_stored_anew_is_one_event() {
        let notices = vec![
            notice("d", Happened::Removed, false, true),
            notice("d", Happened::MembersAdded, true, false),
            notice("d", Happened::MembersAdded, false, false),
        ];
        assert_eq!(names("sunionstore", notices), ["new", "sunionstore"]);
        let emptied = vec![notice("d", Happened::Removed, false, true)];
        assert_eq!(names("sunionstore", emptied), ["del"]);
    }
}
