//! A cursor over a statement's tokens, for the few grammars that the door parses itself.

use super::lexer::{Token, TokenKind};
use super::script::Piece;
use crate::errors::Failure;

/// Reads a statement from left to right. Every error carries the position of the token it met.
pub(super) struct Parser<'a> {
    sql: &'a str,
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(piece: &'a Piece<'_>) -> Parser<'a> {
        Parser { sql: piece.sql, tokens: &piece.tokens, at: 0 }
    }

    /// Takes the next token if it is this keyword.
    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        let is_next = self.peek_word().is_some_and(|word| word.eq_ignore_ascii_case(keyword));
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes the keywords, all or none.
    pub(super) fn keywords(&mut self, keywords: &[&str]) -> bool {
        let start = self.at;
        let are_next = keywords.iter().all(|keyword| self.keyword(keyword));
        if !are_next {
            self.at = start;
        }
        are_next
    }

    pub(super) fn expect_keyword(&mut self, keyword: &str) -> Result<(), Failure> {
        if self.keyword(keyword) { Ok(()) } else { Err(self.syntax_error()) }
    }

    pub(super) fn symbol(&mut self, symbol: &str) -> bool {
        let is_next = self.peek().is_some_and(|token| {
            token.kind == TokenKind::Symbol && &self.sql[token.span.clone()] == symbol
        });
        self.at += usize::from(is_next);
        is_next
    }

    pub(super) fn expect_symbol(&mut self, symbol: &str) -> Result<(), Failure> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.syntax_error()) }
    }

    /// A name: a bare word in small letters, or what stands in double quotes.
    pub(super) fn name(&mut self) -> Result<String, Failure> {
        let Some(token) = self.peek() else { return Err(self.syntax_error()) };
        let text = &self.sql[token.span.clone()];
        let name = match token.kind {
            TokenKind::Word => text.to_lowercase(),
            TokenKind::QuotedName => unquoted(text, '"'),
            _ => return Err(self.syntax_error()),
        };
        self.at += 1;
        Ok(name)
    }

    /// A name with dots in it, as one text.
    pub(super) fn dotted_name(&mut self) -> Result<String, Failure> {
        let mut name = self.name()?;
        while self.symbol(".") {
            name.push('.');
            name.push_str(&self.name()?);
        }
        Ok(name)
    }

    /// A value: a string, a number with its sign, or a word as it is written.
    pub(super) fn value(&mut self) -> Result<String, Failure> {
        let sign = if self.symbol("-") { "-" } else { "" };
        let Some(token) = self.peek() else { return Err(self.syntax_error()) };
        let text = &self.sql[token.span.clone()];
        let value = match token.kind {
            TokenKind::Text => string_value(text),
            TokenKind::QuotedName => unquoted(text, '"'),
            TokenKind::Word | TokenKind::Number => text.to_owned(),
            TokenKind::Semicolon | TokenKind::Symbol | TokenKind::Open => {
                return Err(self.syntax_error());
            }
        };
        self.at += 1;
        Ok(format!("{sign}{value}"))
    }

    /// The statement's text from the next token on, taken whole.
    pub(super) fn rest(&mut self) -> Result<&'a str, Failure> {
        let (Some(first), Some(last)) = (self.peek(), self.tokens.last()) else {
            return Err(self.syntax_error());
        };
        self.at = self.tokens.len();
        Ok(&self.sql[first.span.start..last.span.end])
    }

    /// The text up to the parenthesis that closes the one just taken, which is taken too.
    pub(super) fn up_to_closing(&mut self) -> Result<&'a str, Failure> {
        let Some(start) = self.peek().map(|token| token.span.start) else {
            return Err(self.syntax_error());
        };
        let mut depth = 1_usize;
        loop {
            let Some(token) = self.peek() else { return Err(self.syntax_error()) };
            let span = token.span.clone();
            if token.kind == TokenKind::Symbol {
                match &self.sql[span.clone()] {
                    "(" => depth += 1,
                    ")" => depth -= 1,
                    _ => {}
                }
            }
            self.at += 1;
            if depth == 0 {
                return Ok(&self.sql[start..span.start]);
            }
        }
    }

    /// Gives the token just taken back.
    pub(super) fn step_back(&mut self) {
        self.at = self.at.saturating_sub(1);
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// Nothing may follow.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        if self.is_at_end() { Ok(()) } else { Err(self.syntax_error()) }
    }

    /// The 1-based character of the next token.
    pub(super) fn position(&self) -> usize {
        let byte = self.peek().map_or(self.sql.len(), |token| token.span.start);
        self.sql[..byte].chars().count() + 1
    }

    pub(super) fn syntax_error(&self) -> Failure {
        let message = match self.peek() {
            Some(token) => {
                format!("syntax error at or near \"{}\"", &self.sql[token.span.clone()])
            }
            None => "syntax error at end of input".to_owned(),
        };
        Failure::Syntax { message, position: Some(self.position()) }
    }

    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn peek_word(&self) -> Option<&'a str> {
        let token = self.peek().filter(|token| token.kind == TokenKind::Word)?;
        Some(&self.sql[token.span.clone()])
    }
}

fn unquoted(text: &str, quote: char) -> String {
    let inner = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)).unwrap_or(text);
    inner.replace(&format!("{quote}{quote}"), &quote.to_string())
}

/// The value of a string token of any of the three spellings.
fn string_value(text: &str) -> String {
    if let Some(escaped) = text.strip_prefix(['e', 'E']) {
        return unescaped(&unquoted(escaped, '\''));
    }
    if let Some(tag) = text.strip_prefix('$') {
        let tag_len = tag.find('$').map_or(0, |end| end + 2);
        return text.get(tag_len..text.len() - tag_len).unwrap_or_default().to_owned();
    }
    unquoted(text, '\'')
}

/// The backslash escapes that occur in delimiters and settings.
fn unescaped(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('t') => value.push('\t'),
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('b') => value.push('\u{8}'),
                Some('f') => value.push('\u{c}'),
                Some(other) => value.push(other),
                None => value.push('\\'),
            },
            (other, false) => value.push(other),
        }
    }
    value
}
