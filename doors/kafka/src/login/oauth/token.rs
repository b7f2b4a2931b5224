//! A signed token: its claims, once the signature is checked.
//!
//! # Invariants
//! - Nothing that a token claims is looked at before its signature is checked, but the id of the key
//!   and the algorithm, which must be the key's own.
//! - A claim of another type than it should have is refused, rather than passed over.
//!
//! # Source
//! RFC 7515 section 3.1 (compact form), RFC 7519 section 4.1, RFC 8725 (best practices).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use posthouse_types::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::KeySet;

/// How far the issuer's clock may be ahead of ours, as Kafka allows by default.
const SKEW_MS: i64 = 30_000;

/// What a token must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) subject_claim: String,
}

/// A token whose signature is not checked yet.
pub(crate) struct SignedToken<'a> {
    /// What is signed: header and claims.
    message: &'a str,
    signature: Vec<u8>,
    claims: &'a str,
    header: Header,
}

/// SPEC: RFC 7515, section 4.1.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

/// Whom a token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) subject: String,
    pub(crate) expires: Timestamp,
}

/// Why a token is refused. Told to nobody but the log; none of it shows the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("it is no signed token: {0}")]
    Malformed(&'static str),
    #[error("its header asks for extensions")]
    Critical,
    #[error("no key that is known has signed it")]
    Signature,
    #[error("claim {claim} is missing or not what it should be")]
    Claim { claim: String },
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    Early,
}

impl<'a> SignedToken<'a> {
    /// Takes a token apart.
    pub(crate) fn parse(text: &'a str) -> Result<SignedToken<'a>, TokenError> {
        use TokenError::Malformed;
        let decode = |text: &str| {
            URL_SAFE_NO_PAD.decode(text).map_err(|_| Malformed("a part is not base64url"))
        };
        let (message, signature) = text.rsplit_once('.').ok_or(Malformed("no signature"))?;
        let (header, claims) = message.split_once('.').ok_or(Malformed("no claims"))?;
        if claims.contains('.') {
            return Err(Malformed("it has more than three parts"));
        }
        let header: Header = serde_json::from_slice(&decode(header)?)
            .map_err(|_| Malformed("its header is not what it should be"))?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        Ok(SignedToken { message, signature: decode(signature)?, claims, header })
    }

    /// The id of the key that is said to have signed it.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Checks signature and claims.
    pub(crate) fn check(
        &self,
        keys: &KeySet,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Named, TokenError> {
        let message = self.message.as_bytes();
        if !keys.verify(self.key_id(), &self.header.alg, message, &self.signature) {
            return Err(TokenError::Signature);
        }
        let claims = URL_SAFE_NO_PAD
            .decode(self.claims)
            .ok()
            .and_then(|claims| serde_json::from_slice::<Map<String, Value>>(&claims).ok())
            .ok_or(TokenError::Malformed("its claims are not an object"))?;
        expected.check(&Claims(claims), now)
    }
}

impl Expected {
    fn check(&self, claims: &Claims, now: Timestamp) -> Result<Named, TokenError> {
        let expires = claims.time("exp")?.ok_or_else(|| wrong("exp"))?;
        if expires <= now {
            return Err(TokenError::Expired);
        }
        for claim in ["nbf", "iat"] {
            let from = claims.time(claim)?;
            if from.is_some_and(|from| from.as_ms() - SKEW_MS > now.as_ms()) {
                return Err(TokenError::Early);
            }
        }
        if let Some(issuer) = &self.issuer
            && claims.0.get("iss").and_then(Value::as_str) != Some(issuer.as_str())
        {
            return Err(wrong("iss"));
        }
        if let Some(audience) = &self.audience
            && !claims.is_for(audience)
        {
            return Err(wrong("aud"));
        }
        let subject = claims.0.get(&self.subject_claim).and_then(Value::as_str);
        let subject = subject.filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(|| wrong(&self.subject_claim))?.to_owned();
        Ok(Named { subject, expires })
    }
}

struct Claims(Map<String, Value>);

impl Claims {
    /// SPEC: RFC 7519, section 2: seconds since 1970, perhaps with a fraction.
    fn time(&self, claim: &str) -> Result<Option<Timestamp>, TokenError> {
        let Some(value) = self.0.get(claim) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| (0.0..1e12).contains(seconds));
        let seconds = seconds.ok_or_else(|| wrong(claim))?;
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        let ms = (seconds * 1000.0) as i64;
        Ok(Some(Timestamp::from_ms(ms)))
    }

    /// SPEC: RFC 7519, section 4.1.3: one name, or a list of them.
    fn is_for(&self, audience: &str) -> bool {
        match self.0.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        }
    }
}

fn wrong(claim: &str) -> TokenError {
    TokenError::Claim { claim: claim.to_owned() }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_ms(1_000_000_000)
    }

    struct Issuer(EcdsaKeyPair);

    impl Issuer {
        fn new() -> Issuer {
            let random = SystemRandom::new();
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            Issuer(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap())
        }

        fn keys(&self) -> KeySet {
            let point = self.0.public_key().as_ref();
            let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let key = json!({"kty": "EC", "crv": "P-256", "kid": "k",
                "x": encode(&point[1..33]), "y": encode(&point[33..])});
            KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()).unwrap()
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
            let message = format!("{}.{}", part(header), part(claims));
            let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    }

    fn header() -> Value {
        json!({"alg": "ES256", "kid": "k"})
    }

    fn claims() -> Value {
        json!({"sub": "alice", "iss": "https://issuer", "aud": ["posthouse", "x"],
            "exp": 1_000_060, "nbf": 999_000})
    }

    fn expected() -> Expected {
        Expected {
            issuer: Some("https://issuer".to_owned()),
            audience: Some("posthouse".to_owned()),
            subject_claim: "sub".to_owned(),
        }
    }

    fn check(issuer: &Issuer, header: &Value, claims: &Value) -> Result<Named, TokenError> {
        let text = issuer.sign(header, claims);
        SignedToken::parse(&text)?.check(&issuer.keys(), &expected(), now())
    }

    #[test]
    fn a_token_names_its_subject_until_it_expires() {
        let named = check(&Issuer::new(), &header(), &claims()).unwrap();
        assert_eq!(named.subject, "alice");
        assert_eq!(named.expires, Timestamp::from_ms(1_000_060_000));
    }

    #[test]
    fn every_claim_counts() {
        let issuer = Issuer::new();
        let wrong = |claim: &str| TokenError::Claim { claim: claim.to_owned() };
        for (claim, value, error) in [
            ("exp", json!(1_000_000), TokenError::Expired),
            ("exp", json!("1000060"), wrong("exp")),
            ("exp", Value::Null, wrong("exp")),
            ("nbf", json!(1_000_031), TokenError::Early),
            ("nbf", json!("soon"), wrong("nbf")),
            ("iat", json!(1_000_031), TokenError::Early),
            ("iss", json!("https://other"), wrong("iss")),
            ("aud", json!("other"), wrong("aud")),
            ("aud", json!(["other"]), wrong("aud")),
            ("sub", json!(7), wrong("sub")),
            ("sub", json!(""), wrong("sub")),
        ] {
            let mut claims = claims();
            claims[claim] = value.clone();
            assert_eq!(check(&issuer, &header(), &claims), Err(error), "{claim} {value}");
        }
        let mut unlimited = claims();
        unlimited.as_object_mut().unwrap().remove("exp");
        assert_eq!(check(&issuer, &header(), &unlimited), Err(wrong("exp")));
    }

    #[test]
    fn only_a_key_that_is_known_signs() {
        let issuer = Issuer::new();
        let text = Issuer::new().sign(&header(), &claims());
        let token = SignedToken::parse(&text).unwrap();
        assert_eq!(token.check(&issuer.keys(), &expected(), now()), Err(TokenError::Signature));
        for alg in ["none", "HS256", "RS256", "es256", ""] {
            let header = json!({"alg": alg, "kid": "k"});
            assert_eq!(check(&issuer, &header, &claims()), Err(TokenError::Signature), "{alg}");
        }
        let header = json!({"alg": "ES256", "kid": "other"});
        assert_eq!(check(&issuer, &header, &claims()), Err(TokenError::Signature));
        let header = json!({"alg": "ES256", "kid": "k", "crit": ["b64"]});
        assert_eq!(check(&issuer, &header, &claims()), Err(TokenError::Critical));
    }

    #[test]
    fn no_byte_of_a_token_can_be_changed() {
        let issuer = Issuer::new();
        let text = issuer.sign(&header(), &claims());
        let keys = issuer.keys();
        for at in (0..text.len()).step_by(7) {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            let checked = SignedToken::parse(&changed)
                .and_then(|token| token.check(&keys, &expected(), now()));
            assert!(checked.is_err(), "changed at {at}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in ["", ".", "..", "a.b", "a.b.c.d", "e30.e30.", "!.e30.AA"] {
            assert!(SignedToken::parse(text).is_err(), "{text}");
        }
    }
}
