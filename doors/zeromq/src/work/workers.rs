//! REQ, DEALER and ROUTER: peers are workers of a service, or of a queue.
//!
//! Behind a REQ or DEALER socket a worker (REP, or what behaves like one) is there when it has
//! connected, and a number in the envelope, which it sends back, says what its answer is to. Behind a
//! ROUTER a worker (REQ, DEALER) says that it is ready by its first message, and each later one is the
//! answer to the job that it has.
//!
//! # Invariants
//! - Each worker has a task of its own, which alone knows its jobs.
//! - When a worker's connection is gone, its jobs are: given to another worker, or failed.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use posthouse_zmtp::{Message, RecvError, SendError, Socket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::job::{Job, Source};
use super::lease;
use crate::context::{Context, rethrow};
use crate::errors::WorkError;
use crate::metrics::Dropped;
use crate::spec::{Jobs, Working};

/// LIMIT: messages of one worker that its task has not looked at; more are no answers.
const UNREAD_MAX: usize = 16;
/// How long jobs under way are waited for when the endpoint ends.
const FINISH: Duration = Duration::from_secs(5);

pub(super) async fn run(
    context: &Context,
    socket: &Socket,
    working: &Working,
) -> Result<(), WorkError> {
    let owner = match &working.jobs {
        Jobs::Queue(queue) => lease::enter(context, queue).await?,
        Jobs::Service { .. } => Bytes::new(),
    };
    context.progress.running();
    let (context, socket) = (context.clone(), socket.clone());
    let mut office =
        Office { context, socket, working, owner, peers: HashMap::new(), tasks: JoinSet::new() };
    let worked = office.run().await;
    if worked.is_ok() {
        // Nobody takes a new job any more, and some answers may still come.
        let _ = tokio::time::timeout(FINISH, office.finish()).await;
    }
    office.peers.clear();
    while let Some(ended) = office.tasks.join_next().await {
        rethrow(ended);
    }
    worked
}

/// Everyone who works here.
struct Office<'a> {
    context: Context,
    socket: Socket,
    working: &'a Working,
    owner: Bytes,
    peers: HashMap<Bytes, Peer>,
    tasks: JoinSet<()>,
}

enum Peer {
    /// It has connected, and has not said that it is ready.
    Waiting,
    /// Its answers go to its task.
    Working(mpsc::Sender<Message>),
}

impl Office<'_> {
    async fn run(&mut self) -> Result<(), WorkError> {
        loop {
            let message = tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    rethrow(ended);
                    continue;
                }
                message = self.context.receive(&self.socket) => message?,
            };
            match message {
                Some(message) => self.take(message)?,
                None => return Ok(()),
            }
        }
    }

    /// Passes answers on until no worker has a job.
    async fn finish(&mut self) -> Result<(), WorkError> {
        while !self.tasks.is_empty() {
            tokio::select! {
                Some(ended) = self.tasks.join_next() => rethrow(ended),
                message = self.socket.recv() => match message {
                    Ok(message) => self.take(message)?,
                    Err(RecvError::Refused(_)) => self.context.pause().await,
                    Err(error) => return Err(error.into()),
                },
            }
        }
        Ok(())
    }

    fn take(&mut self, mut message: Message) -> Result<(), WorkError> {
        let Some(address) = message.pop_front() else { return Ok(()) };
        if message.is_empty() {
            return match self.peers.remove(&address) {
                // Its task ends with the sender.
                Some(_) => Ok(()),
                None if self.working.asks => {
                    self.peers.insert(address, Peer::Waiting);
                    Ok(())
                }
                None => self.begin(address, Form::Numbered),
            };
        }
        self.context.progress.received(1);
        match self.peers.get(&address) {
            Some(Peer::Waiting) => {
                let delimited = message.frame_count() > 1 && message.frames()[0].is_empty();
                let form = if delimited { Form::Delimited } else { Form::Bare };
                self.begin(address, form)
            }
            Some(Peer::Working(answers)) => {
                if answers.try_send(message).is_err() {
                    self.context.progress.dropped(Dropped::Malformed, 1);
                }
                Ok(())
            }
            None => {
                self.context.progress.dropped(Dropped::Malformed, 1);
                Ok(())
            }
        }
    }

    fn begin(&mut self, address: Bytes, form: Form) -> Result<(), WorkError> {
        if self.context.until.is_cancelled() {
            return Ok(());
        }
        let source = Source::open(&self.context, self.working, &self.owner)?;
        let (sender, answers) = mpsc::channel(UNREAD_MAX);
        self.peers.insert(address.clone(), Peer::Working(sender));
        let (context, socket) = (self.context.clone(), self.socket.clone());
        let concurrency = self.working.concurrency;
        let desk = Desk {
            context,
            socket,
            address,
            form,
            source,
            answers,
            concurrency,
            jobs: HashMap::new(),
            number_next: 0,
            settling: JoinSet::new(),
        };
        self.tasks.spawn(desk.run());
        Ok(())
    }
}

/// How a worker tells what its answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// By a number in the envelope.
    Numbered,
    /// It has one job, behind an empty frame.
    Delimited,
    /// It has one job, and sends no empty frame.
    Bare,
}

impl Form {
    fn wrap(self, number: u64, mut job: Message) -> Message {
        if self != Form::Bare {
            job.push_front(Bytes::new());
        }
        if self == Form::Numbered {
            job.push_front(Bytes::copy_from_slice(&number.to_be_bytes()));
        }
        job
    }

    /// The number of the job and the answer to it; a worker with one job has the job `only`.
    fn unwrap(self, only: Option<u64>, mut answer: Message) -> Option<(u64, Message)> {
        let number = match self {
            Form::Numbered => {
                let number = answer.pop_front()?;
                Some(u64::from_be_bytes(number.as_ref().try_into().ok()?))
            }
            Form::Delimited | Form::Bare => only,
        }?;
        if self != Form::Bare {
            answer.pop_front().filter(Bytes::is_empty)?;
        }
        (!answer.is_empty()).then_some((number, answer))
    }
}

/// One worker.
struct Desk {
    context: Context,
    socket: Socket,
    address: Bytes,
    form: Form,
    source: Source,
    answers: mpsc::Receiver<Message>,
    concurrency: usize,
    /// Those that it has, by number.
    jobs: HashMap<u64, Job>,
    number_next: u64,
    settling: JoinSet<()>,
}

impl Desk {
    async fn run(mut self) {
        let until = self.context.until.clone();
        loop {
            let is_ending = until.is_cancelled();
            if is_ending && self.jobs.is_empty() {
                break;
            }
            let has_room = self.jobs.len() < self.concurrency && !is_ending;
            let next = tokio::select! {
                biased;
                answer = self.answers.recv() => match answer {
                    Some(answer) => {
                        self.answered(answer);
                        continue;
                    }
                    None => break,
                },
                () = until.cancelled(), if !is_ending => continue,
                Some(ended) = self.settling.join_next(), if !self.settling.is_empty() => {
                    rethrow(ended);
                    continue;
                }
                next = self.source.next(&self.context), if has_room => next,
            };
            match next {
                Ok(Some(job)) => {
                    if !self.begin(job).await {
                        break;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    self.context.failing(&error);
                    self.context.pause().await;
                }
            }
        }
        for job in std::mem::take(&mut self.jobs).into_values() {
            job.lost(&self.context).await;
        }
        while let Some(ended) = self.settling.join_next().await {
            rethrow(ended);
        }
    }

    /// Gives a job to the worker; false when it is gone.
    async fn begin(&mut self, job: Job) -> bool {
        let number = self.number_next;
        self.number_next += 1;
        let mut message = self.form.wrap(number, job.message());
        message.push_front(self.address.clone());
        self.jobs.insert(number, job);
        match self.socket.send(message).await {
            Ok(()) => {
                self.context.progress.sent(1);
                self.context.progress.running();
                true
            }
            Err(SendError::Unroutable(_) | SendError::Closed) => false,
            Err(error) => {
                self.context.failing(&error);
                false
            }
        }
    }

    fn answered(&mut self, answer: Message) {
        let only = self.jobs.keys().next().copied();
        let found = self.form.unwrap(only, answer).and_then(|(number, answer)| {
            let job = self.jobs.remove(&number)?;
            Some((job, answer))
        });
        match found {
            Some((job, answer)) => job.answered(&self.context, answer, &mut self.settling),
            None => self.context.progress.dropped(Dropped::Malformed, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_a_worker_sends_back_is_unwrapped(
            number in any::<u64>(),
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 1..5),
        ) {
            let job: Message = frames.into_iter().map(Bytes::from).collect();
            for form in [Form::Numbered, Form::Delimited, Form::Bare] {
                let echoed = form.wrap(number, job.clone());
                prop_assert_eq!(form.unwrap(Some(number), echoed), Some((number, job.clone())));
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let number = Bytes::copy_from_slice(&7_u64.to_be_bytes());
        let message = |frames: &[&Bytes]| frames.iter().copied().cloned().collect::<Message>();
        let (empty, text) = (Bytes::new(), Bytes::from("text"));
        assert_eq!(Form::Numbered.unwrap(None, message(&[&text, &empty, &text])), None);
        assert_eq!(Form::Numbered.unwrap(None, message(&[&number, &text])), None);
        assert_eq!(Form::Numbered.unwrap(None, message(&[&number, &empty])), None);
        assert_eq!(Form::Delimited.unwrap(Some(7), message(&[&text])), None);
        assert_eq!(Form::Bare.unwrap(None, message(&[&text])), None, "it has no job");
    }
}
