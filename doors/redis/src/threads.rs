//! Work that keeps a thread for long, on a runtime whose threads serve everybody.
//!
//! The runtime may have one thread or many; with [`RuntimeFlavor::CurrentThread`], as in tests, there
//! is nothing to hand over to, and the work is simply done.

use std::thread;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Does work that may take long; the thread's other tasks go to another thread meanwhile.
pub(crate) fn apart<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

/// For work that is under way and turns out to take long: leaves the thread's other tasks to another
/// thread, and goes on here.
///
/// Handing over from the start would cost some 15 µs each time, of the order of a short script. The
/// pause gives the other thread the time to take over; should it not have come, the tasks are back
/// here, so this is to be called again.
pub(crate) fn make_way() {
    const PAUSE: Duration = Duration::from_millis(1);
    if let Ok(RuntimeFlavor::MultiThread) = Handle::try_current().map(|it| it.runtime_flavor()) {
        block_in_place(|| thread::sleep(PAUSE));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A node with one thread, whose only task makes way and then waits for another task.
    fn another_task_is_run_after(hand_over: fn()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        let runtime = runtime.unwrap();
        let task = runtime.spawn(async move {
            let (sender, receiver) = mpsc::channel();
            tokio::spawn(async move { sender.send(()) });
            let heard = || receiver.recv_timeout(Duration::from_millis(100)).is_ok();
            (0..300).any(|_| {
                hand_over();
                heard()
            })
        });
        assert!(runtime.block_on(task).unwrap());
    }

    #[test]
    fn work_that_made_way_keeps_no_thread() {
        another_task_is_run_after(make_way);
    }

    #[test]
    fn work_is_done_on_any_runtime_and_on_none() {
        assert_eq!(apart(|| 1), 1);
        make_way();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { apart(|| 2) }), 2);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        assert_eq!(runtime.unwrap().block_on(async { apart(|| apart(|| 3)) }), 3);
    }
}
