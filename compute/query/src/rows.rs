//! Rows on their way from the query threads to whoever asked.
//!
//! Owns the crossing: a bounded channel, the wait for a turn, the statement timeout, and the end of
//! the query when its stream is dropped.
//!
//! # Invariants
//! - Nothing runs before the stream is first polled, so results that nobody reads cost nothing and
//!   a script cannot wait for turns that its own unread results hold.
//! - At most `batches_ahead_max` batches wait in the channel.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::QueryError;
use crate::engine::{AbortOnDrop, Shared};
use crate::metrics;

type Crossed = Result<RecordBatch, DataFusionError>;

/// The rows of `plan`, made on the query threads as they are read.
pub(crate) fn rows(
    shared: Arc<Shared>,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    timeout: Option<Duration>,
) -> SendableRecordBatchStream {
    let schema = plan.schema();
    let started = stream::once(async move { start(&shared, plan, context, timeout) }).flatten();
    Box::pin(RecordBatchStreamAdapter::new(schema, started))
}

/// Waits for a turn within `timeout`, then runs `work` within what is left of it.
pub(crate) async fn in_turn<T>(
    shared: &Shared,
    timeout: Option<Duration>,
    work: impl Future<Output = Result<T, DataFusionError>>,
) -> Result<T, DataFusionError> {
    let turn_then_work = async {
        let _turn = shared.turns.acquire().await.map_err(|_| QueryError::cancelled())?;
        work.await
    };
    let began = Instant::now();
    let ended = match timeout {
        None => turn_then_work.await,
        Some(timeout) => timeout_at(began + timeout, turn_then_work)
            .await
            .unwrap_or_else(|_| Err(QueryError::timed_out().into())),
    };
    let outcome = if ended.is_ok() { "ok" } else { "error" };
    metrics::statement_ended(outcome, began.elapsed());
    ended
}

fn start(
    shared: &Arc<Shared>,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    timeout: Option<Duration>,
) -> impl Stream<Item = Crossed> + use<> {
    let (sender, receiver) = mpsc::channel(shared.config.batches_ahead_max);
    let producing = {
        let shared = Arc::clone(shared);
        shared.handle.clone().spawn(async move {
            let produced = in_turn(&shared, timeout, send_all(plan, context, &sender)).await;
            if let Err(error) = produced {
                // A reader that has gone does not want the error either.
                let _ = sender.send(Err(error)).await;
            }
        })
    };
    stream::unfold((receiver, Some(AbortOnDrop(producing))), receive)
}

async fn send_all(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    sender: &mpsc::Sender<Crossed>,
) -> Result<(), DataFusionError> {
    let mut made = execute_stream(plan, context)?;
    while let Some(batch) = made.next().await {
        if sender.send(Ok(batch?)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

type Receiving = (mpsc::Receiver<Crossed>, Option<AbortOnDrop<()>>);

async fn receive((mut receiver, mut producing): Receiving) -> Option<(Crossed, Receiving)> {
    if let Some(batch) = receiver.recv().await {
        return Some((batch, (receiver, producing)));
    }
    // The channel closes early only when the producer was torn down, and a result that is cut short
    // must not look complete.
    let mut task = producing.take()?;
    match (&mut task.0).await {
        Ok(()) => None,
        Err(join) if join.is_cancelled() => {
            Some((Err(QueryError::cancelled().into()), (receiver, None)))
        }
        Err(_) => {
            let error = QueryError::internal("a query thread panicked; the log says where");
            Some((Err(error.into()), (receiver, None)))
        }
    }
}
