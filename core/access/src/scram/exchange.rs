//! From the first message to the last.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::message::ClientFinal;
use super::{ClientFirst, ScramError};
use crate::Verifier;

/// Random bytes of our part of the nonce, before base64.
const NONCE_BYTES: usize = 18;

/// Our part of the nonce: used for one exchange.
#[derive(Clone, Debug)]
pub struct Nonce(String);

impl Nonce {
    /// A fresh one.
    ///
    /// # Panics
    /// When the system has no randomness.
    pub fn random() -> Nonce {
        let mut bytes = [0; NONCE_BYTES];
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        Nonce(STANDARD.encode(bytes))
    }

    /// The one that a specification's example uses.
    #[cfg(test)]
    pub(super) fn fixed(text: &str) -> Nonce {
        Nonce(text.to_owned())
    }
}

/// An exchange that waits for the client's proof.
#[derive(Debug)]
pub struct Exchange {
    verifier: Verifier,
    first: ClientFirst,
    server_first: String,
    nonce: String,
}

impl ClientFirst {
    /// What the client is asked, by what checks its user's password: a decoy's, where there is no
    /// such user.
    pub fn challenge(self, verifier: Verifier, nonce: &Nonce) -> (Exchange, String) {
        let nonce = format!("{}{}", self.nonce, nonce.0);
        let salt = STANDARD.encode(verifier.salt());
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations());
        let exchange =
            Exchange { verifier, first: self, server_first: server_first.clone(), nonce };
        (exchange, server_first)
    }
}

impl Exchange {
    /// Checks the client's last message, and gives ours, which proves that we know the verifier.
    ///
    /// # Errors
    /// [`ScramError::Proof`] when the password is wrong; others for what must not be.
    pub fn finish(self, message: &[u8]) -> Result<String, ScramError> {
        let last = ClientFinal::parse(message)?;
        if last.nonce != self.nonce {
            return Err(ScramError::Nonce);
        }
        if last.binding_input != self.first.binding_input {
            return Err(ScramError::Mismatch);
        }
        let signed = format!("{},{},{}", self.first.bare, self.server_first, last.without_proof);
        let mechanism = self.verifier.mechanism();
        let signature = mechanism.hmac(self.verifier.stored_key(), signed.as_bytes());
        if last.proof.len() != signature.len() {
            return Err(ScramError::Proof);
        }
        let client_key: Vec<u8> =
            last.proof.iter().zip(&signature).map(|(proof, mask)| proof ^ mask).collect();
        let stored = mechanism.hash(&client_key);
        if !bool::from(stored.ct_eq(self.verifier.stored_key())) {
            return Err(ScramError::Proof);
        }
        let signature = mechanism.hmac(self.verifier.server_key(), signed.as_bytes());
        Ok(format!("v={}", STANDARD.encode(signature)))
    }
}
