//! Completion at the prompt: keywords, topics and columns, and when a line goes on.

use std::sync::Arc;

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::statement::{is_blank, is_complete};

/// What is offered beside the names of topics and columns.
const KEYWORDS: [&str; 60] = [
    "ALTER",
    "AND",
    "AS",
    "ASC",
    "AVG",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COPY",
    "COUNT",
    "CREATE",
    "CROSS",
    "DATE_TRUNC",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "ENDPOINT",
    "ENDPOINTS",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "EXTRACT",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MAX",
    "MIN",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "SELECT",
    "SHOW",
    "SUM",
    "TABLE",
    "TOPIC",
    "UNION",
    "WHERE",
    "WITH",
];

/// Names that can be typed, as they were when the prompt began or last changed something.
#[derive(Clone, Debug, Default)]
pub(super) struct Completion {
    pub(super) names: Arc<Vec<String>>,
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, word) = word_before(line, position);
        Ok((start, candidates(&self.names, word)))
    }
}

impl Validator for Completion {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let input = context.input();
        let whole = input.trim_start().starts_with('\\') || is_blank(input) || is_complete(input);
        let whole = whole || matches!(input.trim(), "help" | "quit" | "exit");
        Ok(if whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}

impl Helper for Completion {}

/// The word that ends at `position`, and where it begins.
fn word_before(line: &str, position: usize) -> (usize, &str) {
    let before = &line[..position];
    let is_part = |character: char| character.is_alphanumeric() || "_\\\"".contains(character);
    let start = before
        .char_indices()
        .rev()
        .take_while(|(_, character)| is_part(*character))
        .last()
        .map_or(position, |(index, _)| index);
    (start, &before[start..])
}

fn candidates(names: &[String], word: &str) -> Vec<Pair> {
    if word.is_empty() {
        return Vec::new();
    }
    let lower = word.to_lowercase();
    let begins = |candidate: &&str| {
        candidate.to_lowercase().trim_start_matches('"').starts_with(lower.trim_start_matches('"'))
    };
    // Who types in lower case is answered in lower case.
    let in_lower_case = word.chars().all(|character| !character.is_uppercase());
    let spelled = |keyword: &str| {
        if in_lower_case { keyword.to_lowercase() } else { keyword.to_owned() }
    };
    let names = names.iter().map(String::as_str).filter(begins).map(str::to_owned);
    let keywords = KEYWORDS.into_iter().filter(begins).map(spelled);
    names.chain(keywords).map(|text| Pair { display: text.clone(), replacement: text }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let names = ["flights".to_owned(), "\"orders:eu\"".to_owned(), "dep_delay".to_owned()];
        let (_, word) = word_before(line, line.len());
        let found: Vec<String> =
            candidates(&names, word).into_iter().map(|pair| pair.replacement).collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn names_come_before_keywords_and_case_is_kept() {
        check("SELECT * FROM fl", &["flights"]);
        check("select de", &["dep_delay", "delete", "desc", "describe"]);
        check("SELE", &["SELECT"]);
        check("SELECT * FROM ord", &["\"orders:eu\"", "order"]);
        check("SELECT ", &[]);
    }
}
