//! Values that are one line of comma-separated values.
//!
//! Owns splitting a line into fields (RFC 4180: a field in double quotes may hold commas, line
//! breaks and doubled quotes). Columns take fields by position. An empty field without quotes is
//! NULL; columns beyond the end of the line are NULL, and fields beyond the last column are
//! ignored, so that producers and topic can be changed one after the other.

use std::borrow::Cow;

use super::column::ColumnBuilder;
use super::{Field, note};

/// Splits lines.
#[derive(Default)]
pub(super) struct Fields;

impl Fields {
    /// Appends one row; the reason when the value is not as declared.
    pub(super) fn decode(
        &mut self,
        value: &[u8],
        fields: &[Field],
        builders: &mut [ColumnBuilder],
    ) -> Option<String> {
        let split = match std::str::from_utf8(value) {
            Ok(text) => split(text),
            Err(_) => Err("the value is not UTF-8 text"),
        };
        let values = match split {
            Ok(values) => values,
            Err(reason) => {
                builders.iter_mut().for_each(ColumnBuilder::append_null);
                return Some(reason.to_owned());
            }
        };
        let mut failure = None;
        for (field, builder) in fields.iter().zip(builders) {
            match values.get(field.index) {
                Some(Some(text)) => note(&mut failure, field, builder.append_text(text)),
                Some(None) | None => builder.append_null(),
            }
        }
        failure
    }
}

/// The fields of one line, without its line break; `None` for an empty one without quotes.
fn split(line: &str) -> Result<Vec<Option<Cow<'_, str>>>, &'static str> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let mut rest = line.strip_suffix('\r').unwrap_or(line);
    let mut fields = Vec::new();
    loop {
        let after = if let Some(quoted) = rest.strip_prefix('"') {
            let (field, after) = quoted_field(quoted)?;
            fields.push(Some(field));
            after
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (field, after) = rest.split_at(end);
            if field.contains(['\n', '\r']) {
                return Err("the value is more than one line");
            }
            fields.push((!field.is_empty()).then_some(Cow::Borrowed(field)));
            after
        };
        if after.is_empty() {
            return Ok(fields);
        }
        rest = after.strip_prefix(',').ok_or("text follows a field in quotes")?;
    }
}

/// A field up to its closing quote, and what follows that.
fn quoted_field(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let mut from = 0;
    while let Some(quote) = text[from..].find('"').map(|at| from + at) {
        let after = &text[quote + 1..];
        if !after.starts_with('"') {
            let field = &text[..quote];
            let field = if field.contains('"') {
                Cow::Owned(field.replace("\"\"", "\""))
            } else {
                Cow::Borrowed(field)
            };
            return Ok((field, after));
        }
        from = quote + 2;
    }
    Err("a quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[Option<&str>]) {
        let fields = split(line).unwrap();
        let fields: Vec<Option<&str>> = fields.iter().map(Option::as_deref).collect();
        assert_eq!(fields, expected, "{line}");
    }

    #[test]
    fn fields_split_at_commas_outside_quotes() {
        check("a,b", &[Some("a"), Some("b")]);
        check("a,,\"\"\r\n", &[Some("a"), None, Some("")]);
        check("\"a,\"\"b\"\"\",c", &[Some("a,\"b\""), Some("c")]);
        check("", &[None]);
        check("a,", &[Some("a"), None]);
    }

    #[test]
    fn a_line_that_is_not_csv_is_refused() {
        assert_eq!(split("\"a"), Err("a quote is not closed"));
        assert_eq!(split("\"a\"b,c"), Err("text follows a field in quotes"));
        assert_eq!(split("a\nb"), Err("the value is more than one line"));
    }
}
