//! The registers, and how they lie in a string.
//!
//! Dense: six bits a register, low bits first. Sparse: runs, each of one or two bytes:
//! `00nnnnnn` is n+1 zeros, `01nnnnnn nnnnnnnn` is n+1 zeros, `1vvvvvnn` is n+1 registers of v+1.

use crate::error::KeyError;

/// How many registers there are, and the bits of a hash that choose one.
pub(super) const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 14;
/// The bits of a hash that are left, whose zeros are counted.
pub(super) const RANK_BITS: usize = 64 - INDEX_BITS as usize;

pub(super) const HEADER_BYTES: usize = 16;
const MAGIC: &[u8; 4] = b"HYLL";
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * 6 / 8;
/// Redis's `hll-sparse-max-bytes`, without the header.
const SPARSE_BYTES_MAX: usize = 3000;
const SPARSE_RANK_MAX: u8 = 32;
const HASH_SEED: u64 = 0xadc8_3b19;

/// The registers of one HyperLogLog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Registers {
    ranks: Box<[u8; REGISTERS]>,
    dense: bool,
}

impl Default for Registers {
    fn default() -> Registers {
        Registers { ranks: Box::new([0; REGISTERS]), dense: false }
    }
}

/// The register that an element belongs to, and its rank there.
pub(super) fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element);
    let mask = REGISTERS as u64 - 1;
    let register = usize::try_from(hash & mask).expect("fourteen bits fit");
    let rest = (hash >> INDEX_BITS) | (1 << RANK_BITS);
    let rank = u8::try_from(rest.trailing_zeros() + 1).expect("at most 51");
    (register, rank)
}

impl Registers {
    /// All ranks.
    pub(super) fn ranks(&self) -> &[u8] {
        &self.ranks[..]
    }

    /// Whether they were dense when read, or have to be.
    pub(super) fn is_dense(&self) -> bool {
        self.dense
    }

    /// Makes them be written side by side.
    pub(super) fn make_dense(&mut self) {
        self.dense = true;
    }

    /// Raises a register; says whether it was lower.
    pub(super) fn raise(&mut self, register: usize, rank: u8) -> bool {
        let lower = self.ranks[register] < rank;
        if lower {
            self.ranks[register] = rank;
            self.dense |= rank > SPARSE_RANK_MAX;
        }
        lower
    }

    /// Raises every register to that of another.
    pub(super) fn merge(&mut self, other: &Registers) {
        for (rank, other) in self.ranks.iter_mut().zip(other.ranks()) {
            *rank = (*rank).max(*other);
        }
        self.dense |= other.dense;
    }

    /// Reads a string.
    pub(super) fn read(string: &[u8]) -> Result<Registers, KeyError> {
        let header = string.first_chunk::<HEADER_BYTES>().ok_or(KeyError::NotHyperLogLog)?;
        if !header.starts_with(MAGIC) {
            return Err(KeyError::NotHyperLogLog);
        }
        let body = &string[HEADER_BYTES..];
        match header[4] {
            DENSE if string.len() == DENSE_BYTES => Ok(read_dense(body)),
            SPARSE => read_sparse(body).ok_or(KeyError::DamagedHyperLogLog),
            _ => Err(KeyError::NotHyperLogLog),
        }
    }

    /// Writes a string: sparse where that is allowed and small, with an estimate of 0 that is valid.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut string = Vec::with_capacity(DENSE_BYTES);
        string.extend_from_slice(MAGIC);
        string.resize(HEADER_BYTES, 0);
        if !self.dense {
            string[4] = SPARSE;
            write_sparse(self.ranks(), &mut string);
            if string.len() <= HEADER_BYTES + SPARSE_BYTES_MAX {
                return string;
            }
            string.truncate(HEADER_BYTES);
        }
        string[4] = DENSE;
        for group in self.ranks.chunks_exact(4) {
            // Four registers of six bits are three bytes.
            let bits = group.iter().rev().fold(0_u32, |bits, rank| (bits << 6) | u32::from(*rank));
            string.extend_from_slice(&bits.to_le_bytes()[..3]);
        }
        string
    }
}

fn read_dense(body: &[u8]) -> Registers {
    let mut registers = Registers { dense: true, ..Registers::default() };
    for (ranks, bytes) in registers.ranks.chunks_exact_mut(4).zip(body.chunks_exact(3)) {
        let mut bits = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
        for rank in ranks {
            *rank = bits.to_le_bytes()[0] & 0x3f;
            bits >>= 6;
        }
    }
    registers
}

fn read_sparse(mut body: &[u8]) -> Option<Registers> {
    let mut registers = Registers::default();
    let mut at = 0;
    while let Some((&first, rest)) = body.split_first() {
        let (rank, count) = if first & 0x80 != 0 {
            body = rest;
            (((first >> 2) & 0x1f) + 1, usize::from(first & 3) + 1)
        } else if first & 0x40 != 0 {
            let (&second, rest) = rest.split_first()?;
            body = rest;
            (0, ((usize::from(first & 0x3f) << 8) | usize::from(second)) + 1)
        } else {
            body = rest;
            (0, usize::from(first) + 1)
        };
        registers.ranks.get_mut(at..at + count)?.fill(rank);
        at += count;
    }
    (at == REGISTERS).then_some(registers)
}

fn write_sparse(ranks: &[u8], out: &mut Vec<u8>) {
    for run in ranks.chunk_by(|left, right| left == right) {
        let rank = run[0];
        let mut left = run.len();
        while left > 0 {
            let count = left.min(if rank == 0 { REGISTERS } else { 4 });
            left -= count;
            let stored = u16::try_from(count - 1).expect("fourteen bits fit").to_be_bytes();
            match rank {
                0 if count <= 64 => out.push(stored[1]),
                0 => out.extend_from_slice(&[stored[0] | 0x40, stored[1]]),
                rank => out.push(0x80 | ((rank - 1) << 2) | stored[1]),
            }
        }
    }
}

/// MurmurHash64A, as Redis seeds it.
fn murmur(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = HASH_SEED ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let mut words = bytes.chunks_exact(8);
    for word in words.by_ref() {
        let word = u64::from_le_bytes(*word.first_chunk().expect("a chunk has eight bytes"));
        let mut mixed = word.wrapping_mul(FACTOR);
        mixed ^= mixed >> SHIFT;
        hash = (hash ^ mixed.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        let mut word = [0; 8];
        word[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ (hash >> SHIFT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_one_is_one_run_of_zeros() {
        let string = Registers::default().write();
        assert_eq!(&string[..5], b"HYLL\x01");
        assert_eq!(&string[HEADER_BYTES..], [0x7f, 0xff]);
    }

    #[test]
    fn runs_that_are_too_long_or_too_short_are_damage() {
        let empty = Registers::default().write();
        for body in [&[0x7f, 0xfe][..], &[0x7f, 0xff, 0x00], &[0x7f], &[]] {
            let string = [&empty[..HEADER_BYTES], body].concat();
            assert_eq!(Registers::read(&string), Err(KeyError::DamagedHyperLogLog));
        }
    }

    proptest! {
        #[test]
        fn registers_read_back(elements in prop::collection::vec(any::<u64>(), 0..4000), dense: bool) {
            let mut registers = Registers { dense, ..Registers::default() };
            for element in elements {
                let (register, rank) = place(&element.to_le_bytes());
                registers.raise(register, rank);
            }
            let string = registers.write();
            let read = Registers::read(&string).unwrap();
            prop_assert_eq!(read.ranks(), registers.ranks());
            prop_assert_eq!(read.is_dense(), string[4] == DENSE);
        }
    }
}
