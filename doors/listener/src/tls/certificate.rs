//! Certificates, taken apart.

use x509_cert::Certificate;
use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Decode, ErrorKind, Reader, Result, SliceReader, Tagged};

/// LIMIT: elements in one another. A name in a certificate is six deep.
const DEPTH_MAX: usize = 32;

/// Reads a certificate. der 0.7 takes as much memory for an element as it says that it is long, up to
/// 256 MiB, before it looks whether so much is there; so that is looked at first.
pub(super) fn parse(der: &[u8]) -> Result<Certificate> {
    check_lengths(der, DEPTH_MAX)?;
    Certificate::from_der(der)
}

fn check_lengths(der: &[u8], depth: usize) -> Result<()> {
    let inner = depth.checked_sub(1).ok_or(ErrorKind::Failed)?;
    let mut reader = SliceReader::new(der)?;
    while !reader.is_finished() {
        let element = AnyRef::decode(&mut reader)?;
        if element.tag().is_constructed() {
            check_lengths(element.value(), inner)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn an_element_longer_than_what_it_is_in_is_refused_before_it_is_read() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        let der = certificate.der().to_vec();
        assert!(parse(&der).is_ok());
        // The name of the subject: a UTF8String whose length is said in four bytes to be 200 MB.
        let name = b"rcgen self signed cert";
        let at = der.windows(name.len()).position(|window| window == name).unwrap();
        let mut longer = der;
        longer.splice(at - 1..at + 4, [0x84, 0x0C, 0, 0, 0]);
        assert!(parse(&longer).is_err());
        assert!(check_lengths(&longer, DEPTH_MAX).is_err());
    }

    #[test]
    fn elements_are_in_one_another_only_so_deep() {
        let nested = |depth: u8| {
            (0..depth).fold(Vec::new(), |inner, level| [vec![0x30, 2 * level], inner].concat())
        };
        assert!(check_lengths(&nested(31), DEPTH_MAX).is_ok());
        assert!(check_lengths(&nested(40), DEPTH_MAX).is_err());
    }
}
