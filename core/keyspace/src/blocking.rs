//! Clients that wait for a key to have something.
//!
//! # Invariants
//! - Of the clients that wait for a key, the one that has waited longest is served first.
//! - A client is served at most once for each time it waits, and then waits for no key any more.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use posthouse_types::Timestamp;

use crate::effect::End;
use crate::error::KeyError;
use crate::keyspace::{DATABASES, DatabaseIndex, Keyspace};
use crate::value::Kind;

/// A client, by whatever number its owner knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

/// What a client waits to do, with the first of its keys that allows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Take items from a list's end.
    PopItems {
        /// The end.
        end: End,
        /// How many at most.
        count: usize,
    },
    /// Move an item from a list's end to an end of another list.
    MoveItem {
        /// The end it is taken from.
        from: End,
        /// The other list.
        to: Bytes,
        /// The end it is added at.
        end: End,
    },
    /// Take the members with the lowest scores, or the highest.
    PopScores {
        /// Whether the highest.
        highest: bool,
        /// How many at most.
        count: usize,
    },
}

/// What a waiting client gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Served {
    /// Items of a list.
    Items {
        /// The list.
        key: Bytes,
        /// The items, in the order they were taken.
        items: Vec<Bytes>,
    },
    /// An item that was moved.
    Moved(Bytes),
    /// Members of a sorted set, with scores.
    Scores {
        /// The sorted set.
        key: Bytes,
        /// The members, in the order they were taken.
        members: Vec<(Bytes, f64)>,
    },
    /// What it waited for could not be done.
    Failed(KeyError),
}

/// The clients that wait, and the keys that something happened to.
#[derive(Debug)]
pub(crate) struct Waiters {
    clients: HashMap<ClientId, Waiting>,
    /// By database and key: the clients in the order in which they came.
    keys: Vec<HashMap<Bytes, BTreeMap<u64, ClientId>>>,
    signalled: VecDeque<(DatabaseIndex, Bytes)>,
    arrivals: u64,
}

#[derive(Debug)]
struct Waiting {
    database: DatabaseIndex,
    keys: Vec<Bytes>,
    wait: Wait,
    arrival: u64,
}

impl Default for Waiters {
    fn default() -> Waiters {
        Waiters {
            clients: HashMap::new(),
            keys: (0..DATABASES).map(|_| HashMap::new()).collect(),
            signalled: VecDeque::new(),
            arrivals: 0,
        }
    }
}

impl Waiters {
    /// Notes that something happened to a key.
    pub(crate) fn signal(&mut self, index: DatabaseIndex, key: &Bytes) {
        let waiting = &self.keys[usize::from(index.get())];
        if !waiting.is_empty() && waiting.contains_key(key) {
            self.signalled.push_back((index, key.clone()));
        }
    }

    /// Notes that something happened to every key of a database.
    pub(crate) fn signal_database(&mut self, index: DatabaseIndex) {
        let keys = self.keys[usize::from(index.get())].keys();
        self.signalled.extend(keys.map(|key| (index, key.clone())));
    }

    fn remove(&mut self, client: ClientId) -> Option<Waiting> {
        let waiting = self.clients.remove(&client)?;
        let keys = &mut self.keys[usize::from(waiting.database.get())];
        for key in &waiting.keys {
            if let Some(clients) = keys.get_mut(key) {
                clients.remove(&waiting.arrival);
                if clients.is_empty() {
                    keys.remove(key);
                }
            }
        }
        Some(waiting)
    }
}

impl Keyspace {
    /// Makes a client wait. The caller has tried the same operation on each key and found nothing;
    /// a client that waits already waits for this instead.
    pub fn wait(&mut self, client: ClientId, index: DatabaseIndex, keys: &[&[u8]], wait: Wait) {
        self.waiters.remove(client);
        let arrival = self.waiters.arrivals;
        self.waiters.arrivals += 1;
        let keys: Vec<Bytes> = keys.iter().map(|key| Bytes::copy_from_slice(key)).collect();
        for key in &keys {
            let clients = self.waiters.keys[usize::from(index.get())].entry(key.clone());
            clients.or_default().insert(arrival, client);
        }
        self.waiters.clients.insert(client, Waiting { database: index, keys, wait, arrival });
    }

    /// Makes a client wait no longer: its time is over, or it is gone. Says whether it waited.
    pub fn stop_waiting(&mut self, client: ClientId) -> bool {
        self.waiters.remove(client).is_some()
    }

    /// How many clients wait.
    pub fn waiting(&self) -> usize {
        self.waiters.clients.len()
    }

    /// Serves clients whose keys have something now. Call it after every command, and after a whole
    /// transaction.
    pub fn serve_waiting(&mut self, now: Timestamp) -> Vec<(ClientId, Served)> {
        let mut served = Vec::new();
        while let Some((index, key)) = self.waiters.signalled.pop_front() {
            let place = usize::from(index.get());
            let mut from = 0;
            // Who cannot be served yet (the key is of another type) is passed over, not removed.
            while let Some((&arrival, &client)) =
                self.waiters.keys[place].get(&key).and_then(|who| who.range(from..).next())
            {
                from = arrival + 1;
                let wait = self.waiters.clients[&client].wait.clone();
                if !self.has_something(index, &key, &wait, now) {
                    continue;
                }
                self.waiters.remove(client);
                served.push((client, self.serve(index, &key, wait, now)));
            }
        }
        served
    }

    fn has_something(
        &mut self,
        index: DatabaseIndex,
        key: &[u8],
        wait: &Wait,
        now: Timestamp,
    ) -> bool {
        let wanted = match wait {
            Wait::PopItems { .. } | Wait::MoveItem { .. } => Kind::List,
            Wait::PopScores { .. } => Kind::SortedSet,
        };
        self.database(index, now).kind(key) == Some(wanted)
    }

    fn serve(&mut self, index: DatabaseIndex, key: &Bytes, wait: Wait, now: Timestamp) -> Served {
        let mut database = self.database(index, now);
        let served = match wait {
            Wait::PopItems { end, count } => {
                let items = database.pop(key, end, count);
                items.map(|items| Served::Items {
                    key: key.clone(),
                    items: items.unwrap_or_default(),
                })
            }
            Wait::MoveItem { from, to, end } => {
                let item = database.move_item(key, from, &to, end);
                item.map(|item| Served::Moved(item.unwrap_or_default()))
            }
            Wait::PopScores { highest, count } => {
                let members = database.pop_scores(key, highest, count);
                members.map(|members| Served::Scores { key: key.clone(), members })
            }
        };
        served.unwrap_or_else(Served::Failed)
    }
}
