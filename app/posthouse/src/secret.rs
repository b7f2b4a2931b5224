//! Passwords that a person types, and those that a program hands over.

use std::io::{BufRead, IsTerminal};
use std::path::Path;

use crate::exit::{Code, Failure};

/// Asks for a password: hidden on a terminal, a line of standard input otherwise.
pub(crate) fn ask(question: &str) -> Result<String, Failure> {
    let read = if std::io::stdin().is_terminal() {
        rpassword::prompt_password(question)
    } else {
        first_line(std::io::stdin().lock())
    };
    read.map_err(|error| {
        Failure::from_error(Code::Usage, &error).hint("it is typed, or a line of standard input")
    })
}

/// Asks for a new one, on a terminal twice; or reads it from a file.
pub(crate) fn ask_new(user: &str, file: Option<&Path>) -> Result<String, Failure> {
    if let Some(path) = file {
        let unreadable = |error| Failure::from_error(Code::Usage, &error);
        let read =
            std::fs::File::open(path).and_then(|file| first_line(std::io::BufReader::new(file)));
        return read.map_err(unreadable);
    }
    let password = ask(&format!("New password of {user}: "))?;
    if std::io::stdin().is_terminal() && ask("Again: ")? != password {
        return Err(Failure::new(Code::Usage, "the two passwords are not the same"));
    }
    Ok(password)
}

fn first_line(mut from: impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let end = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(end);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_without_its_end() {
        assert_eq!(first_line(&b"a b \r\nc"[..]).unwrap(), "a b ");
        assert_eq!(first_line(&b"ab"[..]).unwrap(), "ab");
    }
}
