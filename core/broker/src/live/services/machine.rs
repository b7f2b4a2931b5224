//! Who does which request: a state machine without I/O, time or locks.
//!
//! # Invariants
//! - A worker never has more requests than it declared.
//! - A request waits only while no worker of its service has room, and the oldest goes first; one
//!   that is tried again keeps its age.
//! - Every request that is taken in comes out as one answer, or was cancelled.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;

use crate::RequestError;
use crate::live::LiveMessage;

/// LIMIT: requests that wait for a worker of one service.
pub const PENDING_MAX: usize = 10_000;
/// LIMIT: bytes of the requests that wait for a worker of one service.
pub const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// LIMIT: workers that one request is given to, one after the other, if they keep dying of it.
pub const ATTEMPTS_MAX: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct WorkerId(u64);

/// Ids rise with age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RequestId(u64);

/// What is to be done after a call; `R` is whatever takes a request's answer.
#[derive(Debug)]
pub(super) enum Effect<R> {
    Dispatch { worker: WorkerId, request: RequestId, message: LiveMessage },
    Answer { to: R, answer: Result<LiveMessage, RequestError> },
    Retried,
}

pub(super) struct Machine<R> {
    id_next: u64,
    services: HashMap<Bytes, Service>,
    workers: HashMap<WorkerId, WorkerState>,
    requests: HashMap<RequestId, RequestState<R>>,
}

#[derive(Default)]
struct Service {
    workers_count: usize,
    /// Workers with room, the least loaded first and among equals the one that has rested longest.
    free: BTreeSet<(usize, u64, WorkerId)>,
    pending: BTreeSet<RequestId>,
    pending_bytes: usize,
}

struct WorkerState {
    service: Bytes,
    concurrency_max: usize,
    idempotent: bool,
    last_used: u64,
    has: HashSet<RequestId>,
}

struct RequestState<R> {
    service: Bytes,
    message: LiveMessage,
    to: R,
    /// Waits for a worker to come even when there is none.
    patient: bool,
    attempts: u32,
    at: Option<WorkerId>,
}

impl<R> Default for Machine<R> {
    fn default() -> Machine<R> {
        Machine {
            id_next: 0,
            services: HashMap::new(),
            workers: HashMap::new(),
            requests: HashMap::new(),
        }
    }
}

impl<R> Machine<R> {
    /// A worker comes.
    pub(super) fn add_worker(
        &mut self,
        service: Bytes,
        concurrency_max: usize,
        idempotent: bool,
        effects: &mut Vec<Effect<R>>,
    ) -> WorkerId {
        let id = WorkerId(self.next_id());
        let state = WorkerState {
            service: service.clone(),
            concurrency_max: concurrency_max.max(1),
            idempotent,
            last_used: id.0,
            has: HashSet::new(),
        };
        let entry = self.services.entry(service.clone()).or_default();
        entry.workers_count += 1;
        entry.free.insert((0, id.0, id));
        self.workers.insert(id, state);
        self.dispatch(&service, effects);
        id
    }

    /// A worker leaves; what it had is tried again or fails.
    pub(super) fn remove_worker(&mut self, id: WorkerId, effects: &mut Vec<Effect<R>>) {
        let Some(worker) = self.workers.remove(&id) else { return };
        if let Some(service) = self.services.get_mut(&worker.service) {
            service.workers_count -= 1;
            service.free.remove(&(worker.has.len(), worker.last_used, id));
        }
        let mut lost: Vec<_> = worker.has.into_iter().collect();
        lost.sort_unstable();
        for request in lost {
            self.lose(request, worker.idempotent, effects);
        }
        self.dispatch(&worker.service, effects);
        self.fail_impatient(&worker.service, effects);
        self.forget_if_unused(&worker.service);
    }

    /// A request comes.
    ///
    /// # Errors
    /// [`RequestError`]; it was not taken in.
    pub(super) fn request(
        &mut self,
        service: Bytes,
        message: LiveMessage,
        patient: bool,
        to: R,
        effects: &mut Vec<Effect<R>>,
    ) -> Result<RequestId, RequestError> {
        let size = message.size();
        let entry = self.services.get(&service);
        if !patient && entry.is_none_or(|entry| entry.workers_count == 0) {
            return Err(RequestError::NoWorker);
        }
        let full = entry.is_some_and(|entry| {
            entry.free.is_empty()
                && (entry.pending.len() >= PENDING_MAX
                    || entry.pending_bytes + size > PENDING_BYTES_MAX)
        });
        if full {
            return Err(RequestError::Busy { max: PENDING_MAX });
        }
        let id = RequestId(self.next_id());
        let state =
            RequestState { service: service.clone(), message, to, patient, attempts: 0, at: None };
        self.requests.insert(id, state);
        let entry = self.services.entry(service.clone()).or_default();
        entry.pending.insert(id);
        entry.pending_bytes += size;
        self.dispatch(&service, effects);
        Ok(id)
    }

    /// A worker answers; false when nobody waits for its answer any more.
    pub(super) fn answer(
        &mut self,
        worker: WorkerId,
        id: RequestId,
        answer: Result<LiveMessage, RequestError>,
        effects: &mut Vec<Effect<R>>,
    ) -> bool {
        let Some(service) = self.release(worker, id) else { return false };
        let state = self.requests.remove(&id);
        let awaited = state.is_some();
        effects.extend(state.map(|state| Effect::Answer { to: state.to, answer }));
        self.dispatch(&service, effects);
        awaited
    }

    /// A worker drops a request without an answer, as if it had died of it.
    pub(super) fn abandon(
        &mut self,
        worker: WorkerId,
        id: RequestId,
        effects: &mut Vec<Effect<R>>,
    ) {
        let idempotent = self.workers.get(&worker).is_some_and(|worker| worker.idempotent);
        let Some(service) = self.release(worker, id) else { return };
        self.lose(id, idempotent, effects);
        self.dispatch(&service, effects);
    }

    /// Nobody waits for the answer any more. A worker that has the request is busy with it all the
    /// same, until it answers to nobody.
    pub(super) fn cancel(&mut self, id: RequestId) {
        let Some(state) = self.requests.remove(&id) else { return };
        if state.at.is_none() {
            self.unqueue(&state.service, id, state.message.size());
            self.forget_if_unused(&state.service);
        }
    }

    /// Gives waiting requests to workers with room.
    fn dispatch(&mut self, name: &Bytes, effects: &mut Vec<Effect<R>>) {
        let Some(service) = self.services.get_mut(name) else { return };
        while !service.pending.is_empty()
            && let Some((load, last_used, id)) = service.free.pop_first()
            && let Some(request) = service.pending.pop_first()
        {
            self.id_next += 1;
            let state = self.requests.get_mut(&request).expect("what waits is known");
            service.pending_bytes -= state.message.size();
            state.at = Some(id);
            state.attempts += 1;
            let message = state.message.clone();
            effects.push(Effect::Dispatch { worker: id, request, message });
            let worker = self.workers.get_mut(&id).expect("who is free is known");
            debug_assert_eq!((worker.has.len(), worker.last_used), (load, last_used));
            worker.has.insert(request);
            worker.last_used = self.id_next;
            if worker.has.len() < worker.concurrency_max {
                service.free.insert((worker.has.len(), worker.last_used, id));
            }
        }
    }

    /// Takes a request from a worker, which has room again; gives its service.
    fn release(&mut self, id: WorkerId, request: RequestId) -> Option<Bytes> {
        let worker = self.workers.get_mut(&id)?;
        let service = self.services.get_mut(&worker.service)?;
        let load = worker.has.len();
        if !worker.has.remove(&request) {
            return None;
        }
        service.free.remove(&(load, worker.last_used, id));
        service.free.insert((load - 1, worker.last_used, id));
        Some(worker.service.clone())
    }

    /// A request's worker is gone: another one gets it, or it fails.
    fn lose(&mut self, id: RequestId, idempotent: bool, effects: &mut Vec<Effect<R>>) {
        let Some(state) = self.requests.get_mut(&id) else { return };
        if idempotent && state.attempts < ATTEMPTS_MAX {
            state.at = None;
            let service = self.services.entry(state.service.clone()).or_default();
            service.pending.insert(id);
            service.pending_bytes += state.message.size();
            effects.push(Effect::Retried);
            return;
        }
        let answer = Err(RequestError::WorkerLost { attempts: state.attempts });
        let state = self.requests.remove(&id);
        effects.extend(state.map(|state| Effect::Answer { to: state.to, answer }));
    }

    /// Without any worker, only those who said so go on waiting.
    fn fail_impatient(&mut self, name: &Bytes, effects: &mut Vec<Effect<R>>) {
        let Some(service) = self.services.get(name) else { return };
        if service.workers_count > 0 {
            return;
        }
        let is_impatient = |id: &RequestId| !self.requests[id].patient;
        let impatient: Vec<_> = service.pending.iter().copied().filter(is_impatient).collect();
        for id in impatient {
            let Some(state) = self.requests.remove(&id) else { continue };
            self.unqueue(name, id, state.message.size());
            effects.push(Effect::Answer { to: state.to, answer: Err(RequestError::NoWorker) });
        }
    }

    fn unqueue(&mut self, name: &Bytes, id: RequestId, size: usize) {
        if let Some(service) = self.services.get_mut(name)
            && service.pending.remove(&id)
        {
            service.pending_bytes -= size;
        }
    }

    fn forget_if_unused(&mut self, name: &Bytes) {
        let is_unused =
            |service: &Service| service.workers_count == 0 && service.pending.is_empty();
        if self.services.get(name).is_some_and(is_unused) {
            self.services.remove(name);
        }
    }

    fn next_id(&mut self) -> u64 {
        self.id_next += 1;
        self.id_next
    }
}

#[cfg(test)]
mod tests {
    use posthouse_types::Timestamp;
    use proptest::prelude::*;

    use super::*;

    type Effects = Vec<Effect<u32>>;

    fn message(size: usize) -> LiveMessage {
        LiveMessage::of_value(vec![0; size], Timestamp::NONE)
    }

    fn name() -> Bytes {
        Bytes::from_static(b"s")
    }

    fn dispatches(effects: &Effects) -> Vec<(WorkerId, RequestId)> {
        let dispatch = |effect: &Effect<u32>| match effect {
            Effect::Dispatch { worker, request, .. } => Some((*worker, *request)),
            Effect::Answer { .. } | Effect::Retried => None,
        };
        effects.iter().filter_map(dispatch).collect()
    }

    fn failures(effects: &Effects) -> Vec<(u32, RequestError)> {
        let failure = |effect: &Effect<u32>| match effect {
            Effect::Answer { to, answer: Err(error) } => Some((*to, error.clone())),
            Effect::Answer { .. } | Effect::Dispatch { .. } | Effect::Retried => None,
        };
        effects.iter().filter_map(failure).collect()
    }

    #[test]
    fn requests_go_to_the_least_loaded_worker() {
        let (mut machine, mut effects) = (Machine::default(), Effects::new());
        let one = machine.add_worker(name(), 3, false, &mut effects);
        let two = machine.add_worker(name(), 3, false, &mut effects);
        for to in 0..4 {
            machine.request(name(), message(1), false, to, &mut effects).unwrap();
        }
        let workers: Vec<_> = dispatches(&effects).iter().map(|(worker, _)| *worker).collect();
        assert_eq!(workers, [one, two, one, two]);
        let (worker, done) = dispatches(&effects)[3];
        assert!(machine.answer(worker, done, Ok(message(0)), &mut effects));
        effects.clear();
        machine.request(name(), message(1), false, 4, &mut effects).unwrap();
        assert_eq!(dispatches(&effects)[0].0, two, "which has one, where the other has two");
    }

    #[test]
    fn without_a_worker_a_request_fails_at_once_unless_it_is_patient() {
        let (mut machine, mut effects) = (Machine::default(), Effects::new());
        let refused = machine.request(name(), message(1), false, 0, &mut effects);
        assert_eq!(refused.unwrap_err(), RequestError::NoWorker);
        let patient = machine.request(name(), message(1), true, 1, &mut effects).unwrap();
        let worker = machine.add_worker(name(), 1, false, &mut effects);
        assert_eq!(dispatches(&effects), [(worker, patient)]);
    }

    #[test]
    fn a_request_is_tried_again_only_where_work_may_be_done_twice() {
        for idempotent in [false, true] {
            let (mut machine, mut effects) = (Machine::default(), Effects::new());
            let dying = machine.add_worker(name(), 1, idempotent, &mut effects);
            let id = machine.request(name(), message(1), false, 7, &mut effects).unwrap();
            let other = machine.add_worker(name(), 1, idempotent, &mut effects);
            effects.clear();
            machine.remove_worker(dying, &mut effects);
            if idempotent {
                assert_eq!(dispatches(&effects), [(other, id)]);
            } else {
                assert_eq!(failures(&effects), [(7, RequestError::WorkerLost { attempts: 1 })]);
            }
        }
    }

    #[test]
    fn a_request_that_kills_its_workers_is_given_up() {
        let (mut machine, mut effects) = (Machine::default(), Effects::new());
        let mut worker = machine.add_worker(name(), 1, true, &mut effects);
        machine.request(name(), message(1), false, 7, &mut effects).unwrap();
        for _ in 0..ATTEMPTS_MAX {
            let next = machine.add_worker(name(), 1, true, &mut effects);
            machine.remove_worker(worker, &mut effects);
            worker = next;
        }
        let lost = RequestError::WorkerLost { attempts: ATTEMPTS_MAX };
        assert_eq!(failures(&effects), [(7, lost)]);
    }

    #[test]
    fn waiting_requests_are_bounded() {
        let (mut machine, mut effects) = (Machine::default(), Effects::new());
        machine.add_worker(name(), 1, true, &mut effects);
        for to in 0..=u32::try_from(PENDING_MAX).unwrap() {
            machine.request(name(), message(1), false, to, &mut effects).unwrap();
        }
        let refused = machine.request(name(), message(1), false, 0, &mut effects);
        assert_eq!(refused.unwrap_err(), RequestError::Busy { max: PENDING_MAX });
    }

    proptest! {
        #[test]
        fn every_request_is_answered_once_or_cancelled(
            steps in prop::collection::vec((0..6u8, any::<prop::sample::Index>(), any::<bool>()), 1..120),
        ) {
            let (mut machine, mut effects) = (Machine::<u32>::default(), Effects::new());
            let (mut workers, mut open, mut held) = (Vec::new(), Vec::new(), Vec::new());
            let (mut answered, mut sent) = (Vec::new(), 0u32);
            for (action, which, flag) in steps {
                match action {
                    0 => workers.push(machine.add_worker(name(), 2, flag, &mut effects)),
                    1 if !workers.is_empty() => {
                        let gone = workers.swap_remove(which.index(workers.len()));
                        machine.remove_worker(gone, &mut effects);
                        held.retain(|(worker, _)| *worker != gone);
                    }
                    2 if !held.is_empty() => {
                        let (worker, id) = held.swap_remove(which.index(held.len()));
                        machine.answer(worker, id, Ok(message(0)), &mut effects);
                    }
                    3 if !held.is_empty() => {
                        let (worker, id) = held.swap_remove(which.index(held.len()));
                        machine.abandon(worker, id, &mut effects);
                    }
                    4 if !open.is_empty() => {
                        let (id, to) = open.swap_remove(which.index(open.len()));
                        machine.cancel(id);
                        // As if its answer had come: it must not come any more.
                        answered.push(to);
                    }
                    _ => {
                        if let Ok(id) = machine.request(name(), message(1), flag, sent, &mut effects) {
                            open.push((id, sent));
                        } else {
                            answered.push(sent);
                        }
                        sent += 1;
                    }
                }
                for effect in effects.drain(..) {
                    match effect {
                        Effect::Dispatch { worker, request, .. } => held.push((worker, request)),
                        Effect::Answer { to, .. } => {
                            answered.push(to);
                            open.retain(|(_, waiting)| *waiting != to);
                        }
                        Effect::Retried => {}
                    }
                }
                for worker in &workers {
                    let has = held.iter().filter(|(holder, _)| holder == worker).count();
                    prop_assert!(has <= 2);
                    prop_assert_eq!(machine.workers[worker].has.len(), has);
                }
            }
            for (id, to) in open {
                machine.cancel(id);
                answered.push(to);
            }
            answered.sort_unstable();
            prop_assert_eq!(answered, (0..sent).collect::<Vec<_>>());
            workers.into_iter().for_each(|worker| machine.remove_worker(worker, &mut effects));
            prop_assert!(effects.is_empty() && machine.services.is_empty());
            prop_assert!(machine.requests.is_empty());
        }
    }
}
