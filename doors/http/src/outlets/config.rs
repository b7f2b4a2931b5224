//! What outlets are told by the node's configuration.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Settings of webhooks and file sinks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutletsConfig {
    /// Certificates (PEM) of authorities that webhooks trust beside those of the machine.
    pub webhooks_ca_file: Option<PathBuf>,
    /// Where file sinks write; without it there are none.
    pub sinks_directory: Option<PathBuf>,
}

/// Why outlets cannot begin.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum StartOutletsError {
    #[error("cannot read certificates from {path}")]
    Certificates {
        path: String,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    #[error("{path} holds no certificate")]
    NoCertificate { path: String },
}

/// The certificates in a file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartOutletsError> {
    let name = || path.display().to_string();
    let failed = |source| StartOutletsError::Certificates { path: name(), source };
    let found = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(failed)?;
    if found.is_empty() {
        return Err(StartOutletsError::NoCertificate { path: name() });
    }
    Ok(found)
}
