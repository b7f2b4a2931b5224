//! TLS of client commands: whom they trust, and what they show.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::cli::NodeArgs;
use crate::exit::{Code, Failure};

/// What the arguments say, for a node whose address is `https://…`.
pub(crate) fn config(args: &NodeArgs) -> Result<ClientConfig, Failure> {
    let builder = builder().with_root_certificates(trust(args.tls_ca.as_deref())?);
    let (Some(certificate), Some(key)) = (&args.tls_certificate, &args.tls_key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates("--tls-certificate", certificate)?;
    let pair = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unusable("--tls-key", key, &error.to_string()))?;
    builder
        .with_client_auth_cert(chain, pair)
        .map_err(|error| unusable("--tls-key", key, &error.to_string()))
}

/// For a node that does not speak TLS: nobody is trusted.
pub(crate) fn unused() -> ClientConfig {
    builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}

/// Why the node's certificate was refused, if it was.
pub(crate) fn untrusted<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(refused @ rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return Some(refused);
    }
    // An I/O error's source is that of the error in it, which would be passed over.
    let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match within {
        Some(within) => untrusted(within),
        None => untrusted(error.source()?),
    }
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has a cipher suite for each version")
}

/// The authorities in `file`, or the machine's.
fn trust(file: Option<&Path>) -> Result<RootCertStore, Failure> {
    const FLAG: &str = "--tls-ca";
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    for authority in certificates(FLAG, file)? {
        roots.add(authority).map_err(|error| unusable(FLAG, file, &error.to_string()))?;
    }
    Ok(roots)
}

/// At least one.
fn certificates(flag: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let read: Vec<_> = read.map_err(|error| unusable(flag, file, &error.to_string()))?;
    if read.is_empty() { Err(unusable(flag, file, "it holds no certificate")) } else { Ok(read) }
}

fn unusable(flag: &str, file: &Path, reason: &str) -> Failure {
    let message = format!("{flag} {} cannot be used: {reason}", file.display());
    Failure::new(Code::Usage, message).hint(
        "files are PEM; --tls-ca has the authority that issued the node's certificate, --tls-certificate and --tls-key \
         are one's own pair",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_refused_is_found_inside_of_other_errors() {
        let refused = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let inner = io::Error::new(io::ErrorKind::InvalidData, refused.clone());
        assert_eq!(untrusted(&io::Error::other(inner)), Some(&refused));
        assert_eq!(untrusted(&io::Error::other("gone")), None);
    }

    #[test]
    fn files_without_what_they_should_hold_are_refused() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        let file = || Some(empty.path().to_owned());
        assert!(config(&NodeArgs { tls_ca: file(), ..NodeArgs::default() }).is_err());
        let pair = NodeArgs { tls_certificate: file(), tls_key: file(), ..NodeArgs::default() };
        assert!(config(&pair).is_err());
    }
}
