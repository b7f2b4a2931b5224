//! Predicates on where a record is and when it was written, taken down to the log.
//!
//! Owns the part of SQL's predicates that needs no value decoded: comparisons of `_partition`,
//! `_offset` and `_timestamp` with constants, and AND and OR of them. These are applied exactly,
//! so DataFusion need not filter again. What they say about whole partitions and offset ranges
//! keeps those from being read at all.
//!
//! # Invariants
//! - A predicate never contains NOT, so a comparison with NULL may count as false.
//! - `allows_partition`, `offsets` and `timestamps` may claim too much, never too little.

use std::fmt;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, Operator, TryCast};
use posthouse_types::{Offset, PartitionIndex, Timestamp};

use crate::columns::SystemColumn;

const NANOS_PER_MS: i128 = 1_000_000;

/// A predicate that the scan applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Predicate {
    Compare { place: Place, comparison: Comparison, bound: i128 },
    And(Box<Predicate>, Box<Predicate>),
    Or(Box<Predicate>, Box<Predicate>),
    Never,
}

/// What of a record is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Partition,
    Offset,
    /// In nanoseconds, so that a finer constant keeps its meaning.
    Timestamp,
}

/// Where a record is and when it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordPlace {
    pub(crate) partition: PartitionIndex,
    pub(crate) offset: Offset,
    pub(crate) timestamp: Timestamp,
}

/// How it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Inclusive bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) low: i128,
    pub(crate) high: i128,
}

impl Predicate {
    /// The predicate that `expression` is; `None` when the scan cannot apply it.
    pub(crate) fn of(expression: &Expr) -> Option<Predicate> {
        match expression {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
                Operator::And => Some(Predicate::of(left)?.and(Predicate::of(right)?)),
                Operator::Or => Some(Predicate::of(left)?.or(Predicate::of(right)?)),
                op => compare(left, Comparison::of(*op)?, right)
                    .or_else(|| compare(right, Comparison::of(*op)?.mirrored(), left)),
            },
            Expr::Between(Between { expr, negated: false, low, high }) => {
                let above = compare(expr, Comparison::GreaterOrEqual, low)?;
                Some(above.and(compare(expr, Comparison::LessOrEqual, high)?))
            }
            Expr::InList(list) if !list.negated => {
                let mut any = Predicate::Never;
                for value in &list.list {
                    any = any.or(compare(&list.expr, Comparison::Equal, value)?);
                }
                Some(any)
            }
            _ => None,
        }
    }

    pub(crate) fn and(self, other: Predicate) -> Predicate {
        Predicate::And(Box::new(self), Box::new(other))
    }

    fn or(self, other: Predicate) -> Predicate {
        match (self, other) {
            (Predicate::Never, only) | (only, Predicate::Never) => only,
            (left, right) => Predicate::Or(Box::new(left), Box::new(right)),
        }
    }

    /// Whether a record passes.
    pub(crate) fn allows(&self, record: RecordPlace) -> bool {
        match self {
            Predicate::Never => false,
            Predicate::And(left, right) => left.allows(record) && right.allows(record),
            Predicate::Or(left, right) => left.allows(record) || right.allows(record),
            Predicate::Compare { place, comparison, bound } => {
                let value = match place {
                    Place::Partition => i128::from(record.partition.value()),
                    Place::Offset => i128::from(record.offset.value()),
                    Place::Timestamp if record.timestamp == Timestamp::NONE => return false,
                    Place::Timestamp => i128::from(record.timestamp.as_ms()) * NANOS_PER_MS,
                };
                comparison.holds(value, *bound)
            }
        }
    }

    /// Whether any record of a partition can pass.
    pub(crate) fn allows_partition(&self, partition: PartitionIndex) -> bool {
        match self {
            Predicate::Never => false,
            Predicate::And(left, right) => {
                left.allows_partition(partition) && right.allows_partition(partition)
            }
            Predicate::Or(left, right) => {
                left.allows_partition(partition) || right.allows_partition(partition)
            }
            Predicate::Compare { place: Place::Partition, comparison, bound } => {
                comparison.holds(i128::from(partition.value()), *bound)
            }
            Predicate::Compare { .. } => true,
        }
    }

    /// The offsets outside which no record of `partition` passes.
    pub(crate) fn offsets(&self, partition: PartitionIndex) -> Interval {
        self.interval(Place::Offset, partition)
    }

    /// The times, in milliseconds, outside which no record of `partition` passes.
    pub(crate) fn timestamps(&self, partition: PartitionIndex) -> Interval {
        let nanos = self.interval(Place::Timestamp, partition);
        Interval {
            low: nanos.low.div_euclid(NANOS_PER_MS),
            high: nanos.high.div_euclid(NANOS_PER_MS),
        }
    }

    fn interval(&self, wanted: Place, partition: PartitionIndex) -> Interval {
        if !self.allows_partition(partition) {
            return Interval::EMPTY;
        }
        match self {
            Predicate::Never => Interval::EMPTY,
            Predicate::And(left, right) => {
                left.interval(wanted, partition).within(right.interval(wanted, partition))
            }
            Predicate::Or(left, right) => {
                left.interval(wanted, partition).hull(right.interval(wanted, partition))
            }
            Predicate::Compare { place, comparison, bound } if *place == wanted => {
                comparison.interval(*bound)
            }
            Predicate::Compare { .. } => Interval::ALL,
        }
    }
}

impl Interval {
    pub(crate) const ALL: Interval = Interval { low: i128::MIN, high: i128::MAX };
    const EMPTY: Interval = Interval { low: i128::MAX, high: i128::MIN };

    fn within(self, other: Interval) -> Interval {
        Interval { low: self.low.max(other.low), high: self.high.min(other.high) }
    }

    fn hull(self, other: Interval) -> Interval {
        Interval { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

impl Comparison {
    fn of(operator: Operator) -> Option<Comparison> {
        Some(match operator {
            Operator::Eq => Comparison::Equal,
            Operator::NotEq => Comparison::NotEqual,
            Operator::Lt => Comparison::Less,
            Operator::LtEq => Comparison::LessOrEqual,
            Operator::Gt => Comparison::Greater,
            Operator::GtEq => Comparison::GreaterOrEqual,
            _ => return None,
        })
    }

    /// The comparison with its sides exchanged.
    fn mirrored(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            same => same,
        }
    }

    fn holds(self, value: i128, bound: i128) -> bool {
        match self {
            Comparison::Equal => value == bound,
            Comparison::NotEqual => value != bound,
            Comparison::Less => value < bound,
            Comparison::LessOrEqual => value <= bound,
            Comparison::Greater => value > bound,
            Comparison::GreaterOrEqual => value >= bound,
        }
    }

    fn interval(self, bound: i128) -> Interval {
        match self {
            Comparison::Equal => Interval { low: bound, high: bound },
            Comparison::NotEqual => Interval::ALL,
            Comparison::Less => Interval { high: bound - 1, ..Interval::ALL },
            Comparison::LessOrEqual => Interval { high: bound, ..Interval::ALL },
            Comparison::Greater => Interval { low: bound + 1, ..Interval::ALL },
            Comparison::GreaterOrEqual => Interval { low: bound, ..Interval::ALL },
        }
    }
}

fn compare(column: &Expr, comparison: Comparison, constant: &Expr) -> Option<Predicate> {
    let place = place_of(column)?;
    let Expr::Literal(value, _) = constant else { return None };
    if value.is_null() {
        return Some(Predicate::Never);
    }
    let bound = match place {
        Place::Partition | Place::Offset => whole_number(value)?,
        Place::Timestamp => nanoseconds(value)?,
    };
    Some(Predicate::Compare { place, comparison, bound })
}

/// The place that a column is, also under a cast that keeps order and equality.
fn place_of(expression: &Expr) -> Option<Place> {
    match expression {
        Expr::Column(column) => match SystemColumn::named(&column.name)? {
            SystemColumn::Partition => Some(Place::Partition),
            SystemColumn::Offset => Some(Place::Offset),
            SystemColumn::Timestamp => Some(Place::Timestamp),
            _ => None,
        },
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            let place = place_of(expr)?;
            let widens = match place {
                Place::Partition | Place::Offset => {
                    *field.data_type() == datafusion::arrow::datatypes::DataType::Int64
                }
                Place::Timestamp => keeps_milliseconds(field.data_type()),
            };
            widens.then_some(place)
        }
        _ => None,
    }
}

fn keeps_milliseconds(target: &datafusion::arrow::datatypes::DataType) -> bool {
    use datafusion::arrow::datatypes::{DataType, TimeUnit};
    // Nanoseconds cannot hold every time: such a cast may fail, and must then be DataFusion's.
    matches!(target, DataType::Timestamp(TimeUnit::Millisecond | TimeUnit::Microsecond, _))
}

fn whole_number(value: &ScalarValue) -> Option<i128> {
    Some(match value {
        ScalarValue::Int8(Some(number)) => i128::from(*number),
        ScalarValue::Int16(Some(number)) => i128::from(*number),
        ScalarValue::Int32(Some(number)) => i128::from(*number),
        ScalarValue::Int64(Some(number)) => i128::from(*number),
        ScalarValue::UInt32(Some(number)) => i128::from(*number),
        ScalarValue::UInt64(Some(number)) => i128::from(*number),
        _ => return None,
    })
}

fn nanoseconds(value: &ScalarValue) -> Option<i128> {
    Some(match value {
        ScalarValue::TimestampSecond(Some(time), _) => i128::from(*time) * 1000 * NANOS_PER_MS,
        ScalarValue::TimestampMillisecond(Some(time), _) => i128::from(*time) * NANOS_PER_MS,
        ScalarValue::TimestampMicrosecond(Some(time), _) => i128::from(*time) * 1000,
        ScalarValue::TimestampNanosecond(Some(time), _) => i128::from(*time),
        _ => return None,
    })
}

impl fmt::Display for Predicate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Predicate::Never => formatter.write_str("false"),
            Predicate::And(left, right) => write!(formatter, "{left} AND {right}"),
            Predicate::Or(left, right) => write!(formatter, "({left} OR {right})"),
            Predicate::Compare { place, comparison, bound } => {
                let (name, bound) = match place {
                    Place::Partition => ("_partition", *bound),
                    Place::Offset => ("_offset", *bound),
                    Place::Timestamp => ("_timestamp", bound.div_euclid(NANOS_PER_MS)),
                };
                let unit = if *place == Place::Timestamp { " ms" } else { "" };
                write!(formatter, "{name} {comparison} {bound}{unit}")
            }
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};
    use proptest::prelude::*;

    use super::*;

    fn time(ms: i64) -> Expr {
        lit(ScalarValue::TimestampMillisecond(Some(ms), Some("UTC".into())))
    }

    fn record(partition: PartitionIndex, offset: i64, ms: i64) -> RecordPlace {
        let offset = Offset::new(offset).unwrap();
        RecordPlace { partition, offset, timestamp: Timestamp::from_ms(ms) }
    }

    #[test]
    fn a_predicate_on_a_declared_column_is_left_to_datafusion() {
        assert_eq!(Predicate::of(&col("a").eq(lit(1_i64))), None);
        assert_eq!(Predicate::of(&col("_offset").gt(lit(1_i64)).and(col("a").eq(lit(1)))), None);
        assert_eq!(Predicate::of(&col("_offset").gt(lit(1.5))), None);
    }

    #[test]
    fn a_comparison_may_be_written_either_way() {
        let expected = Predicate::of(&col("_offset").gt(lit(7_i64)));
        assert!(expected.is_some());
        assert_eq!(Predicate::of(&lit(7_i64).lt(col("_offset"))), expected);
    }

    #[test]
    fn an_or_over_partitions_keeps_the_offsets_of_each() {
        let first = col("_partition").eq(lit(0)).and(col("_offset").lt(lit(5_i64)));
        let second = col("_partition").eq(lit(1)).and(col("_offset").gt_eq(lit(9_i64)));
        let predicate = Predicate::of(&first.or(second)).unwrap();
        assert_eq!(predicate.offsets(PartitionIndex::new(0)).high, 4);
        assert_eq!(predicate.offsets(PartitionIndex::new(1)).low, 9);
        assert!(!predicate.allows_partition(PartitionIndex::new(2)));
    }

    #[test]
    fn a_comparison_with_null_passes_nothing() {
        let null = lit(ScalarValue::Int64(None));
        let predicate = Predicate::of(&col("_offset").not_eq(null)).unwrap();
        assert!(!predicate.allows(record(PartitionIndex::ZERO, 1, 1)));
    }

    #[test]
    fn a_record_without_a_time_passes_no_comparison_of_times() {
        let predicate = Predicate::of(&col("_timestamp").not_eq(time(5))).unwrap();
        assert!(!predicate.allows(record(PartitionIndex::ZERO, 1, -1)));
        assert!(predicate.allows(record(PartitionIndex::ZERO, 1, 6)));
    }

    fn comparison() -> impl Strategy<Value = Expr> {
        let place = prop_oneof![Just("_partition"), Just("_offset"), Just("_timestamp")];
        (place, 0..8_i64, 0..6_usize).prop_map(|(place, bound, operator)| {
            let bound = match place {
                "_partition" => lit(i32::try_from(bound).unwrap() % 3),
                "_offset" => lit(bound),
                _ => time(bound),
            };
            let column = col(place);
            match operator {
                0 => column.eq(bound),
                1 => column.not_eq(bound),
                2 => column.lt(bound),
                3 => column.lt_eq(bound),
                4 => column.gt(bound),
                _ => column.gt_eq(bound),
            }
        })
    }

    fn predicate() -> impl Strategy<Value = Expr> {
        comparison().prop_recursive(3, 12, 2, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(left, right)| left.and(right)),
                (inner.clone(), inner).prop_map(|(left, right)| left.or(right)),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_that_passes_is_pruned(expression in predicate(), partition in 0..3_u32, offset in 0..8_i64, ms in 0..8_i64) {
            let predicate = Predicate::of(&expression).unwrap();
            let partition = PartitionIndex::new(partition);
            if predicate.allows(record(partition, offset, ms)) {
                prop_assert!(predicate.allows_partition(partition));
                let offsets = predicate.offsets(partition);
                prop_assert!(offsets.low <= i128::from(offset) && i128::from(offset) <= offsets.high);
                let times = predicate.timestamps(partition);
                prop_assert!(times.low <= i128::from(ms) && i128::from(ms) <= times.high);
            }
        }
    }
}
