//! Values as bytes.

use super::{HASH, LIST, SET, SORTED_SET, STRING};
use crate::number::parse_integer;
use crate::value::Value;

/// Appends a value, its type first.
pub(super) fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(bytes) => {
            out.push(STRING);
            string(bytes, out);
        }
        Value::List(list) => {
            out.push(LIST);
            length(list.items.len(), out);
            list.items.iter().for_each(|item| string(item, out));
        }
        Value::Set(set) => {
            out.push(SET);
            length(set.members.len(), out);
            set.members.iter().for_each(|(member, ())| string(member, out));
        }
        Value::Hash(hash) => {
            out.push(HASH);
            length(hash.fields.len(), out);
            for (field, value) in hash.fields.iter() {
                string(field, out);
                string(value, out);
            }
        }
        // Its caller has looked.
        Value::Stream(_) => {}
        Value::SortedSet(sorted) => {
            out.push(SORTED_SET);
            length(sorted.scores.len(), out);
            let last = sorted.scores.len().saturating_sub(1);
            // From the highest down, as Redis does: adding each is then cheap for its reader.
            for (member, score) in sorted.order.down_from_rank(last) {
                string(member, out);
                out.extend_from_slice(&score.to_le_bytes());
            }
        }
    }
}

/// Six, fourteen, 32 or 64 bits, told apart by the first two.
fn length(len: usize, out: &mut Vec<u8>) {
    let len = u64::try_from(len).expect("a length fits");
    let bytes = len.to_be_bytes();
    match len {
        0..0x40 => out.push(bytes[7]),
        0x40..0x4000 => out.extend_from_slice(&[bytes[6] | 0x40, bytes[7]]),
        0x4000..=0xffff_ffff => {
            out.push(0x80);
            out.extend_from_slice(&bytes[4..]);
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Small integers in their own form, everything else as length and bytes.
fn string(bytes: &[u8], out: &mut Vec<u8>) {
    let number = parse_integer(bytes);
    if let Some(number) = number.and_then(|number| i8::try_from(number).ok()) {
        out.push(0xc0);
        out.extend_from_slice(&number.to_le_bytes());
    } else if let Some(number) = number.and_then(|number| i16::try_from(number).ok()) {
        out.push(0xc1);
        out.extend_from_slice(&number.to_le_bytes());
    } else if let Some(number) = number.and_then(|number| i32::try_from(number).ok()) {
        out.push(0xc2);
        out.extend_from_slice(&number.to_le_bytes());
    } else {
        length(bytes.len(), out);
        out.extend_from_slice(bytes);
    }
}
