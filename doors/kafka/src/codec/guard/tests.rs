//! The guard agrees with the crate it stands before, over every message and version.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Request, StrBytes};
use proptest::prelude::*;

use super::*;

fn text(value: &'static str) -> StrBytes {
    StrBytes::from_static_str(value)
}

/// Checks a message in every version in which the crate can write it: what the guard walks ends
/// where the crate ends, every truncation is refused, and whatever a changed byte makes of it, the
/// crate is only asked to decode what the guard has passed.
fn check_all<R: Request + Default>(fill: impl Fn(i16) -> R) {
    let api = Api::from_key(R::KEY).expect("a served request");
    for version in api.versions() {
        let mut body = BytesMut::new();
        fill(version).encode(&mut body, version).expect("the message fits its version");
        let body = body.freeze();
        let name = api.name();
        assert_eq!(check(api, version, &body), Ok(body.len()), "{name} {version}");
        for len in 0..body.len() {
            assert!(check(api, version, &body[..len]).is_err(), "{name} {version} cut at {len}");
        }
        for at in 0..body.len() {
            for byte in [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, body[at].wrapping_add(1)] {
                let mut changed = body.to_vec();
                changed[at] = byte;
                decode_if_passed::<R>(api, version, changed);
            }
        }
    }
}

/// What passes must decode to where the walk ended, unless a text is not UTF-8 or a null stands where none may.
fn decode_if_passed<R: Decodable>(api: Api, version: i16, body: Vec<u8>) {
    if let Ok(walked) = check(api, version, &body) {
        let size = body.len();
        let mut bytes = Bytes::from(body);
        if R::decode(&mut bytes, version).is_ok() {
            assert_eq!(size - bytes.len(), walked, "{} {version}", api.name());
        }
    }
}

#[test]
fn the_walk_agrees_with_the_crate_on_consumer_requests() {
    use list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    use metadata_request::MetadataRequestTopic;
    use offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
    check_all(|version| {
        let mut request = ApiVersionsRequest::default();
        if version >= 3 {
            request = request
                .with_client_software_name(text("client"))
                .with_client_software_version(text("1.2"));
        }
        request
    });
    check_all(|version| {
        let mut topic = MetadataRequestTopic::default().with_name(Some(text("orders").into()));
        if version >= 10 {
            topic = topic.with_topic_id(uuid::Uuid::from_u128(5));
        }
        MetadataRequest::default().with_topics(Some(vec![topic]))
    });
    check_all(|_| {
        let partition = ListOffsetsPartition::default().with_partition_index(1).with_timestamp(-2);
        let topic = ListOffsetsTopic::default()
            .with_name(text("orders").into())
            .with_partitions(vec![partition.clone(), partition]);
        ListOffsetsRequest::default().with_topics(vec![topic])
    });
    check_all(|_| {
        let partition = OffsetForLeaderPartition::default().with_leader_epoch(3);
        let topic = OffsetForLeaderTopic::default()
            .with_topic(text("orders").into())
            .with_partitions(vec![partition]);
        OffsetForLeaderEpochRequest::default().with_topics(vec![topic])
    });
    check_all(|version| {
        let request = FindCoordinatorRequest::default();
        match version {
            4.. => request.with_coordinator_keys(vec![text("a"), text("bc")]),
            _ => request.with_key(text("group")),
        }
    });
}

#[test]
fn the_walk_agrees_with_the_crate_on_group_requests() {
    use join_group_request::JoinGroupRequestProtocol;
    use leave_group_request::MemberIdentity;
    use sync_group_request::SyncGroupRequestAssignment;
    check_all(|version| {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(Bytes::from_static(b"\0\x01\x02"));
        let request = JoinGroupRequest::default()
            .with_group_id(text("g").into())
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        if version >= 5 { request.with_group_instance_id(Some(text("i"))) } else { request }
    });
    check_all(|version| {
        let assignment = SyncGroupRequestAssignment::default()
            .with_member_id(text("m"))
            .with_assignment(Bytes::from_static(b"xyz"));
        let request = SyncGroupRequest::default()
            .with_group_id(text("g").into())
            .with_assignments(vec![assignment]);
        if version >= 5 { request.with_protocol_name(Some(text("range"))) } else { request }
    });
    check_all(|_| HeartbeatRequest::default().with_group_id(text("g").into()));
    check_all(|version| {
        let request = LeaveGroupRequest::default().with_group_id(text("g").into());
        match version {
            3.. => {
                request.with_members(vec![MemberIdentity::default().with_member_id(text("member"))])
            }
            _ => request.with_member_id(text("member")),
        }
    });
    check_all(|version| {
        let groups = vec![text("a").into(), text("b").into()];
        let request = DescribeGroupsRequest::default().with_groups(groups);
        if version >= 3 { request.with_include_authorized_operations(true) } else { request }
    });
    check_all(|version| {
        let mut request = ListGroupsRequest::default();
        if version >= 4 {
            request = request.with_states_filter(vec![text("Stable")]);
        }
        if version >= 5 {
            request = request.with_types_filter(vec![text("classic")]);
        }
        request
    });
    check_all(|_| DeleteGroupsRequest::default().with_groups_names(vec![text("g").into()]));
}

#[test]
fn the_walk_agrees_with_the_crate_on_offset_requests() {
    use offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
    use offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
    use offset_fetch_request::{
        OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    };
    check_all(|_| {
        let partition = OffsetCommitRequestPartition::default()
            .with_committed_offset(5)
            .with_committed_metadata(Some(text("note")));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(text("orders").into())
            .with_partitions(vec![partition]);
        OffsetCommitRequest::default().with_group_id(text("g").into()).with_topics(vec![topic])
    });
    check_all(|version| {
        let request = OffsetFetchRequest::default();
        if version >= 8 {
            let topic = OffsetFetchRequestTopics::default()
                .with_name(text("orders").into())
                .with_partition_indexes(vec![1, 2, 3]);
            let group = OffsetFetchRequestGroup::default()
                .with_group_id(text("g").into())
                .with_topics(Some(vec![topic]));
            return request.with_groups(vec![group]);
        }
        let topic = OffsetFetchRequestTopic::default()
            .with_name(text("orders").into())
            .with_partition_indexes(vec![1, 2]);
        request.with_group_id(text("g").into()).with_topics(Some(vec![topic]))
    });
    check_all(|_| {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(1);
        let topic = OffsetDeleteRequestTopic::default()
            .with_name(text("orders").into())
            .with_partitions(vec![partition]);
        OffsetDeleteRequest::default().with_group_id(text("g").into()).with_topics(vec![topic])
    });
}

#[test]
fn the_walk_agrees_with_the_crate_on_topic_requests() {
    use create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
    use create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
    use delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
    use delete_topics_request::DeleteTopicState;
    check_all(|_| {
        let assignment = CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1)]);
        let config = CreatableTopicConfig::default().with_name(text("retention.ms"));
        let topic = CreatableTopic::default()
            .with_name(text("orders").into())
            .with_assignments(vec![assignment])
            .with_configs(vec![config]);
        CreateTopicsRequest::default().with_topics(vec![topic])
    });
    check_all(|version| {
        let request = DeleteTopicsRequest::default();
        match version {
            6.. => request.with_topics(vec![
                DeleteTopicState::default().with_name(Some(text("orders").into())),
            ]),
            _ => request.with_topic_names(vec![text("orders").into()]),
        }
    });
    check_all(|_| {
        let assignment = CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]);
        let topic = CreatePartitionsTopic::default()
            .with_name(text("orders").into())
            .with_assignments(Some(vec![assignment]));
        CreatePartitionsRequest::default().with_topics(vec![topic])
    });
    check_all(|_| {
        let partition = DeleteRecordsPartition::default().with_offset(7);
        let topic = DeleteRecordsTopic::default()
            .with_name(text("orders").into())
            .with_partitions(vec![partition]);
        DeleteRecordsRequest::default().with_topics(vec![topic])
    });
    check_all(|version| {
        let request =
            InitProducerIdRequest::default().with_transactional_id(Some(text("t").into()));
        if version >= 3 { request.with_producer_epoch(1) } else { request }
    });
}

#[test]
fn the_walk_agrees_with_the_crate_on_description_requests() {
    use describe_configs_request::DescribeConfigsResource;
    use describe_log_dirs_request::DescribableLogDirTopic;
    use describe_producers_request::TopicRequest as ProducersTopic;
    use describe_topic_partitions_request::{Cursor, TopicRequest};
    check_all(|_| {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("orders"))
            .with_configuration_keys(Some(vec![text("retention.ms")]));
        DescribeConfigsRequest::default().with_resources(vec![resource])
    });
    check_all(|_| {
        let config = alter_configs_request::AlterableConfig::default().with_name(text("a"));
        let resource =
            alter_configs_request::AlterConfigsResource::default().with_configs(vec![config]);
        AlterConfigsRequest::default().with_resources(vec![resource])
    });
    check_all(|_| {
        let config = incremental_alter_configs_request::AlterableConfig::default()
            .with_value(Some(text("v")));
        let resource = incremental_alter_configs_request::AlterConfigsResource::default()
            .with_configs(vec![config]);
        IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
    });
    check_all(|_| DescribeClusterRequest::default());
    check_all(|_| {
        let topic = DescribableLogDirTopic::default()
            .with_topic(text("orders").into())
            .with_partitions(vec![4]);
        DescribeLogDirsRequest::default().with_topics(Some(vec![topic]))
    });
    check_all(|_| {
        let topic = ProducersTopic::default()
            .with_name(text("orders").into())
            .with_partition_indexes(vec![4]);
        DescribeProducersRequest::default().with_topics(vec![topic])
    });
    check_all(|_| {
        let cursor = Cursor::default().with_topic_name(text("orders").into());
        DescribeTopicPartitionsRequest::default()
            .with_topics(vec![TopicRequest::default().with_name(text("orders").into())])
            .with_cursor(Some(cursor))
    });
}

#[test]
fn the_walk_agrees_with_the_crate_on_requests_about_access() {
    check_all(|_| SaslHandshakeRequest::default().with_mechanism(text("PLAIN")));
    check_all(|_| {
        SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(b"\0alice\0pw"))
    });
    check_all(|_| {
        DescribeAclsRequest::default()
            .with_resource_name_filter(Some(text("orders")))
            .with_principal_filter(Some(text("User:alice")))
            .with_pattern_type_filter(3)
    });
    check_all(|_| {
        let creation = create_acls_request::AclCreation::default()
            .with_resource_name(text("orders"))
            .with_resource_pattern_type(3)
            .with_principal(text("User:alice"))
            .with_host(text("*"));
        CreateAclsRequest::default().with_creations(vec![creation])
    });
    check_all(|_| {
        let filter = delete_acls_request::DeleteAclsFilter::default()
            .with_host_filter(Some(text("*")))
            .with_pattern_type_filter(3);
        DeleteAclsRequest::default().with_filters(vec![filter])
    });
    check_all(|_| {
        let user = describe_user_scram_credentials_request::UserName::default();
        DescribeUserScramCredentialsRequest::default()
            .with_users(Some(vec![user.with_name(text("alice"))]))
    });
    check_all(|_| {
        use describe_client_quotas_request::ComponentData;
        let alice =
            ComponentData::default().with_entity_type(text("user")).with_match(Some(text("alice")));
        let all = ComponentData::default().with_entity_type(text("user")).with_match_type(2);
        DescribeClientQuotasRequest::default().with_components(vec![alice, all])
    });
    check_all(|_| {
        use alter_client_quotas_request::*;
        let alice = EntityData::default()
            .with_entity_type(text("user"))
            .with_entity_name(Some(text("alice")));
        let others = EntityData::default().with_entity_type(text("user"));
        let op = OpData::default().with_key(text("producer_byte_rate")).with_value(1024.0);
        let entry = EntryData::default().with_entity(vec![alice, others]).with_ops(vec![op]);
        AlterClientQuotasRequest::default().with_entries(vec![entry])
    });
    check_all(|_| {
        use alter_user_scram_credentials_request::*;
        let deletion = ScramCredentialDeletion::default().with_name(text("bob"));
        let upsertion = ScramCredentialUpsertion::default()
            .with_name(text("alice"))
            .with_iterations(4096)
            .with_salt(Bytes::from_static(b"salt"))
            .with_salted_password(Bytes::from_static(b"salted"));
        AlterUserScramCredentialsRequest::default()
            .with_deletions(vec![deletion])
            .with_upsertions(vec![upsertion])
    });
}

#[test]
fn eight_bytes_cannot_ask_for_gigabytes() {
    // A topic list of 0x03000003 entries in a body of eight bytes.
    let refused = check(Api::Metadata, 0, b"\x03\0\0\x03\x3c\x0c\0\xb6");
    assert_eq!(refused, Err(DecodeError::Count { field: "array", count: 0x0300_0003, max: 2 }));
}

#[test]
fn many_small_elements_are_refused() {
    let mut body = (u32::try_from(ELEMENTS_MAX).unwrap() + 1).to_be_bytes().to_vec();
    body.resize(body.len() + 2 * (ELEMENTS_MAX + 1), 0);
    assert_eq!(check(Api::Metadata, 0, &body), Err(DecodeError::Elements { max: ELEMENTS_MAX }));
}

proptest! {
    #[test]
    fn what_passes_is_decoded_without_a_panic(
        api in prop::sample::select(Api::all().collect::<Vec<_>>()),
        version in 0i16..=13,
        body in prop::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..120),
    ) {
        prop_assume!(api.versions().contains(&version));
        if check(api, version, &body).is_ok() {
            let _ = crate::fuzz::body(api, version, Bytes::from(body));
        }
    }
}
