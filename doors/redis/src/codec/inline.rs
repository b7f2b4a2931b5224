//! Requests typed by hand: words on a line, with quotes.

use bytes::Bytes;

/// A quote that is not closed, or that is followed by something other than a space.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unbalanced;

/// Splits a line into words.
///
/// `"…"` understands `\n \r \t \b \a \\ \" \xHH`, `'…'` understands `\'` only.
pub(super) fn split(line: &[u8]) -> Result<Vec<Bytes>, Unbalanced> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        while let [first, tail @ ..] = rest
            && is_space(*first)
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Ok(words);
        }
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        words.push(Bytes::from(word));
    }
}

fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        match rest {
            [] => return Ok(rest),
            [first, ..] if is_space(*first) || *first == 0 => {
                return Ok(if *first == 0 { &[] } else { rest });
            }
            [b'"', tail @ ..] => {
                rest = take_quoted(tail, b'"', word)?;
                return closed(rest);
            }
            [b'\'', tail @ ..] => {
                rest = take_quoted(tail, b'\'', word)?;
                return closed(rest);
            }
            [first, tail @ ..] => {
                word.push(*first);
                rest = tail;
            }
        }
    }
}

/// After a closing quote there is a space or the end.
fn closed(rest: &[u8]) -> Result<&[u8], Unbalanced> {
    match rest.first() {
        Some(next) if !is_space(*next) => Err(Unbalanced),
        _ => Ok(rest),
    }
}

fn take_quoted<'a>(
    mut rest: &'a [u8],
    quote: u8,
    word: &mut Vec<u8>,
) -> Result<&'a [u8], Unbalanced> {
    loop {
        match rest {
            [] => return Err(Unbalanced),
            [first, tail @ ..] if *first == quote => return Ok(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex(*high) << 4 | hex(*low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] if quote == b'"' => {
                word.push(unescape(*escaped));
                rest = tail;
            }
            [b'\\', b'\'', tail @ ..] if quote == b'\'' => {
                word.push(b'\'');
                rest = tail;
            }
            [first, tail @ ..] => {
                word.push(*first);
                rest = tail;
            }
        }
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<&[&str], Unbalanced>) {
        let words = expected.map(|words| {
            words.iter().map(|word| Bytes::from(word.to_string())).collect::<Vec<_>>()
        });
        assert_eq!(split(line.as_bytes()), words, "{line:?}");
    }

    #[test]
    fn words_are_split_and_quotes_understood() {
        check("PING", Ok(&["PING"]));
        check("  set  a\tb ", Ok(&["set", "a", "b"]));
        check(r#"set "a b" '\'c\n'"#, Ok(&["set", "a b", r"'c\n"]));
        check(r#""\x41\n\"""#, Ok(&["A\n\""]));
        check(r#""""#, Ok(&[""]));
        check("", Ok(&[]));
    }

    #[test]
    fn an_open_or_glued_quote_is_refused() {
        check(r#"set "a"#, Err(Unbalanced));
        check(r#"set "a"b"#, Err(Unbalanced));
        check("set 'a", Err(Unbalanced));
        check(r#"set """test-key""" value"#, Err(Unbalanced));
    }
}
