//! Claims about the two text formats of `COPY`.

use super::*;

fn options(format: CopyFormat) -> CopyOptions {
    let is_csv = format == CopyFormat::Csv;
    CopyOptions {
        format,
        delimiter: if is_csv { b',' } else { b'\t' },
        null: if is_csv { String::new() } else { "\\N".into() },
        header: false,
        quote: b'"',
        escape: b'"',
        force_quote: false,
    }
}

fn data_row(values: &[Option<&str>]) -> DataRow {
    let mut data = BytesMut::new();
    for value in values {
        match value {
            None => data.put_i32(-1),
            Some(value) => {
                data.put_i32(i32::try_from(value.len()).unwrap());
                data.put_slice(value.as_bytes());
            }
        }
    }
    DataRow::new(data, i16::try_from(values.len()).unwrap())
}

fn line(values: &[Option<&str>], options: &CopyOptions) -> String {
    String::from_utf8(row_line(data_row(values), options).unwrap().to_vec()).unwrap()
}

fn rows(
    input: &str,
    step: usize,
    options: &CopyOptions,
) -> Result<Vec<Vec<Option<String>>>, Failure> {
    let mut lines = Lines::new(options.clone());
    let mut found = Vec::new();
    for piece in input.as_bytes().chunks(step) {
        lines.feed(piece);
        while let Some(row) = lines.next_row()? {
            found.push(row);
        }
    }
    found.extend(lines.last_row()?);
    Ok(found)
}

#[test]
fn text_escapes_what_would_end_a_value() {
    let text = options(CopyFormat::Text);
    assert_eq!(line(&[Some("a\tb\\"), None, Some("\\N")], &text), "a\\tb\\\\\t\\N\t\\\\N\n");
}

#[test]
fn csv_quotes_only_what_needs_it() {
    let csv = options(CopyFormat::Csv);
    assert_eq!(line(&[Some("a"), None, Some("")], &csv), "a,,\"\"\n");
    assert_eq!(line(&[Some("a,\"b\"\n"), Some("c")], &csv), "\"a,\"\"b\"\"\n\",c\n");
    let forced = CopyOptions { force_quote: true, ..csv };
    assert_eq!(line(&[Some("a"), None], &forced), "\"a\",\n");
}

#[test]
fn what_is_written_is_read_back_in_any_pieces() {
    let values =
        [Some("plain"), None, Some(""), Some("a,b\t\"c\"\n\r\\d\\."), Some("\\N"), Some("é\u{8}")];
    let expected: Vec<Option<String>> =
        values.iter().map(|value| value.map(str::to_owned)).collect();
    let backslash = CopyOptions { escape: b'\\', ..options(CopyFormat::Csv) };
    for options in [options(CopyFormat::Text), options(CopyFormat::Csv), backslash] {
        let twice = line(&values, &options).repeat(2);
        for step in [1, 3, 1000] {
            let found = rows(&twice, step, &options).unwrap();
            assert_eq!(found, [expected.clone(), expected.clone()], "{options:?} {step}");
        }
    }
}

#[test]
fn a_header_and_the_end_mark_are_not_rows() {
    let csv = CopyOptions { header: true, ..options(CopyFormat::Csv) };
    let one = vec![Some("1".to_owned()), Some("2".to_owned())];
    for input in ["a,b\r\n1,2\r\n\\.\n3,4\n", "a,b\n1,2"] {
        assert_eq!(rows(input, 1000, &csv).unwrap(), std::slice::from_ref(&one));
    }
}

#[test]
fn open_quotes_and_bytes_that_are_not_text_are_refused() {
    let csv = options(CopyFormat::Csv);
    assert!(matches!(rows("\"a\n", 1000, &csv), Err(Failure::BadCopyData { .. })));
    let mut lines = Lines::new(csv);
    lines.feed(b"\xff\n");
    assert!(matches!(lines.next_row(), Err(Failure::BadCopyData { .. })));
}
