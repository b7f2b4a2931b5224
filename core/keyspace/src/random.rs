//! Pseudo-random numbers from a seed, so that a run can be repeated.

/// SplitMix64: small, fast, and good enough to pick a member of a set. Never for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Starts a sequence.
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.next()) * bound as u128;
        usize::try_from(wide >> 64).expect("the high half is below the bound")
    }

    /// `count` different numbers below `bound`, or all of them, in no particular order.
    pub(crate) fn distinct(&mut self, count: usize, bound: usize) -> Vec<usize> {
        // Floyd's way: as many draws as numbers wanted, whatever the bound.
        let count = count.min(bound);
        let mut chosen = std::collections::HashSet::with_capacity(count);
        let mut order = Vec::with_capacity(count);
        for top in bound - count..bound {
            let drawn = self.below(top + 1);
            let number = if chosen.insert(drawn) { drawn } else { top };
            chosen.insert(number);
            order.push(number);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_numbers_are_distinct_and_below_the_bound() {
        let mut random = Random::new(7);
        for (count, bound) in [(0, 5), (3, 10), (10, 10), (20, 10)] {
            let mut numbers = random.distinct(count, bound);
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), count.min(bound));
            assert!(numbers.iter().all(|number| *number < bound));
        }
    }
}
