//! Effects as bytes and back.

use bytes::Bytes;

use super::codec::{Damage, Reader, put_bytes, put_count, put_number, put_signed};
use super::{Change, Effect, End};
use crate::DATABASES;
use crate::streams::StreamTopic;
use crate::strings::STRING_BYTES_MAX;

const BEGIN: u8 = 1;
const COMPLETE: u8 = 2;
const CLEAR: u8 = 3;
const SWAP: u8 = 4;
const REMOVE: u8 = 5;
const EXPIRE: u8 = 6;
const PERSIST: u8 = 7;
const RENAME: u8 = 8;
const SET_STRING: u8 = 9;
const SET_STRING_EXPIRING: u8 = 10;
const SPLICE: u8 = 11;
const SET_FIELDS: u8 = 12;
const REMOVE_FIELDS: u8 = 13;
const ADD_MEMBERS: u8 = 14;
const REMOVE_MEMBERS: u8 = 15;
const SET_SCORES: u8 = 16;
const REMOVE_SCORES: u8 = 17;
const PUSH_LEFT: u8 = 18;
const PUSH_RIGHT: u8 = 19;
const POP_LEFT: u8 = 20;
const POP_RIGHT: u8 = 21;
const SET_ITEM: u8 = 22;
const INSERT_ITEM: u8 = 23;
const REMOVE_ITEMS: u8 = 24;
const TRIM: u8 = 25;
const SET_STREAM: u8 = 26;
const DOOM_STREAM: u8 = 27;
const BURY_STREAM: u8 = 28;

impl Effect {
    /// Appends the effect's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(kind(&self.change));
        out.push(self.database);
        if let Some(key) = self.change.key() {
            put_bytes(out, key);
        }
        encode_fields(&self.change, out);
    }

    /// Reads effects that were appended one after the other.
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<Effect>, Damage> {
        let mut reader = Reader(bytes);
        let mut effects = Vec::new();
        while !reader.is_empty() {
            let kind = reader.byte()?;
            let database = database(&mut reader)?;
            effects.push(Effect { database, change: change(kind, &mut reader)? });
        }
        Ok(effects)
    }
}

fn kind(change: &Change) -> u8 {
    match change {
        Change::Begin => BEGIN,
        Change::Complete => COMPLETE,
        Change::Clear => CLEAR,
        Change::Swap { .. } => SWAP,
        Change::Remove { .. } => REMOVE,
        Change::Expire { at: Some(_), .. } => EXPIRE,
        Change::Expire { at: None, .. } => PERSIST,
        Change::Rename { .. } => RENAME,
        Change::SetString { expires: None, .. } => SET_STRING,
        Change::SetString { expires: Some(_), .. } => SET_STRING_EXPIRING,
        Change::Splice { .. } => SPLICE,
        Change::SetFields { .. } => SET_FIELDS,
        Change::RemoveFields { .. } => REMOVE_FIELDS,
        Change::AddMembers { .. } => ADD_MEMBERS,
        Change::RemoveMembers { .. } => REMOVE_MEMBERS,
        Change::SetScores { .. } => SET_SCORES,
        Change::RemoveScores { .. } => REMOVE_SCORES,
        Change::Push { end: End::Left, .. } => PUSH_LEFT,
        Change::Push { end: End::Right, .. } => PUSH_RIGHT,
        Change::Pop { end: End::Left, .. } => POP_LEFT,
        Change::Pop { end: End::Right, .. } => POP_RIGHT,
        Change::SetItem { .. } => SET_ITEM,
        Change::InsertItem { .. } => INSERT_ITEM,
        Change::RemoveItems { .. } => REMOVE_ITEMS,
        Change::Trim { .. } => TRIM,
        Change::SetStream { .. } => SET_STREAM,
        Change::DoomStream { .. } => DOOM_STREAM,
        Change::BuryStream { .. } => BURY_STREAM,
    }
}

fn encode_fields(change: &Change, out: &mut Vec<u8>) {
    match change {
        Change::Begin | Change::Complete | Change::Clear | Change::Remove { .. } => {}
        Change::Swap { with } => out.push(*with),
        Change::Expire { at, .. } => {
            if let Some(at) = at {
                put_signed(out, *at);
            }
        }
        Change::Rename { database, to, .. } => {
            out.push(*database);
            put_bytes(out, to);
        }
        Change::SetString { value, expires, .. } => {
            put_bytes(out, value);
            if let Some(at) = expires {
                put_signed(out, *at);
            }
        }
        Change::Splice { offset, bytes, .. } => {
            put_number(out, *offset);
            put_bytes(out, bytes);
        }
        Change::SetFields { fields, .. } => {
            put_count(out, fields.len());
            for (field, value) in fields {
                put_bytes(out, field);
                put_bytes(out, value);
            }
        }
        Change::RemoveFields { fields: items, .. }
        | Change::AddMembers { members: items, .. }
        | Change::RemoveMembers { members: items, .. }
        | Change::RemoveScores { members: items, .. }
        | Change::Push { items, .. } => {
            put_count(out, items.len());
            items.iter().for_each(|item| put_bytes(out, item));
        }
        Change::SetScores { members, .. } => {
            put_count(out, members.len());
            for (member, score) in members {
                put_bytes(out, member);
                out.extend_from_slice(&score.to_le_bytes());
            }
        }
        Change::Pop { count, .. } => put_number(out, *count),
        Change::SetItem { index, item, .. } | Change::InsertItem { index, item, .. } => {
            put_number(out, *index);
            put_bytes(out, item);
        }
        Change::RemoveItems { indexes, .. } => {
            put_count(out, indexes.len());
            indexes.iter().for_each(|index| put_number(out, *index));
        }
        Change::Trim { start, len, .. } => {
            put_number(out, *start);
            put_number(out, *len);
        }
        Change::SetStream { topic, .. }
        | Change::DoomStream { topic }
        | Change::BuryStream { topic } => out.extend_from_slice(&topic.0),
    }
}

fn change(kind: u8, reader: &mut Reader<'_>) -> Result<Change, Damage> {
    match kind {
        BEGIN => return Ok(Change::Begin),
        COMPLETE => return Ok(Change::Complete),
        CLEAR => return Ok(Change::Clear),
        SWAP => return Ok(Change::Swap { with: database(reader)? }),
        DOOM_STREAM => return Ok(Change::DoomStream { topic: StreamTopic(reader.id()?) }),
        BURY_STREAM => return Ok(Change::BuryStream { topic: StreamTopic(reader.id()?) }),
        REMOVE..=SET_STREAM => {}
        unknown => return Err(Damage::UnknownKind(unknown)),
    }
    let key = reader.bytes()?;
    Ok(match kind {
        REMOVE => Change::Remove { key },
        EXPIRE => Change::Expire { key, at: Some(reader.signed()?) },
        PERSIST => Change::Expire { key, at: None },
        RENAME => Change::Rename { key, database: database(reader)?, to: reader.bytes()? },
        SET_STRING => Change::SetString { key, value: reader.bytes()?, expires: None },
        SET_STRING_EXPIRING => {
            let value = reader.bytes()?;
            Change::SetString { key, value, expires: Some(reader.signed()?) }
        }
        SPLICE => splice(key, reader)?,
        SET_STREAM => Change::SetStream { key, topic: StreamTopic(reader.id()?) },
        _ => change_of_collection(kind, key, reader)?,
    })
}

fn splice(key: Bytes, reader: &mut Reader<'_>) -> Result<Change, Damage> {
    let offset = reader.number()?;
    let bytes = reader.bytes()?;
    let end = usize::try_from(offset).ok().and_then(|offset| offset.checked_add(bytes.len()));
    match end {
        Some(end) if end <= STRING_BYTES_MAX => Ok(Change::Splice { key, offset, bytes }),
        _ => Err(Damage::BadField),
    }
}

fn change_of_collection(kind: u8, key: Bytes, reader: &mut Reader<'_>) -> Result<Change, Damage> {
    Ok(match kind {
        SET_FIELDS => {
            let fields = reader.list(|reader| Ok((reader.bytes()?, reader.bytes()?)))?;
            Change::SetFields { key, fields }
        }
        REMOVE_FIELDS => Change::RemoveFields { key, fields: reader.list(Reader::bytes)? },
        ADD_MEMBERS => Change::AddMembers { key, members: reader.list(Reader::bytes)? },
        REMOVE_MEMBERS => Change::RemoveMembers { key, members: reader.list(Reader::bytes)? },
        SET_SCORES => {
            let members = reader.list(|reader| Ok((reader.bytes()?, reader.score()?)))?;
            Change::SetScores { key, members }
        }
        REMOVE_SCORES => Change::RemoveScores { key, members: reader.list(Reader::bytes)? },
        PUSH_LEFT => Change::Push { key, end: End::Left, items: reader.list(Reader::bytes)? },
        PUSH_RIGHT => Change::Push { key, end: End::Right, items: reader.list(Reader::bytes)? },
        POP_LEFT => Change::Pop { key, end: End::Left, count: reader.number()? },
        POP_RIGHT => Change::Pop { key, end: End::Right, count: reader.number()? },
        SET_ITEM => Change::SetItem { key, index: reader.number()?, item: reader.bytes()? },
        INSERT_ITEM => Change::InsertItem { key, index: reader.number()?, item: reader.bytes()? },
        REMOVE_ITEMS => Change::RemoveItems { key, indexes: reader.list(Reader::number)? },
        _ => Change::Trim { key, start: reader.number()?, len: reader.number()? },
    })
}

fn database(reader: &mut Reader<'_>) -> Result<u8, Damage> {
    let database = reader.byte()?;
    if usize::from(database) < DATABASES { Ok(database) } else { Err(Damage::BadField) }
}
