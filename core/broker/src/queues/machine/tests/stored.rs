//! What is stored reads back as written, and anything else is refused.

use proptest::prelude::*;

use super::harness::{NUMBER, Scene, config, key, name};
use crate::queues::machine::{Queues, QueuesCommand};
use crate::state::StateMachine;

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&[1][..], &bytes].concat();
        crate::fuzz::queues_command(&bytes);
        crate::fuzz::queues_snapshot(&bytes);
    }
}

#[test]
fn every_truncation_of_a_command_is_damage() {
    let mut scene = Scene::new(config());
    scene.ends[0] = 6;
    let given = scene.acquire("ann", 0, 3);
    scene.extend(&[given[0].held()]);
    scene.release(&[given[0].held()]);
    scene.reject(&[given[1].held()]);
    scene.apply(QueuesCommand::OwnerSeen { number: NUMBER, owner: name("bob"), at: scene.now });
    for bytes in &scene.history {
        for len in 0..bytes.len() {
            assert!(Queues::decode(&bytes[..len]).is_err(), "{len} bytes of {bytes:?}");
        }
    }
}

#[test]
fn a_later_version_is_refused() {
    let mut bytes = Vec::new();
    Queues::default().snapshot(&mut bytes);
    bytes[0] = 2;
    assert!(Queues::restore(&bytes).unwrap_err().to_string().contains("version 2"));
    assert!(Queues::decode(&bytes).unwrap_err().to_string().contains("version 2"));
}

#[test]
fn a_queue_made_again_replaces_the_one_before() {
    let mut scene = Scene::new(config());
    scene.ends[0] = 2;
    scene.acquire("ann", 0, 1);
    let number = scene.queues.next_number();
    scene.apply(QueuesCommand::Created { number, key: key(), config: config(), next: vec![] });
    assert_eq!(scene.queues.all().count(), 1);
    assert_eq!(scene.queues.find(&key()), Some(number));
    assert_eq!(scene.queues.entries(), 0);
    assert_eq!(Scene::recovered(Some(&scene.snapshot()), &[]), scene.queues);
}
