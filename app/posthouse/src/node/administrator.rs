//! The first administrator of a node whose clients must log in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use posthouse_access::random_key;
use posthouse_broker::{AccessError, Broker};

/// Letters and digits that nobody mistakes for each other: 32 of them, five bits each.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Why there is no administrator.
#[derive(Debug, thiserror::Error)]
pub enum AdministratorError {
    /// Its password cannot be read.
    #[error("cannot read the administrator's password from {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It cannot be made.
    #[error("cannot make the first administrator")]
    Refused(#[from] AccessError),
}

/// Makes it, at the first start, with the password that a file holds; a line's end after it is not
/// part of it. Otherwise with one that is made up, and printed here and never again.
pub(super) async fn make(
    broker: &Arc<Broker>,
    file: Option<&Path>,
) -> Result<(), AdministratorError> {
    let password = match file {
        Some(path) => {
            let read = std::fs::read(path);
            let read =
                read.map_err(|source| AdministratorError::Read { path: path.into(), source });
            without_line_end(read?)
        }
        None => made_up(&random_key()).into_bytes(),
    };
    let printed = file.is_none().then(|| String::from_utf8_lossy(&password).into_owned());
    let made = broker.make_first_administrator(password).await?;
    if let (Some(name), Some(password)) = (made, printed) {
        eprintln!(
            "made the first user, {name}, who may do everything; the password, which is not shown again:\n{password}"
        );
    }
    Ok(())
}

fn without_line_end(mut text: Vec<u8>) -> Vec<u8> {
    for end in [b'\n', b'\r'] {
        if text.last() == Some(&end) {
            text.pop();
        }
    }
    text
}

/// 24 characters in groups of six: 120 random bits.
fn made_up(random: &[u8; 32]) -> String {
    let letters = random.iter().take(24).map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    letters.enumerate().fold(String::new(), |mut text, (index, letter)| {
        if index > 0 && index % 6 == 0 {
            text.push('-');
        }
        text.push(letter);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_made_up_can_be_read_out() {
        let password = made_up(&[7; 32]);
        assert_eq!(password, "hhhhhh-hhhhhh-hhhhhh-hhhhhh");
        assert_ne!(made_up(&random_key()), made_up(&random_key()));
    }

    #[test]
    fn the_end_of_the_line_is_no_part_of_a_password() {
        assert_eq!(without_line_end(b"a b \r\n".to_vec()), b"a b ");
        assert_eq!(without_line_end(b"a\n\n".to_vec()), b"a\n");
    }
}
