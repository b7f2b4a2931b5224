//! The files that TLS is made of, read and checked.
//!
//! # Invariants
//! - What is returned can serve: the key belongs to the certificate, and the certificate has not
//!   expired.
//! - No error carries anything of a key but the name of its file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use posthouse_types::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use super::certificate;

/// LIMIT: bytes of one file; a bundle of every authority of the Web has a quarter of a megabyte.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where the certificate is, and what is asked of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the node's certificate, then those between it and its authority.
    pub certificate: PathBuf,
    /// PEM: the certificate's private key, not encrypted.
    pub key: PathBuf,
    /// PEM: the authorities that client certificates are checked against.
    pub client_authorities: Option<PathBuf>,
    /// Whether clients show certificates.
    pub client_certificates: ClientCertificates,
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked to.
    #[default]
    Off,
    /// One that is shown is checked; none is fine.
    Request,
    /// Without a valid one there is no connection.
    Require,
}

/// Why there is no TLS. Each names the file and the way out.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {what} {}; check that the file exists and that the node may read it", path.display())]
    Read {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file is larger than any that is meant.
    #[error("{what} {} is longer than {FILE_BYTES_MAX} bytes, so it is hardly what was meant", path.display())]
    TooLong {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The file holds no certificate.
    #[error("{what} {} holds no certificate; it must be PEM, with BEGIN CERTIFICATE in it", path.display())]
    NoCertificate {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Something in the file is no certificate that can be used.
    #[error("{what} {} cannot be used: {reason}", path.display())]
    BadCertificate {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key file holds no private key.
    #[error(
        "the key {} holds no private key that can be used; it must be PEM and not encrypted (`openssl pkey -in FILE -out NEW` takes a password off)",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The key is of another certificate.
    #[error(
        "the key {} does not belong to the certificate {}; give the pair that was made together",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// The certificate's time is over.
    #[error(
        "the certificate {} expired {ago_hours} hours ago; renew it (`posthouse cert dev --force` for one of its own)",
        path.display()
    )]
    Expired {
        /// The file.
        path: PathBuf,
        /// For how long.
        ago_hours: i64,
    },
    /// Client certificates are to be checked against nothing.
    #[error(
        "client certificates are asked for, and tls.client_authorities does not say who may have issued them"
    )]
    NoAuthorities,
    /// The TLS library refuses what the files make.
    #[error("TLS cannot be set up")]
    Library(#[source] rustls::Error),
}

/// Everything from the files, checked.
pub(super) struct Loaded {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    /// When the certificate's time is over, in seconds since 1970.
    pub(super) not_after: i64,
}

/// The files' bytes, as they were at one moment.
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
}

/// What tells two contents apart without keeping a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

impl TlsFiles {
    /// Reads them. Blocks on the disk.
    pub(super) fn read(&self) -> Result<Contents, TlsError> {
        let authorities = match (&self.client_authorities, self.client_certificates) {
            (None, ClientCertificates::Off) => None,
            (None, _) => return Err(TlsError::NoAuthorities),
            (Some(path), _) => Some(read(AUTHORITIES, path)?),
        };
        Ok(Contents {
            certificate: read(CERTIFICATE, &self.certificate)?,
            key: read("the key", &self.key)?,
            client_authorities: authorities,
        })
    }

    /// Makes of `contents` what a listener needs.
    pub(super) fn check(
        &self,
        contents: &Contents,
        provider: &Arc<CryptoProvider>,
        now: Timestamp,
    ) -> Result<Loaded, TlsError> {
        let chain = certificates(CERTIFICATE, &self.certificate, &contents.certificate)?;
        let not_after = self.not_after(&chain[0], now)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|_| TlsError::NoKey { path: self.key.clone() })?;
        let certified =
            CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
                    key: self.key.clone(),
                    certificate: self.certificate.clone(),
                },
                // The library could not make a signing key of it, whatever its PEM says.
                _ => TlsError::NoKey { path: self.key.clone() },
            })?;
        let verifier = self.verifier(contents.client_authorities.as_deref(), provider)?;
        Ok(Loaded { certified: Arc::new(certified), verifier, not_after })
    }

    fn not_after(&self, leaf: &CertificateDer<'_>, now: Timestamp) -> Result<i64, TlsError> {
        let path = || self.certificate.clone();
        let parsed = certificate::parse(leaf).map_err(|error| TlsError::BadCertificate {
            what: CERTIFICATE,
            path: path(),
            reason: error.to_string(),
        })?;
        let not_after = parsed.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
        let not_after = i64::try_from(not_after).unwrap_or(i64::MAX);
        let left_seconds = not_after - now.as_ms() / 1000;
        if left_seconds < 0 {
            return Err(TlsError::Expired { path: path(), ago_hours: -left_seconds / 3600 });
        }
        Ok(not_after)
    }

    fn verifier(
        &self,
        authorities: Option<&[u8]>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let (Some(pem), Some(path)) = (authorities, &self.client_authorities) else {
            return Ok(WebPkiClientVerifier::no_client_auth());
        };
        let unusable = |reason: String| TlsError::BadCertificate {
            what: AUTHORITIES,
            path: path.clone(),
            reason,
        };
        let mut roots = RootCertStore::empty();
        for authority in certificates(AUTHORITIES, path, pem)? {
            roots.add(authority).map_err(|error| unusable(error.to_string()))?;
        }
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let built = match self.client_certificates {
            ClientCertificates::Off => return Ok(WebPkiClientVerifier::no_client_auth()),
            ClientCertificates::Request => builder.allow_unauthenticated().build(),
            ClientCertificates::Require => builder.build(),
        };
        built.map_err(|error| unusable(error.to_string()))
    }
}

impl Contents {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        let authorities = self.client_authorities.as_deref().unwrap_or_default();
        for part in [&self.certificate, &self.key, authorities] {
            // With their lengths, so that no byte can move from one file to the next unseen.
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        Fingerprint(hash.finalize().into())
    }
}

const CERTIFICATE: &str = "the certificate";
const AUTHORITIES: &str = "the client authorities";

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read;

    let failed = |source| TlsError::Read { what, path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len <= FILE_BYTES_MAX) {
        Ok(bytes)
    } else {
        Err(TlsError::TooLong { what, path: path.to_owned() })
    }
}

/// At least one.
fn certificates(
    what: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => {
            Err(TlsError::NoCertificate { what, path: path.to_owned() })
        }
        Ok(chain) => Ok(chain),
        Err(error) => {
            Err(TlsError::BadCertificate { what, path: path.to_owned(), reason: error.to_string() })
        }
    }
}
