//! Makes inputs out of a corpus: small damage to what a decoder understands.

/// LIMIT: bytes of an input, which repeated splicing would otherwise let grow.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Values at which lengths and counts go wrong.
const EXTREMES: [i64; 13] = [
    0,
    1,
    -1,
    -2,
    0x7f,
    0x80,
    0x7fff,
    0x8000,
    0x00ff_ffff,
    0x7fff_ffff,
    -0x8000_0000,
    i64::MAX,
    i64::MIN,
];

/// Gives one input after another; the same seed and corpus give the same inputs.
pub(crate) struct Mutator {
    random: Random,
    corpus: Vec<Vec<u8>>,
}

impl Mutator {
    pub(crate) fn new(seed: u64, corpus: Vec<Vec<u8>>) -> Mutator {
        Mutator { random: Random(seed), corpus }
    }

    pub(crate) fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.pick();
        for _ in 0..=self.random.below(4) {
            self.damage(&mut input);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn pick(&mut self) -> Vec<u8> {
        match self.corpus.len() {
            0 => Vec::new(),
            len => self.corpus[self.random.below(len)].clone(),
        }
    }

    fn damage(&mut self, input: &mut Vec<u8>) {
        match self.random.below(8) {
            0 => self.flip(input),
            1 => self.overwrite(input),
            2 => input.truncate(self.random.below(input.len() + 1)),
            3 => self.splice(input),
            4 => self.remove(input),
            5 => self.repeat(input),
            6 => self.put_extreme(input),
            _ => self.insert_varint(input),
        }
    }

    fn flip(&mut self, input: &mut [u8]) {
        if !input.is_empty() {
            let at = self.random.below(input.len());
            input[at] ^= 1 << self.random.below(8);
        }
    }

    fn overwrite(&mut self, input: &mut [u8]) {
        if !input.is_empty() {
            let at = self.random.below(input.len());
            input[at] = self.random.byte();
        }
    }

    /// The beginning of this input and the end of another.
    fn splice(&mut self, input: &mut Vec<u8>) {
        let other = self.pick();
        input.truncate(self.random.below(input.len() + 1));
        input.extend_from_slice(&other[self.random.below(other.len() + 1)..]);
    }

    fn remove(&mut self, input: &mut Vec<u8>) {
        let range = self.random.range(input.len());
        input.drain(range);
    }

    fn repeat(&mut self, input: &mut Vec<u8>) {
        let range = self.random.range(input.len());
        let again = input[range.clone()].to_vec();
        input.splice(range.end..range.end, again);
    }

    /// A length or count of one, two, four or eight bytes, in either order of bytes.
    fn put_extreme(&mut self, input: &mut [u8]) {
        let width = 1 << self.random.below(4);
        if input.len() < width {
            return;
        }
        let at = self.random.below(input.len() - width + 1);
        let value = EXTREMES[self.random.below(EXTREMES.len())];
        if self.random.below(4) == 0 {
            input[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        } else {
            input[at..at + width].copy_from_slice(&value.to_be_bytes()[8 - width..]);
        }
    }

    /// A length or count as records, and Kafka's newer messages, write them.
    fn insert_varint(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() + 1);
        let value = EXTREMES[self.random.below(EXTREMES.len())];
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        let mut bytes = Vec::new();
        while rest >= 0x80 {
            bytes.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        bytes.push(rest.to_le_bytes()[0]);
        let replaced = self.random.below(2).min(input.len() - at);
        input.splice(at..at + replaced, bytes);
    }
}

/// SplitMix64: small, and good enough to choose what to break.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when there is none.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// A short range within `len`.
    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        let room = (len - start).min(64);
        start..start + self.below(room + 1)
    }
}
