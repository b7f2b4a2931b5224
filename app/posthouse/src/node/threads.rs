//! The threads that serve clients.

use std::io;

use posthouse_query::STACK_BYTES;
use tokio::runtime::{Builder, Handle, Runtime};

/// How many tasks a thread runs before it looks for what has come over the network.
///
/// A publisher's next request waits behind the tasks of those who receive its last. Looked for often, it
/// is queued for them before they have all run, and each writes several messages at once: with a hundred
/// of them the default of 61 delivers a third to a half as many messages, for three times the
/// processor's time where the publisher waits for each answer.
const TASKS_BETWEEN_EVENTS: u32 = 4;

/// Threads for the node as a whole, one a core.
///
/// # Errors
/// The system's, when it gives no more threads.
pub(crate) fn of_node() -> io::Result<Runtime> {
    builder("posthouse").build()
}

/// Threads of one door alone.
pub(super) struct DoorThreads(Option<Runtime>);

impl DoorThreads {
    /// Starts so many.
    pub(super) fn start(door: &'static str, count: usize) -> io::Result<DoorThreads> {
        Ok(DoorThreads(Some(builder(door).worker_threads(count).build()?)))
    }

    /// Where the door's tasks go.
    pub(super) fn handle(&self) -> &Handle {
        self.0.as_ref().expect("only dropping takes it").handle()
    }
}

impl Drop for DoorThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // The door has ended; nobody waits for what it may have left.
            runtime.shutdown_background();
        }
    }
}

fn builder(name: &'static str) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.thread_name(name).event_interval(TASKS_BETWEEN_EVENTS).enable_all();
    // What a door holds of a statement is dropped on its thread.
    builder.thread_stack_size(STACK_BYTES);
    builder
}
