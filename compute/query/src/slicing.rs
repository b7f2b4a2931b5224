//! Large constants beside few rows at a time.
//!
//! A constant of an expression may become a value of every row of a batch: a text of a megabyte
//! beside 8192 rows takes eight gigabytes. Fewer rows at a time take no longer.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::{TryStreamExt, stream};

/// Bytes from which a constant is large. Those of long lists of conditions are not, and are not
/// multiplied either.
const LARGE_BYTES: usize = 128;

/// What the large constants of an operator may come to in one batch, if a row is not larger.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Has operators with large constants work on few rows at a time.
#[derive(Debug, Default)]
pub(crate) struct SliceBelowLargeConstants;

impl PhysicalOptimizerRule for SliceBelowLargeConstants {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let sliced = plan.transform_up(|plan| {
            let rows = BATCH_BYTES / constant_bytes(&plan)?.max(1);
            if rows >= config.execution.batch_size.into() || plan.children().is_empty() {
                return Ok(Transformed::no(plan));
            }
            let slice = |child: &Arc<dyn ExecutionPlan>| -> Arc<dyn ExecutionPlan> {
                Arc::new(SliceExec { input: Arc::clone(child), rows: rows.max(1) })
            };
            let children = plan.children().into_iter().map(slice).collect();
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
            plan.replace_children(children, options).map(Transformed::yes)
        });
        sliced.map(|transformed| transformed.data)
    }

    fn name(&self) -> &'static str {
        "slice_below_large_constants"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What the large constants of an operator's own expressions come to, for one row.
fn constant_bytes(plan: &Arc<dyn ExecutionPlan>) -> Result<usize> {
    let mut bytes = 0usize;
    plan.apply_expressions(&mut |expression: &Arc<dyn PhysicalExpr>| {
        expression.apply(|inner| {
            if let Some(literal) = inner.downcast_ref::<Literal>() {
                let size = literal.value().size();
                bytes += if size < LARGE_BYTES { 0 } else { size };
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(bytes)
}

/// Hands on its input in batches of at most `rows` rows, which share the memory of what they were.
#[derive(Debug)]
struct SliceExec {
    input: Arc<dyn ExecutionPlan>,
    rows: usize,
}

impl ExecutionPlan for SliceExec {
    fn name(&self) -> &'static str {
        "SliceExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(SliceExec { input: children.swap_remove(0), rows: self.rows }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.rows;
        let slices = self.input.execute(partition, context)?.map_ok(move |batch| {
            let starts = (0..batch.num_rows()).step_by(rows);
            stream::iter(
                starts.map(move |start| Ok(batch.slice(start, rows.min(batch.num_rows() - start)))),
            )
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), slices.try_flatten())))
    }
}

impl DisplayAs for SliceExec {
    fn fmt_as(
        &self,
        _format: DisplayFormatType,
        formatter: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        write!(formatter, "SliceExec: rows={}", self.rows)
    }
}
