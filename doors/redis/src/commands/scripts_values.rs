//! Replies as Lua values, and Lua values as replies.

use bytes::Bytes;
use mlua::{Lua, Table, Value};
use posthouse_keyspace::format_float;

use crate::codec::Reply;

/// LIMIT: tables within tables of a script's answer.
const DEPTH_MAX: usize = 64;
/// LIMIT: values in a script's answer, which may hold the same table many times.
const VALUES_MAX: usize = 1_000_000;

/// An argument of a command: a string, or a number in its shortest form.
pub(super) fn argument(value: &Value) -> Option<Bytes> {
    match value {
        Value::String(text) => Some(Bytes::copy_from_slice(&text.as_bytes())),
        Value::Integer(number) => Some(Bytes::from(number.to_string())),
        Value::Number(number) => Some(Bytes::from(format_float(*number))),
        _ => None,
    }
}

/// A reply as a script sees it.
pub(super) fn reply_to_lua(lua: &Lua, reply: Reply) -> mlua::Result<Value> {
    let string = |text: &[u8]| lua.create_string(text).map(Value::String);
    match reply {
        Reply::Simple(text) => named(lua, "ok", text.as_bytes()),
        Reply::Status(text) => named(lua, "ok", text.as_bytes()),
        Reply::Error(text) => named(lua, "err", text.as_bytes()),
        // Lua 5.1 has one kind of number.
        Reply::Integer(number) => Ok(Value::Number(number as f64)),
        Reply::Bulk(bytes) => string(&bytes),
        Reply::Null | Reply::NullArray => Ok(Value::Boolean(false)),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => list(lua, items),
        Reply::Map(pairs) | Reply::PairedMap(pairs) => {
            list(lua, pairs.into_iter().flat_map(|(name, value)| [name, value]).collect())
        }
        Reply::Double(number) => string(format_float(number).as_bytes()),
        Reply::Boolean(value) => Ok(Value::Number(f64::from(u8::from(value)))),
        Reply::Verbatim(text) => string(text.as_bytes()),
    }
}

fn named(lua: &Lua, name: &str, text: &[u8]) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.set(name, lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

fn list(lua: &Lua, items: Vec<Reply>) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(items.len(), 0)?;
    for item in items {
        table.raw_push(reply_to_lua(lua, item)?)?;
    }
    Ok(Value::Table(table))
}

/// What a script answers.
pub(super) fn reply_from_lua(value: Value) -> mlua::Result<Reply> {
    let mut left = VALUES_MAX;
    match from_lua(value, DEPTH_MAX, &mut left)? {
        Some(reply) => Ok(reply),
        None => Ok(Reply::Error("ERR reached lua stack limit".to_owned())),
    }
}

/// `None` where the answer is too deep or too large.
fn from_lua(value: Value, depth: usize, left: &mut usize) -> mlua::Result<Option<Reply>> {
    let (Some(depth), Some(fewer)) = (depth.checked_sub(1), left.checked_sub(1)) else {
        return Ok(None);
    };
    *left = fewer;
    Ok(Some(match value {
        Value::String(text) => Reply::Bulk(Bytes::copy_from_slice(&text.as_bytes())),
        Value::Integer(number) => Reply::Integer(number),
        // A fraction is cut off, and what does not fit is the nearest that does.
        Value::Number(number) => Reply::Integer(number as i64),
        Value::Boolean(true) => Reply::Integer(1),
        Value::Table(table) => return from_table(&table, depth, left),
        _ => Reply::Null,
    }))
}

fn from_table(table: &Table, depth: usize, left: &mut usize) -> mlua::Result<Option<Reply>> {
    let text = |name: &str| -> mlua::Result<Option<String>> {
        match table.raw_get::<Value>(name)? {
            Value::String(text) => Ok(Some(text.to_string_lossy())),
            _ => Ok(None),
        }
    };
    if let Some(error) = text("err")? {
        return Ok(Some(Reply::Error(error)));
    }
    if let Some(status) = text("ok")? {
        return Ok(Some(Reply::Status(status)));
    }
    let mut items = Vec::new();
    // The first nil ends it, whatever comes after.
    for index in 1_i64.. {
        let value: Value = table.raw_get(index)?;
        if value.is_nil() {
            break;
        }
        match from_lua(value, depth, left)? {
            Some(reply) => items.push(reply),
            None => return Ok(None),
        }
    }
    Ok(Some(Reply::Array(items)))
}
