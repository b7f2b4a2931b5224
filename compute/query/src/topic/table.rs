//! A topic as DataFusion sees it.
//!
//! Owns the way from a query's columns, predicates and limit to the slices that are read.
//!
//! # Invariants
//! - A partition is read up to its last stable offset at the moment the query was planned; every
//!   scan of the topic within one query sees the same ends.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, Statistics, stats::Precision};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;
use posthouse_broker::{Broker, LookupError, Operation, Resource, Topic, TopicRef};
use posthouse_log::{Log, LogEnds};
use posthouse_types::{ByteSize, Offset, PartitionIndex, Principal};

use super::insert::TopicSink;
use super::pushdown::Predicate;
use super::read::earliest;
use super::scan::{ScanPlan, Slice, TopicScanExec};
use crate::QueryError;
use crate::columns::TopicColumns;
use crate::decode::DecodePlan;
use crate::error::sqlstate;

/// Fewer offsets than this are not worth another part.
const OFFSETS_PER_PART_MIN: u64 = 8192;

/// A limit up to this is read in order in one part: more parts would read rows to throw away.
const LIMIT_IN_ONE_PART_MAX: usize = 10_000;

/// A topic, for one principal.
pub(crate) struct TopicTable {
    broker: Arc<Broker>,
    principal: Principal,
    topic: Arc<Topic>,
    columns: Arc<TopicColumns>,
    limits: ReadLimits,
    pinned: Mutex<Pinned>,
}

/// How much a scan holds at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadLimits {
    pub(crate) read_bytes: ByteSize,
    pub(crate) expanded_batch_bytes_max: ByteSize,
}

/// The ends of partitions as one query sees them.
#[derive(Default)]
struct Pinned {
    /// When that query began, in microseconds since 1970.
    query: Option<i64>,
    ends: HashMap<PartitionIndex, (Arc<dyn Log>, LogEnds)>,
}

impl TopicTable {
    /// The table of `topic`.
    ///
    /// # Errors
    /// As [`TopicColumns::of`].
    pub(crate) fn new(
        broker: Arc<Broker>,
        principal: Principal,
        topic: Arc<Topic>,
        limits: ReadLimits,
    ) -> Result<TopicTable, QueryError> {
        let columns = Arc::new(TopicColumns::of(&topic)?);
        let pinned = Mutex::default();
        Ok(TopicTable { broker, principal, topic, columns, limits, pinned })
    }

    /// Whether it may be read, which even its plan needs.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn check_read(&self) -> Result<(), QueryError> {
        self.permission(Operation::Read).check()
    }

    fn permission(&self, operation: Operation) -> Permission {
        Permission {
            broker: Arc::clone(&self.broker),
            principal: self.principal.clone(),
            operation,
            topic: Arc::clone(&self.topic),
        }
    }

    /// What is to be read, in order of partition and offset.
    async fn slices(
        &self,
        query: Option<i64>,
        predicate: Option<&Predicate>,
    ) -> Result<Vec<Slice>, QueryError> {
        let mut slices = Vec::new();
        for index in 0..self.topic.partitions {
            let partition = PartitionIndex::new(index);
            if predicate.is_some_and(|predicate| !predicate.allows_partition(partition)) {
                continue;
            }
            let (log, ends) = self.pin(query, partition).await?;
            let mut slice = Slice { partition, log, from: ends.log_start, until: ends.last_stable };
            if let Some(predicate) = predicate {
                self.narrow(&mut slice, predicate).await?;
            }
            if slice.from < slice.until {
                slices.push(slice);
            }
        }
        Ok(slices)
    }

    /// Cuts off what the predicate excludes.
    async fn narrow(&self, slice: &mut Slice, predicate: &Predicate) -> Result<(), QueryError> {
        let offsets = predicate.offsets(slice.partition);
        let above = |bound: i128| Offset::new(i64::try_from(bound.max(0)).unwrap_or(i64::MAX));
        slice.from = slice.from.max(above(offsets.low).unwrap_or_default());
        if offsets.high < i128::from(i64::MAX) {
            let until = above(offsets.high.saturating_add(1)).unwrap_or_default();
            slice.until = slice.until.min(until);
        }
        if slice.from >= slice.until {
            return Ok(());
        }
        let Some(earliest) = earliest(predicate.timestamps(slice.partition)) else {
            return Ok(());
        };
        let found = slice.log.offset_for_timestamp(earliest).await.map_err(|error| {
            let message = format!("cannot search topic {} by time: {error}", self.topic.name);
            QueryError::new(sqlstate::IO_ERROR, message)
        })?;
        slice.from = match found {
            Some(found) => slice.from.max(found.offset),
            None => slice.until,
        };
        Ok(())
    }

    async fn pin(
        &self,
        query: Option<i64>,
        partition: PartitionIndex,
    ) -> Result<(Arc<dyn Log>, LogEnds), QueryError> {
        {
            let mut pinned = self.pinned.lock();
            if pinned.query != query || query.is_none() {
                *pinned = Pinned { query, ends: HashMap::new() };
            }
            if let Some((log, ends)) = pinned.ends.get(&partition) {
                return Ok((Arc::clone(log), *ends));
            }
        }
        let topic = TopicRef::Id(self.topic.id);
        let log = self
            .broker
            .partition_log(&self.principal, &topic, partition)
            .await
            .map_err(|error| lookup_failed(&error))?;
        let ends = log.ends();
        let mut pinned = self.pinned.lock();
        let (log, ends) = pinned.ends.entry(partition).or_insert((log, ends));
        Ok((Arc::clone(log), *ends))
    }
}

#[async_trait]
impl TableProvider for TopicTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = filters.iter().map(|filter| match Predicate::of(filter) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        });
        Ok(support.collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let projection: Cow<'_, [usize]> = match projection {
            Some(chosen) => Cow::Borrowed(chosen),
            None => Cow::Owned((0..self.columns.schema.fields().len()).collect()),
        };
        let predicate = filters.iter().filter_map(Predicate::of).reduce(Predicate::and);
        self.permission(Operation::Read).check()?;
        let query = state.execution_props().query_execution_start_time;
        let query = query.map(|began| began.timestamp_micros());
        let slices = self.slices(query, predicate.as_ref()).await?;
        let parts_max = match limit {
            Some(limit) if limit <= LIMIT_IN_ONE_PART_MAX => 1,
            _ => state.config().target_partitions(),
        };
        let plan = ScanPlan {
            permission: self.permission(Operation::Read),
            decode: Arc::new(DecodePlan::new(
                self.topic.name.to_string(),
                &self.columns,
                &projection,
            )),
            predicate,
            read_bytes: self.limits.read_bytes,
            expanded_batch_bytes_max: self.limits.expanded_batch_bytes_max,
        };
        let parts = divide(slices, parts_max);
        Ok(Arc::new(TopicScanExec::new(Arc::new(plan), parts, limit)))
    }

    fn statistics(&self) -> Option<Statistics> {
        let pinned = self.pinned.lock();
        let complete = u32::try_from(pinned.ends.len()).ok() == Some(self.topic.partitions);
        let rows: u64 =
            pinned.ends.values().map(|(_, ends)| ends.last_stable.since(ends.log_start)).sum();
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        complete.then(|| {
            Statistics::new_unknown(&self.columns.schema).with_num_rows(Precision::Inexact(rows))
        })
    }

    async fn insert_into(
        &self,
        _state: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        operation: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if operation != InsertOp::Append {
            return Err(DataFusionError::NotImplemented(format!(
                "{operation} is not supported: a topic only grows"
            )));
        }
        self.permission(Operation::Write).check()?;
        let sink = TopicSink::new(
            Arc::clone(&self.broker),
            self.principal.clone(),
            Arc::clone(&self.topic),
            Arc::clone(&self.columns),
        );
        Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), None)))
    }
}

impl fmt::Debug for TopicTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TopicTable")
            .field("topic", &self.topic.name)
            .finish_non_exhaustive()
    }
}

/// Something that a principal must be allowed all the while it is done.
pub(super) struct Permission {
    broker: Arc<Broker>,
    principal: Principal,
    operation: Operation,
    topic: Arc<Topic>,
}

impl Permission {
    /// Whether it is allowed now.
    ///
    /// # Errors
    /// 42501 when it is not, or not any more.
    pub(super) fn check(&self) -> Result<(), QueryError> {
        self.broker
            .authorize(&self.principal, self.operation, Resource::Topic(&self.topic.name))
            .map_err(|denied| QueryError::denied(&denied))
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Permission")
            .field("principal", &self.principal)
            .field("operation", &self.operation)
            .field("topic", &self.topic.name)
            .finish()
    }
}

/// What a client is told when a topic or partition cannot be used.
pub(crate) fn lookup_failed(error: &LookupError) -> QueryError {
    let state = match error {
        LookupError::UnknownTopic(_) | LookupError::UnknownTopicId(_) => sqlstate::UNDEFINED_TABLE,
        LookupError::UnknownPartition { .. } => sqlstate::UNDEFINED_OBJECT,
        LookupError::Opening { .. } => sqlstate::CANNOT_CONNECT_NOW,
        LookupError::Failed { .. } => sqlstate::IO_ERROR,
        LookupError::Denied(denied) => return QueryError::denied(denied),
    };
    QueryError::new(state, error.to_string())
}

/// Spreads slices over at most `parts_max` parts of about equal size, cutting them where need be.
fn divide(slices: Vec<Slice>, parts_max: usize) -> Vec<Vec<Slice>> {
    let total: u64 = slices.iter().map(|slice| slice.until.since(slice.from)).sum();
    let parts_max = u64::try_from(parts_max).unwrap_or(u64::MAX);
    let count = (total / OFFSETS_PER_PART_MIN).clamp(1, parts_max.max(1));
    let share = total.div_ceil(count).max(1);
    let mut parts: Vec<Vec<Slice>> = Vec::new();
    let mut room = 0;
    for mut slice in slices {
        while slice.from < slice.until {
            if room == 0 {
                parts.push(Vec::new());
                room = share;
            }
            let taken = slice.until.since(slice.from).min(room);
            let cut = slice.from.plus(taken);
            let part = parts.last_mut().expect("a part was begun");
            part.push(Slice { until: cut, ..slice.clone() });
            slice.from = cut;
            room -= taken;
        }
    }
    parts
}
