//! Why endpoints do not start or cannot work, and what peers are told of the node's errors.

use posthouse_broker::{
    AppendFailure, Denied, EndpointRefused, LookupError, PairError, PublishError, QueueError,
    RequestError, SubscribeError, SubscriberEnded,
};
use posthouse_log::AppendError;
pub(crate) use posthouse_types::chain;
use posthouse_zmtp::{
    BindError, ConnectError, Message, OptionsError, RecvError, SendError,
    SubscribeError as SocketSubscribeError,
};

/// The first of the three frames of an answer that is an error; its code and its text follow.
pub(crate) const ERROR_FRAME: &str = "posthouse-error";

/// Why an endpoint of the configuration keeps the node from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartEndpointError {
    /// Its declaration is wrong.
    #[error("endpoint {name} is refused")]
    Refused {
        /// Its name.
        name: String,
        /// What is wrong.
        #[source]
        source: EndpointRefused,
    },
    /// Its sockets cannot be opened.
    #[error("endpoint {name} cannot be opened")]
    Open {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: OpenSocketError,
    },
}

/// Why a socket was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenSocketError {
    /// Its options contradict each other.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// It cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// It cannot connect.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It cannot subscribe.
    #[error(transparent)]
    Subscribe(#[from] SocketSubscribeError),
    /// It cannot say what it subscribes to.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Why an endpoint's work cannot go on now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    #[error(transparent)]
    Append(#[from] AppendFailure),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    #[error(transparent)]
    Subscriber(#[from] SubscriberEnded),
    #[error(transparent)]
    Pair(#[from] PairError),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Receive(#[from] RecvError),
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Whether trying the same append again may help, or this message will never be taken.
pub(crate) fn is_refusal(failure: &AppendFailure) -> bool {
    matches!(
        failure,
        AppendFailure::Batch(_)
            | AppendFailure::Internal(_)
            | AppendFailure::Append(
                AppendError::Batch(_) | AppendError::TooLarge { .. } | AppendError::KeyMissing
            )
    )
}

/// An answer that is an error: `posthouse-error`, a code for programs, a text for people.
pub(crate) fn answer(code: &'static str, text: String) -> Message {
    let mut message = Message::single(ERROR_FRAME);
    message.push(code);
    message.push(text);
    message
}

/// The answer to a request that a service did not answer.
pub(crate) fn of_request(error: &RequestError) -> Message {
    let code = match error {
        RequestError::NoWorker => "no_worker",
        RequestError::Busy { .. } => "busy",
        RequestError::Deadline { .. } => "deadline",
        RequestError::WorkerLost { .. } => "worker_lost",
        RequestError::Failed { .. } => "worker_failed",
        RequestError::Denied(_) => "denied",
    };
    answer(code, chain(error))
}

/// The answer to a request that was to be kept or published.
pub(crate) fn of_publish(error: &PublishError) -> Message {
    let code = match error {
        PublishError::Denied(_) => "denied",
        PublishError::Append(failure) => match failure {
            AppendFailure::Lookup(LookupError::UnknownTopic(_)) => "unknown_topic",
            AppendFailure::Lookup(LookupError::Denied(_)) => "denied",
            AppendFailure::Append(AppendError::TooLarge { .. }) => "record_too_large",
            AppendFailure::Append(AppendError::KeyMissing) => "key_missing",
            AppendFailure::Internal(_) => "internal_topic",
            AppendFailure::Batch(_) => "invalid_record",
            AppendFailure::Lookup(_)
            | AppendFailure::Create { .. }
            | AppendFailure::Append(_)
            | AppendFailure::Durability(_) => "storage",
        },
    };
    answer(code, chain(error))
}

/// What a worker's answer says if it is an error.
pub(crate) fn of_worker(answer: &Message) -> Option<(&[u8], String)> {
    match answer.frames() {
        [first, code, text] if first == ERROR_FRAME => {
            Some((code, String::from_utf8_lossy(text).into_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_failure_has_its_code() {
        let check = |error: RequestError, code: &str| {
            let answer = of_request(&error);
            assert_eq!(answer.frames()[..2], [ERROR_FRAME.as_bytes(), code.as_bytes()]);
        };
        check(RequestError::NoWorker, "no_worker");
        check(RequestError::Busy { max: 1 }, "busy");
        check(RequestError::Deadline { after: Duration::from_secs(1) }, "deadline");
        check(RequestError::WorkerLost { attempts: 1 }, "worker_lost");
        check(RequestError::Failed { reason: "no".to_owned() }, "worker_failed");
    }

    #[test]
    fn a_worker_says_that_it_failed_as_the_node_does() {
        let failed = answer("worker_failed", "out of paper".to_owned());
        assert_eq!(of_worker(&failed), Some((&b"worker_failed"[..], "out of paper".to_owned())));
        assert_eq!(of_worker(&Message::from(["posthouse-error", "two frames"])), None);
    }
}
