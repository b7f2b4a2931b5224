//! The text and CSV formats of `COPY`, both ways.
//!
//! # Invariants
//! - What [`row_line`] writes, [`Lines`] reads back as the same values.
//!
//! # Source
//! PostgreSQL 16 documentation, "COPY", "File Formats".

use bytes::{Buf, BufMut, Bytes, BytesMut};
use pgwire::api::results::FieldInfo;
use pgwire::messages::data::DataRow;

use crate::errors::Failure;
use crate::sql::{CopyFormat, CopyOptions};

/// LIMIT: one line of input.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A row's values as one line, with its line feed.
pub(super) fn row_line(mut row: DataRow, options: &CopyOptions) -> Result<Bytes, Failure> {
    let mut line = BytesMut::with_capacity(row.data.len() + 16);
    for index in 0..row.field_count {
        if index > 0 {
            line.put_u8(options.delimiter);
        }
        let len = row.data.try_get_i32().map_err(|_| cut_short())?;
        let Ok(len) = usize::try_from(len) else {
            line.put_slice(options.null.as_bytes());
            continue;
        };
        if row.data.len() < len {
            return Err(cut_short());
        }
        let value = row.data.split_to(len);
        put_value(&value, row.field_count == 1, options, &mut line);
    }
    line.put_u8(b'\n');
    Ok(line.freeze())
}

/// The names of the columns as one line.
pub(super) fn header_line(fields: &[FieldInfo], options: &CopyOptions) -> Bytes {
    let mut line = BytesMut::new();
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            line.put_u8(options.delimiter);
        }
        put_value(field.name().as_bytes(), fields.len() == 1, options, &mut line);
    }
    line.put_u8(b'\n');
    line.freeze()
}

fn put_value(value: &[u8], is_alone: bool, options: &CopyOptions, line: &mut BytesMut) {
    match options.format {
        CopyFormat::Text => put_escaped(value, options.delimiter, line),
        CopyFormat::Csv => put_quoted(value, is_alone, options, line),
    }
}

fn put_escaped(value: &[u8], delimiter: u8, line: &mut BytesMut) {
    for byte in value {
        let escape = match byte {
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            8 => b'b',
            11 => b'v',
            12 => b'f',
            byte if *byte == delimiter => delimiter,
            byte => {
                line.put_u8(*byte);
                continue;
            }
        };
        line.put_slice(&[b'\\', escape]);
    }
}

fn put_quoted(value: &[u8], is_alone: bool, options: &CopyOptions, line: &mut BytesMut) {
    let is_special = |byte: &u8| [options.delimiter, options.quote, b'\n', b'\r'].contains(byte);
    // A value that looks like null, or alone like the end of the data, is told apart by its quotes.
    let must_quote = options.force_quote
        || value == options.null.as_bytes()
        || (is_alone && value == b"\\.")
        || value.iter().any(is_special);
    if !must_quote {
        return line.put_slice(value);
    }
    line.put_u8(options.quote);
    for byte in value {
        if *byte == options.quote || *byte == options.escape {
            line.put_u8(options.escape);
        }
        line.put_u8(*byte);
    }
    line.put_u8(options.quote);
}

fn cut_short() -> Failure {
    Failure::Unencodable { message: "a row is cut short".to_owned() }
}

/// Input cut into rows of values, whatever pieces it comes in.
pub(super) struct Lines {
    options: CopyOptions,
    buffer: BytesMut,
    /// Bytes of `buffer` known to hold no end of a line, and whether they end inside quotes.
    scanned: usize,
    is_quoted: bool,
    number: usize,
    is_over: bool,
}

impl Lines {
    pub(super) fn new(options: CopyOptions) -> Lines {
        Lines {
            options,
            buffer: BytesMut::new(),
            scanned: 0,
            is_quoted: false,
            number: 0,
            is_over: false,
        }
    }

    pub(super) fn feed(&mut self, input: &[u8]) {
        self.buffer.extend_from_slice(input);
    }

    /// The next whole row; `None` when more input is needed.
    pub(super) fn next_row(&mut self) -> Result<Option<Vec<Option<String>>>, Failure> {
        while let Some(line) = self.next_line()? {
            if let Some(row) = self.row(&line)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The last row, when the input ended without a line feed.
    pub(super) fn last_row(&mut self) -> Result<Option<Vec<Option<String>>>, Failure> {
        if self.is_quoted {
            return Err(self.wrong("unterminated CSV quoted field"));
        }
        let line = self.buffer.split();
        self.scanned = 0;
        if line.is_empty() || self.is_over {
            return Ok(None);
        }
        self.number += 1;
        self.row(&line)
    }

    fn next_line(&mut self) -> Result<Option<BytesMut>, Failure> {
        let is_csv = self.options.format == CopyFormat::Csv;
        while let Some(byte) = self.buffer.get(self.scanned) {
            if is_csv && *byte == self.options.quote {
                // A doubled quote flips twice, and an escaped one is skipped with its escape.
                self.is_quoted = !self.is_quoted;
            } else if self.is_quoted && *byte == self.options.escape {
                if self.buffer.len() == self.scanned + 1 {
                    break;
                }
                self.scanned += 1;
            } else if *byte == b'\n' && !self.is_quoted {
                let mut line = self.buffer.split_to(self.scanned + 1);
                line.truncate(self.scanned);
                self.scanned = 0;
                self.number += 1;
                return Ok(Some(line));
            }
            self.scanned += 1;
        }
        if self.buffer.len() > LINE_BYTES_MAX {
            return Err(self.wrong(&format!("line is longer than {LINE_BYTES_MAX} bytes")));
        }
        Ok(None)
    }

    /// The values of a line; `None` for a header, or when the data is over.
    fn row(&mut self, line: &[u8]) -> Result<Option<Vec<Option<String>>>, Failure> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.is_over || line == b"\\." {
            self.is_over = true;
            return Ok(None);
        }
        if self.options.header && self.number == 1 {
            return Ok(None);
        }
        let values = match self.options.format {
            CopyFormat::Text => split_escaped(line, &self.options),
            CopyFormat::Csv => split_quoted(line, &self.options),
        };
        let text = |value: Option<Vec<u8>>| value.map(String::from_utf8).transpose();
        let texts: Result<Vec<_>, _> = values.into_iter().map(text).collect();
        texts.map(Some).map_err(|_| self.wrong("invalid byte sequence for encoding \"UTF8\""))
    }

    pub(super) fn wrong(&self, what: &str) -> Failure {
        Failure::BadCopyData { message: format!("{what}, line {}", self.number.max(1)) }
    }
}

fn split_escaped(line: &[u8], options: &CopyOptions) -> Vec<Option<Vec<u8>>> {
    let mut values = Vec::new();
    let (mut value, mut start) = (Vec::new(), 0);
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        if *byte == options.delimiter {
            values.push(unless_null(&line[start..at], value, options));
            (value, start) = (Vec::new(), at + 1);
        } else if *byte == b'\\' && at + 1 < line.len() {
            at += 1;
            value.push(match line[at] {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'v' => 11,
                b'f' => 12,
                other => other,
            });
        } else {
            value.push(*byte);
        }
        at += 1;
    }
    values.push(unless_null(&line[start..], value, options));
    values
}

/// Null is recognised before escapes are undone.
fn unless_null(raw: &[u8], value: Vec<u8>, options: &CopyOptions) -> Option<Vec<u8>> {
    (raw != options.null.as_bytes()).then_some(value)
}

fn split_quoted(line: &[u8], options: &CopyOptions) -> Vec<Option<Vec<u8>>> {
    let mut values = Vec::new();
    let (mut value, mut was_quoted, mut is_quoted) = (Vec::new(), false, false);
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let escaped = |next: &u8| {
            *next == options.quote || (*next == options.escape && options.escape != options.quote)
        };
        if is_quoted && byte == options.escape && bytes.peek().is_some_and(escaped) {
            value.extend(bytes.next());
        } else if byte == options.quote {
            (is_quoted, was_quoted) = (!is_quoted, true);
        } else if byte == options.delimiter && !is_quoted {
            let is_null = !was_quoted && value == options.null.as_bytes();
            values.push((!is_null).then_some(value));
            (value, was_quoted) = (Vec::new(), false);
        } else {
            value.push(byte);
        }
    }
    let is_null = !was_quoted && value == options.null.as_bytes();
    values.push((!is_null).then_some(value));
    values
}

/// How many rows there are in input that comes in `parts`; `None` when it is refused.
pub(crate) fn copy_rows(parts: &[&[u8]], options: &CopyOptions) -> Option<usize> {
    let mut lines = Lines::new(options.clone());
    let mut rows = 0;
    for part in parts {
        lines.feed(part);
        while lines.next_row().ok()?.is_some() {
            rows += 1;
        }
    }
    Some(rows + usize::from(lines.last_row().ok()?.is_some()))
}

#[cfg(test)]
#[path = "copy_text_tests.rs"]
mod tests;
