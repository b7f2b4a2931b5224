//! The state as a snapshot.
//!
//! ```text
//! version u8 = 1 · next number · queues: count, then for each
//!   number · topic id · group · configuration
//!   owners: count, then name, seen            (numbered by their order below)
//!   windows: count, then partition, next, entries: count, then for each
//!     offset less the one before · delivered at · deliveries · state u8 and its fields
//! ```
//! Owners and entries are in order, which is checked; what is derived from them is computed.

use bytes::Bytes;
use posthouse_types::{Offset, PartitionIndex, Timestamp};

use super::apply::Queues;
use super::command::{
    QueueNumber, put_config, put_key, put_time, read_bytes, read_config, read_key, read_offset,
    read_time,
};
use super::queue::{Entry, EntryState, Owner, Queue};
use crate::queues::types::RecordId;
use crate::state::{Damage, Decoder, Encoder};

const VERSION: u8 = 1;

const ACQUIRED: u8 = 1;
const AVAILABLE: u8 = 2;
const REJECTED: u8 = 3;

/// Appends the state's bytes.
pub(super) fn write(queues: &Queues, out: &mut Vec<u8>) {
    let mut encoder = Encoder(out);
    encoder.byte(VERSION);
    encoder.unsigned(queues.next_number.0);
    encoder.count(queues.queues.len());
    for (number, queue) in &queues.queues {
        encoder.unsigned(number.0);
        write_queue(&mut encoder, queue);
    }
}

/// Reads the state back.
pub(super) fn read(bytes: &[u8]) -> Result<Queues, Damage> {
    let mut decoder = Decoder::new(bytes);
    match decoder.byte()? {
        VERSION => {}
        found => return Err(Damage::new(format!("snapshot has version {found}, not {VERSION}"))),
    }
    let next_number = QueueNumber(decoder.unsigned()?);
    let mut queues = Queues { next_number, ..Queues::default() };
    let mut last = None;
    for _ in 0..decoder.count()? {
        let number = QueueNumber(decoder.unsigned()?);
        if last >= Some(number) || number >= next_number {
            return Err(Damage::new(format!("queue {} is out of order", number.0)));
        }
        last = Some(number);
        read_queue(&mut decoder, &mut queues, number)?;
    }
    decoder.finish()?;
    Ok(queues)
}

fn write_queue(encoder: &mut Encoder<'_>, queue: &Queue) {
    put_key(encoder, &queue.key);
    put_config(encoder, &queue.config);
    encoder.count(queue.owners.len());
    let mut places = std::collections::HashMap::with_capacity(queue.owners.len());
    for (place, (name, owner)) in (0_u64..).zip(&queue.owners) {
        encoder.bytes(name);
        encoder.signed(owner.seen.as_ms());
        places.insert(name, place);
    }
    encoder.count(queue.windows.len());
    for (partition, window) in &queue.windows {
        encoder.unsigned(partition.value().into());
        encoder.signed(window.next.value());
        encoder.count(window.entries.len());
        let mut last = 0;
        for (offset, entry) in &window.entries {
            encoder.signed(offset.value().wrapping_sub(last));
            last = offset.value();
            encoder.signed(entry.delivered_at.as_ms());
            encoder.unsigned(entry.deliveries.into());
            match &entry.state {
                EntryState::Acquired { owner, until } => {
                    encoder.byte(ACQUIRED);
                    encoder.unsigned(places[owner]);
                    put_time(encoder, *until);
                }
                EntryState::Available => encoder.byte(AVAILABLE),
                EntryState::Rejected { reason } => {
                    encoder.byte(REJECTED);
                    encoder.text(reason);
                }
            }
        }
    }
}

fn read_queue(
    decoder: &mut Decoder<'_>,
    queues: &mut Queues,
    number: QueueNumber,
) -> Result<(), Damage> {
    let (key, config) = (read_key(decoder)?, read_config(decoder)?);
    if queues.by_key.contains_key(&key) {
        return Err(Damage::new(format!("queue {} is there twice", number.0)));
    }
    let mut queue = Queue::new(key, config);
    let mut names: Vec<Bytes> = Vec::new();
    for _ in 0..decoder.count()? {
        let name = read_bytes(decoder)?;
        if names.last() >= Some(&name) {
            return Err(Damage::new("owners are out of order"));
        }
        let seen = Timestamp::from_ms(decoder.signed()?);
        queue.owners.insert(name.clone(), Owner { seen, ..Owner::default() });
        names.push(name);
    }
    let mut last = None;
    for _ in 0..decoder.count()? {
        let partition = PartitionIndex::new(decoder.unsigned_32()?);
        if last >= Some(partition) {
            return Err(Damage::new("partitions are out of order"));
        }
        last = Some(partition);
        queue.windows.entry(partition).or_default().next = read_offset(decoder)?;
        let mut before: Option<Offset> = None;
        for _ in 0..decoder.count()? {
            let step = decoder.signed()?;
            let offset = before.map_or(0, Offset::value).checked_add(step).and_then(Offset::new);
            let offset = offset.filter(|offset| Some(*offset) > before);
            let offset = offset.ok_or_else(|| Damage::new("entries are out of order"))?;
            before = Some(offset);
            let entry = read_entry(decoder, &names)?;
            queues.index.put(number, &mut queue, RecordId { partition, offset }, Some(entry));
        }
    }
    queues.insert(number, queue);
    Ok(())
}

fn read_entry(decoder: &mut Decoder<'_>, owners: &[Bytes]) -> Result<Entry, Damage> {
    let delivered_at = Timestamp::from_ms(decoder.signed()?);
    let deliveries = decoder.unsigned_32()?;
    let state = match decoder.byte()? {
        ACQUIRED => {
            let place = decoder.unsigned()?;
            let owner = usize::try_from(place).ok().and_then(|place| owners.get(place));
            let owner = owner.ok_or_else(|| Damage::new(format!("there is no owner {place}")))?;
            EntryState::Acquired { owner: owner.clone(), until: read_time(decoder)? }
        }
        AVAILABLE => EntryState::Available,
        REJECTED => EntryState::Rejected { reason: decoder.text()?.to_owned() },
        state => return Err(Damage::new(format!("entry is in unknown state {state}"))),
    };
    Ok(Entry { delivered_at, deliveries, state })
}
