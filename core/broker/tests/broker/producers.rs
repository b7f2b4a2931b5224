//! Producer ids and idempotent producers.

use std::collections::HashSet;

use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{ProducerEpoch, Sequence, Timestamp};

use crate::harness::{Node, by_name, client_bytes, create, me, partition};

#[tokio::test]
async fn no_producer_id_is_given_out_twice_even_over_crashes() {
    let mut node = Node::start().await;
    let mut given = HashSet::new();
    for count in [1, 1001, 3] {
        for _ in 0..count {
            let (id, epoch) = node.broker.init_producer_id(&me()).await.unwrap();
            assert_eq!(epoch, ProducerEpoch(0));
            assert!(given.insert(id), "{id} was given out before");
        }
        node = node.crash().await;
    }
}

#[tokio::test]
async fn a_batch_sent_again_is_written_once() {
    let node = Node::start().await;
    create(&node.broker, "t", 1).await;
    let (id, epoch) = node.broker.init_producer_id(&me()).await.unwrap();
    let batch = || {
        let mut builder = BatchBuilder::new(Compression::None).producer(id, epoch, Sequence(0));
        builder.push(Timestamp::from_ms(5), None, Some(b"once"), &[]);
        client_bytes(builder)
    };
    for duplicate in [false, true] {
        let appended = node.broker.append(&me(), &by_name("t"), partition(0), batch()).await;
        let appended = appended.unwrap();
        assert_eq!((appended.duplicate, appended.base_offset.value()), (duplicate, 0));
        appended.ticket.durable().await.unwrap();
    }
    assert_eq!(node.values("t", 0).await, ["once"]);
    let producers = node.broker.producers(&me(), &by_name("t"), partition(0)).await.unwrap();
    assert_eq!(producers.len(), 1);
    assert_eq!((producers[0].id, producers[0].last_sequence), (id, Sequence(0)));
}
