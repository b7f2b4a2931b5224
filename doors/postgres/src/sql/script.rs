//! A simple query's text cut into its statements.

use super::lexer::{Token, TokenKind, tokens};

/// One statement of a script.
#[derive(Clone, Debug)]
pub(crate) struct Piece<'a> {
    /// The statement without its semicolon.
    pub(crate) sql: &'a str,
    /// Characters of the script before it: what an error's position must be moved by.
    pub(crate) characters_before: usize,
    pub(super) tokens: Vec<Token>,
}

/// The statements of `script`; empty ones are left out.
pub(crate) fn pieces(script: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut counted = Counted::default();
    for tokens in tokens(script).split(|token| token.kind == TokenKind::Semicolon) {
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { continue };
        let (start, end) = (first.span.start, last.span.end);
        let moved = tokens.iter().map(|token| Token {
            kind: token.kind,
            span: token.span.start - start..token.span.end - start,
        });
        pieces.push(Piece {
            sql: &script[start..end],
            characters_before: counted.up_to(script, start),
            tokens: moved.collect(),
        });
    }
    pieces
}

impl Piece<'_> {
    /// The statement's first word in capitals; empty when it begins with something else.
    pub(crate) fn first_word(&self) -> String {
        match self.tokens.first() {
            Some(token) if token.kind == TokenKind::Word => {
                self.sql[token.span.clone()].to_ascii_uppercase()
            }
            _ => String::new(),
        }
    }

    /// Whether a value is compared with `ANY (…)` or `ALL (…)`.
    pub(crate) fn compares_with_many(&self) -> bool {
        let text = |token: &Token| &self.sql[token.span.clone()];
        self.tokens.windows(3).any(|three| {
            let [operator, word, open] = three else { return false };
            let word = text(word);
            matches!(text(operator), "=" | "<" | ">")
                && (word.eq_ignore_ascii_case("any") || word.eq_ignore_ascii_case("all"))
                && text(open) == "("
        })
    }

    /// How many brackets are open at once, at most.
    pub(crate) fn brackets(&self) -> usize {
        let (mut open, mut most) = (0_usize, 0);
        for token in &self.tokens {
            match &self.sql[token.span.clone()] {
                "(" | "[" => open += 1,
                ")" | "]" => open = open.saturating_sub(1),
                _ => {}
            }
            most = most.max(open);
        }
        most
    }

    /// The bare words of the statement, as they are written.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        let words = self.tokens.iter().filter(|token| token.kind == TokenKind::Word);
        words.map(|token| &self.sql[token.span.clone()])
    }
}

/// Counts the characters of a text from front to back, each once.
#[derive(Default)]
struct Counted {
    bytes: usize,
    characters: usize,
}

impl Counted {
    fn up_to(&mut self, text: &str, byte: usize) -> usize {
        self.characters += text[self.bytes..byte].chars().count();
        self.bytes = byte;
        self.characters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_cut_at_its_semicolons() {
        let script = "SELECT 'é;'; ;; -- end;\n SELECT 2;";
        let found: Vec<_> =
            pieces(script).iter().map(|piece| (piece.sql, piece.characters_before)).collect();
        assert_eq!(found, [("SELECT 'é;'", 0), ("SELECT 2", 25)]);
    }

    #[test]
    fn blank_scripts_have_no_statements() {
        for script in ["", "  ", ";;", "-- nothing\n;", "/* nothing */"] {
            assert!(pieces(script).is_empty(), "{script:?}");
        }
    }

    #[test]
    fn an_open_string_is_part_of_the_last_statement() {
        let script = "SELECT 1; SELECT 'abc";
        assert_eq!(pieces(script)[1].sql, "SELECT 'abc");
    }
}
