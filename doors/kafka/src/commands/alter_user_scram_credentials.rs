//! AlterUserScramCredentials: sets and removes passwords that the client has hashed.
//!
//! A user that does not exist is made. One that loses its last password stays, because it may have
//! tokens, certificates and rules. All changes of one user are made, or none.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
};
use kafka_protocol::protocol::StrBytes;
use posthouse_access::{Mechanism, UserName, Verifier};
use posthouse_broker::{AccessError, Operation, UserChange};

use super::acls::check_cluster;
use super::describe_user_scram_credentials::mechanism_code;
use crate::errors::Refusal;
use crate::node::Call;

/// What is asked of one user.
type Changes = Result<Vec<UserChange>, Refusal>;

pub(super) async fn handle(
    call: Call,
    request: AlterUserScramCredentialsRequest,
) -> AlterUserScramCredentialsResponse {
    let allowed = check_cluster(&call, Operation::Alter);
    let mut results = Vec::new();
    for (user, changes) in by_user(request) {
        let altered = match (&allowed, changes) {
            (Err(refusal), _) => Err(refusal.clone()),
            (Ok(()), Err(refusal)) => Err(refusal),
            (Ok(()), Ok(changes)) => alter(&call, &user, changes).await,
        };
        let result =
            AlterUserScramCredentialsResult::default().with_user(user).with_error_message(None);
        results.push(match altered {
            Ok(()) => result,
            Err(refusal) => result
                .with_error_code(refusal.code.code())
                .with_error_message(Some(refusal.message())),
        });
    }
    AlterUserScramCredentialsResponse::default().with_results(results)
}

/// The changes of each user; the first that is wrong stands for all of them.
fn by_user(request: AlterUserScramCredentialsRequest) -> BTreeMap<StrBytes, Changes> {
    let mut changes = BTreeMap::<StrBytes, Changes>::new();
    let mut seen = BTreeSet::new();
    let deletions =
        request.deletions.into_iter().map(|one| (one.name.clone(), one.mechanism, deletion(&one)));
    let upsertions = request
        .upsertions
        .into_iter()
        .map(|one| (one.name.clone(), one.mechanism, upsertion(&one)));
    for (user, mechanism, change) in deletions.chain(upsertions) {
        let change = match seen.insert((user.clone(), mechanism)) {
            true => change,
            false => Err(Refusal::new(
                Code::DuplicateResource,
                "a password is changed more than once in one request",
            )),
        };
        let changes = changes.entry(user).or_insert_with(|| Ok(Vec::new()));
        match (changes.as_mut(), change) {
            (Ok(changes), Ok(change)) => changes.push(change),
            (Ok(_), Err(refusal)) => *changes = Err(refusal),
            (Err(_), _) => {}
        }
    }
    changes
}

fn deletion(one: &ScramCredentialDeletion) -> Result<UserChange, Refusal> {
    check_name(&one.name)?;
    Ok(UserChange::WithoutVerifier(mechanism(one.mechanism)?))
}

fn upsertion(one: &ScramCredentialUpsertion) -> Result<UserChange, Refusal> {
    check_name(&one.name)?;
    let verifier =
        verifier(mechanism(one.mechanism)?, one.iterations, &one.salt, &one.salted_password);
    Ok(UserChange::Verifier(verifier?))
}

fn verifier(
    mechanism: Mechanism,
    iterations: i32,
    salt: &Bytes,
    salted: &Bytes,
) -> Result<Verifier, Refusal> {
    let iterations = u32::try_from(iterations).unwrap_or(0);
    Verifier::of_salted_password(mechanism, salted, salt.to_vec(), iterations)
        .map_err(|error| Refusal::new(Code::UnacceptableCredential, error.to_string()))
}

fn check_name(name: &str) -> Result<UserName, Refusal> {
    UserName::new(name)
        .map_err(|error| Refusal::new(Code::UnacceptableCredential, error.to_string()))
}

fn mechanism(code: i8) -> Result<Mechanism, Refusal> {
    Mechanism::ALL.into_iter().find(|&one| mechanism_code(one) == code).ok_or_else(|| {
        let text = format!("there is no SCRAM mechanism {code}");
        Refusal::new(Code::UnsupportedSaslMechanism, text)
    })
}

async fn alter(call: &Call, user: &str, changes: Vec<UserChange>) -> Result<(), Refusal> {
    let broker = call.broker();
    let name = check_name(user)?;
    let users = broker.users(&call.principal).map_err(|error| Refusal::from(&error))?;
    let known = users.iter().find(|one| one.name == name);
    let missing = changes.iter().any(|change| match change {
        UserChange::WithoutVerifier(mechanism) => {
            known.is_none_or(|known| known.verifier(*mechanism).is_none())
        }
        _ => false,
    });
    if missing {
        let text = "a password that does not exist cannot be removed";
        return Err(Refusal::new(Code::ResourceNotFound, text));
    }
    let altered = match known {
        Some(_) => broker.alter_user(&call.principal, user, changes).await,
        None => match broker.create_user(&call.principal, name, changes.clone()).await {
            // Somebody else was faster.
            Err(AccessError::UserExists(_)) => {
                broker.alter_user(&call.principal, user, changes).await
            }
            created => created,
        },
    };
    altered.map_err(|error| Refusal::from(&error))
}

#[cfg(test)]
mod tests {
    use posthouse_access::{ITERATIONS_MAX, ITERATIONS_MIN};

    use super::*;

    fn text(value: &'static str) -> StrBytes {
        StrBytes::from_static_str(value)
    }

    fn set(name: &'static str, mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
        ScramCredentialUpsertion::default()
            .with_name(text(name))
            .with_mechanism(mechanism)
            .with_iterations(iterations)
            .with_salt(Bytes::from_static(b"salt"))
            .with_salted_password(Bytes::from(vec![7; if mechanism == 2 { 64 } else { 32 }]))
    }

    fn code(upsertion: ScramCredentialUpsertion) -> Option<Code> {
        self::upsertion(&upsertion).err().map(|refusal| refusal.code)
    }

    #[test]
    fn iterations_and_names_out_of_range_are_unacceptable() {
        let wire = |iterations: u32| i32::try_from(iterations).unwrap();
        for good in [wire(ITERATIONS_MIN), wire(ITERATIONS_MAX)] {
            assert_eq!(code(set("alice", 1, good)), None);
        }
        for bad in [-1, 0, wire(ITERATIONS_MIN) - 1, wire(ITERATIONS_MAX) + 1] {
            assert_eq!(code(set("alice", 2, bad)), Some(Code::UnacceptableCredential), "{bad}");
        }
        assert_eq!(code(set("", 1, 4096)), Some(Code::UnacceptableCredential));
        assert_eq!(code(set("*", 1, 4096)), Some(Code::UnacceptableCredential));
        assert_eq!(code(set("alice", 0, 4096)), Some(Code::UnsupportedSaslMechanism));
        let short = set("alice", 2, 4096).with_salted_password(Bytes::from_static(b"short"));
        assert_eq!(code(short), Some(Code::UnacceptableCredential));
    }

    #[test]
    fn one_wrong_change_spoils_its_user_and_nobody_else() {
        let deletion =
            ScramCredentialDeletion::default().with_name(text("alice")).with_mechanism(1);
        let request = AlterUserScramCredentialsRequest::default()
            .with_deletions(vec![deletion])
            .with_upsertions(vec![set("alice", 1, 4096), set("bob", 1, 4096), set("bob", 2, 4096)]);
        let changes = by_user(request);
        let refused = changes[&text("alice")].as_ref().unwrap_err();
        assert_eq!(refused.code, Code::DuplicateResource);
        assert_eq!(changes[&text("bob")].as_ref().unwrap().len(), 2);
    }
}
