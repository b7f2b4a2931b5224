//! ListGroups: all groups, filtered by state and type where the version can say so.

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::node::Call;

/// Every group uses the classic protocol.
const CLASSIC: &str = "classic";

pub(super) async fn handle(call: Call, request: ListGroupsRequest) -> ListGroupsResponse {
    let groups = call.broker().groups(&call.principal).await;
    let listed = groups
        .into_iter()
        .filter(|group| matches(&request.states_filter, group.state.as_str()))
        .filter(|_| matches(&request.types_filter, CLASSIC))
        .map(|group| {
            ListedGroup::default()
                .with_group_id(StrBytes::from_string(group.group).into())
                .with_protocol_type(StrBytes::from_string(group.protocol_type))
                .with_group_state(StrBytes::from_static_str(group.state.as_str()))
                .with_group_type(StrBytes::from_static_str(CLASSIC))
        });
    ListGroupsResponse::default().with_groups(listed.collect())
}

/// An empty filter lets everything through; case does not matter, as in Kafka.
fn matches(filter: &[StrBytes], value: &str) -> bool {
    filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
}
