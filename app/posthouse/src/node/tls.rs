//! Whether a node has TLS, and with what.

use std::sync::Arc;

use posthouse_listener::{Tls, TlsError, TlsFiles};
use posthouse_types::Clock;

use super::addresses::Address;
use crate::config::{NodeConfig, TlsConfig};

/// Why a node that was asked for TLS cannot have it.
#[derive(Debug, thiserror::Error)]
pub enum StartTlsError {
    /// Somebody wants TLS, and nothing says with what.
    #[error(
        "{setting} asks for TLS, and tls.{missing} does not say with what; give the files with \
         --tls-certificate FILE --tls-key FILE (`posthouse cert dev` makes some to try it out)"
    )]
    NoFiles {
        /// Who asks.
        setting: String,
        /// What is missing.
        missing: &'static str,
    },
    /// The files cannot be used.
    #[error(transparent)]
    Files(#[from] TlsError),
}

/// Reads what the settings name; `None` when nobody asks for TLS.
pub(super) fn load(
    config: &NodeConfig,
    addresses: &[Address],
    clock: Arc<dyn Clock>,
) -> Result<Option<Tls>, StartTlsError> {
    let TlsConfig { certificate, key, client_authorities, client_certificates, .. } = &config.tls;
    let missing = |missing| {
        let asks = addresses.iter().find(|address| address.requires_tls());
        let other = if certificate.is_some() { "tls.certificate" } else { "tls.key" };
        let setting =
            asks.map_or_else(|| other.to_owned(), |address| address.tls_setting().to_owned());
        Err(StartTlsError::NoFiles { setting, missing })
    };
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let files = TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                client_authorities: client_authorities.clone(),
                client_certificates: *client_certificates,
            };
            Ok(Some(Tls::load(files, clock)?))
        }
        (Some(_), None) => missing("key"),
        (None, Some(_)) => missing("certificate"),
        (None, None) if addresses.iter().any(Address::requires_tls) => missing("certificate"),
        (None, None) => Ok(None),
    }
}
