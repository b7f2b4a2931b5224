//! DescribeUserScramCredentials: who has a password, by which mechanism, and nothing of it.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use kafka_protocol::messages::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
};
use kafka_protocol::protocol::StrBytes;
use posthouse_access::{Mechanism, User};
use posthouse_broker::Operation;

use super::acls::check_cluster;
use crate::errors::Refusal;
use crate::node::Call;

/// Kafka's `ScramMechanism`.
pub(super) fn mechanism_code(mechanism: Mechanism) -> i8 {
    match mechanism {
        Mechanism::ScramSha256 => 1,
        Mechanism::ScramSha512 => 2,
    }
}

pub(super) async fn handle(
    call: Call,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let response = DescribeUserScramCredentialsResponse::default().with_error_message(None);
    let users = match users(&call) {
        Ok(users) => users,
        Err(refusal) => {
            return response
                .with_error_code(refusal.code.code())
                .with_error_message(Some(refusal.message()));
        }
    };
    let asked = request.users.unwrap_or_default();
    if asked.is_empty() {
        return response.with_results(users.values().map(describe).collect());
    }
    response.with_results(asked.iter().map(|one| named(one, &asked, &users)).collect())
}

/// Whoever has a password.
fn users(call: &Call) -> Result<BTreeMap<String, User>, Refusal> {
    check_cluster(call, Operation::Describe)?;
    let users = call.broker().users(&call.principal).map_err(|error| Refusal::from(&error))?;
    let with_password = users.into_iter().filter(|user| !user.verifiers.is_empty());
    Ok(with_password.map(|user| (user.name.to_string(), user)).collect())
}

fn named(
    one: &UserName,
    asked: &[UserName],
    users: &BTreeMap<String, User>,
) -> DescribeUserScramCredentialsResult {
    let name = &one.name;
    let refused = |code: Code, text: String| {
        DescribeUserScramCredentialsResult::default()
            .with_user(name.clone())
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_string(text)))
    };
    if asked.iter().filter(|other| other.name == *name).count() > 1 {
        return refused(Code::DuplicateResource, format!("user {name} is named more than once"));
    }
    match users.get(name.as_str()) {
        Some(user) => describe(user),
        None => refused(Code::ResourceNotFound, format!("user {name} has no password")),
    }
}

fn describe(user: &User) -> DescribeUserScramCredentialsResult {
    let infos = user.verifiers.iter().map(|verifier| {
        CredentialInfo::default()
            .with_mechanism(mechanism_code(verifier.mechanism()))
            .with_iterations(i32::try_from(verifier.iterations()).unwrap_or(i32::MAX))
    });
    DescribeUserScramCredentialsResult::default()
        .with_user(StrBytes::from_string(user.name.to_string()))
        .with_error_message(None)
        .with_credential_infos(infos.collect())
}
