//! Making, changing and deleting topics.

use posthouse_broker::{
    AlterTopicError, AppendFailure, BrokerConfig, Column, ColumnFormat, ConfigChange,
    CreateTopicError, DecodeFailure, LookupError, TopicRef, TopicSchema,
};
use posthouse_log::AppendError;
use posthouse_types::TopicId;

use crate::harness::{Node, append, batch, by_name, create, me, name, partition, quick, to_create};

#[tokio::test]
async fn a_topic_has_the_partitions_and_settings_it_was_made_with() {
    let node = Node::start().await;
    let mut wanted = to_create("orders", 3);
    wanted.overrides.push(("retention.ms".into(), "5000".into()));
    let topic = node.broker.create_topic(&me(), wanted).await.unwrap();
    assert_eq!((topic.partitions, topic.internal), (3, false));
    assert_eq!(topic.config.retention_age.unwrap().as_millis(), 5000);
    let entries = node.broker.topic_config_entries(&topic);
    let retention = entries.iter().find(|entry| entry.name == "retention.ms").unwrap();
    assert_eq!((retention.value.as_str(), retention.overridden), ("5000", true));
    let status = node.broker.partition_status(&me(), &by_name("orders"), partition(2)).await;
    assert_eq!(status.unwrap().durable_end, posthouse_types::Offset::ZERO);
}

#[tokio::test]
async fn a_name_is_taken_once_and_so_is_its_alias() {
    let node = Node::start().await;
    create(&node.broker, "orders:eu", 1).await;
    let again = node.broker.create_topic(&me(), to_create("orders:eu", 1)).await;
    assert!(matches!(again, Err(CreateTopicError::Exists(_))), "{again:?}");
    let alias = node.broker.create_topic(&me(), to_create("orders_x3Aeu", 1)).await;
    let Err(CreateTopicError::AliasTaken { taken_by, .. }) = alias else { panic!("{alias:?}") };
    assert_eq!(taken_by, name("orders:eu"));
    let internal = node.broker.create_topic(&me(), to_create("__consumer_offsets", 1)).await;
    assert!(matches!(internal, Err(CreateTopicError::Exists(_))), "{internal:?}");
}

#[tokio::test]
async fn many_callers_make_one_topic_once() {
    let node = Node::start().await;
    let name = name("shared");
    let principal = me();
    let makers = (0..16).map(|_| node.broker.create_topic(&principal, to_create("shared", 1)));
    let made = futures::future::join_all(makers).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
    let auto = (0..16).map(|_| node.broker.topic_or_create(&principal, &name));
    let ids: Vec<_> =
        futures::future::join_all(auto).await.into_iter().map(|topic| topic.unwrap().id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[tokio::test]
async fn concurrent_auto_creation_gives_everyone_the_same_topic() {
    let node = Node::start().await;
    let (principal, name) = (me(), name("fresh"));
    let makers = (0..16).map(|_| node.broker.topic_or_create(&principal, &name));
    let ids: Vec<_> =
        futures::future::join_all(makers).await.into_iter().map(|made| made.unwrap().id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[tokio::test]
async fn auto_creation_can_be_turned_off() {
    let config = BrokerConfig { auto_create_topics: false, ..quick() };
    let node = Node::start_with(config).await;
    let refused = node.broker.topic_or_create(&me(), &name("t")).await;
    let Err(AppendFailure::Lookup(LookupError::UnknownTopic(_))) = refused else {
        panic!("{refused:?}")
    };
}

#[tokio::test]
async fn checking_only_makes_nothing() {
    let node = Node::start().await;
    let mut wanted = to_create("t", 2);
    wanted.validate_only = true;
    assert_eq!(node.broker.create_topic(&me(), wanted).await.unwrap().partitions, 2);
    assert!(node.broker.topic(&me(), &by_name("t")).await.is_err());
    create(&node.broker, "t", 1).await;
    node.broker.add_partitions(&me(), &by_name("t"), 5, true).await.unwrap();
    assert_eq!(node.broker.topic(&me(), &by_name("t")).await.unwrap().partitions, 1);
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let node = Node::start().await;
    for count in [0, 10_001] {
        let refused = node.broker.create_topic(&me(), to_create("t", count)).await;
        assert!(matches!(refused, Err(CreateTopicError::Partitions { .. })), "{refused:?}");
    }
    let mut unknown = to_create("t", 1);
    unknown.overrides.push(("flush.ms".into(), "1".into()));
    let refused = node.broker.create_topic(&me(), unknown).await;
    assert!(matches!(refused, Err(CreateTopicError::Config { .. })), "{refused:?}");
    let mut reserved = to_create("t", 1);
    reserved.schema = Some(schema(&["_key"]));
    let refused = node.broker.create_topic(&me(), reserved).await;
    assert!(matches!(refused, Err(CreateTopicError::Schema { .. })), "{refused:?}");
    assert!(node.broker.topic(&me(), &by_name("t")).await.is_err());
}

#[tokio::test]
async fn partitions_can_only_grow() {
    let node = Node::start().await;
    create(&node.broker, "t", 2).await;
    for total in [-1, 0, 1, 2, 10_001] {
        let refused = node.broker.add_partitions(&me(), &by_name("t"), total, false).await;
        assert!(matches!(refused, Err(AlterTopicError::Partitions { .. })), "{total}");
    }
    node.broker.add_partitions(&me(), &by_name("t"), 4, false).await.unwrap();
    append(&node.broker, "t", 3, &["x"]).await.unwrap();
    assert!(append(&node.broker, "t", 4, &["x"]).await.is_err());
}

#[tokio::test]
async fn changed_settings_act_on_the_open_log() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    append(&node.broker, "t", 0, &["x"]).await.unwrap();
    let small = ConfigChange::Set { name: "max.message.bytes".into(), value: "10".into() };
    node.broker.alter_topic_config(&me(), &by_name("t"), vec![small], false).await.unwrap();
    let refused = append(&node.broker, "t", 0, &["x"]).await;
    let Err(AppendFailure::Append(AppendError::TooLarge { .. })) = refused else {
        panic!("{refused:?}")
    };
    node.broker.replace_topic_config(&me(), &by_name("t"), vec![], false).await.unwrap();
    append(&node.broker, "t", 0, &["x"]).await.unwrap();
}

#[tokio::test]
async fn one_refused_setting_changes_none() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let changes = vec![
        ConfigChange::Set { name: "retention.ms".into(), value: "1".into() },
        ConfigChange::Set { name: "no.such".into(), value: "1".into() },
    ];
    let refused = node.broker.alter_topic_config(&me(), &by_name("t"), changes, false).await;
    assert!(matches!(refused, Err(AlterTopicError::Config { .. })), "{refused:?}");
    assert!(node.broker.topic(&me(), &by_name("t")).await.unwrap().overrides.is_empty());
}

#[tokio::test]
async fn a_topic_made_again_has_another_identity_and_no_records() {
    let node = Node::start().await;
    let first = create(&node.broker, "t", 1).await;
    node.produce("t", "old").await;
    node.broker.delete_topic(&me(), &by_name("t")).await.unwrap();
    let gone = node.broker.topic(&me(), &TopicRef::Id(first.id)).await;
    assert!(matches!(gone, Err(LookupError::UnknownTopicId(_))), "{gone:?}");
    let second = create(&node.broker, "t", 1).await;
    assert_ne!(first.id, second.id);
    node.produce("t", "new").await;
    assert_eq!(node.values("t", 0).await, ["new"]);
    let node = node.restart().await;
    assert_eq!(node.broker.topic(&me(), &by_name("t")).await.unwrap().id, second.id);
    assert_eq!(node.values("t", 0).await, ["new"]);
}

#[tokio::test]
async fn internal_topics_are_listed_and_left_alone() {
    const INTERNAL: [&str; 3] = ["__consumer_offsets", "__posthouse_catalog", "__posthouse_queues"];
    let node = Node::start().await;
    let topics = node.broker.topics(&me()).await;
    let names: Vec<_> = topics.iter().map(|topic| topic.kafka_alias.as_str()).collect();
    assert_eq!(names, INTERNAL);
    assert!(topics.iter().all(|topic| topic.internal));
    for topic in INTERNAL {
        let topic = by_name(topic);
        let refused = node.broker.append(&me(), &topic, partition(0), batch(&["x"])).await;
        assert!(matches!(refused, Err(AppendFailure::Internal(_))), "{refused:?}");
        let refused = node.broker.delete_topic(&me(), &topic).await;
        assert!(matches!(refused, Err(AlterTopicError::Internal(_))), "{refused:?}");
        let refused = node.broker.delete_records(&me(), &topic, partition(0), None).await;
        assert!(matches!(refused, Err(AlterTopicError::Internal(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn an_unknown_topic_is_told_apart_from_an_unknown_partition() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let log = node.broker.partition_log(&me(), &by_name("t"), partition(1)).await;
    assert!(matches!(log, Err(LookupError::UnknownPartition { partitions: 1, .. })));
    let log = node.broker.partition_log(&me(), &by_name("u"), partition(0)).await;
    assert!(matches!(log, Err(LookupError::UnknownTopic(_))));
    let id = TopicRef::Id(TopicId(uuid::Uuid::from_u128(99)));
    let log = node.broker.partition_log(&me(), &id, partition(0)).await;
    assert!(matches!(log, Err(LookupError::UnknownTopicId(_))));
}

#[tokio::test]
async fn a_schema_is_kept_with_the_topic() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let schema = schema(&["a", "b"]);
    node.broker.set_schema(&me(), &by_name("t"), schema.clone()).await.unwrap();
    let node = node.crash().await;
    assert_eq!(node.broker.topic(&me(), &by_name("t")).await.unwrap().schema, Some(schema));
}

fn schema(columns: &[&str]) -> TopicSchema {
    let column = |name: &&str| Column { name: (*name).to_owned(), data_type: "DOUBLE".into() };
    TopicSchema {
        format: ColumnFormat::Json,
        columns: columns.iter().map(column).collect(),
        on_error: DecodeFailure::Null,
    }
}
