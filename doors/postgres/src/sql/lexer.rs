//! SQL text to tokens, by PostgreSQL's lexical rules.
//!
//! Owns where strings, quoted names, comments and statements end. Does not know what a statement
//! means. Text that does not end (an open string or comment) becomes one last [`TokenKind::Open`]
//! token: the engine's parser has the words for that error.
//!
//! # Source
//! PostgreSQL 16 documentation, "Lexical Structure".

use std::ops::Range;

/// One token and where it lies, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A bare word: keyword or name.
    Word,
    /// A name in double quotes.
    QuotedName,
    /// A string: plain, `E''` or dollar-quoted.
    Text,
    Number,
    Semicolon,
    /// Any other character.
    Symbol,
    /// A string, name or comment that never ends.
    Open,
}

/// All tokens of `sql`, without white space and comments.
pub(crate) fn tokens(sql: &str) -> Vec<Token> {
    let mut lexer = Lexer { sql, at: 0 };
    std::iter::from_fn(|| lexer.next_token()).collect()
}

struct Lexer<'a> {
    sql: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn next_token(&mut self) -> Option<Token> {
        if let Err(start) = self.skip_blanks() {
            return Some(self.token(TokenKind::Open, start));
        }
        let start = self.at;
        let first = self.rest().chars().next()?;
        let kind = match first {
            ';' => self.step(first, TokenKind::Semicolon),
            '\'' => self.quoted('\'', false, TokenKind::Text),
            '"' => self.quoted('"', false, TokenKind::QuotedName),
            'e' | 'E' if self.rest()[1..].starts_with('\'') => {
                self.at += 1;
                self.quoted('\'', true, TokenKind::Text)
            }
            '$' => self.dollar(),
            first if is_word_start(first) => self.run(is_word_part, TokenKind::Word),
            first if first.is_ascii_digit() => {
                self.run(|part| part.is_ascii_alphanumeric() || part == '.', TokenKind::Number)
            }
            other => self.step(other, TokenKind::Symbol),
        };
        Some(self.token(kind, start))
    }

    fn rest(&self) -> &str {
        &self.sql[self.at..]
    }

    fn token(&self, kind: TokenKind, start: usize) -> Token {
        Token { kind, span: start..self.at }
    }

    fn step(&mut self, character: char, kind: TokenKind) -> TokenKind {
        self.at += character.len_utf8();
        kind
    }

    fn run(&mut self, is_part: impl Fn(char) -> bool, kind: TokenKind) -> TokenKind {
        let rest = self.rest();
        self.at += rest.find(|part| !is_part(part)).unwrap_or(rest.len());
        kind
    }

    /// Past a string or name whose first quote is next. A doubled quote stands for one.
    fn quoted(&mut self, quote: char, escapes: bool, kind: TokenKind) -> TokenKind {
        let mut characters = self.rest().char_indices().skip(1).peekable();
        while let Some((index, character)) = characters.next() {
            if character == '\\' && escapes {
                characters.next();
            } else if character == quote && characters.next_if(|next| next.1 == quote).is_none() {
                self.at += index + quote.len_utf8();
                return kind;
            }
        }
        self.at = self.sql.len();
        TokenKind::Open
    }

    /// `$tag$ … $tag$`, or the `$` of a parameter.
    fn dollar(&mut self) -> TokenKind {
        let rest = self.rest();
        let tag_end = rest[1..].find('$').map(|end| end + 2);
        let is_tag = |tag: &str| {
            tag.chars().all(is_word_part) && !tag.starts_with(|first: char| first.is_ascii_digit())
        };
        let Some(tag) =
            tag_end.map(|end| &rest[..end]).filter(|tag| is_tag(&tag[1..tag.len() - 1]))
        else {
            return self.step('$', TokenKind::Symbol);
        };
        match rest[tag.len()..].find(tag) {
            Some(end) => {
                self.at += end + 2 * tag.len();
                TokenKind::Text
            }
            None => {
                self.at = self.sql.len();
                TokenKind::Open
            }
        }
    }

    /// Past white space and comments; a comment without an end fails with its start.
    fn skip_blanks(&mut self) -> Result<(), usize> {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            self.at += blank;
            let rest = self.rest();
            if rest.starts_with("--") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                let start = self.at;
                self.at += comment_len(rest).ok_or(start).inspect_err(|_| {
                    self.at = self.sql.len();
                })?;
            } else {
                return Ok(());
            }
        }
    }
}

/// The length of the block comment that `text` begins with. They nest.
fn comment_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(pair) = bytes.get(at..at + 2) {
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn is_word_start(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn is_word_part(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, expected: &[(TokenKind, &str)]) {
        let found: Vec<_> =
            tokens(sql).into_iter().map(|token| (token.kind, &sql[token.span])).collect();
        assert_eq!(found, expected, "{sql}");
    }

    #[test]
    fn words_numbers_and_symbols_are_told_apart() {
        use TokenKind::{Number, Symbol, Word};
        check(
            "SELECT a.b, 1.5e3 <> $1",
            &[
                (Word, "SELECT"),
                (Word, "a"),
                (Symbol, "."),
                (Word, "b"),
                (Symbol, ","),
                (Number, "1.5e3"),
                (Symbol, "<"),
                (Symbol, ">"),
                (Symbol, "$"),
                (Number, "1"),
            ],
        );
    }

    #[test]
    fn a_semicolon_in_a_string_name_or_comment_is_not_one() {
        use TokenKind::{QuotedName, Semicolon, Text, Word};
        check(
            "'a;''b' \"c;\"\"d\" -- e;\n/* f; /* g; */ */ $x$ h; $y$ $x$; E'\\';' z",
            &[
                (Text, "'a;''b'"),
                (QuotedName, "\"c;\"\"d\""),
                (Text, "$x$ h; $y$ $x$"),
                (Semicolon, ";"),
                (Text, "E'\\';'"),
                (Word, "z"),
            ],
        );
    }

    #[test]
    fn what_never_ends_is_open() {
        for sql in ["'a;", "\"a;", "/* a; /* */", "$x$ a; $y$", "E'\\'"] {
            check(sql, &[(TokenKind::Open, sql)]);
        }
    }

    #[test]
    fn any_text_is_lexed_to_its_end() {
        for sql in ["é", "'é'", "$é$é;$é$", "a\u{a0}b", "\u{0}", "e", "$", "$$", "$1$", "/", "-"]
        {
            let found = tokens(sql);
            assert!(found.iter().all(|token| sql.get(token.span.clone()).is_some()), "{sql:?}");
        }
    }
}
