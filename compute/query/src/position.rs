//! Where in a SQL text an error lies.
//!
//! Parser and planner speak of lines and columns, PostgreSQL's clients of one character count.
//! Both count characters, not bytes, from 1.

/// The character at a line and column of `sql`; `None` when there is no such place.
pub(crate) fn char_position(sql: &str, line: u64, column: u64) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let lines: Vec<&str> = sql.split('\n').collect();
    let on = lines.get(line)?.chars().count();
    let before: usize = lines[..line].iter().map(|line| line.chars().count() + 1).sum();
    // One past the end is where a statement that stops too early should have gone on.
    (column <= on).then_some(before + column + 1)
}

/// Takes the place off a parser's message: `Expected: x at Line: 1, Column: 8`.
pub(crate) fn position_in_message(message: &str) -> (&str, Option<(u64, u64)>) {
    let Some((text, place)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let Some((line, column)) = place.split_once(", Column: ") else { return (message, None) };
    let digits = column.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    match (line.parse(), digits.parse()) {
        (Ok(line), Ok(column)) => (text, Some((line, column))),
        _ => (message, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_of_earlier_lines() {
        assert_eq!(char_position("sélect\n  1", 2, 3), Some(10));
        assert_eq!(char_position("x", 1, 1), Some(1));
        assert_eq!(char_position("x", 3, 1), None);
        assert_eq!(char_position("x", 2, 1), None);
        assert_eq!(char_position("x", 0, 0), None);
    }

    #[test]
    fn the_place_is_taken_off_the_message() {
        assert_eq!(
            position_in_message("Expected: an expression, found: FROM at Line: 1, Column: 8"),
            ("Expected: an expression, found: FROM", Some((1, 8)))
        );
        assert_eq!(position_in_message("no place"), ("no place", None));
    }
}
