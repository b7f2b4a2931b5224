//! The bytes of a fan-out: requests and pushes of one length, so that counting bytes counts messages.
//!
//! A payload begins with its number and the time it was sent, in digits of fixed width.
//!
//! # Invariants
//! - A request and the push that comes of it differ in one word of seven letters.

use anyhow::{Result, bail, ensure};

/// Digits of a number in a payload.
const DIGITS: usize = 16;
/// A payload has room for its number and its time.
pub(crate) const PAYLOAD_BYTES_MIN: usize = 2 * DIGITS;
pub(crate) const SUBSCRIBE: &[u8] = b"*2\r\n$9\r\nSUBSCRIBE\r\n$7\r\nfan-out\r\n";
pub(crate) const SUBSCRIBED: &[u8] = b"*3\r\n$9\r\nsubscribe\r\n$7\r\nfan-out\r\n:1\r\n";
/// Where the word that differs stands.
pub(crate) const WORD: std::ops::Range<usize> = 8..15;
pub(crate) const PUSH_WORD: &[u8] = b"message";
const REQUEST_WORD: &str = "PUBLISH";

/// A batch of requests, of which only numbers and times change.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    layout: Layout,
}

/// Where things are in a request or a push.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    /// Bytes of one.
    pub(crate) len: usize,
    payload: usize,
}

impl Layout {
    pub(crate) fn new(payload_bytes: usize) -> Result<Layout> {
        ensure!(
            payload_bytes >= PAYLOAD_BYTES_MIN,
            "a payload has {PAYLOAD_BYTES_MIN} bytes or more"
        );
        let head = head(payload_bytes);
        Ok(Layout { len: head.len() + payload_bytes + 2, payload: head.len() })
    }

    /// The number and the time of the push that `bytes` begin with, if they reach that far.
    pub(crate) fn read(&self, bytes: &[u8]) -> Result<Option<(u64, u64)>> {
        let Some(digits) = bytes.get(self.payload..self.payload + 2 * DIGITS) else {
            return Ok(None);
        };
        ensure!(&bytes[WORD] == PUSH_WORD, "{:?} is no message", String::from_utf8_lossy(bytes));
        Ok(Some((number(&digits[..DIGITS])?, number(&digits[DIGITS..])?)))
    }
}

impl Batch {
    pub(crate) fn new(count: usize, payload_bytes: usize) -> Result<Batch> {
        let layout = Layout::new(payload_bytes)?;
        let mut one = head(payload_bytes).into_bytes();
        one.resize(one.len() + payload_bytes, b'x');
        one.extend_from_slice(b"\r\n");
        Ok(Batch { bytes: one.repeat(count), layout })
    }

    /// The requests, numbered from `first` on.
    pub(crate) fn stamp(&mut self, first: u64, micros: u64) -> &[u8] {
        for (number, request) in (first..).zip(self.bytes.chunks_exact_mut(self.layout.len)) {
            let payload = &mut request[self.layout.payload..];
            write_number(&mut payload[..DIGITS], number);
            write_number(&mut payload[DIGITS..2 * DIGITS], micros);
        }
        &self.bytes
    }
}

fn head(payload_bytes: usize) -> String {
    format!("*3\r\n$7\r\n{REQUEST_WORD}\r\n$7\r\nfan-out\r\n${payload_bytes}\r\n")
}

fn write_number(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("one digit");
        number /= 10;
    }
}

fn number(digits: &[u8]) -> Result<u64> {
    let mut number = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            bail!("{:?} is no number", String::from_utf8_lossy(digits));
        }
        number = number * 10 + u64::from(digit - b'0');
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_tells_the_number_and_the_time_of_its_request() {
        let mut batch = Batch::new(3, 64).unwrap();
        let layout = Layout::new(64).unwrap();
        let mut bytes = batch.stamp(41, 1_234_567).to_vec();
        assert_eq!(bytes.len(), 3 * layout.len);
        let second = &mut bytes[layout.len..];
        assert!(layout.read(second).is_err(), "a request is no push");
        second[WORD].copy_from_slice(PUSH_WORD);
        assert_eq!(layout.read(second).unwrap(), Some((42, 1_234_567)));
        assert_eq!(layout.read(&second[..40]).unwrap(), None);
    }
}
