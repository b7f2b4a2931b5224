//! DescribeCluster: this node, which is also the controller.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;

use super::operations;
use crate::node::Call;

/// `endpointType`: the brokers, rather than the controllers.
const BROKERS: i8 = 1;

pub(super) async fn handle(call: Call, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        let text = "this is a broker's address, not a controller's";
        return DescribeClusterResponse::default()
            .with_error_code(Code::MismatchedEndpointType.code())
            .with_error_message(Some(StrBytes::from_static_str(text)));
    }
    let endpoint = &call.endpoint;
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(endpoint.node_id))
        .with_host(endpoint.host.clone())
        .with_port(endpoint.port)
        .with_rack(endpoint.rack.clone());
    let operations = operations::on_cluster(&call, request.include_cluster_authorized_operations);
    DescribeClusterResponse::default()
        .with_endpoint_type(BROKERS)
        .with_cluster_id(call.node.cluster_id())
        .with_controller_id(BrokerId(endpoint.node_id))
        .with_brokers(vec![broker])
        .with_cluster_authorized_operations(operations)
}
