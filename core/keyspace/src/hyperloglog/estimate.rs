//! From registers to a number.

use super::registers::{RANK_BITS, REGISTERS, Registers};

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// How many different elements the registers have seen.
pub(super) fn estimate(registers: &Registers) -> u64 {
    let mut histogram = [0_u32; 64];
    for rank in registers.ranks() {
        histogram[usize::from(*rank & 0x3f)] += 1;
    }
    let count = REGISTERS as f64;
    let highest = f64::from(histogram[RANK_BITS + 1]);
    let mut sum = count * tau((count - highest) / count);
    for registers in histogram[1..=RANK_BITS].iter().rev() {
        sum = (sum + f64::from(*registers)) * 0.5;
    }
    sum += count * sigma(f64::from(histogram[0]) / count);
    let estimate = (ALPHA * count * count / sum).round();
    // An estimate is not negative and far below 2^64.
    estimate as u64
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if before == z {
            return z / 3.0;
        }
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before == z {
            return z;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::registers::place;
    use super::*;

    #[test]
    fn nothing_is_zero() {
        assert_eq!(estimate(&Registers::default()), 0);
    }

    #[test]
    fn estimates_are_within_the_bound() {
        let mut registers = Registers::default();
        for number in 1_u32..=200_000 {
            let (register, rank) = place(format!("element:{number}").as_bytes());
            registers.raise(register, rank);
            if [10, 100, 1_000, 10_000, 50_000, 200_000].contains(&number) {
                let exact = f64::from(number);
                let off = (estimate(&registers) as f64 - exact).abs() / exact;
                // Three standard errors of 1.04 / sqrt(16384).
                assert!(off < 0.0244, "{number}: {off}");
            }
        }
    }
}
