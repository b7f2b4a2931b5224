//! AlterClientQuotas: sets and removes the rates of users.
//!
//! The changes of one user are made together or not at all. What there is no rate for here (client
//! ids, addresses, request percentages) is refused rather than kept without effect, and the default
//! of all users is a setting of the node.
//!
//! # Source
//! KIP-546; Kafka 4.1 `ClientQuotaControlManager`.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_client_quotas_response::{
    EntityData as AlteredEntity, EntryData as AlteredEntry,
};
use kafka_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use posthouse_broker::{AccessError, Operation, UserChange};
use posthouse_types::ByteSize;

use super::acls::check_cluster;
use super::describe_client_quotas::{ADDRESS, CLIENT_ID, READ_RATE, USER, WRITE_RATE};
use crate::errors::Refusal;
use crate::node::Call;

pub(super) async fn handle(
    call: Call,
    request: AlterClientQuotasRequest,
) -> AlterClientQuotasResponse {
    let allowed = check_cluster(&call, Operation::AlterConfigs);
    let mut entries = Vec::new();
    for entry in request.entries {
        let altered = match &allowed {
            Err(refusal) => Err(refusal.clone()),
            Ok(()) => alter(&call, &entry, request.validate_only).await,
        };
        let entity = entry.entity.into_iter().map(|one| {
            AlteredEntity::default()
                .with_entity_type(one.entity_type)
                .with_entity_name(one.entity_name)
        });
        let answer = AlteredEntry::default().with_error_message(None).with_entity(entity.collect());
        entries.push(match altered {
            Ok(()) => answer,
            Err(refusal) => answer
                .with_error_code(refusal.code.code())
                .with_error_message(Some(refusal.message())),
        });
    }
    AlterClientQuotasResponse::default().with_entries(entries)
}

async fn alter(call: &Call, entry: &EntryData, validate_only: bool) -> Result<(), Refusal> {
    let user = user(&entry.entity)?;
    let changes = entry.ops.iter().map(change).collect::<Result<Vec<_>, _>>()?;
    let altered = match validate_only {
        true => call.broker().user_rates(&call.principal).and_then(|(_, users)| {
            let known = users.iter().any(|(name, _)| name.as_str() == user);
            known.then_some(()).ok_or_else(|| AccessError::UnknownUser(user.to_owned()))
        }),
        false => call.broker().alter_user(&call.principal, user, changes).await,
    };
    altered.map_err(|error| Refusal::from(&error))
}

/// The user whose rates are meant.
fn user(entity: &[EntityData]) -> Result<&str, Refusal> {
    match entity {
        [] => Err(refused("no entity is named")),
        [one] if one.entity_type == *USER => match one.entity_name.as_deref() {
            Some("") => Err(refused("a user has a name")),
            Some(name) => Ok(name),
            None => Err(refused(
                "rates of users that have none of their own are settings of the node: \
                 authentication.user_write_rate and authentication.user_read_rate",
            )),
        },
        entity => {
            let known = [USER, CLIENT_ID, ADDRESS];
            let unknown = entity.iter().find(|one| !known.contains(&one.entity_type.as_str()));
            Err(match unknown {
                Some(one) => refused(format!("there is no entity type {:?}", one.entity_type)),
                None => refused("rates are of users; none are kept by client id or address"),
            })
        }
    }
}

fn change(op: &OpData) -> Result<UserChange, Refusal> {
    let rate = || if op.remove { Ok(None) } else { rate(&op.key, op.value).map(Some) };
    match op.key.as_str() {
        WRITE_RATE => Ok(UserChange::WriteRate(rate()?)),
        READ_RATE => Ok(UserChange::ReadRate(rate()?)),
        other => Err(refused(format!(
            "there is no rate {other:?} of users; there are {WRITE_RATE} and {READ_RATE}"
        ))),
    }
}

/// As Kafka has it: a whole number that a `long` holds, and not 0.
fn rate(key: &str, value: f64) -> Result<ByteSize, Refusal> {
    #[expect(clippy::cast_precision_loss, reason = "a bound far beyond any rate")]
    let is_rate = value >= 1.0 && value < i64::MAX as f64 && value.fract() == 0.0;
    if !is_rate {
        return Err(refused(format!("{key} is a whole number of bytes in a second, at least 1")));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole, and in range"
    )]
    let rate = value as u64;
    Ok(ByteSize(rate))
}

fn refused(text: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidRequest, text)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    fn entity(kind: &'static str, name: Option<&'static str>) -> EntityData {
        EntityData::default()
            .with_entity_type(StrBytes::from_static_str(kind))
            .with_entity_name(name.map(StrBytes::from_static_str))
    }

    fn op(key: &'static str, value: f64, remove: bool) -> OpData {
        OpData::default()
            .with_key(StrBytes::from_static_str(key))
            .with_value(value)
            .with_remove(remove)
    }

    #[test]
    fn rates_are_of_one_named_user() {
        assert_eq!(user(&[entity(USER, Some("alice"))]).unwrap(), "alice");
        let text = |entity: &[EntityData]| user(entity).unwrap_err().message().to_string();
        assert!(text(&[entity(USER, None)]).contains("authentication.user_write_rate"));
        assert!(text(&[entity("planet", Some("x"))]).contains("no entity type \"planet\""));
        for others in [
            vec![entity(CLIENT_ID, Some("x"))],
            vec![entity(ADDRESS, None)],
            vec![entity(USER, Some("alice")), entity(CLIENT_ID, Some("x"))],
        ] {
            assert!(text(&others).contains("none are kept by client id or address"));
        }
        assert!(user(&[]).is_err() && user(&[entity(USER, Some(""))]).is_err());
    }

    #[test]
    fn a_rate_is_set_and_removed() {
        let set = change(&op(WRITE_RATE, 1024.0, false)).unwrap();
        assert_eq!(set, UserChange::WriteRate(Some(ByteSize(1024))));
        let removed = change(&op(READ_RATE, f64::NAN, true)).unwrap();
        assert_eq!(removed, UserChange::ReadRate(None));
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for value in [0.0, -1.0, 0.5, 1.5, f64::NAN, f64::INFINITY, 1e300] {
            assert!(change(&op(WRITE_RATE, value, false)).is_err(), "{value}");
        }
        for key in ["request_percentage", "controller_mutation_rate", "connection_creation_rate"] {
            assert!(change(&op(key, 1.0, false)).is_err(), "{key}");
        }
    }
}
