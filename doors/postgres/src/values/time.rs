//! Dates and times in the ISO style, as PostgreSQL writes them.

use std::fmt::Write;

use bytes::BytesMut;

const SECONDS_PER_DAY: i64 = 86_400;
const MICROSECONDS: i64 = 1_000_000;

/// `date`, from days since 1970.
pub(super) fn write_date(days: i64, out: &mut BytesMut) {
    let is_before_christ = write_day(days, out);
    write_era(is_before_christ, out);
}

/// `time`, from microseconds since midnight.
pub(super) fn write_time(microseconds: i64, out: &mut BytesMut) {
    let (seconds, fraction) =
        (microseconds.div_euclid(MICROSECONDS), microseconds.rem_euclid(MICROSECONDS));
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
}

/// `timestamp`, from microseconds since 1970; with an offset in seconds, `timestamptz`.
pub(super) fn write_timestamp(microseconds: i64, offset: Option<i32>, out: &mut BytesMut) {
    let local = microseconds.saturating_add(i64::from(offset.unwrap_or(0)) * MICROSECONDS);
    let day_length = SECONDS_PER_DAY * MICROSECONDS;
    let is_before_christ = write_day(local.div_euclid(day_length), out);
    out.extend_from_slice(b" ");
    write_time(local.rem_euclid(day_length), out);
    if let Some(offset) = offset {
        write_offset(offset, out);
    }
    write_era(is_before_christ, out);
}

fn write_offset(offset: i32, out: &mut BytesMut) {
    let sign = if offset < 0 { '-' } else { '+' };
    let seconds = offset.unsigned_abs();
    let _ = write!(out, "{sign}{:02}", seconds / 3600);
    if !seconds.is_multiple_of(3600) {
        let _ = write!(out, ":{:02}", seconds / 60 % 60);
    }
    if !seconds.is_multiple_of(60) {
        let _ = write!(out, ":{:02}", seconds % 60);
    }
}

/// Year, month and day; tells whether the year is before Christ.
///
/// The calendar is reckoned in eras of 400 years that begin in March, so that the leap day is last.
fn write_day(days: i64, out: &mut BytesMut) -> bool {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    // There is no year zero: what stands before year 1 is 1 BC.
    let (year, is_before_christ) = if year > 0 { (year, false) } else { (1 - year, true) };
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
    is_before_christ
}

fn write_era(is_before_christ: bool, out: &mut BytesMut) {
    if is_before_christ {
        out.extend_from_slice(b" BC");
    }
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
    fn dates_reach_from_before_christ_to_far_ahead() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (15_706, "2013-01-01"),
            (11_016, "2000-02-29"),
            (-1, "1969-12-31"),
            (-719_162, "0001-01-01"),
            (-719_163, "0001-12-31 BC"),
            (2_932_897, "10000-01-01"),
        ] {
            assert_eq!(text(|out| write_date(days, out)), expected);
        }
    }

    #[test]
    fn a_fraction_is_written_without_its_zeros() {
        for (microseconds, expected) in [
            (0, "1970-01-01 00:00:00"),
            (1_357_030_800_500_000, "2013-01-01 09:00:00.5"),
            (-1, "1969-12-31 23:59:59.999999"),
        ] {
            assert_eq!(text(|out| write_timestamp(microseconds, None, out)), expected);
        }
    }

    #[test]
    fn an_offset_moves_the_clock_and_is_written_as_short_as_can_be() {
        for (offset, expected) in [
            (0, "1970-01-01 00:00:00+00"),
            (7_200, "1970-01-01 02:00:00+02"),
            (-12_600, "1969-12-31 20:30:00-03:30"),
            (-17_762, "1969-12-31 19:03:58-04:56:02"),
        ] {
            assert_eq!(text(|out| write_timestamp(0, Some(offset), out)), expected);
        }
    }
}
