//! An authority, certificates in files, and clients, for tests.

use std::path::Path;
use std::sync::Arc;

use posthouse_types::{ManualClock, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use super::{ClientCertificates, Tls, TlsError, TlsFiles};

/// Certificates of tests are valid around this day: 2026-01-15.
pub(crate) const TODAY_MS: i64 = 1_768_435_200_000;

/// A certificate and its key, PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// An authority, and a directory with what a node reads.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(crate) directory: TempDir,
}

impl Authority {
    /// With a certificate for `localhost` in the directory.
    pub(crate) fn new() -> Authority {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "test authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(parameters, key).unwrap();
        let authority = Authority { issuer, directory: tempfile::tempdir().unwrap() };
        authority.write("authority.pem", &authority.issuer.pem());
        authority.install(&authority.server(2027));
        authority
    }

    /// A certificate for `localhost` that expires in that year.
    pub(crate) fn server(&self, expires: i32) -> Pair {
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(expires, 1, 1);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&parameters)
    }

    /// A client's certificate, which the library checks by the machine's clock.
    pub(crate) fn client(&self, name: &str) -> Pair {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&parameters)
    }

    fn issue(&self, parameters: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    /// Puts a pair where the node reads it.
    pub(crate) fn install(&self, pair: &Pair) {
        self.write("server.pem", &pair.certificate);
        self.write("server.key", &pair.key);
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn files(&self, client_certificates: ClientCertificates) -> TlsFiles {
        TlsFiles {
            certificate: self.path().join("server.pem"),
            key: self.path().join("server.key"),
            client_authorities: Some(self.path().join("authority.pem")),
            client_certificates,
        }
    }

    pub(crate) fn load(&self, client_certificates: ClientCertificates) -> Result<Tls, TlsError> {
        Tls::load(
            self.files(client_certificates),
            Arc::new(ManualClock::new(Timestamp::from_ms(TODAY_MS))),
        )
    }

    /// A client that trusts this authority, and shows `certificate`.
    pub(crate) fn connector(&self, certificate: Option<&Pair>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            None => config.with_no_client_auth(),
            Some(pair) => config.with_client_auth_cert(vec![der(pair)], key(pair)).unwrap(),
        };
        TlsConnector::from(Arc::new(config))
    }
}

pub(crate) fn der(pair: &Pair) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()
}

fn key(pair: &Pair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap()
}

pub(crate) fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}
