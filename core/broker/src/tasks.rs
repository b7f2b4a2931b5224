//! The node's own work: on the runtime that the broker was opened on, whoever's call begins it. A door
//! may have threads of its own, which are neither to be kept busy with it nor to take it along when
//! they end.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// Tasks that are waited for when the broker ends.
#[derive(Clone)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    runtime: Handle,
}

impl Tasks {
    /// On the runtime of whoever asks.
    pub(crate) fn here() -> Tasks {
        Tasks { tracker: TaskTracker::new(), runtime: Handle::current() }
    }

    /// Begins one.
    pub(crate) fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tracker.spawn_on(work, &self.runtime)
    }

    /// Returns when all have ended.
    pub(crate) async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn work_outlives_the_threads_from_which_it_was_begun() {
        let node = Builder::new_current_thread().build().unwrap();
        let door = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let tasks = node.block_on(async { Tasks::here() });
        let (go_on, told) = oneshot::channel();
        let entered = door.enter();
        let work = tasks.spawn(async move { told.await.is_ok() });
        drop(entered);
        drop(door);
        go_on.send(()).unwrap();
        assert!(node.block_on(work).unwrap());
        node.block_on(tasks.ended());
    }
}
