//! A client that waits is asked again, from time to time, whether it still may: what it waits for may
//! come long after its permissions have changed.

use std::future::Future;
use std::pin::Pin;
use std::task;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep};

use super::{Context, check};
use crate::codec::Reply;
use crate::server::Server;
use crate::table::{Call, Entry, Flags};

/// How long a change may take to reach one who waits.
const INTERVAL: Duration = Duration::from_secs(1);

/// A command that may wait.
pub(crate) struct Recheck {
    entry: Entry,
    arguments: Vec<Bytes>,
    due: Pin<Box<Sleep>>,
}

impl Recheck {
    /// Of a command that is about to begin; `None` where nobody is asked, or it never waits.
    pub(crate) fn of(
        server: &Server,
        entry: Option<Entry>,
        arguments: &[Bytes],
    ) -> Option<Recheck> {
        let entry = entry.filter(|entry| entry.spec.flags.has(Flags::BLOCKING))?;
        server.guarded.then(|| Recheck {
            entry,
            arguments: arguments.to_vec(),
            due: Box::pin(sleep(INTERVAL)),
        })
    }

    /// What the client is told when it may not wait any more.
    pub(crate) fn poll(
        &mut self,
        call: &mut Call<'_>,
        cx: &mut task::Context<'_>,
    ) -> Option<Reply> {
        while self.due.as_mut().poll(cx).is_ready() {
            let checked = check(call, self.entry, &self.arguments, Context::TopLevel);
            call.let_go();
            if let Err(refusal) = checked {
                return Some(refusal.at_once(self.entry.spec, &self.arguments).into());
            }
            self.due.as_mut().reset(Instant::now() + INTERVAL);
        }
        None
    }
}
