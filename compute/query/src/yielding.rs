//! Makes operators that multiply rows give way to others, and so to cancellation.
//!
//! DataFusion's operators yield where they read their input. A join or an unnest may give many
//! batches for one it read, and would run on long after the query was cancelled, on a thread that
//! other queries wait for.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec,
};
use datafusion::physical_plan::unnest::UnnestExec;

/// Puts a yield above every operator that may give more rows than it reads.
#[derive(Debug, Default)]
pub(crate) struct YieldAboveMultipliers;

impl PhysicalOptimizerRule for YieldAboveMultipliers {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let yielding = plan.transform_up(|plan| {
            Ok(if multiplies(&plan) {
                Transformed::yes(Arc::new(CooperativeExec::new(plan)))
            } else {
                Transformed::no(plan)
            })
        });
        yielding.map(|transformed| transformed.data)
    }

    fn name(&self) -> &'static str {
        "yield_above_multipliers"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn multiplies(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<CrossJoinExec>()
        || plan.is::<NestedLoopJoinExec>()
        || plan.is::<HashJoinExec>()
        || plan.is::<SortMergeJoinExec>()
        || plan.is::<UnnestExec>()
}
