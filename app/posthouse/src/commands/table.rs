//! Tables on standard output: aligned for people, separated by tabs for programs.

use std::io::{IsTerminal, Write};

use comfy_table::{CellAlignment, ContentArrangement, presets};
use serde_json::Value;

/// Rows under a head. In a pipe there is no head, and a tab between cells.
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Table {
        Table { head: head.iter().map(|cell| (*cell).to_owned()).collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Prints it; for people, `none` when there is no row.
    pub(crate) fn print(&self, none: &str) {
        let text = if std::io::stdout().is_terminal() {
            if self.rows.is_empty() { none.to_owned() } else { self.for_people() }
        } else {
            self.for_programs()
        };
        if !text.is_empty() {
            // A reader that went away, such as `head`, is not worth a message.
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    fn for_programs(&self) -> String {
        let rows: Vec<String> = self.rows.iter().map(|row| row.join("\t")).collect();
        rows.join("\n")
    }

    fn for_people(&self) -> String {
        render(&self.head, &self.rows, None)
    }
}

/// A table as text, `width` columns wide at most; cells that are numbers are set to the right.
pub(crate) fn render(head: &[String], rows: &[Vec<String>], width: Option<u16>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    table.add_rows(rows);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if rows.iter().all(|row| row.get(index).is_some_and(|cell| is_number(cell))) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn is_number(cell: &str) -> bool {
    let cell = cell.trim_start_matches('-');
    cell.is_empty()
        || (cell.starts_with(|first: char| first.is_ascii_digit())
            && cell
                .chars()
                .all(|character| character.is_ascii_digit() || ".,e-+ KMGiB".contains(character)))
}

/// A text; empty where there is none.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A number with its thousands apart, for people; plain in a pipe.
pub(crate) fn count(value: &Value) -> String {
    match value.as_i64() {
        Some(number) if std::io::stdout().is_terminal() => grouped(number),
        Some(number) => number.to_string(),
        None => "-".to_owned(),
    }
}

/// A size, for people; plain bytes in a pipe.
pub(crate) fn bytes(value: &Value) -> String {
    match value.as_u64() {
        Some(size) if std::io::stdout().is_terminal() => indicatif::BinaryBytes(size).to_string(),
        Some(size) => size.to_string(),
        None => "-".to_owned(),
    }
}

/// `336776` as `336,776`.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (-336_776, "-336,776")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn numbers_stand_at_the_right() {
        let head = ["topic".to_owned(), "records".to_owned()];
        let rows =
            [vec!["a".to_owned(), "1,000".to_owned()], vec!["bc".to_owned(), "7".to_owned()]];
        let text = render(&head, &rows, None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines, ["topic  records", "a        1,000", "bc           7"]);
    }
}
