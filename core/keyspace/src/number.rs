//! Numbers as Redis reads and writes them.
//!
//! Integers are strict: no sign `+`, no leading zero, no space. Floats are read as C reads them,
//! without NaN. Scores are written with the fewest digits that read back as the same number.

/// LIMIT: the digits of -9223372036854775808.
const INTEGER_BYTES_MAX: usize = 20;

/// LIMIT: decimals are added exactly with this many digits after the point, Redis's own count.
const FRACTION_DIGITS: u32 = 17;

/// Reads an integer that is written in the one canonical way.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    if text.len() > INTEGER_BYTES_MAX {
        return None;
    }
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let mut value = 0_i64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        let digit = i64::from(digit - b'0');
        value = value.checked_mul(10)?;
        value = if negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
    }
    Some(value)
}

/// Reads a float; infinities are allowed, NaN is not.
pub fn parse_float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let value: f64 = text.parse().ok()?;
    (!value.is_nan()).then_some(value)
}

/// Writes a score: the shortest digits that read back as the same number.
pub fn format_float(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    // LIMIT: below this every whole number has at most seventeen digits, which Redis writes out.
    if value.fract() == 0.0 && value.abs() < 1e17 {
        return format!("{value}");
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a small number");
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let digits = i32::try_from(digits).expect("a float has at most 17 digits");
    // The position of the last digit, counted from the point.
    let last = exponent - digits + 1;
    let plain = if last >= 0 { exponent < digits + 7 } else { last > -7 || exponent.abs() < 4 };
    if plain {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{}", exponent.abs())
}

/// Adds two numbers that are written as decimals. Exact where both have at most seventeen digits
/// after the point, so that 0.1 and 0.2 are 0.3; otherwise as floats. `None` when the sum is
/// infinite or not a number.
pub(crate) fn add_decimals(left: &[u8], right: &[u8]) -> Option<String> {
    if let (Some(left), Some(right)) = (scaled(left), scaled(right))
        && let Some(sum) = left.checked_add(right)
    {
        return Some(format_scaled(sum));
    }
    let sum = parse_float(left)? + parse_float(right)?;
    sum.is_finite().then(|| format!("{sum}"))
}

fn scaled(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    let missing = FRACTION_DIGITS.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    if !all_digits || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let mut value = 0_i128;
    for digit in whole.bytes().chain(fraction.bytes()) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    value = value.checked_mul(10_i128.checked_pow(missing)?)?;
    Some(if negative { -value } else { value })
}

fn format_scaled(value: i128) -> String {
    let unit = 10_u128.pow(FRACTION_DIGITS);
    let magnitude = value.unsigned_abs();
    let sign = if value < 0 { "-" } else { "" };
    let (whole, fraction) = (magnitude / unit, magnitude % unit);
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let fraction = format!("{fraction:017}");
    format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_integer_has_one_spelling() {
        for text in ["", "-", "+1", "01", "-0", " 1", "1 ", "1.0", "9223372036854775808"] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_integer(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_integer(b"0"), Some(0));
    }

    #[test]
    fn scores_are_written_as_redis_writes_them() {
        for (value, text) in [
            (1.0, "1"),
            (1.5, "1.5"),
            (0.1, "0.1"),
            (-3.25, "-3.25"),
            (1e21, "1e+21"),
            (1e-10, "1e-10"),
            (1234567.0, "1234567"),
            (1.7e12, "1700000000000"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(format_float(value), text);
        }
    }

    #[test]
    fn decimals_are_added_exactly() {
        for (left, right, sum) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("3.0e3", "200", "3200"),
            ("1", "-1", "0"),
            ("5", "-5.5", "-0.5"),
        ] {
            assert_eq!(add_decimals(left.as_bytes(), right.as_bytes()).as_deref(), Some(sum));
        }
        assert_eq!(add_decimals(b"inf", b"1"), None);
    }

    proptest! {
        #[test]
        fn an_integer_reads_back(value: i64) {
            prop_assert_eq!(parse_integer(value.to_string().as_bytes()), Some(value));
        }

        #[test]
        fn a_score_reads_back(value in proptest::num::f64::NORMAL) {
            prop_assert_eq!(parse_float(format_float(value).as_bytes()), Some(value));
        }
    }
}
