//! A certificate's subject as text.
//!
//! # Source
//! RFC 2253, as Java's `X500Principal.getName` writes it, because that is what Kafka names the
//! principal of a client certificate, and so what its users have in their permissions: the last part
//! first, nine names for attribute types and dotted numbers with hexadecimal values for the others.

use std::fmt::Write as _;

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::{Any, Encode, Tag, Tagged};
use x509_cert::name::Name;

/// SPEC: RFC 2253, section 2.3.
const NAMES: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// The name; `None` when a text in it cannot be read.
pub(super) fn rfc2253(name: &Name) -> Option<String> {
    let parts: Option<Vec<String>> = name
        .0
        .iter()
        .map(|part| {
            let attributes: Option<Vec<String>> = part.0.iter().map(attribute).collect();
            attributes.map(|attributes| attributes.join("+"))
        })
        .collect();
    let mut parts = parts?;
    parts.reverse();
    Some(parts.join(","))
}

fn attribute(attribute: &AttributeTypeAndValue) -> Option<String> {
    let kind = attribute.oid.to_string();
    let value = &attribute.value;
    let Some((_, name)) = NAMES.iter().find(|(number, _)| *number == kind) else {
        return hexadecimal(&kind, value);
    };
    match text(value) {
        Text::Is(text) => Some(format!("{name}={}", escape(&text))),
        Text::Unreadable => None,
        Text::Other => hexadecimal(name, value),
    }
}

fn hexadecimal(kind: &str, value: &Any) -> Option<String> {
    let mut text = format!("{kind}=#");
    for byte in value.to_der().ok()? {
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

enum Text {
    Is(String),
    Unreadable,
    /// A value of another type than text.
    Other,
}

fn text(value: &Any) -> Text {
    let bytes = value.value();
    let text = match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => {
            String::from_utf8(bytes.to_vec()).ok()
        }
        // T.61 in name, Latin-1 in practice.
        Tag::TeletexString => Some(bytes.iter().copied().map(char::from).collect()),
        Tag::BmpString => utf16(bytes),
        _ => return Text::Other,
    };
    text.map_or(Text::Unreadable, Text::Is)
}

fn utf16(bytes: &[u8]) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
    if rest.is_empty() { String::from_utf16(&units).ok() } else { None }
}

/// SPEC: RFC 2253, section 2.4.
fn escape(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => escaped.extend(['\\', character]),
            '#' if index == 0 => escaped.push_str("\\#"),
            ' ' if index == 0 || index == last => escaped.push_str("\\ "),
            '\0' => escaped.push_str("\\00"),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};
    use x509_cert::Certificate;
    use x509_cert::der::Decode;

    use super::*;

    fn name(parts: Vec<(DnType, DnValue)>) -> String {
        let mut subject = DistinguishedName::new();
        for (kind, value) in parts {
            subject.push(kind, value);
        }
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = subject;
        let certificate = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let parsed = Certificate::from_der(certificate.der()).unwrap();
        rfc2253(&parsed.tbs_certificate.subject).unwrap()
    }

    fn common(text: &str) -> String {
        name(vec![(DnType::CommonName, text.into())])
    }

    /// What `X500Principal.getName()` of OpenJDK 17 makes of certificates that OpenSSL made.
    #[test]
    fn names_are_what_java_makes_of_them() {
        for (certificate, expected) in [
            (
                &include_bytes!("../../../../fuzz/corpus/listener_certificate/openssl_ec")[..],
                r"1.2.840.113549.1.9.1=#160f616461406578616d706c652e636f6d,CN=ada,OU=Riders,O=Post\, Inc.,C=DE",
            ),
            (
                include_bytes!("../../../../fuzz/corpus/listener_certificate/openssl_escapes"),
                r#"2.5.4.12=#0c024472,2.5.4.5=#130137,O=a+OU=b,CN=\ lead\;\"q\" \<x\> \\ trail\ ,C=DE"#,
            ),
            (
                include_bytes!("../../../../fuzz/corpus/listener_certificate/openssl_pss"),
                r"CN=Änne \+1,UID=\#7,DC=example,DC=org",
            ),
        ] {
            let parsed = Certificate::from_der(certificate).unwrap();
            assert_eq!(rfc2253(&parsed.tbs_certificate.subject).unwrap(), expected);
        }
    }

    #[test]
    fn the_last_part_comes_first() {
        let parts = vec![
            (DnType::CountryName, "DE".into()),
            (DnType::OrganizationName, "Post".into()),
            (DnType::OrganizationalUnitName, "Riders".into()),
            (DnType::CommonName, "ada".into()),
        ];
        assert_eq!(name(parts), "CN=ada,OU=Riders,O=Post,C=DE");
    }

    #[test]
    fn what_has_a_meaning_in_a_name_is_escaped() {
        assert_eq!(common("a,b+c\"d\\e<f>g;h"), r#"CN=a\,b\+c\"d\\e\<f\>g\;h"#);
        assert_eq!(common("#1"), r"CN=\#1");
        assert_eq!(common(" a # b "), r"CN=\ a # b\ ");
        assert_eq!(common("Änne=Ö"), "CN=Änne=Ö");
    }

    #[test]
    fn an_attribute_without_a_short_name_is_a_number_and_its_bytes() {
        let email = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
        assert_eq!(
            name(vec![(email, DnValue::Utf8String("a@b".into()))]),
            "1.2.840.113549.1.9.1=#0c03614062"
        );
    }
}
