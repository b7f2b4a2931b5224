//! Text as a decimal of a declared precision and scale.
//!
//! Ours, because arrow-cast 59's `parse_decimal` counts digits in 8 bits and exponents in 16, so that
//! `1e65536` reads as 1 and a number of 257 digits as one of a single digit. A number that does not fit
//! is none here, whatever it looks like; one with more places than the scale is rounded, half away from
//! zero, as PostgreSQL does ("Numeric Types", section 8.1.2).

use datafusion::arrow::datatypes::DECIMAL128_MAX_PRECISION;

/// Larger exponents are taken to be this one: no text has the digits to make up for it.
const EXPONENT_MAX: i64 = 1 << 40;

/// `[+-]digits[.digits][e[+-]digits]` in units of `10^-scale`; `None` when it is something else or has
/// more digits than `precision`.
pub(super) fn numeric(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (negative, rest) = sign(text);
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, self::exponent(exponent)?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = || digits().skip_while(|byte| *byte == b'0').map(|byte| byte - b'0');
    let count = i64::try_from(significant().count()).ok()?;
    if count == 0 {
        return Some(0);
    }
    // How many zeros follow the last digit in units of the scale; below zero, how many digits go.
    let shift = exponent - i64::try_from(fraction.len()).ok()? + i64::from(scale);
    let precision = precision.min(DECIMAL128_MAX_PRECISION);
    let kept = count + shift.min(0);
    if kept < 0 {
        return Some(0);
    }
    if count + shift > i64::from(precision) {
        return None;
    }
    let kept = usize::try_from(kept).ok()?;
    let value =
        significant().take(kept).fold(0_i128, |value, digit| value * 10 + i128::from(digit));
    let value = value * 10_i128.pow(u32::try_from(shift.max(0)).ok()?);
    let rounds_up = significant().nth(kept).is_some_and(|digit| digit >= 5);
    let value = value + i128::from(rounds_up);
    let fits = value < 10_i128.pow(u32::from(precision));
    fits.then_some(if negative { -value } else { value })
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// `[+-]digits`, at most [`EXPONENT_MAX`] either way.
fn exponent(text: &str) -> Option<i64> {
    let (negative, digits) = sign(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let add = |value: i64, byte: u8| (value * 10 + i64::from(byte - b'0')).min(EXPONENT_MAX);
    let exponent = digits.bytes().fold(0, add);
    Some(if negative { -exponent } else { exponent })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<i128> {
        numeric(text, 12, 3)
    }

    #[test]
    fn what_is_written_in_many_ways_is_one_number() {
        for text in ["1250", "1250.000", "+1.25e3", "125E+1", "00012500e-1", "0.00125e6", "1250."] {
            assert_eq!(read(text), Some(1_250_000), "{text}");
        }
        assert_eq!(read("-.5"), Some(-500));
        assert_eq!(read("-0"), Some(0));
    }

    #[test]
    fn what_has_more_places_is_rounded_half_away_from_zero() {
        let cases = [
            ("0.0004", 0),
            ("0.0005", 1),
            ("-0.0005", -1),
            ("0.00049999", 0),
            ("1.2345", 1235),
            ("1e-4", 0),
            ("5e-4", 1),
            ("9e-99999999999999999999", 0),
            ("999.9999", 1_000_000),
        ];
        for (text, value) in cases {
            assert_eq!(read(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_none() {
        let digits = |count: usize| "7".repeat(count);
        for text in [
            "1e9",
            "999999999.9995",
            "1e65536",
            "1e4294967296",
            "1e18446744073709551616",
            "0000000002e00891532894980002048",
            &digits(10),
            &digits(257),
            &digits(266),
            &format!("{}e-200", digits(512)),
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("999999999.9994"), Some(999_999_999_999));
        assert_eq!(read(&format!("{}e-600", digits(600))), Some(778));
        assert_eq!(read("0e65536"), Some(0));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in [
            "", "-", "+", ".", "e", "e5", "1e", "1e+", "1e5-3", "1.2.3", "1 2", "0x1", "NaN",
            "+-1", "١",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_largest_fit_and_no_larger() {
        let largest = "9".repeat(38);
        assert_eq!(numeric(&largest, 38, 0), Some(10_i128.pow(38) - 1));
        assert_eq!(numeric(&format!("{largest}.5"), 38, 0), None);
        assert_eq!(numeric(&format!("1{}", "0".repeat(38)), 38, 0), None);
    }

    proptest! {
        #[test]
        fn a_number_reads_as_it_is_written(
            value in -10_i128.pow(20)..10_i128.pow(20),
            scale in 0_i8..10,
            zeros in 0_usize..100,
        ) {
            // The exponent moves the point back over the zeros, and over the places of the scale.
            let text = format!("{value}{}e-{}", "0".repeat(zeros), zeros + usize::try_from(scale).unwrap());
            prop_assert_eq!(numeric(&text, 38, scale), Some(value), "{}", text);
        }

        #[test]
        fn nothing_panics_and_what_is_read_fits(
            text in "[+-]?[0-9]{0,45}(\\.[0-9]{0,45})?([eE][+-]?[0-9]{0,25})?",
            precision in 1_u8..=38,
            scale in 0_i8..=38,
        ) {
            if let Some(value) = numeric(&text, precision, scale) {
                prop_assert!(value.abs() < 10_i128.pow(u32::from(precision)));
            }
        }
    }
}
