use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::{ITERATIONS_MIN, Mechanism, Verifier};

/// The client's side, from the password: RFC 5802, section 3.
fn proof(mechanism: Mechanism, password: &[u8], salt: &[u8], signed: &str) -> Vec<u8> {
    let mut salted = vec![0; mechanism.key_bytes()];
    match mechanism {
        Mechanism::ScramSha256 => {
            pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password, salt, ITERATIONS_MIN, &mut salted);
        }
        Mechanism::ScramSha512 => {
            pbkdf2::pbkdf2_hmac::<sha2::Sha512>(password, salt, ITERATIONS_MIN, &mut salted);
        }
    }
    let client_key = mechanism.hmac(&salted, b"Client Key");
    let signature = mechanism.hmac(&mechanism.hash(&client_key), signed.as_bytes());
    client_key.iter().zip(signature).map(|(key, mask)| key ^ mask).collect()
}

/// The client's last message to a challenge.
fn answer(
    mechanism: Mechanism,
    password: &[u8],
    header: &[u8],
    bare: &str,
    challenge: &str,
) -> String {
    let mut attributes = challenge.split(',');
    let nonce = attributes.next().unwrap();
    let salt = STANDARD.decode(attributes.next().unwrap().strip_prefix("s=").unwrap()).unwrap();
    let without_proof = format!("c={},{nonce}", STANDARD.encode(header));
    let signed = format!("{bare},{challenge},{without_proof}");
    let proof = proof(mechanism, password, &salt, &signed);
    format!("{without_proof},p={}", STANDARD.encode(proof))
}

fn verifier(mechanism: Mechanism) -> Verifier {
    Verifier::of_password(mechanism, b"pencil", ITERATIONS_MIN).unwrap()
}

fn log_in(mechanism: Mechanism, password: &[u8]) -> Result<String, ScramError> {
    let first = ClientFirst::parse(b"n,,n=user,r=abc", &ChannelBinding::Unavailable)?;
    let (exchange, challenge) = first.challenge(verifier(mechanism), &Nonce::random());
    exchange.finish(answer(mechanism, password, b"n,,", "n=user,r=abc", &challenge).as_bytes())
}

/// RFC 7677, section 3.
#[test]
fn the_exchange_of_the_specification_is_answered_as_it_says() {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let verifier =
        Verifier::with_salt(Mechanism::ScramSha256, b"pencil", salt, ITERATIONS_MIN).unwrap();
    let first = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    let first = ClientFirst::parse(first, &ChannelBinding::Unavailable).unwrap();
    let (exchange, challenge) =
        first.challenge(verifier, &Nonce::fixed("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"));
    assert_eq!(
        challenge,
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let last = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    assert_eq!(exchange.finish(last).unwrap(), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

#[test]
fn only_the_right_password_comes_in() {
    for mechanism in Mechanism::ALL {
        assert!(log_in(mechanism, b"pencil").unwrap().starts_with("v="));
        assert_eq!(log_in(mechanism, b"pen"), Err(ScramError::Proof));
    }
}

#[test]
fn a_proof_of_another_length_is_wrong_and_no_more() {
    let first = ClientFirst::parse(b"n,,n=user,r=abc", &ChannelBinding::Unavailable).unwrap();
    let (exchange, challenge) = first.challenge(verifier(Mechanism::ScramSha256), &Nonce::random());
    let nonce = challenge.split(',').next().unwrap();
    let last = format!("c=biws,{nonce},p=AAAA");
    assert_eq!(exchange.finish(last.as_bytes()), Err(ScramError::Proof));
}

#[test]
fn another_nonce_is_refused() {
    let first = ClientFirst::parse(b"n,,n=user,r=abc", &ChannelBinding::Unavailable).unwrap();
    let (exchange, _) = first.challenge(verifier(Mechanism::ScramSha256), &Nonce::random());
    assert_eq!(exchange.finish(b"c=biws,r=abcdef,p=AAAA"), Err(ScramError::Nonce));
}

fn bound(client_hash: &[u8]) -> Result<String, ScramError> {
    let binding = ChannelBinding::Chosen(vec![1, 2, 3]);
    let first = ClientFirst::parse(b"p=tls-server-end-point,,n=,r=abc", &binding)?;
    let (exchange, challenge) = first.challenge(verifier(Mechanism::ScramSha256), &Nonce::random());
    let input = [b"p=tls-server-end-point,,", client_hash].concat();
    let last = answer(Mechanism::ScramSha256, b"pencil", &input, "n=,r=abc", &challenge);
    exchange.finish(last.as_bytes())
}

#[test]
fn an_exchange_bound_to_another_certificate_is_refused() {
    assert!(bound(&[1, 2, 3]).is_ok());
    assert_eq!(bound(&[1, 2, 4]), Err(ScramError::Mismatch));
}

#[test]
fn taking_the_offer_of_a_binding_away_is_noticed() {
    let parse = |message: &[u8], binding| ClientFirst::parse(message, &binding);
    let chosen = || ChannelBinding::Chosen(vec![1]);
    assert_eq!(parse(b"y,,n=,r=abc", ChannelBinding::Offered), Err(ScramError::Mismatch));
    assert!(parse(b"y,,n=,r=abc", ChannelBinding::Unavailable).is_ok());
    assert!(parse(b"n,,n=,r=abc", ChannelBinding::Offered).is_ok());
    assert!(parse(b"n,,n=,r=abc", chosen()).is_err());
    assert!(parse(b"p=tls-server-end-point,,n=,r=abc", ChannelBinding::Offered).is_err());
    let other = parse(b"p=tls-unique,,n=,r=abc", chosen()).unwrap_err();
    assert_eq!(other, ScramError::Binding("tls-unique".into()));
}

#[test]
fn names_are_unescaped_and_nobody_acts_for_another() {
    let parse =
        |message: &str| ClientFirst::parse(message.as_bytes(), &ChannelBinding::Unavailable);
    assert_eq!(parse("n,,n=a=2Cb=3Dc,r=abc").unwrap().user(), "a,b=c");
    assert_eq!(parse("n,a=bob,n=bob,r=abc").unwrap().user(), "bob");
    assert!(parse("n,a=root,n=bob,r=abc").is_err());
    assert!(parse("n,,n=a=41,r=abc").is_err());
    assert!(parse("n,,n=token,r=abc,tokenauth=true").unwrap().is_delegated());
    assert_eq!(parse("n,,m=x,n=bob,r=abc"), Err(ScramError::Extension));
    assert!(parse("n,,n=bob,r=").is_err());
    assert!(parse(&format!("n,,n={},r=abc", "x".repeat(MESSAGE_BYTES_MAX))).is_err());
}

proptest! {
    #[test]
    fn whatever_comes_is_answered_or_refused(first in any::<Vec<u8>>(), last in any::<Vec<u8>>()) {
        let _ = ClientFirst::parse(&first, &ChannelBinding::Offered);
        let known = ClientFirst::parse(b"n,,n=user,r=abc", &ChannelBinding::Unavailable).unwrap();
        let (exchange, _) = known.challenge(Verifier::decoy(Mechanism::ScramSha256, "u", b"", crate::ITERATIONS_MIN), &Nonce::random());
        prop_assert!(exchange.finish(&last).is_err());
    }
}
