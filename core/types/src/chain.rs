//! What is said of an error.

/// The error and everything that caused it, as one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::chain;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        source: Option<Box<Told>>,
    }

    #[test]
    fn each_cause_is_told_once() {
        let told = |text, source: Option<Told>| Told { text, source: source.map(Box::new) };
        let error = told("not kept: disk full", Some(told("disk full", Some(told("28", None)))));
        assert_eq!(chain(&error), "not kept: disk full: 28");
    }
}
