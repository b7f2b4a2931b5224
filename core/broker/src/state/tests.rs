//! Recovery from snapshot and suffix, wherever the log is cut.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use posthouse_log::{Engine, Log, MemoryConfig, MemoryEngine, MemoryStore};
use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{
    Offset, PartitionId, PartitionIndex, SystemClock, Timestamp, TopicId, TopicName,
};
use proptest::prelude::*;

use super::frame::SnapshotEnd;
use super::{Damage, Frame, StateLog, StateMachine};
use crate::OpenBrokerError;
use crate::topics::internal_log_config;

const NOW: Timestamp = Timestamp::NONE;

/// Remembers every command in order, so that a lost, repeated or reordered one shows.
#[derive(Clone, Debug, Default, PartialEq)]
struct Diary(Vec<u8>);

impl StateMachine for Diary {
    type Command = u8;
    type Effect = usize;

    fn encode(command: &u8, out: &mut Vec<u8>) {
        out.push(*command);
    }

    fn decode(bytes: &[u8]) -> Result<u8, Damage> {
        match bytes {
            [command] => Ok(*command),
            _ => Err(Damage::new("a command is one byte")),
        }
    }

    fn apply(&mut self, command: u8) -> usize {
        self.0.push(command);
        self.0.len()
    }

    fn snapshot(&self, out: &mut Vec<u8>) {
        out.push(1);
        out.extend_from_slice(&self.0);
    }

    fn restore(bytes: &[u8]) -> Result<Diary, Damage> {
        match bytes {
            [1, entries @ ..] => Ok(Diary(entries.to_vec())),
            _ => Err(Damage::new("not a diary")),
        }
    }
}

/// A log in a store that outlives whoever writes it.
struct House {
    store: Arc<MemoryStore>,
    engine: Arc<MemoryEngine>,
}

impl House {
    fn new() -> House {
        House::over(Arc::default())
    }

    fn over(store: Arc<MemoryStore>) -> House {
        let config = MemoryConfig {
            flush_interval: Some(Duration::from_millis(1)),
            read_latency: Duration::ZERO,
        };
        let engine = MemoryEngine::over(Arc::clone(&store), config, Arc::new(SystemClock));
        House { store, engine }
    }

    async fn log(&self) -> Arc<dyn Log> {
        let topic = TopicId(uuid::Uuid::from_u128(9));
        let partition = PartitionId { topic, index: PartitionIndex::ZERO };
        self.engine.open(partition, internal_log_config()).await.unwrap()
    }

    async fn recover(&self) -> Result<StateLog<Diary>, OpenBrokerError> {
        StateLog::recover(TopicName::new("diary").unwrap(), self.log().await).await
    }
}

async fn append(log: &dyn Log, key: Option<&[u8]>, value: &[u8]) {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(NOW, key, Some(value), &[]);
    log.append(batch.build().unwrap()).unwrap().ticket.durable().await.unwrap();
}

async fn append_frame(log: &dyn Log, frame: &Frame) {
    let (key, value) = frame.encode();
    append(log, Some(key), &value).await;
}

/// A log's records, one frame an offset, and what the state is after each of them.
#[derive(Default)]
struct Script {
    frames: Vec<Frame>,
    states: Vec<Diary>,
    live: Diary,
}

impl Script {
    fn push(&mut self, frame: Frame) {
        self.frames.push(frame);
        self.states.push(self.live.clone());
    }

    fn command(&mut self, command: u8) {
        self.live.apply(command);
        self.push(Frame::Command(Bytes::copy_from_slice(&[command])));
    }

    /// A snapshot in pieces of two bytes, with a command after each of the first `between` pieces;
    /// interrupted after `pieces_max`.
    fn snapshot(&mut self, between: usize, pieces_max: usize) {
        let as_of = Offset::ZERO.plus(self.frames.len() as u64);
        let mut bytes = Vec::new();
        self.live.snapshot(&mut bytes);
        let pieces: Vec<_> = bytes.chunks(2).map(Bytes::copy_from_slice).collect();
        let count = u32::try_from(pieces.len()).unwrap();
        for (index, bytes) in (0..count).zip(pieces) {
            if index as usize >= pieces_max {
                return;
            }
            self.push(Frame::Piece { as_of, index, bytes });
            if (index as usize) < between {
                self.command(200 + index as u8);
            }
        }
        let (size, crc) = (bytes.len() as u64, crc32c::crc32c(&bytes));
        self.push(Frame::End(SnapshotEnd { as_of, pieces: count, size, crc }));
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Command(u8),
    Snapshot { between: usize },
    InterruptedSnapshot { pieces: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..200_u8).prop_map(Step::Command),
        1 => (0..3_usize).prop_map(|between| Step::Snapshot { between }),
        1 => (0..4_usize).prop_map(|pieces| Step::InterruptedSnapshot { pieces }),
    ];
    prop::collection::vec(step, 0..14)
}

fn script(steps: &[Step]) -> Script {
    let mut script = Script::default();
    for step in steps {
        match *step {
            Step::Command(command) => script.command(command),
            Step::Snapshot { between } => script.snapshot(between, usize::MAX),
            Step::InterruptedSnapshot { pieces } => script.snapshot(0, pieces),
        }
    }
    script
}

/// Writes the frames one by one, and recovers after each; cuts the head below each whole snapshot
/// as soon as it is there when `cut_heads`.
async fn check_every_cut(script: Script, cut_heads: bool) {
    let mut house = House::new();
    assert_eq!(house.recover().await.unwrap().machine(), &Diary::default());
    for (frame, state) in script.frames.iter().zip(&script.states) {
        let log = house.log().await;
        append_frame(log.as_ref(), frame).await;
        if let (Frame::End(end), true) = (frame, cut_heads) {
            log.truncate_head(end.as_of).await.unwrap();
        }
        house = House::over(Arc::clone(&house.store));
        assert_eq!(house.recover().await.unwrap().machine(), state);
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn recovery_at_every_cut_gives_the_live_state(steps in steps(), cut_heads: bool) {
        block_on(check_every_cut(script(&steps), cut_heads));
    }

    #[test]
    fn commands_and_snapshots_survive_restarts(
        lives in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), any::<bool>()), 1..5),
    ) {
        block_on(async {
            let mut house = House::new();
            let mut expected = Diary::default();
            for (commands, snapshot) in lives {
                let mut state = house.recover().await.unwrap();
                assert_eq!(state.machine(), &expected);
                for command in commands {
                    let (length, ticket) = state.commit(command, NOW).unwrap();
                    assert_eq!(length, expected.apply(command));
                    ticket.durable().await.unwrap();
                }
                if snapshot {
                    state.begin_snapshot().write(NOW).await.unwrap();
                    state.end_snapshot();
                }
                house = House::over(house.store);
            }
            assert_eq!(house.recover().await.unwrap().machine(), &expected);
        });
    }
}

#[tokio::test]
async fn a_snapshot_lets_go_of_the_commands_below_it() {
    let house = House::new();
    let mut state = house.recover().await.unwrap();
    let ticket = state.commit_all((0..100).collect(), NOW).unwrap().unwrap();
    ticket.durable().await.unwrap();
    state.begin_snapshot().write(NOW).await.unwrap();
    let log = house.log().await;
    assert_eq!(log.ends().log_start, Offset::ZERO.plus(100));
    assert_eq!(house.recover().await.unwrap().machine().0.len(), 100);
}

#[tokio::test]
async fn a_snapshot_is_due_once_commands_outweigh_it() {
    let house = House::new();
    let mut state = house.recover().await.unwrap();
    assert!(!state.snapshot_due());
    state.commit_all(vec![7; 1 << 20], NOW).unwrap().unwrap().durable().await.unwrap();
    assert!(state.snapshot_due());
    let pending = state.begin_snapshot();
    assert!(!state.snapshot_due(), "one is running");
    pending.write(NOW).await.unwrap();
    state.end_snapshot();
    assert!(!state.snapshot_due());
}

#[tokio::test]
async fn what_is_not_durable_is_not_settled() {
    let store = Arc::<MemoryStore>::default();
    let config = MemoryConfig { flush_interval: None, read_latency: Duration::ZERO };
    let engine = MemoryEngine::over(Arc::clone(&store), config, Arc::new(SystemClock));
    let house = House { store, engine };
    let mut state = house.recover().await.unwrap();
    state.settled().wait().await.unwrap();
    state.commit(1, NOW).unwrap();
    let mut settled = std::pin::pin!(state.settled().wait());
    assert!(futures::poll!(&mut settled).is_pending());
    house.engine.flush();
    settled.await.unwrap();
    state.commit(2, NOW).unwrap();
    let settled = state.settled().wait();
    let other = House::over(Arc::clone(&house.store));
    let _fences = other.log().await;
    house.engine.flush();
    assert!(settled.await.is_err(), "the write was fenced off");
}

/// A log with one command, then these records, must be refused with a reason.
async fn check_damage(records: &[(Option<&[u8]>, &[u8])], reason: &str) {
    let house = House::new();
    let log = house.log().await;
    append_frame(log.as_ref(), &Frame::Command(Bytes::from_static(&[1]))).await;
    for (key, value) in records {
        append(log.as_ref(), *key, value).await;
    }
    match house.recover().await.map(|_| ()) {
        Err(OpenBrokerError::DamagedState { topic, reason: found, .. }) => {
            assert_eq!(topic, "diary");
            assert!(found.contains(reason), "{found}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_damaged_record_is_refused_by_name() {
    check_damage(&[(None, b"x")], "no key").await;
    check_damage(&[(Some(b"unheard-of"), b"x")], "unknown kind").await;
    check_damage(&[(Some(b"command"), b"xyz")], "one byte").await;
    check_damage(&[(Some(b"snapshot"), b"\x01")], "cut short").await;
}

#[tokio::test]
async fn a_snapshot_that_is_not_what_was_written_is_refused() {
    let as_of = Offset::ZERO.plus(1);
    let piece = Frame::Piece { as_of, index: 0, bytes: Bytes::from_static(&[1, 7]) };
    let end = |size, crc| Frame::End(SnapshotEnd { as_of, pieces: 1, size, crc });
    let crc = crc32c::crc32c(&[1, 7]);
    for (end, reason) in [(end(2, crc ^ 1), "checksum"), (end(3, crc), "snapshot of 3 bytes")] {
        let ((piece_key, piece), (end_key, end)) = (piece.encode(), end.encode());
        check_damage(&[(Some(piece_key), &piece), (Some(end_key), &end)], reason).await;
    }
}
