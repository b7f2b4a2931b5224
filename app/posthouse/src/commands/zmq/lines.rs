//! Lines to messages and back.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use bytes::Bytes;
use posthouse_zmtp::Message;
use tokio::sync::mpsc;

use crate::exit::{Code, Failure};

/// LIMIT: lines read and not yet sent.
const LINES_AHEAD: usize = 1024;
/// LIMIT: a longer line is an error.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How the frames of a message lie in a line.
pub(super) struct Frames {
    /// What parts them in the input, if anything does.
    splits: Option<String>,
    /// What parts them in the output.
    joins: String,
    /// Whether the first frame is a routing id, which may be any bytes.
    routed: bool,
}

impl Frames {
    pub(super) fn new(separator: Option<String>, routed: bool) -> Frames {
        let joins = separator.clone().unwrap_or_else(|| "\t".to_owned());
        let splits = separator.or_else(|| routed.then(|| joins.clone()));
        Frames { splits: splits.filter(|text| !text.is_empty()), joins, routed }
    }

    /// The message of a line.
    pub(super) fn read(&self, line: Vec<u8>) -> Result<Message, Failure> {
        let Some(separator) = &self.splits else { return Ok(Message::single(line)) };
        let mut frames = Vec::new();
        let mut rest = line.as_slice();
        while let Some(at) = find(rest, separator.as_bytes()) {
            frames.push(Bytes::copy_from_slice(&rest[..at]));
            rest = &rest[at + separator.len()..];
        }
        frames.push(Bytes::copy_from_slice(rest));
        if self.routed {
            if frames.len() < 2 {
                let text = String::from_utf8_lossy(&line).into_owned();
                return Err(Failure::new(Code::Usage, format!("{text:?} names no peer"))
                    .hint("a router's line is a routing id, a tab and the message"));
            }
            frames[0] = routing_id(&frames[0]);
        }
        Ok(frames.into_iter().collect())
    }

    /// The line of a message, without its end.
    pub(super) fn write(&self, message: &Message) -> Vec<u8> {
        let mut line = Vec::with_capacity(message.byte_len());
        for (index, frame) in message.frames().iter().enumerate() {
            if index > 0 {
                line.extend_from_slice(self.joins.as_bytes());
            }
            if index == 0 && self.routed && !frame.iter().all(u8::is_ascii_graphic) {
                line.extend_from_slice(b"0x");
                frame.iter().for_each(|byte| line.extend(format!("{byte:02x}").bytes()));
            } else {
                line.extend_from_slice(frame);
            }
        }
        line
    }
}

fn find(bytes: &[u8], separator: &[u8]) -> Option<usize> {
    bytes.windows(separator.len()).position(|window| window == separator)
}

/// A routing id as it is printed: text, or `0x` and digits when it is none.
fn routing_id(text: &Bytes) -> Bytes {
    let bytes =
        text.strip_prefix(b"0x").filter(|digits| digits.len() % 2 == 0).and_then(|digits| {
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            digits.chunks(2).map(byte).collect::<Option<Vec<u8>>>()
        });
    bytes.map_or_else(|| text.clone(), Bytes::from)
}

/// The lines of standard input, read on a thread of their own.
pub(super) struct Input {
    lines: Option<mpsc::Receiver<io::Result<Vec<u8>>>>,
}

impl Input {
    pub(super) fn start() -> Input {
        if io::stdin().is_terminal() {
            eprintln!("reading messages from the terminal, one a line; Ctrl-D ends");
        }
        let (sender, lines) = mpsc::channel(LINES_AHEAD);
        std::thread::spawn(move || {
            let mut input = io::stdin().lock();
            while let Some(line) = read_line(&mut input).transpose() {
                let failed = line.is_err();
                if sender.blocking_send(line).is_err() || failed {
                    break;
                }
            }
        });
        Input { lines: Some(lines) }
    }

    /// No lines at all.
    pub(super) fn none() -> Input {
        Input { lines: None }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        Ok(lines.recv().await.transpose()?)
    }
}

fn read_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if u64::try_from(line.len()).is_ok_and(|len| len == LINE_BYTES_MAX) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than 64 MiB"));
    }
    Ok(Some(line))
}

/// Prints a line at once, because whoever reads may be waiting for it.
pub(super) fn print(line: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(line)?;
    output.write_all(b"\n")?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_frame_unless_told_otherwise() {
        let message = Frames::new(None, false).read(b"a\tb".to_vec()).unwrap();
        assert_eq!(message, Message::from("a\tb"));
        let frames = Frames::new(Some("::".to_owned()), false);
        let message = frames.read(b"a::::c".to_vec()).unwrap();
        assert_eq!(message, Message::from(["a", "", "c"]));
        assert_eq!(frames.write(&message), b"a::::c");
    }

    #[test]
    fn an_invented_routing_id_can_be_printed_and_read() {
        let frames = Frames::new(None, true);
        let mut message = Message::single(vec![0, 0, 0, 0, 7]);
        message.push("hello");
        assert_eq!(frames.write(&message), b"0x0000000007\thello");
        assert_eq!(frames.read(frames.write(&message)).unwrap(), message);
        assert!(frames.read(b"no peer".to_vec()).is_err());
    }

    #[test]
    fn a_last_line_without_its_end_is_a_line() {
        let mut input = io::Cursor::new(b"a\n\nb");
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut input).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, [&b"a"[..], b"", b"b"]);
    }
}
