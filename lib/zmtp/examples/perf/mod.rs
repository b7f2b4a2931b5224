//! What the four measuring programs share: their arguments, which are libzmq's, and a runtime.

use std::error::Error;
use std::future::Future;

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// The arguments, or how they should have been.
pub(crate) fn arguments<const N: usize>(usage: &str) -> Result<[String; N], Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| format!("usage: {usage}").into())
}

/// One thread: a connection and the program that uses it take turns instead of waking each other.
pub(crate) fn block_on(work: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
