//! Channel bindings.
//!
//! # Source
//! RFC 5929, section 4.1: the hash is the one of the certificate's signature, and SHA-256 in place
//! of MD5 and SHA-1. A signature without a hash of its own, such as Ed25519's, has no such binding.

use bytes::Bytes;
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::der::asn1::ContextSpecific;
use x509_cert::der::{Any, Reader, SliceReader, Tag, TagNumber, Tagged};
use x509_cert::spki::AlgorithmIdentifierRef;

use super::certificate;

/// SPEC: RFC 8017, appendix A.2.3: the hash is a parameter of the signature.
const RSASSA_PSS: &str = "1.2.840.113549.1.1.10";
/// What RSASSA-PSS hashes with when its parameters do not say.
const SHA1: &str = "1.3.14.3.2.26";

/// The `tls-server-end-point` of a certificate.
pub(super) fn of(der: &[u8]) -> Option<Bytes> {
    let parsed = certificate::parse(der).ok()?;
    let signature = &parsed.signature_algorithm;
    let algorithm = signature.oid.to_string();
    let hash = if algorithm == RSASSA_PSS {
        of_digest(&pss_digest(signature.parameters.as_ref()?)?)?
    } else {
        of_signature(&algorithm)?
    };
    Some(match hash {
        Hash::Sha256 => Bytes::copy_from_slice(&Sha256::digest(der)),
        Hash::Sha384 => Bytes::copy_from_slice(&Sha384::digest(der)),
        Hash::Sha512 => Bytes::copy_from_slice(&Sha512::digest(der)),
    })
}

/// SPEC: RFC 8017, appendix A.2.3: `SEQUENCE { hashAlgorithm [0] DEFAULT sha1, … }`.
fn pss_digest(parameters: &Any) -> Option<String> {
    if parameters.tag() != Tag::Sequence {
        return None;
    }
    let mut reader = SliceReader::new(parameters.value()).ok()?;
    if reader.is_finished() {
        return Some(SHA1.to_owned());
    }
    let hash =
        ContextSpecific::<AlgorithmIdentifierRef<'_>>::decode_explicit(&mut reader, TagNumber::N0);
    Some(hash.ok()?.map_or_else(|| SHA1.to_owned(), |hash| hash.value.oid.to_string()))
}

#[derive(Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// SPEC: RFC 8017 appendix A.2.4, RFC 3279 section 2.2.3, RFC 5758 section 3.2.
fn of_signature(algorithm: &str) -> Option<Hash> {
    Some(match algorithm {
        // RSA with MD5, with SHA-1 and with SHA-256; ECDSA with SHA-1 and with SHA-256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => Hash::Sha256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Hash::Sha384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Hash::Sha512,
        _ => return None,
    })
}

/// SPEC: RFC 8017, appendix B.1.
fn of_digest(algorithm: &str) -> Option<Hash> {
    Some(match algorithm {
        "1.2.840.113549.2.5" | SHA1 | "2.16.840.1.101.3.4.2.1" => Hash::Sha256,
        "2.16.840.1.101.3.4.2.2" => Hash::Sha384,
        "2.16.840.1.101.3.4.2.3" => Hash::Sha512,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};

    use super::*;

    fn certificate(algorithm: &'static SignatureAlgorithm) -> Vec<u8> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_hash_is_the_one_of_the_signature() {
        let sha256 = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(of(&sha256).unwrap(), Sha256::digest(&sha256)[..]);
        let sha384 = certificate(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(of(&sha384).unwrap(), Sha384::digest(&sha384)[..]);
    }

    #[test]
    fn the_hash_of_a_probabilistic_signature_is_in_its_parameters() {
        let sha384 = include_bytes!("../../../../fuzz/corpus/listener_certificate/openssl_pss");
        assert_eq!(of(sha384).unwrap(), Sha384::digest(sha384)[..]);
    }

    #[test]
    fn weak_hashes_give_way_to_sha_256() {
        for weak in ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1"] {
            assert_eq!(of_signature(weak), Some(Hash::Sha256), "{weak}");
        }
        assert_eq!(of_digest("1.3.14.3.2.26"), Some(Hash::Sha256));
    }

    #[test]
    fn a_signature_without_a_hash_has_no_binding() {
        assert_eq!(of(&certificate(&rcgen::PKCS_ED25519)), None);
        assert_eq!(of(b"no certificate"), None);
    }
}
