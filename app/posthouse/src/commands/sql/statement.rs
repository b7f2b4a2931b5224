//! Where a statement ends: at a semicolon outside of quotes and comments.

/// Whether `text` is one or more whole statements.
pub(crate) fn is_complete(text: &str) -> bool {
    matches!(scan(text), State::Between { statements: 1.. })
}

/// Whether there is nothing in `text` but space and comments.
pub(crate) fn is_blank(text: &str) -> bool {
    matches!(scan(text), State::Between { statements: 0 })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// After a semicolon, or before everything.
    Between {
        statements: usize,
    },
    Within,
    /// In text or in a name, until this character; doubling it does not end it, and needs no care,
    /// because it opens again at once.
    Quoted(char),
    LineComment,
    BlockComment,
    /// In text that ends with this tag: `$$` or `$name$`.
    Dollar,
}

fn scan(text: &str) -> State {
    let mut state = State::Between { statements: 0 };
    let mut statements = 0;
    let mut before_comment = state;
    let mut tag = "";
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let mut used = character.len_utf8();
        match state {
            State::Quoted(quote) if character == quote => state = State::Within,
            State::LineComment if character == '\n' => state = before_comment,
            State::BlockComment if rest.starts_with("*/") => {
                used = 2;
                state = before_comment;
            }
            State::Dollar if rest.starts_with(tag) => {
                used = tag.len();
                state = State::Within;
            }
            State::Between { .. } | State::Within => {
                if rest.starts_with("--") || rest.starts_with("/*") {
                    before_comment = state;
                    state = if character == '-' { State::LineComment } else { State::BlockComment };
                    used = 2;
                } else if character == '\'' || character == '"' {
                    state = State::Quoted(character);
                } else if let Some(opening) = dollar_tag(rest) {
                    (tag, used, state) = (opening, opening.len(), State::Dollar);
                } else if character == ';' {
                    statements += usize::from(state == State::Within);
                    state = State::Between { statements };
                } else if !character.is_whitespace() {
                    state = State::Within;
                }
            }
            _ => {}
        }
        rest = &rest[used..];
    }
    match state {
        State::LineComment => before_comment,
        state => state,
    }
}

fn dollar_tag(text: &str) -> Option<&str> {
    let name = text.strip_prefix('$')?;
    let end = name.find('$')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts_well = !name.starts_with(|first: char| first.is_ascii_digit());
    (starts_well && name[..end].bytes().all(is_name)).then(|| &text[..end + 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_at_a_semicolon_that_counts() {
        for text in [
            "SELECT 1;",
            "SELECT ';';",
            "SELECT 'it''s';",
            "SELECT 1; -- done",
            "SELECT \"a;b\" FROM t; SELECT 2;\n",
            "SELECT $$;$$;",
            "SELECT $a$ $b$ ; $a$;",
            "SELECT 1 /* ; */ ;",
        ] {
            assert!(is_complete(text), "{text}");
        }
        for text in [
            "SELECT 1",
            "SELECT ';",
            "SELECT 1 -- ;",
            "SELECT /* ;",
            "SELECT $$;",
            "SELECT 1; x",
            "",
        ] {
            assert!(!is_complete(text), "{text}");
        }
    }

    #[test]
    fn space_and_comments_are_blank() {
        for text in ["", "  \n", "-- a", "/* b */", " ; "] {
            assert!(is_blank(text), "{text}");
        }
        assert!(!is_blank("x"));
    }
}
