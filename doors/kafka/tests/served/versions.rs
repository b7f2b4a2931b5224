//! The whole life of a topic and a group, once for every version that any request has.

use bytes::Bytes;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Request, StrBytes};
use posthouse_kafka::Api;
use uuid::Uuid;

use crate::client::{Client, Door, batch, produce, text};

/// One round: every request in the version nearest to `step` that is served.
struct Round {
    client: Client,
    step: i16,
    topic: String,
    group: String,
    id: Uuid,
}

impl Round {
    fn version<R: Request>(&self) -> i16 {
        let versions = Api::from_key(R::KEY).expect("a served request").versions();
        self.step.clamp(*versions.start(), *versions.end())
    }

    async fn call<R: Request>(&mut self, fill: impl FnOnce(&Round, i16) -> R) -> R::Response {
        let version = self.version::<R>();
        let request = fill(self, version);
        self.client.call(version, &request).await
    }

    fn name(&self) -> TopicName {
        text(&self.topic).into()
    }

    fn group(&self) -> GroupId {
        text(&self.group).into()
    }
}

#[tokio::test]
async fn a_topic_and_a_group_live_their_lives_in_every_version() {
    let door = Door::open().await;
    for step in 0..=18 {
        let (topic, group) = (format!("topic-{step}"), format!("group-{step}"));
        let client = door.connect().await;
        let mut round = Round { client, step, topic, group, id: Uuid::nil() };
        discover(&mut round).await;
        create_topic(&mut round).await;
        write_and_read(&mut round).await;
        find_positions(&mut round).await;
        join_and_commit(&mut round).await;
        describe_groups(&mut round).await;
        configure(&mut round).await;
        describe_the_rest(&mut round).await;
        delete(&mut round).await;
    }
    door.close().await;
}

async fn discover(round: &mut Round) {
    let versions = round
        .call(|_, version| {
            let request = ApiVersionsRequest::default();
            match version {
                3.. => request
                    .with_client_software_name(text("test"))
                    .with_client_software_version(text("1.0")),
                _ => request,
            }
        })
        .await;
    assert_eq!(versions.error_code, 0);
    assert_eq!(versions.api_keys.len(), Api::all().count());
    let cluster = round
        .call(|_, _| {
            DescribeClusterRequest::default().with_include_cluster_authorized_operations(true)
        })
        .await;
    assert_eq!(cluster.brokers.len(), 1);
    let found = round
        .call(|round, version| match version {
            4.. => {
                FindCoordinatorRequest::default().with_coordinator_keys(vec![text(&round.group)])
            }
            _ => FindCoordinatorRequest::default().with_key(text(&round.group)),
        })
        .await;
    let node = match found.coordinators.first() {
        Some(coordinator) => (coordinator.error_code, coordinator.node_id),
        None => (found.error_code, found.node_id),
    };
    assert_eq!(node, (0, cluster.controller_id));
}

async fn create_topic(round: &mut Round) {
    use create_topics_request::{CreatableTopic, CreatableTopicConfig};
    let created = round
        .call(|round, _| {
            let config = CreatableTopicConfig::default()
                .with_name(text("retention.ms"))
                .with_value(Some(text("3600000")));
            let topic = CreatableTopic::default()
                .with_name(round.name())
                .with_num_partitions(2)
                .with_replication_factor(1)
                .with_configs(vec![config]);
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000)
        })
        .await;
    assert_eq!(created.topics[0].error_code, 0, "{:?}", created.topics[0].error_message);
    let raised = round
        .call(|round, _| {
            let topic = create_partitions_request::CreatePartitionsTopic::default()
                .with_name(round.name())
                .with_count(3)
                .with_assignments(None);
            CreatePartitionsRequest::default().with_topics(vec![topic])
        })
        .await;
    assert_eq!(raised.results[0].error_code, 0, "{:?}", raised.results[0].error_message);
    let metadata = round
        .call(|round, version| {
            let topic =
                metadata_request::MetadataRequestTopic::default().with_name(Some(round.name()));
            let request = MetadataRequest::default().with_topics(Some(vec![topic]));
            match version {
                8.. => request.with_include_topic_authorized_operations(true),
                _ => request,
            }
        })
        .await;
    let topic = &metadata.topics[0];
    assert_eq!((topic.error_code, topic.partitions.len()), (0, 3));
    // Ids appear in Metadata from version 10; Produce needs them from 13, so ask again if need be.
    round.id = topic.topic_id;
    if round.id.is_nil() {
        let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(round.name()));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        round.id = round.client.call(13, &request).await.topics[0].topic_id;
    }
    let described = round
        .call(|round, _| {
            let topic =
                describe_topic_partitions_request::TopicRequest::default().with_name(round.name());
            DescribeTopicPartitionsRequest::default()
                .with_topics(vec![topic])
                .with_response_partition_limit(2)
        })
        .await;
    assert_eq!(described.topics[0].partitions.len(), 2);
    assert_eq!(described.next_cursor.unwrap().partition_index, 2);
}

async fn write_and_read(round: &mut Round) {
    let producer =
        round.call(|_, _| InitProducerIdRequest::default().with_transactional_id(None)).await;
    assert_eq!((producer.error_code, producer.producer_epoch), (0, 0));
    for value in ["one", "two"] {
        let produced = round
            .call(|round, version| produce(version, &round.topic, round.id, -1, batch(value)))
            .await;
        let partition = &produced.responses[0].partition_responses[0];
        assert_eq!(partition.error_code, 0, "{:?}", partition.error_message);
    }
    let fetched = round.call(fetch).await;
    let partition = &fetched.responses[0].partitions[0];
    assert_eq!((partition.error_code, partition.high_watermark), (0, 2));
    let records = partition.records.as_ref().unwrap();
    assert!(records.windows(3).any(|window| window == b"one"));
    assert!(records.windows(3).any(|window| window == b"two"));
}

fn fetch(round: &Round, version: i16) -> FetchRequest {
    let partition = fetch_request::FetchPartition::default()
        .with_partition(0)
        .with_fetch_offset(0)
        .with_partition_max_bytes(1 << 20);
    let topic = fetch_request::FetchTopic::default().with_partitions(vec![partition]);
    let topic = match version {
        13.. => topic.with_topic_id(round.id),
        _ => topic.with_topic(round.name()),
    };
    FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_isolation_level(1)
        .with_topics(vec![topic])
}

async fn find_positions(round: &mut Round) {
    for (timestamp, expected) in [(-1, 2), (-2, 0), (1_700_000_000_000, 0)] {
        let found = round
            .call(|round, _| {
                let partition =
                    list_offsets_request::ListOffsetsPartition::default().with_timestamp(timestamp);
                let topic = list_offsets_request::ListOffsetsTopic::default()
                    .with_name(round.name())
                    .with_partitions(vec![partition]);
                ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic])
            })
            .await;
        let partition = &found.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.offset), (0, expected));
    }
    let end = round
        .call(|round, _| {
            let partition = offset_for_leader_epoch_request::OffsetForLeaderPartition::default()
                .with_current_leader_epoch(-1)
                .with_leader_epoch(1000);
            let topic = offset_for_leader_epoch_request::OffsetForLeaderTopic::default()
                .with_topic(round.name())
                .with_partitions(vec![partition]);
            OffsetForLeaderEpochRequest::default().with_topics(vec![topic])
        })
        .await;
    assert_eq!(end.topics[0].partitions[0].error_code, 0);
}

async fn join_and_commit(round: &mut Round) {
    let (member, generation) = join(round).await;
    let synced = round
        .call(|round, version| {
            let assignment = sync_group_request::SyncGroupRequestAssignment::default()
                .with_member_id(member.clone())
                .with_assignment(Bytes::from_static(b"mine"));
            let request = SyncGroupRequest::default()
                .with_group_id(round.group())
                .with_generation_id(generation)
                .with_member_id(member.clone())
                .with_assignments(vec![assignment]);
            match version {
                5.. => request
                    .with_protocol_type(Some(text("consumer")))
                    .with_protocol_name(Some(text("range"))),
                _ => request,
            }
        })
        .await;
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"mine"[..]));
    let beat = round
        .call(|round, _| {
            HeartbeatRequest::default()
                .with_group_id(round.group())
                .with_generation_id(generation)
                .with_member_id(member.clone())
        })
        .await;
    assert_eq!(beat.error_code, 0);
    commit(round, &member, generation).await;
    let left = round
        .call(|round, version| {
            let request = LeaveGroupRequest::default().with_group_id(round.group());
            match version {
                3.. => request.with_members(vec![
                    leave_group_request::MemberIdentity::default().with_member_id(member.clone()),
                ]),
                _ => request.with_member_id(member.clone()),
            }
        })
        .await;
    assert_eq!(left.error_code, 0);
    assert!(left.members.iter().all(|member| member.error_code == 0));
}

/// Joins, twice where the version demands that a member be told its id first.
async fn join(round: &mut Round) -> (StrBytes, i32) {
    let mut member_id = StrBytes::new();
    loop {
        let joined = round
            .call(|round, version| {
                let protocol = join_group_request::JoinGroupRequestProtocol::default()
                    .with_name(text("range"))
                    .with_metadata(Bytes::from_static(b"\0\x01\0\0\0\0\xff\xff\xff\xff"));
                let request = JoinGroupRequest::default()
                    .with_group_id(round.group())
                    .with_session_timeout_ms(10_000)
                    .with_member_id(member_id.clone())
                    .with_protocol_type(text("consumer"))
                    .with_protocols(vec![protocol]);
                if version >= 1 { request.with_rebalance_timeout_ms(10_000) } else { request }
            })
            .await;
        if joined.error_code == 79 {
            assert!(round.step >= 4 && member_id.is_empty() && !joined.member_id.is_empty());
            member_id = joined.member_id;
            continue;
        }
        assert_eq!((joined.error_code, &joined.leader), (0, &joined.member_id));
        return (joined.member_id, joined.generation_id);
    }
}

async fn commit(round: &mut Round, member: &StrBytes, generation: i32) {
    let committed = round
        .call(|round, version| {
            let partition = offset_commit_request::OffsetCommitRequestPartition::default()
                .with_committed_offset(2)
                .with_committed_metadata(Some(text("note")));
            let partition = match version {
                6.. => partition.with_committed_leader_epoch(0),
                _ => partition,
            };
            let topic = offset_commit_request::OffsetCommitRequestTopic::default()
                .with_name(round.name())
                .with_partitions(vec![partition]);
            OffsetCommitRequest::default()
                .with_group_id(round.group())
                .with_generation_id_or_member_epoch(generation)
                .with_member_id(member.clone())
                .with_topics(vec![topic])
        })
        .await;
    assert_eq!(committed.topics[0].partitions[0].error_code, 0);
    for asks_all in [false, true] {
        // Version 1 cannot ask for everything.
        if asks_all && round.version::<OffsetFetchRequest>() == 1 {
            continue;
        }
        let fetched = round.call(|round, version| offset_fetch(round, version, asks_all)).await;
        let found = match (fetched.groups.first(), fetched.topics.first()) {
            (Some(group), _) => {
                let partition = &group.topics[0].partitions[0];
                (group.error_code, partition.committed_offset, partition.metadata.clone())
            }
            (None, Some(topic)) => {
                let partition = &topic.partitions[0];
                (fetched.error_code, partition.committed_offset, partition.metadata.clone())
            }
            (None, None) => panic!("nothing was committed"),
        };
        assert_eq!(found, (0, 2, Some(text("note"))));
    }
}

fn offset_fetch(round: &Round, version: i16, asks_all: bool) -> OffsetFetchRequest {
    use offset_fetch_request::{
        OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    };
    let request = OffsetFetchRequest::default();
    if version >= 8 {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(round.name())
            .with_partition_indexes(vec![0]);
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(round.group())
            .with_topics((!asks_all).then(|| vec![topic]));
        return request.with_groups(vec![group]);
    }
    let topic =
        OffsetFetchRequestTopic::default().with_name(round.name()).with_partition_indexes(vec![0]);
    request.with_group_id(round.group()).with_topics((!asks_all).then(|| vec![topic]))
}

async fn describe_groups(round: &mut Round) {
    let described = round
        .call(|round, version| {
            let groups = vec![round.group(), text("no such group").into()];
            let request = DescribeGroupsRequest::default().with_groups(groups);
            match version {
                3.. => request.with_include_authorized_operations(true),
                _ => request,
            }
        })
        .await;
    let [known, unknown] = &described.groups[..] else { panic!("two groups") };
    assert_eq!((known.error_code, known.group_state.as_str()), (0, "Empty"));
    let not_found = if round.version::<DescribeGroupsRequest>() >= 6 { 69 } else { 0 };
    assert_eq!((unknown.error_code, unknown.group_state.as_str()), (not_found, "Dead"));
    let listed = round
        .call(|_, version| match version {
            4.. => ListGroupsRequest::default().with_states_filter(vec![text("empty")]),
            _ => ListGroupsRequest::default(),
        })
        .await;
    assert!(listed.groups.iter().any(|group| group.group_id == round.group()));
}

async fn configure(round: &mut Round) {
    let changed = round
        .call(|round, _| {
            let config = incremental_alter_configs_request::AlterableConfig::default()
                .with_name(text("segment.ms"))
                .with_value(Some(text("7200000")));
            let resource = incremental_alter_configs_request::AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text(&round.topic))
                .with_configs(vec![config]);
            IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
        })
        .await;
    assert_eq!(changed.responses[0].error_code, 0, "{:?}", changed.responses[0].error_message);
    assert_eq!(setting(round, "segment.ms").await, "7200000");
    let replaced = round
        .call(|round, _| {
            let config = alter_configs_request::AlterableConfig::default()
                .with_name(text("retention.ms"))
                .with_value(Some(text("1800000")));
            let resource = alter_configs_request::AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text(&round.topic))
                .with_configs(vec![config]);
            AlterConfigsRequest::default().with_resources(vec![resource])
        })
        .await;
    assert_eq!(replaced.responses[0].error_code, 0, "{:?}", replaced.responses[0].error_message);
    assert_eq!(setting(round, "retention.ms").await, "1800000");
    assert_eq!(setting(round, "segment.ms").await, "604800000", "back to its default");
}

async fn setting(round: &mut Round, name: &str) -> String {
    let described = round
        .call(|round, _| {
            let resource = describe_configs_request::DescribeConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text(&round.topic))
                .with_configuration_keys(Some(vec![text(name)]));
            DescribeConfigsRequest::default()
                .with_resources(vec![resource])
                .with_include_synonyms(true)
        })
        .await;
    let [config] = &described.results[0].configs[..] else { panic!("one setting") };
    config.value.as_ref().unwrap().to_string()
}

async fn describe_the_rest(round: &mut Round) {
    let dirs = round
        .call(|round, _| {
            let topic = describe_log_dirs_request::DescribableLogDirTopic::default()
                .with_topic(round.name())
                .with_partitions(vec![0, 99]);
            DescribeLogDirsRequest::default().with_topics(Some(vec![topic]))
        })
        .await;
    assert_eq!(dirs.results[0].topics[0].partitions.len(), 1);
    let producers = round
        .call(|round, _| {
            let topic = describe_producers_request::TopicRequest::default()
                .with_name(round.name())
                .with_partition_indexes(vec![0]);
            DescribeProducersRequest::default().with_topics(vec![topic])
        })
        .await;
    assert_eq!(producers.topics[0].partitions[0].error_code, 0);
    let deleted = round
        .call(|round, _| {
            let partition =
                delete_records_request::DeleteRecordsPartition::default().with_offset(1);
            let topic = delete_records_request::DeleteRecordsTopic::default()
                .with_name(round.name())
                .with_partitions(vec![partition]);
            DeleteRecordsRequest::default().with_topics(vec![topic])
        })
        .await;
    let partition = &deleted.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.low_watermark), (0, 1));
}

async fn delete(round: &mut Round) {
    let forgotten = round
        .call(|round, _| {
            let partition = offset_delete_request::OffsetDeleteRequestPartition::default()
                .with_partition_index(0);
            let topic = offset_delete_request::OffsetDeleteRequestTopic::default()
                .with_name(round.name())
                .with_partitions(vec![partition]);
            OffsetDeleteRequest::default().with_group_id(round.group()).with_topics(vec![topic])
        })
        .await;
    assert_eq!(forgotten.error_code, 0);
    let group = round
        .call(|round, _| DeleteGroupsRequest::default().with_groups_names(vec![round.group()]))
        .await;
    // With its last offset the group itself may be gone.
    assert!(matches!(group.results[0].error_code, 0 | 69), "{:?}", group.results[0]);
    let topic = round
        .call(|round, version| match version {
            6.. => DeleteTopicsRequest::default().with_topics(vec![
                delete_topics_request::DeleteTopicState::default()
                    .with_name(None)
                    .with_topic_id(round.id),
            ]),
            _ => DeleteTopicsRequest::default().with_topic_names(vec![round.name()]),
        })
        .await;
    assert_eq!(topic.responses[0].error_code, 0, "{:?}", topic.responses[0].error_message);
}
