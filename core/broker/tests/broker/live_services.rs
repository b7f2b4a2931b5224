//! Services: who does a request, and what whoever asked is told when nobody does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use posthouse_broker::{
    Absent, Broker, LiveMessage, RequestError, RequestOptions, Worker, WorkerConfig,
};
use tokio::task::JoinHandle;

use crate::harness::{Node, me};
use crate::live_channels::message;

/// LIMIT: how long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

fn worker(broker: &Broker, concurrency_max: usize, idempotent: bool) -> Worker {
    let config = WorkerConfig { concurrency_max, idempotent };
    broker.serve(&me(), Bytes::from("double"), config).unwrap()
}

fn ask(
    broker: &Arc<Broker>,
    value: &'static str,
    absent: Absent,
) -> JoinHandle<Result<LiveMessage, RequestError>> {
    let broker = Arc::clone(broker);
    tokio::spawn(async move {
        let options = RequestOptions { deadline: PATIENCE, absent };
        broker.request(&me(), Bytes::from("double"), message(value), options).await
    })
}

#[tokio::test]
async fn a_worker_answers_what_it_is_asked() {
    let node = Node::start().await;
    let mut worker = worker(&node.broker, 1, false);
    let asked = ask(&node.broker, "ab", Absent::Fail);
    let request = worker.next().await.unwrap();
    let twice = request.message.value.clone().unwrap().repeat(2);
    assert!(request.reply(message(twice)));
    assert_eq!(asked.await.unwrap().unwrap().value.as_deref(), Some(&b"abab"[..]));
}

#[tokio::test]
async fn without_a_worker_the_answer_is_clear_and_immediate() {
    let node = Node::start().await;
    let answer = ask(&node.broker, "x", Absent::Fail).await.unwrap();
    assert_eq!(answer.unwrap_err(), RequestError::NoWorker);
}

#[tokio::test]
async fn a_patient_request_is_done_by_a_worker_that_comes_later() {
    let node = Node::start().await;
    let asked = ask(&node.broker, "x", Absent::Wait);
    tokio::task::yield_now().await;
    let mut late = worker(&node.broker, 1, false);
    assert!(late.next().await.unwrap().reply(message("y")));
    assert!(asked.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_request_ends_at_its_deadline_and_a_late_reply_goes_to_nobody() {
    let node = Node::start().await;
    let mut worker = worker(&node.broker, 1, false);
    let after = Duration::from_millis(1);
    let options = RequestOptions { deadline: after, absent: Absent::Fail };
    let answer = node.broker.request(&me(), Bytes::from("double"), message("x"), options).await;
    assert_eq!(answer.unwrap_err(), RequestError::Deadline { after });
    let request = worker.next().await.unwrap();
    let next = ask(&node.broker, "y", Absent::Fail);
    assert!(!request.reply(message("late")));
    assert_eq!(worker.next().await.unwrap().message.value.as_deref(), Some(&b"y"[..]));
    assert!(matches!(next.await.unwrap(), Err(RequestError::WorkerLost { .. })));
}

#[tokio::test]
async fn a_failure_carries_the_workers_reason() {
    let node = Node::start().await;
    let mut worker = worker(&node.broker, 1, true);
    let asked = ask(&node.broker, "x", Absent::Fail);
    assert!(worker.next().await.unwrap().fail("no such account"));
    let failed = RequestError::Failed { reason: "no such account".to_owned() };
    assert_eq!(asked.await.unwrap().unwrap_err(), failed);
}

#[tokio::test]
async fn what_a_dead_worker_had_fails_or_is_done_by_another() {
    for idempotent in [false, true] {
        let node = Node::start().await;
        let mut dying = worker(&node.broker, 1, idempotent);
        let asked = ask(&node.broker, "x", Absent::Fail);
        let request = dying.next().await.unwrap();
        let mut other = worker(&node.broker, 1, idempotent);
        drop(dying);
        assert!(!request.reply(message("from beyond")));
        if idempotent {
            assert!(other.next().await.unwrap().reply(message("again")));
            assert_eq!(asked.await.unwrap().unwrap().value.as_deref(), Some(&b"again"[..]));
        } else {
            let lost = RequestError::WorkerLost { attempts: 1 };
            assert_eq!(asked.await.unwrap().unwrap_err(), lost);
        }
    }
}

#[tokio::test]
async fn many_requests_are_shared_by_many_workers() {
    let node = Node::start().await;
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let mut worker = worker(&node.broker, 2, false);
            tokio::spawn(async move {
                let mut done = 0;
                while done < 25 {
                    let request = worker.next().await.unwrap();
                    let echo = request.message.clone();
                    request.reply(echo);
                    done += 1;
                }
            })
        })
        .collect();
    for _ in 0..25 {
        let asked: Vec<_> = (0..4).map(|_| ask(&node.broker, "x", Absent::Fail)).collect();
        for answer in asked {
            answer.await.unwrap().unwrap();
        }
    }
    for worker in workers {
        tokio::time::timeout(PATIENCE, worker).await.expect("each did its share").unwrap();
    }
}
