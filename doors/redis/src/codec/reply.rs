//! Replies, and how each version of the protocol writes them.
//!
//! A reply says what it means (a map, a set, a double); version 2 has fewer words for it, so there a
//! map is a flat array and a double is a string.

use bytes::Bytes;

use super::number::format_double;
use crate::output::Output;

/// The version of the protocol that a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// RESP2, which every client begins with.
    #[default]
    V2,
    /// RESP3, after `HELLO 3`.
    V3,
}

impl Protocol {
    /// Its number.
    pub(crate) fn number(self) -> i64 {
        match self {
            Protocol::V2 => 2,
            Protocol::V3 => 3,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    /// A status: `OK`.
    Simple(&'static str),
    /// A status that is made up at run time.
    Status(String),
    /// An error: its code, a space, and its text.
    Error(String),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Bytes),
    /// Nothing, where bytes were expected.
    Null,
    /// Nothing, where an array was expected.
    NullArray,
    /// Replies in order.
    Array(Vec<Reply>),
    /// Names with values.
    Map(Vec<(Reply, Reply)>),
    /// Names with values; in version 2 an array of pairs.
    PairedMap(Vec<(Reply, Reply)>),
    /// Replies in no order.
    Set(Vec<Reply>),
    /// A number with a fraction.
    Double(f64),
    /// True or false; a number in version 2.
    Boolean(bool),
    /// Text for people.
    Verbatim(String),
    /// What was not asked for: a message. An array in version 2.
    Push(Vec<Reply>),
}

impl Reply {
    /// `OK`.
    pub(crate) const OK: Reply = Reply::Simple("OK");

    /// Bytes from whatever holds them.
    pub(crate) fn bulk(bytes: impl Into<Bytes>) -> Reply {
        Reply::Bulk(bytes.into())
    }

    /// Text that lives as long as the program.
    pub(crate) fn text(text: &'static str) -> Reply {
        Reply::Bulk(Bytes::from_static(text.as_bytes()))
    }

    /// How many there are.
    pub(crate) fn count(count: usize) -> Reply {
        Reply::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Appends the reply as `protocol` writes it.
    pub(crate) fn write(&self, protocol: Protocol, out: &mut Output) {
        let v3 = protocol == Protocol::V3;
        match self {
            Reply::Simple(text) => line(b'+', text.as_bytes(), out),
            Reply::Status(text) => line(b'+', one_line(text).as_bytes(), out),
            Reply::Error(text) => line(b'-', one_line(text).as_bytes(), out),
            Reply::Integer(value) => integer(b':', *value, out),
            Reply::Bulk(bytes) => bulk(b'$', bytes, out),
            Reply::Null if v3 => out.push(b"_\r\n"),
            Reply::NullArray if v3 => out.push(b"_\r\n"),
            Reply::Null => out.push(b"$-1\r\n"),
            Reply::NullArray => out.push(b"*-1\r\n"),
            Reply::Array(items) => sequence(b'*', items, protocol, out),
            Reply::Set(items) => sequence(if v3 { b'~' } else { b'*' }, items, protocol, out),
            Reply::Push(items) => sequence(if v3 { b'>' } else { b'*' }, items, protocol, out),
            Reply::Map(pairs) => map(pairs, protocol, out),
            Reply::PairedMap(pairs) if v3 => map(pairs, protocol, out),
            Reply::PairedMap(pairs) => {
                integer(b'*', length(pairs.len()), out);
                for (name, value) in pairs {
                    integer(b'*', 2, out);
                    name.write(protocol, out);
                    value.write(protocol, out);
                }
            }
            Reply::Double(value) if v3 => line(b',', format_double(*value).as_bytes(), out),
            Reply::Double(value) => bulk(b'$', &Bytes::from(format_double(*value)), out),
            Reply::Boolean(value) if v3 => line(b'#', if *value { b"t" } else { b"f" }, out),
            Reply::Boolean(value) => integer(b':', i64::from(*value), out),
            Reply::Verbatim(text) if v3 => bulk(b'=', &Bytes::from(format!("txt:{text}")), out),
            Reply::Verbatim(text) => bulk(b'$', &Bytes::from(text.clone()), out),
        }
    }
}

impl From<i64> for Reply {
    fn from(value: i64) -> Reply {
        Reply::Integer(value)
    }
}

impl From<Bytes> for Reply {
    fn from(bytes: Bytes) -> Reply {
        Reply::Bulk(bytes)
    }
}

impl From<Vec<Reply>> for Reply {
    fn from(items: Vec<Reply>) -> Reply {
        Reply::Array(items)
    }
}

fn map(pairs: &[(Reply, Reply)], protocol: Protocol, out: &mut Output) {
    match protocol {
        Protocol::V3 => integer(b'%', length(pairs.len()), out),
        Protocol::V2 => integer(b'*', length(pairs.len() * 2), out),
    }
    for (name, value) in pairs {
        name.write(protocol, out);
        value.write(protocol, out);
    }
}

fn sequence(kind: u8, items: &[Reply], protocol: Protocol, out: &mut Output) {
    integer(kind, length(items.len()), out);
    for item in items {
        item.write(protocol, out);
    }
}

/// A length or a number on a line of its own.
pub(crate) fn integer(kind: u8, value: i64, out: &mut Output) {
    let mut digits = [0_u8; 24];
    let mut at = digits.len() - 2;
    digits[at..].copy_from_slice(b"\r\n");
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    at -= 1;
    digits[at] = kind;
    out.push(&digits[at..]);
}

fn line(kind: u8, text: &[u8], out: &mut Output) {
    out.push(&[kind]);
    out.push(text);
    out.push(b"\r\n");
}

fn bulk(kind: u8, bytes: &Bytes, out: &mut Output) {
    integer(kind, length(bytes.len()), out);
    out.push_bytes(bytes);
    out.push(b"\r\n");
}

fn length(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

/// A line has one end; what a client sent may come back in an error's text.
fn one_line(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], " ").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply, protocol: Protocol) -> String {
        let mut out = Output::default();
        reply.write(protocol, &mut out);
        String::from_utf8(out.take_all()).unwrap()
    }

    fn check(reply: &Reply, v2: &str, v3: &str) {
        assert_eq!(written(reply, Protocol::V2), v2);
        assert_eq!(written(reply, Protocol::V3), v3);
    }

    #[test]
    fn every_kind_is_written_as_both_versions_have_it() {
        check(&Reply::OK, "+OK\r\n", "+OK\r\n");
        check(&Reply::Error("ERR a\r\nb".into()), "-ERR a  b\r\n", "-ERR a  b\r\n");
        check(&Reply::Integer(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n");
        check(&Reply::bulk("ab"), "$2\r\nab\r\n", "$2\r\nab\r\n");
        check(&Reply::Null, "$-1\r\n", "_\r\n");
        check(&Reply::NullArray, "*-1\r\n", "_\r\n");
        check(&Reply::Double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        check(&Reply::Boolean(true), ":1\r\n", "#t\r\n");
        check(&Reply::Verbatim("hi".into()), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
        check(&Reply::Set(vec![1.into()]), "*1\r\n:1\r\n", "~1\r\n:1\r\n");
        check(&Reply::Push(vec![1.into()]), "*1\r\n:1\r\n", ">1\r\n:1\r\n");
        check(
            &Reply::PairedMap(vec![(1.into(), 2.into())]),
            "*1\r\n*2\r\n:1\r\n:2\r\n",
            "%1\r\n:1\r\n:2\r\n",
        );
        check(&Reply::Map(vec![(1.into(), 2.into())]), "*2\r\n:1\r\n:2\r\n", "%1\r\n:1\r\n:2\r\n");
    }
}
