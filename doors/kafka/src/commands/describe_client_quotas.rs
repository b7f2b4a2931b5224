//! DescribeClientQuotas: how many bytes users may move in a second.
//!
//! Rates are of users: each one's own, and the default of all others, which is a setting of the
//! node. Nothing is kept by client id or address, so a filter for those finds nothing.
//!
//! # Source
//! KIP-546; Kafka 4.1 `ClientQuotasImage.describe`.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use kafka_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};
use kafka_protocol::protocol::StrBytes;
use posthouse_access::UserRates;
use posthouse_broker::Operation;
use posthouse_types::ByteSize;

use super::acls::check_cluster;
use crate::errors::Refusal;
use crate::node::Call;

/// The entity types of Kafka.
pub(super) const USER: &str = "user";
pub(super) const CLIENT_ID: &str = "client-id";
pub(super) const ADDRESS: &str = "ip";

/// The rates that there are, in Kafka's names: bytes in a second.
pub(super) const WRITE_RATE: &str = "producer_byte_rate";
pub(super) const READ_RATE: &str = "consumer_byte_rate";

const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

pub(super) async fn handle(
    call: Call,
    request: DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let response = DescribeClientQuotasResponse::default().with_error_message(None);
    match describe(&call, &request) {
        Ok(entries) => response.with_entries(Some(entries)),
        Err(refusal) => response
            .with_error_code(refusal.code.code())
            .with_error_message(Some(refusal.message()))
            .with_entries(None),
    }
}

fn describe(call: &Call, request: &DescribeClientQuotasRequest) -> Result<Vec<EntryData>, Refusal> {
    check_cluster(call, Operation::DescribeConfigs)?;
    let filter = Filter::new(request)?;
    let (default, users) =
        call.broker().user_rates(&call.principal).map_err(|error| Refusal::from(&error))?;
    let named = users.iter().map(|(name, rates)| (Some(name.as_str()), *rates));
    let all = [(None, default)].into_iter().chain(named);
    let meant = all.filter(|(name, _)| filter.means(*name));
    Ok(meant.filter_map(|(name, rates)| entry(name, rates)).collect())
}

/// Which of the users' rates are meant. They have one component, the user.
struct Filter<'a> {
    user: Option<Wanted<'a>>,
    /// Whatever it is, it has what no rate here has, or lacks what all have.
    finds_nothing: bool,
}

enum Wanted<'a> {
    Named(&'a str),
    Default,
    Any,
}

impl<'a> Filter<'a> {
    fn new(request: &'a DescribeClientQuotasRequest) -> Result<Filter<'a>, Refusal> {
        let mut filter = Filter { user: None, finds_nothing: false };
        let mut seen = BTreeSet::new();
        for component in &request.components {
            let wanted = wanted(component)?;
            if !seen.insert(component.entity_type.as_str()) {
                let text = format!("entity type {} is there twice", component.entity_type);
                return Err(Refusal::new(Code::InvalidRequest, text));
            }
            match component.entity_type.as_str() {
                USER => filter.user = Some(wanted),
                _ => filter.finds_nothing = true,
            }
        }
        filter.finds_nothing |= request.strict && filter.user.is_none();
        Ok(filter)
    }

    fn means(&self, name: Option<&str>) -> bool {
        !self.finds_nothing
            && match self.user {
                None | Some(Wanted::Any) => true,
                Some(Wanted::Default) => name.is_none(),
                Some(Wanted::Named(wanted)) => name == Some(wanted),
            }
    }
}

fn wanted(component: &ComponentData) -> Result<Wanted<'_>, Refusal> {
    let kind = component.entity_type.as_str();
    if ![USER, CLIENT_ID, ADDRESS].contains(&kind) {
        let text = format!("there is no entity type {kind:?}");
        return Err(Refusal::new(Code::UnsupportedVersion, text));
    }
    let refused = |text: &str| Err(Refusal::new(Code::InvalidRequest, text));
    match (component.match_type, &component._match) {
        (EXACT, Some(name)) => Ok(Wanted::Named(name)),
        (EXACT, None) => refused("an exact match needs a name"),
        (DEFAULT, None) => Ok(Wanted::Default),
        (SPECIFIED, None) => Ok(Wanted::Any),
        (DEFAULT | SPECIFIED, Some(_)) => refused("only an exact match has a name"),
        (other, _) => refused(&format!("there is no match type {other}")),
    }
}

/// What Kafka has a name for; `None` where that is nothing.
fn entry(name: Option<&str>, rates: UserRates) -> Option<EntryData> {
    let entity = EntityData::default()
        .with_entity_type(StrBytes::from_static_str(USER))
        .with_entity_name(name.map(|name| StrBytes::from_string(name.to_owned())));
    let value = |key: &'static str, rate: Option<ByteSize>| {
        #[expect(clippy::cast_precision_loss, reason = "Kafka's own type for every quota")]
        let value = rate?.0 as f64;
        Some(ValueData::default().with_key(StrBytes::from_static_str(key)).with_value(value))
    };
    let values = [value(WRITE_RATE, rates.write), value(READ_RATE, rates.read)];
    let values: Vec<ValueData> = values.into_iter().flatten().collect();
    let is_any = !values.is_empty();
    is_any.then(|| EntryData::default().with_entity(vec![entity]).with_values(values))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn component(kind: &'static str, match_type: i8, name: Option<&'static str>) -> ComponentData {
        ComponentData::default()
            .with_entity_type(StrBytes::from_static_str(kind))
            .with_match_type(match_type)
            .with_match(name.map(StrBytes::from_static_str))
    }

    fn request(components: Vec<ComponentData>, strict: bool) -> DescribeClientQuotasRequest {
        DescribeClientQuotasRequest::default().with_components(components).with_strict(strict)
    }

    /// Whether the rates of alice, of bob and of all others are meant.
    fn meant(components: Vec<ComponentData>, strict: bool) -> [bool; 3] {
        let request = request(components, strict);
        let filter = Filter::new(&request).unwrap();
        [filter.means(Some("alice")), filter.means(Some("bob")), filter.means(None)]
    }

    #[test]
    fn a_filter_means_what_it_means_in_kafka() {
        let alice = || component(USER, EXACT, Some("alice"));
        assert_eq!(meant(vec![alice()], true), [true, false, false]);
        assert_eq!(meant(vec![component(USER, DEFAULT, None)], true), [false, false, true]);
        assert_eq!(meant(vec![component(USER, SPECIFIED, None)], false), [true; 3]);
        assert_eq!(meant(vec![], false), [true; 3]);
        assert_eq!(meant(vec![], true), [false; 3], "nothing but nothing");
        for other in [CLIENT_ID, ADDRESS] {
            assert_eq!(meant(vec![component(other, SPECIFIED, None)], false), [false; 3]);
            let both = vec![alice(), component(other, SPECIFIED, None)];
            assert_eq!(meant(both, false), [false; 3], "no rate has both");
        }
    }

    #[test]
    fn who_has_no_rate_that_kafka_knows_is_not_listed() {
        let rates = UserRates { requests: NonZeroU32::new(5), ..UserRates::default() };
        assert_eq!(entry(Some("alice"), rates), None);
        let rates = UserRates { read: Some(ByteSize(7)), ..rates };
        let values = entry(Some("alice"), rates).unwrap().values;
        assert_eq!(values.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), [READ_RATE]);
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let code = |components| Filter::new(&request(components, false)).err().map(|one| one.code);
        for wrong in [
            component(USER, EXACT, None),
            component(USER, DEFAULT, Some("alice")),
            component(USER, SPECIFIED, Some("alice")),
            component(USER, 3, None),
        ] {
            assert_eq!(code(vec![wrong]), Some(Code::InvalidRequest));
        }
        let twice = vec![component(USER, SPECIFIED, None), component(USER, DEFAULT, None)];
        assert_eq!(code(twice), Some(Code::InvalidRequest));
        let unknown = vec![component("planet", SPECIFIED, None)];
        assert_eq!(code(unknown), Some(Code::UnsupportedVersion));
    }
}
