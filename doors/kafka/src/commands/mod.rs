//! One file for each request: Kafka's message to calls on the broker, and back.
//!
//! Owns the choice of the command. A command decides nothing that the broker could decide.

mod acls;
mod alter_client_quotas;
mod alter_configs;
mod alter_user_scram_credentials;
mod api_versions;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod describe_user_scram_credentials;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod operations;
mod produce;
mod settings;
mod sync_group;
mod topic_partitions;

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, ready};
use kafka_protocol::protocol::Request as WireRequest;
use posthouse_broker::Login;

use crate::codec::api::Api;
use crate::codec::header::{Incoming, Request};
use crate::codec::message::{self, EncodeError};
use crate::codec::reader::DecodeError;
use crate::codec::response::Response;
use crate::login::LoginStep;
use crate::node::Call;

/// What became of a request.
pub(crate) enum Outcome {
    Response(Response),
    /// Produce with `acks=0`.
    NoResponse,
    /// Records have their offsets; the response follows once they are durable.
    Accepted(BoxFuture<'static, Response>),
    /// As the other says, and the client is above its rate: nothing more of it begins for so long.
    Paused(Duration, Box<Outcome>),
    /// It was about logging in.
    Login(Box<LoginStep>),
    /// Whom the client's certificate stands for; its request has still to begin.
    Known(Option<Login>),
}

impl Outcome {
    /// Boxed, because requests that matter are not about logging in.
    pub(crate) fn login(step: LoginStep) -> Outcome {
        Outcome::Login(Box::new(step))
    }

    /// With a pause after it, unless that is none.
    fn paused(self, pause: Duration) -> Outcome {
        if pause.is_zero() { self } else { Outcome::Paused(pause, Box::new(self)) }
    }
}

/// Why a request ends its connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("produce with acks=0 failed and cannot be answered: {0}")]
    UnanswerableProduce(String),
}

/// A command under way.
pub(crate) type Running = BoxFuture<'static, Result<Outcome, CommandError>>;

const ABOUT_LOGIN: &str = "the guest answers requests about logging in";

/// Begins a request; nothing happens until the future is polled.
pub(crate) fn begin(call: Call, incoming: Incoming) -> Running {
    let request = match incoming {
        Incoming::Request(request) => request,
        Incoming::UnsupportedApiVersions { correlation_id } => {
            return ready(api_versions::unsupported(correlation_id)).boxed();
        }
        Incoming::Token(_) => unreachable!("{ABOUT_LOGIN}"),
    };
    call.node.metrics.count_request(request.api);
    match request.api {
        Api::Produce => produce::begin(call, request).boxed(),
        Api::Fetch => fetch::begin(call, request).boxed(),
        Api::ListOffsets => run(call, request, list_offsets::handle),
        Api::Metadata => run(call, request, metadata::handle),
        Api::OffsetCommit => run(call, request, offset_commit::handle),
        Api::OffsetFetch => run(call, request, offset_fetch::handle),
        Api::FindCoordinator => run(call, request, find_coordinator::handle),
        Api::JoinGroup => run(call, request, join_group::handle),
        Api::Heartbeat => run(call, request, heartbeat::handle),
        Api::LeaveGroup => run(call, request, leave_group::handle),
        Api::SyncGroup => run(call, request, sync_group::handle),
        Api::DescribeGroups => run(call, request, describe_groups::handle),
        Api::ListGroups => run(call, request, list_groups::handle),
        Api::SaslHandshake | Api::SaslAuthenticate => unreachable!("{ABOUT_LOGIN}"),
        Api::ApiVersions => run(call, request, api_versions::handle),
        Api::CreateTopics => run(call, request, create_topics::handle),
        Api::DeleteTopics => run(call, request, delete_topics::handle),
        Api::DeleteRecords => run(call, request, delete_records::handle),
        Api::InitProducerId => run(call, request, init_producer_id::handle),
        Api::OffsetForLeaderEpoch => run(call, request, offset_for_leader_epoch::handle),
        Api::DescribeAcls => run(call, request, describe_acls::handle),
        Api::CreateAcls => run(call, request, create_acls::handle),
        Api::DeleteAcls => run(call, request, delete_acls::handle),
        Api::DescribeConfigs => run(call, request, describe_configs::handle),
        Api::AlterConfigs => run(call, request, alter_configs::handle),
        Api::DescribeLogDirs => run(call, request, describe_log_dirs::handle),
        Api::CreatePartitions => run(call, request, create_partitions::handle),
        Api::DeleteGroups => run(call, request, delete_groups::handle),
        Api::IncrementalAlterConfigs => run(call, request, incremental_alter_configs::handle),
        Api::OffsetDelete => run(call, request, offset_delete::handle),
        Api::DescribeClientQuotas => run(call, request, describe_client_quotas::handle),
        Api::AlterClientQuotas => run(call, request, alter_client_quotas::handle),
        Api::DescribeUserScramCredentials => {
            run(call, request, describe_user_scram_credentials::handle)
        }
        Api::AlterUserScramCredentials => run(call, request, alter_user_scram_credentials::handle),
        Api::DescribeCluster => run(call, request, describe_cluster::handle),
        Api::DescribeProducers => run(call, request, describe_producers::handle),
        Api::DescribeTopicPartitions => run(call, request, describe_topic_partitions::handle),
    }
}

/// Whether a request may wait for other clients, so that it is dropped when its own goes away.
pub(crate) fn waits_for_others(api: Api) -> bool {
    matches!(api, Api::Fetch | Api::JoinGroup | Api::SyncGroup)
}

/// What a response tells of a pause (KIP-219): the client may hold itself back, and is held back anyway.
fn throttle_time_ms(pause: Duration) -> i32 {
    i32::try_from(pause.as_millis()).unwrap_or(i32::MAX)
}

/// Decodes, handles and encodes one request of the `kafka-protocol` crate.
fn run<R, Handle, Work>(call: Call, request: Request, handle: Handle) -> Running
where
    R: WireRequest + Send + 'static,
    R::Response: Send,
    Handle: FnOnce(Call, R) -> Work + Send + 'static,
    Work: Future<Output = R::Response> + Send,
{
    let Request { api, version, correlation_id, body, .. } = request;
    async move {
        let request = message::decode::<R>(api, version, body.freeze())?;
        let response = handle(call, request).await;
        Ok(Outcome::Response(message::encode(api, version, correlation_id, &response)?))
    }
    .boxed()
}
