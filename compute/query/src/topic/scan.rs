//! The scan of a topic as a node of a query plan.
//!
//! Owns what EXPLAIN shows, the statistics, and the metrics. The reading is in [`super::read`].

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics, stats::Precision};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use posthouse_log::Log;
use posthouse_types::{ByteSize, Offset, PartitionIndex};

use super::pushdown::Predicate;
use super::read::{ReadMetrics, Reader};
use super::table::Permission;
use crate::decode::DecodePlan;

/// A run of offsets of one partition, fixed when the query began.
#[derive(Clone)]
pub(crate) struct Slice {
    pub(crate) partition: PartitionIndex,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) from: Offset,
    pub(crate) until: Offset,
}

/// What every part of a scan shares.
#[derive(Debug)]
pub(crate) struct ScanPlan {
    pub(super) permission: Permission,
    pub(crate) decode: Arc<DecodePlan>,
    pub(crate) predicate: Option<Predicate>,
    pub(crate) read_bytes: ByteSize,
    pub(crate) expanded_batch_bytes_max: ByteSize,
}

/// Reads a topic. Each of its parts reads some slices, one after the other.
pub(crate) struct TopicScanExec {
    plan: Arc<ScanPlan>,
    parts: Vec<Vec<Slice>>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl TopicScanExec {
    /// A scan in as many parts as `parts` has, at least one.
    pub(crate) fn new(
        plan: Arc<ScanPlan>,
        mut parts: Vec<Vec<Slice>>,
        limit: Option<usize>,
    ) -> TopicScanExec {
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&plan.decode.schema)),
            Partitioning::UnknownPartitioning(parts.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        TopicScanExec {
            plan,
            parts,
            limit,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn rows_max(&self, parts: &[Vec<Slice>]) -> usize {
        let offsets: u64 = parts.iter().flatten().map(|slice| slice.until.since(slice.from)).sum();
        let rows = usize::try_from(offsets).unwrap_or(usize::MAX);
        self.limit.map_or(rows, |limit| rows.min(limit.saturating_mul(parts.len())))
    }
}

impl ExecutionPlan for TopicScanExec {
    fn name(&self) -> &str {
        "TopicScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(slices) = self.parts.get(partition) else {
            return Err(DataFusionError::Internal(format!("a topic scan has no part {partition}")));
        };
        let memory = MemoryConsumer::new(format!("scan of {}", self.plan.decode.topic))
            .register(context.memory_pool());
        let reader = Reader::new(
            Arc::clone(&self.plan),
            slices.clone(),
            self.limit,
            context.session_config().batch_size(),
            memory,
            ReadMetrics::new(&self.metrics, partition),
        );
        let schema = Arc::clone(&self.plan.decode.schema);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, reader.batches())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _input: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let parts = match args.partition() {
            Some(part) => self.parts.get(part..=part).unwrap_or_default(),
            None => &self.parts,
        };
        // Offsets bound the rows from above: compaction leaves gaps and predicates drop rows.
        let statistics = Statistics::new_unknown(&self.plan.decode.schema)
            .with_num_rows(Precision::Inexact(self.rows_max(parts)));
        Ok(Arc::new(statistics))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        let plan = Arc::clone(&self.plan);
        Some(Arc::new(TopicScanExec::new(plan, self.parts.clone(), limit)))
    }
}

impl DisplayAs for TopicScanExec {
    fn fmt_as(&self, format: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> =
            self.plan.decode.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let columns = columns.join(", ");
        if matches!(format, DisplayFormatType::TreeRender) {
            return write!(formatter, "topic={}\ncolumns={columns}", self.plan.decode.topic);
        }
        write!(formatter, "TopicScanExec: topic={}, parts=[", self.plan.decode.topic)?;
        for (index, slices) in self.parts.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let slices: Vec<String> = slices.iter().map(ToString::to_string).collect();
            write!(formatter, "{comma}[{}]", slices.join(", "))?;
        }
        write!(formatter, "], columns=[{columns}]")?;
        if let Some(predicate) = &self.plan.predicate {
            write!(formatter, ", predicate={predicate}")?;
        }
        if let Some(limit) = self.limit {
            write!(formatter, ", limit={limit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicScanExec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, formatter)
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}..{}", self.partition, self.from, self.until)
    }
}
