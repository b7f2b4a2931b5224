//! Splits a stream of bytes into lines, with a limit on the longest.

use bytes::{Bytes, BytesMut};

/// Collects pieces of a body and gives back whole lines.
#[derive(Debug)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// Bytes at the start of the buffer known to hold no line end.
    searched: usize,
    len_max: usize,
}

/// A line is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineTooLong;

impl Lines {
    pub(crate) fn new(len_max: usize) -> Lines {
        Lines { buffer: BytesMut::new(), searched: 0, len_max }
    }

    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole line without its end; `None` when more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, LineTooLong> {
        match self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
            Some(found) => {
                let mut line = self.buffer.split_to(self.searched + found + 1).freeze();
                self.searched = 0;
                line.truncate(line.len() - 1);
                self.check(line.len())?;
                Ok(Some(line))
            }
            None => {
                self.searched = self.buffer.len();
                self.check(self.buffer.len())?;
                Ok(None)
            }
        }
    }

    /// What follows the last line end; `None` when nothing does.
    pub(crate) fn rest(self) -> Option<Bytes> {
        (!self.buffer.is_empty()).then(|| self.buffer.freeze())
    }

    fn check(&self, len: usize) -> Result<(), LineTooLong> {
        if len > self.len_max { Err(LineTooLong) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&str]) -> Vec<String> {
        let mut lines = Lines::new(8);
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece.as_bytes());
            while let Some(line) = lines.next().unwrap() {
                found.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        found.extend(lines.rest().map(|line| String::from_utf8(line.to_vec()).unwrap()));
        found
    }

    #[test]
    fn lines_do_not_depend_on_how_the_body_was_cut() {
        let whole = split(&["ab\n\ncd\ne"]);
        assert_eq!(whole, ["ab", "", "cd", "e"]);
        assert_eq!(split(&["a", "b", "\n", "\nc", "d\n", "e"]), whole);
    }

    #[test]
    fn a_line_over_the_limit_is_refused_before_its_end() {
        let mut lines = Lines::new(8);
        lines.push(b"123456789");
        assert_eq!(lines.next(), Err(LineTooLong));
    }
}
