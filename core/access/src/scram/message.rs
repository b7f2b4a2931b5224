//! Reading what a client sends.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{ChannelBinding, MESSAGE_BYTES_MAX, ScramError};

/// LIMIT: longest nonce of a client.
const NONCE_BYTES_MAX: usize = 512;

/// A client's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFirst {
    user: String,
    pub(super) nonce: String,
    /// What the exchange signs, as it came.
    pub(super) bare: String,
    /// What the client must repeat in its last message.
    pub(super) binding_input: Vec<u8>,
    delegated: bool,
}

/// A client's last message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal {
    pub(super) binding_input: Vec<u8>,
    pub(super) nonce: String,
    pub(super) proof: Vec<u8>,
    /// The message up to its proof, which is what was signed.
    pub(super) without_proof: String,
}

impl ClientFirst {
    /// Reads the first message of a client to whom `binding` was offered.
    ///
    /// # Errors
    /// [`ScramError`] for what RFC 5802 does not allow, an authorisation identity other than the
    /// user, and a binding other than the one offered.
    pub fn parse(message: &[u8], binding: &ChannelBinding) -> Result<ClientFirst, ScramError> {
        let text = text(message)?;
        let mut parts = text.splitn(3, ',');
        let flag = parts.next().unwrap_or_default();
        let identity = parts.next().ok_or(ScramError::Malformed("no GS2 header"))?;
        let bare = parts.next().ok_or(ScramError::Malformed("no GS2 header"))?;
        let header = &text[..text.len() - bare.len()];
        let binding_input = bound(flag, header, binding)?;
        let (user, rest) = attribute(bare, 'n')?;
        let (nonce, extensions) = attribute(rest.unwrap_or_default(), 'r')?;
        let user = unescape(user)?;
        check_nonce(nonce)?;
        match identity.strip_prefix("a=") {
            Some(identity) if unescape(identity)? != user => {
                return Err(ScramError::Malformed("it asks to act as another user"));
            }
            None if !identity.is_empty() => {
                return Err(ScramError::Malformed("the authorisation identity has no a="));
            }
            _ => {}
        }
        Ok(ClientFirst {
            user,
            nonce: nonce.to_owned(),
            bare: bare.to_owned(),
            binding_input,
            // KIP-48: the user is a delegation token's id.
            delegated: extensions
                .is_some_and(|rest| rest.split(',').any(|one| one == "tokenauth=true")),
        })
    }

    /// The user's name; PostgreSQL's clients leave it empty, having named the user before.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether the user is named by a delegation token (KIP-48).
    pub fn is_delegated(&self) -> bool {
        self.delegated
    }
}

impl ClientFinal {
    pub(super) fn parse(message: &[u8]) -> Result<ClientFinal, ScramError> {
        let text = text(message)?;
        let (without_proof, proof) =
            text.rsplit_once(",p=").ok_or(ScramError::Malformed("no proof"))?;
        let (binding, rest) = attribute(without_proof, 'c')?;
        let (nonce, _extensions) = attribute(rest.unwrap_or_default(), 'r')?;
        let decode = |text: &str| {
            STANDARD.decode(text).map_err(|_| ScramError::Malformed("what should be base64 is not"))
        };
        Ok(ClientFinal {
            binding_input: decode(binding)?,
            nonce: nonce.to_owned(),
            proof: decode(proof)?,
            without_proof: without_proof.to_owned(),
        })
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(ScramError::TooLong { size: message.len() });
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Malformed("it is not UTF-8"))
}

/// What the client must repeat: its GS2 header, and what it is bound to.
fn bound(flag: &str, header: &str, binding: &ChannelBinding) -> Result<Vec<u8>, ScramError> {
    let mut input = header.as_bytes().to_vec();
    match (flag, binding) {
        ("n", ChannelBinding::Unavailable | ChannelBinding::Offered)
        | ("y", ChannelBinding::Unavailable) => {}
        // It can bind and believes that we cannot: somebody has taken our offer out.
        ("y", _) => return Err(ScramError::Mismatch),
        ("n", ChannelBinding::Chosen(_)) => {
            return Err(ScramError::Malformed("-PLUS was chosen, and no channel binding is named"));
        }
        (named, ChannelBinding::Chosen(hash)) => match named.strip_prefix("p=") {
            Some("tls-server-end-point") => input.extend_from_slice(hash),
            Some(other) => return Err(ScramError::Binding(other.chars().take(64).collect())),
            None => return Err(ScramError::Malformed("the channel binding flag is unknown")),
        },
        (named, _) if named.starts_with("p=") => {
            return Err(ScramError::Malformed("a channel binding is named without -PLUS"));
        }
        _ => return Err(ScramError::Malformed("the channel binding flag is unknown")),
    }
    Ok(input)
}

/// The value of the attribute that must come first, and what follows it.
fn attribute(text: &str, name: char) -> Result<(&str, Option<&str>), ScramError> {
    let (first, rest) = match text.split_once(',') {
        Some((first, rest)) => (first, Some(rest)),
        None => (text, None),
    };
    if first.starts_with("m=") {
        return Err(ScramError::Extension);
    }
    match first.strip_prefix(name).and_then(|value| value.strip_prefix('=')) {
        Some(value) => Ok((value, rest)),
        None => Err(ScramError::Malformed("an attribute is missing or out of place")),
    }
}

/// `=2C` is a comma and `=3D` an equals sign.
fn unescape(name: &str) -> Result<String, ScramError> {
    let plain = name.replace("=2C", ",").replace("=3D", "\u{0}");
    if plain.contains('=') || name.contains('\u{0}') {
        return Err(ScramError::Malformed("the user's name is not escaped"));
    }
    Ok(plain.replace('\u{0}', "="))
}

fn check_nonce(nonce: &str) -> Result<(), ScramError> {
    let printable = |byte: u8| (0x21..=0x7e).contains(&byte) && byte != b',';
    if nonce.is_empty() || nonce.len() > NONCE_BYTES_MAX || !nonce.bytes().all(printable) {
        return Err(ScramError::Malformed("the nonce is not 1 to 512 printable characters"));
    }
    Ok(())
}
