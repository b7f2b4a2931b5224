//! What a handshake told about the other end.

use bytes::Bytes;
use rustls::pki_types::CertificateDer;

use super::accept::HandshakeError;
use super::{binding, certificate, name};

/// The other end of a TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPeer {
    /// The certificate that the client has shown; it was issued by one of the client authorities,
    /// and the client has its key.
    pub certificate: Option<ClientCertificate>,
    /// SPEC: RFC 5929, `tls-server-end-point`: the hash of the node's certificate that binds an
    /// authentication to this connection; `None` when the certificate's signature has no such hash.
    pub endpoint_binding: Option<Bytes>,
    /// The version of TLS: `1.2` or `1.3`.
    pub version: &'static str,
    /// The protocol that was agreed on, where one was.
    pub alpn: Option<Bytes>,
}

/// A client's certificate, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate itself, without those that issued it.
    pub der: Bytes,
    /// Its subject as RFC 2253 writes it and Kafka names a principal: `CN=ada,OU=riders,C=DE`.
    pub subject: String,
}

impl ClientCertificate {
    pub(super) fn read(der: &CertificateDer<'_>) -> Result<ClientCertificate, HandshakeError> {
        let parsed = certificate::parse(der).map_err(|_| HandshakeError::Certificate)?;
        let subject =
            name::rfc2253(&parsed.tbs_certificate.subject).ok_or(HandshakeError::Certificate)?;
        Ok(ClientCertificate { der: Bytes::copy_from_slice(der), subject })
    }
}

/// Everything that is read of a certificate; says whether it could be. For fuzzing.
pub(crate) fn read_certificate(der: &[u8]) -> bool {
    let bound = binding::of(der);
    let read = ClientCertificate::read(&CertificateDer::from(der));
    assert!(bound.is_none() || certificate::parse(der).is_ok(), "a binding to no certificate");
    read.is_ok()
}
