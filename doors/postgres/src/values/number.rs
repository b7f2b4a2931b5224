//! Numbers as PostgreSQL writes them.
//!
//! # Source
//! PostgreSQL 16, `float8out` and `float4out`: the shortest digits that read back as the same value,
//! with an exponent where `printf` with 15 (6) digits would use one.

use std::fmt::Write;

use bytes::BytesMut;

/// Digits above which an exponent is used.
const DOUBLE_DIGITS: i32 = 15;
const SINGLE_DIGITS: i32 = 6;

/// `float8` with `extra_float_digits`.
pub(super) fn write_double(value: f64, extra_digits: i8, out: &mut BytesMut) {
    if extra_digits > 0 {
        write_float(value.is_nan(), value.is_infinite(), &format!("{value:e}"), DOUBLE_DIGITS, out);
    } else {
        write_rounded(value, DOUBLE_DIGITS + i32::from(extra_digits), out);
    }
}

/// `float4` with `extra_float_digits`.
pub(super) fn write_single(value: f32, extra_digits: i8, out: &mut BytesMut) {
    if extra_digits > 0 {
        write_float(value.is_nan(), value.is_infinite(), &format!("{value:e}"), SINGLE_DIGITS, out);
    } else {
        write_rounded(f64::from(value), SINGLE_DIGITS + i32::from(extra_digits), out);
    }
}

/// `numeric` from its digits and scale.
pub(super) fn write_decimal(value: i128, scale: i8, out: &mut BytesMut) {
    let digits = value.unsigned_abs().to_string();
    if value < 0 {
        put(out, "-");
    }
    let Ok(scale @ 1..) = usize::try_from(scale) else {
        put(out, &digits);
        if value != 0 {
            put(out, &"0".repeat(usize::from(scale.unsigned_abs())));
        }
        return;
    };
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    put(out, whole);
    put(out, ".");
    put(out, fraction);
}

fn write_rounded(value: f64, digits: i32, out: &mut BytesMut) {
    let digits = digits.max(1);
    let places = usize::try_from(digits - 1).unwrap_or(0);
    let text = format!("{value:.places$e}");
    write_float(value.is_nan(), value.is_infinite(), &text, digits, out);
}

/// Writes what `{:e}` gave, in the way of `%g`.
fn write_float(is_nan: bool, is_infinite: bool, text: &str, digits: i32, out: &mut BytesMut) {
    if is_nan {
        return put(out, "NaN");
    }
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    put(out, sign);
    if is_infinite {
        return put(out, "Infinity");
    }
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let significant: String = mantissa.chars().filter(|digit| *digit != '.').collect();
    let significant = match significant.trim_end_matches('0') {
        "" => "0",
        trimmed => trimmed,
    };
    if (-4..digits).contains(&exponent) {
        write_plain(significant, exponent, out);
    } else {
        let (first, rest) = significant.split_at(1);
        put(out, first);
        if !rest.is_empty() {
            put(out, ".");
            put(out, rest);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.unsigned_abs());
    }
}

/// `digits` with the point after the first one moved by `exponent`.
fn write_plain(digits: &str, exponent: i32, out: &mut BytesMut) {
    match usize::try_from(exponent) {
        Err(_) => {
            put(out, "0.");
            put(out, &"0".repeat(exponent.unsigned_abs() as usize - 1));
            put(out, digits);
        }
        Ok(exponent) if digits.len() <= exponent + 1 => {
            put(out, digits);
            put(out, &"0".repeat(exponent + 1 - digits.len()));
        }
        Ok(exponent) => {
            let (whole, fraction) = digits.split_at(exponent + 1);
            put(out, whole);
            put(out, ".");
            put(out, fraction);
        }
    }
}

fn put(out: &mut BytesMut, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn doubles_are_written_as_postgresql_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (1.234_567_890_123_456_8e17, "1.2345678901234568e+17"),
            (1e100, "1e+100"),
            (12.639_070, "12.63907"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(text(|out| write_double(value, 1, out)), expected);
        }
    }

    #[test]
    fn singles_use_an_exponent_sooner() {
        for (value, expected) in [
            (1e6_f32, "1e+06"),
            (100_000.0, "100000"),
            (0.1, "0.1"),
            (3.402_823_5e38, "3.4028235e+38"),
        ] {
            assert_eq!(text(|out| write_single(value, 1, out)), expected);
        }
    }

    #[test]
    fn fewer_float_digits_round() {
        assert_eq!(text(|out| write_double(0.1 + 0.2, 1, out)), "0.30000000000000004");
        assert_eq!(text(|out| write_double(0.1 + 0.2, 0, out)), "0.3");
        assert_eq!(text(|out| write_double(1234.5, -12, out)), "1.23e+03");
        assert_eq!(text(|out| write_double(9.99, -14, out)), "1e+01");
    }

    #[test]
    fn decimals_keep_their_scale() {
        for (value, scale, expected) in [
            (12345, 2, "123.45"),
            (-5, 2, "-0.05"),
            (0, 3, "0.000"),
            (7, 0, "7"),
            (7, -2, "700"),
            (0, -2, "0"),
        ] {
            assert_eq!(text(|out| write_decimal(value, scale, out)), expected);
        }
    }
}
