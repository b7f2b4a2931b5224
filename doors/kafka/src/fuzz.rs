//! Entry points for fuzz targets and their replay in tests: arbitrary bytes in, and out whether they
//! could be read.
//!
//! Whatever the bytes, these return, without a panic and without memory out of proportion.

use std::io::IoSliceMut;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Request as WireRequest;

use crate::codec::api::Api;
use crate::codec::frame::Frames;
use crate::codec::header::{self, Incoming};
use crate::codec::reader::DecodeError;
use crate::codec::{fetch, message, produce};
use crate::login::{BearerMessage, PlainMessage, SignedToken};

/// LIMIT: what a fuzzed length prefix may ask for.
const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// A byte stream: frames, headers and bodies. Says whether any request was read.
pub fn stream(mut input: &[u8]) -> bool {
    let mut frames = Frames::new(FRAME_BYTES_MAX);
    let mut read = false;
    while !input.is_empty() {
        let mut wrote = 0;
        for slice in &mut frames.spare() {
            wrote += fill(slice, &mut input);
        }
        frames.advance(wrote);
        loop {
            frames.grant();
            match frames.next() {
                Ok(Some(frame)) => read |= self::frame(frame),
                Ok(None) if frames.awaits_grant().is_some() => {}
                Ok(None) => break,
                Err(_) => return read,
            }
        }
    }
    read
}

/// One request: its header and its body.
pub fn request(input: &[u8]) -> bool {
    frame(BytesMut::from(input))
}

/// PLAIN's message.
pub fn sasl_plain(input: &[u8]) -> bool {
    PlainMessage::parse(input).is_ok()
}

/// OAUTHBEARER's message, and the token in it as far as it is read before its signature is checked.
pub fn sasl_bearer(input: &[u8]) -> bool {
    BearerMessage::parse(input).is_ok_and(|message| SignedToken::parse(message.token).is_ok())
}

fn fill(slice: &mut IoSliceMut<'_>, input: &mut &[u8]) -> usize {
    let count = slice.len().min(input.len());
    slice[..count].copy_from_slice(&input[..count]);
    *input = &input[count..];
    count
}

fn frame(frame: BytesMut) -> bool {
    match header::decode(frame) {
        Ok(Incoming::Request(request)) => {
            body(request.api, request.version, request.body.freeze()).is_ok()
        }
        _ => false,
    }
}

/// Decodes a body as its request and forgets it: what tests and fuzz targets drive.
pub(crate) fn body(api: Api, version: i16, body: Bytes) -> Result<(), DecodeError> {
    match api {
        Api::Produce => produce::decode(version, BytesMut::from(&body[..])).map(drop),
        Api::Fetch => fetch::decode(version, &body).map(drop),
        Api::ListOffsets => decode::<ListOffsetsRequest>(api, version, body),
        Api::Metadata => decode::<MetadataRequest>(api, version, body),
        Api::OffsetCommit => decode::<OffsetCommitRequest>(api, version, body),
        Api::OffsetFetch => decode::<OffsetFetchRequest>(api, version, body),
        Api::FindCoordinator => decode::<FindCoordinatorRequest>(api, version, body),
        Api::JoinGroup => decode::<JoinGroupRequest>(api, version, body),
        Api::Heartbeat => decode::<HeartbeatRequest>(api, version, body),
        Api::LeaveGroup => decode::<LeaveGroupRequest>(api, version, body),
        Api::SyncGroup => decode::<SyncGroupRequest>(api, version, body),
        Api::DescribeGroups => decode::<DescribeGroupsRequest>(api, version, body),
        Api::ListGroups => decode::<ListGroupsRequest>(api, version, body),
        Api::SaslHandshake => decode::<SaslHandshakeRequest>(api, version, body),
        Api::ApiVersions => decode::<ApiVersionsRequest>(api, version, body),
        Api::CreateTopics => decode::<CreateTopicsRequest>(api, version, body),
        Api::DeleteTopics => decode::<DeleteTopicsRequest>(api, version, body),
        Api::DeleteRecords => decode::<DeleteRecordsRequest>(api, version, body),
        Api::InitProducerId => decode::<InitProducerIdRequest>(api, version, body),
        Api::OffsetForLeaderEpoch => decode::<OffsetForLeaderEpochRequest>(api, version, body),
        Api::DescribeAcls => decode::<DescribeAclsRequest>(api, version, body),
        Api::CreateAcls => decode::<CreateAclsRequest>(api, version, body),
        Api::DeleteAcls => decode::<DeleteAclsRequest>(api, version, body),
        Api::DescribeConfigs => decode::<DescribeConfigsRequest>(api, version, body),
        Api::AlterConfigs => decode::<AlterConfigsRequest>(api, version, body),
        Api::DescribeLogDirs => decode::<DescribeLogDirsRequest>(api, version, body),
        Api::SaslAuthenticate => decode::<SaslAuthenticateRequest>(api, version, body),
        Api::CreatePartitions => decode::<CreatePartitionsRequest>(api, version, body),
        Api::DeleteGroups => decode::<DeleteGroupsRequest>(api, version, body),
        Api::IncrementalAlterConfigs => {
            decode::<IncrementalAlterConfigsRequest>(api, version, body)
        }
        Api::OffsetDelete => decode::<OffsetDeleteRequest>(api, version, body),
        Api::DescribeClientQuotas => decode::<DescribeClientQuotasRequest>(api, version, body),
        Api::AlterClientQuotas => decode::<AlterClientQuotasRequest>(api, version, body),
        Api::DescribeUserScramCredentials => {
            decode::<DescribeUserScramCredentialsRequest>(api, version, body)
        }
        Api::AlterUserScramCredentials => {
            decode::<AlterUserScramCredentialsRequest>(api, version, body)
        }
        Api::DescribeCluster => decode::<DescribeClusterRequest>(api, version, body),
        Api::DescribeProducers => decode::<DescribeProducersRequest>(api, version, body),
        Api::DescribeTopicPartitions => {
            decode::<DescribeTopicPartitionsRequest>(api, version, body)
        }
    }
}

fn decode<R: WireRequest>(api: Api, version: i16, body: Bytes) -> Result<(), DecodeError> {
    message::decode::<R>(api, version, body).map(drop)
}
