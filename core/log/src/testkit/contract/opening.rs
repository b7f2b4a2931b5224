//! Opening, epochs, restarts and deletion.

use posthouse_types::Offset;

use crate::testkit::*;
use crate::{AppendError, DurabilityError, LogConfig, ReadLimit};

pub async fn records_survive_a_restart(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    commit(harness, &*log, values(&["a", "b"])).await;
    for expected in 3..6 {
        harness.restart().await;
        let log = open(harness, LogConfig::default()).await;
        assert_eq!(log.ends().durable_end, log.ends().written_end);
        commit(harness, &*log, values(&["c"])).await;
        assert_eq!(read_values(&*log).await.len(), expected);
        assert_eq!(log.ends().durable_end.value(), expected as i64);
    }
}

pub async fn every_open_raises_the_epoch(harness: &mut impl Harness) {
    let mut newest = open(harness, LogConfig::default()).await.epoch();
    for round in 0..6 {
        if round % 2 == 1 {
            harness.restart().await;
        }
        let log = open(harness, LogConfig::default()).await;
        assert!(log.epoch() > newest, "{} is not above {newest}", log.epoch());
        newest = log.epoch();
        commit(harness, &*log, values(&["a"])).await;
        let batches = read_batches(&*log, Offset::ZERO).await.unwrap();
        assert_eq!(batches.last().unwrap().header().leader_epoch, newest);
    }
}

pub async fn a_later_open_fences_the_earlier(harness: &mut impl Harness) {
    let earlier = open(harness, LogConfig::default()).await;
    commit(harness, &*earlier, values(&["a"])).await;
    let later = open(harness, LogConfig::default()).await;
    assert!(matches!(
        earlier.append(values(&["b"])),
        Err(AppendError::Fenced { epoch }) if epoch == earlier.epoch()
    ));
    commit(harness, &*later, values(&["c"])).await;
    let values: Vec<_> = read_values(&*later).await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "c"]);
}

pub async fn epochs_that_wrote_stay_in_the_history(harness: &mut impl Harness) {
    let mut expected = Vec::new();
    for _ in 0..3 {
        let log = open(harness, LogConfig::default()).await;
        expected.push((log.epoch(), log.ends().written_end));
        commit(harness, &*log, values(&["a", "b"])).await;
        harness.restart().await;
        let silent = open(harness, LogConfig::default()).await;
        assert_eq!(silent.epoch_history().last().unwrap().epoch, silent.epoch());
    }
    let log = open(harness, LogConfig::default()).await;
    expected.push((log.epoch(), log.ends().written_end));
    let history = log.epoch_history();
    let history: Vec<_> = history.iter().map(|entry| (entry.epoch, entry.start)).collect();
    assert_eq!(history, expected);
}

pub async fn only_partitions_with_records_are_stored(harness: &mut impl Harness) {
    let engine = harness.engine();
    for index in [1, 2, 3] {
        let log = engine.open(partition(index), LogConfig::default()).await.unwrap();
        if index != 2 {
            commit(harness, &*log, values(&["a"])).await;
        }
    }
    engine.delete(partition(3)).await.unwrap();
    assert_eq!(engine.stored().await.unwrap(), [partition(1)]);
    harness.restart().await;
    assert_eq!(harness.engine().stored().await.unwrap(), [partition(1)]);
}

pub async fn the_partitions_of_a_topic_can_be_deleted_at_once(harness: &mut impl Harness) {
    let engine = harness.engine();
    for round in 0..20 {
        for index in 0..8 {
            let log = engine.open(partition(index), LogConfig::default()).await.unwrap();
            commit(harness, &*log, values(&["a"])).await;
        }
        let deletions = (0..8).map(|index| engine.delete(partition(index)));
        let deleted = futures::future::join_all(deletions).await;
        assert!(deleted.iter().all(Result::is_ok), "round {round}: {deleted:?}");
        assert_eq!(engine.stored().await.unwrap(), []);
    }
}

pub async fn a_deleted_partition_begins_again(harness: &mut impl Harness) {
    let log = open(harness, LogConfig::default()).await;
    commit(harness, &*log, values(&["a"])).await;
    let limit = ReadLimit { bytes: 1, until: Offset::ZERO.plus(1) };
    let in_flight = log.read(Offset::ZERO, limit).await.unwrap();
    let pending = append(&*log, values(&["b"])).ticket;
    harness.engine().delete(partition(0)).await.unwrap();
    harness.engine().delete(partition(0)).await.unwrap();
    assert!(matches!(log.append(values(&["c"])), Err(AppendError::Closed)));
    assert!(matches!(pending.durable().await, Ok(()) | Err(DurabilityError::Closed)));
    assert!(!in_flight[0].load().unwrap().is_empty(), "a read under way may finish");
    let log = open(harness, LogConfig::default()).await;
    assert_eq!(log.ends().written_end, Offset::ZERO);
    assert_eq!(commit(harness, &*log, values(&["d"])).await.base, 0);
}

pub async fn many_partitions_are_independent(harness: &mut impl Harness) {
    let engine = harness.engine();
    let mut logs = Vec::new();
    for index in 0..100 {
        logs.push(engine.open(partition(index), LogConfig::default()).await.unwrap());
    }
    let mut tickets = Vec::new();
    for round in 0..10 {
        for (index, log) in logs.iter().enumerate() {
            if index % 10 >= round {
                tickets.push(append(&**log, values(&[&format!("{index}-{round}")])).ticket);
            }
        }
    }
    harness.flush();
    for ticket in tickets {
        ticket.durable().await.unwrap();
    }
    harness.restart().await;
    for index in (0..100_u32).rev() {
        let log = harness.engine().open(partition(index), LogConfig::default()).await.unwrap();
        let expected: Vec<_> =
            (0..=index % 10).map(|round| (i64::from(round), format!("{index}-{round}"))).collect();
        assert_eq!(read_values(&*log).await, expected);
    }
}
