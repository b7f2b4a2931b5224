//! How large what a function makes may be, told from its arguments.
//!
//! Owns the list of functions that make much of little, and for each a bound in bytes, whole values
//! of a batch together. A bound is never too small; what the function refuses has none.

use std::ops::Range;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{
    ArrowNativeType, DataType, Date32Type, Int64Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;
use regex::Regex;

use crate::QueryError;

/// What an element of a list takes besides its bytes, while the list is being made.
const ELEMENT_BYTES: usize = 24;

/// Bytes of one number as text: as many digits as a double may have.
const NUMBER_BYTES: usize = 330;

/// A function that may make more than it is given.
#[derive(Debug)]
pub(super) struct Growing {
    /// Its name, which is not an alias.
    name: &'static str,
    /// At most how many bytes a call makes; quickly found.
    pub(super) bound: fn(&Call) -> Result<usize>,
    /// The same more closely, for about the time that the call takes.
    pub(super) counted: Option<fn(&Call) -> Result<usize>>,
}

impl Growing {
    /// The one of that name, if it is one.
    pub(super) fn named(name: &str) -> Option<&'static Growing> {
        GROWING.iter().find(|growing| growing.name == name)
    }
}

/// Every such function. Those that make a few times what they are given are not here.
static GROWING: [Growing; 10] = [
    Growing { name: "repeat", bound: repeat, counted: None },
    Growing { name: "lpad", bound: pad, counted: None },
    Growing { name: "rpad", bound: pad, counted: None },
    Growing { name: "replace", bound: replace, counted: Some(replace_counted) },
    Growing {
        name: "regexp_replace",
        bound: regexp_replace,
        counted: Some(regexp_replace_counted),
    },
    Growing { name: "array_repeat", bound: array_repeat, counted: None },
    Growing { name: "array_resize", bound: array_resize, counted: None },
    Growing { name: "array_to_string", bound: array_to_string, counted: None },
    Growing { name: "range", bound: range, counted: None },
    Growing { name: "generate_series", bound: range, counted: None },
];

/// The arguments of one call, for a batch of rows.
pub(super) struct Call {
    arguments: Vec<Argument>,
    rows: usize,
}

/// One argument.
struct Argument {
    values: ArrayRef,
    /// It has one value, which is that of every row.
    is_constant: bool,
}

impl Call {
    /// # Errors
    /// A constant of a type that has no arrays.
    pub(super) fn new(arguments: &[ColumnarValue], rows: usize) -> Result<Call> {
        let argument = |value: &ColumnarValue| {
            Ok(match value {
                ColumnarValue::Array(values) => {
                    Argument { values: ArrayRef::clone(values), is_constant: false }
                }
                ColumnarValue::Scalar(value) => {
                    Argument { values: value.to_array()?, is_constant: true }
                }
            })
        };
        Ok(Call { arguments: arguments.iter().map(argument).collect::<Result<_>>()?, rows })
    }

    /// How many bytes the values of an argument have; none where there is no such argument.
    fn bytes(&self, at: usize) -> PerRow<usize> {
        self.read(at, |values| value_bytes(values))
    }

    /// The numbers of an argument.
    fn numbers(&self, at: usize) -> PerRow<i64> {
        self.read(at, |values| match values.as_primitive_opt::<Int64Type>() {
            Some(numbers) => numbers.iter().map(Option::unwrap_or_default).collect(),
            None => vec![0; values.len()],
        })
    }

    /// The numbers of an argument, those below zero as zero.
    fn counts(&self, at: usize) -> PerRow<usize> {
        let count = |number: i64| usize::try_from(number).unwrap_or(0);
        let numbers = self.numbers(at);
        PerRow {
            values: numbers.values.into_iter().map(count).collect(),
            is_constant: numbers.is_constant,
        }
    }

    /// The texts of an argument; a NULL is empty.
    fn texts(&self, at: usize) -> PerRow<&str> {
        let Some(Argument { values, is_constant }) = self.arguments.get(at) else {
            return PerRow { values: vec![""], is_constant: true };
        };
        let texts: Vec<Option<&str>> = match values.data_type() {
            DataType::Utf8 => values.as_string::<i32>().iter().collect(),
            DataType::LargeUtf8 => values.as_string::<i64>().iter().collect(),
            DataType::Utf8View => values.as_string_view().iter().collect(),
            _ => vec![None; values.len()],
        };
        PerRow {
            values: texts.into_iter().map(Option::unwrap_or_default).collect(),
            is_constant: *is_constant,
        }
    }

    fn read<T: Default>(&self, at: usize, read: impl FnOnce(&dyn Array) -> Vec<T>) -> PerRow<T> {
        match self.arguments.get(at) {
            Some(argument) => {
                PerRow { values: read(&argument.values), is_constant: argument.is_constant }
            }
            None => PerRow { values: vec![T::default()], is_constant: true },
        }
    }

    /// The sum over all rows.
    fn sum(&self, of_row: impl Fn(usize) -> usize) -> usize {
        (0..self.rows).map(of_row).fold(0, usize::saturating_add)
    }
}

/// What is known of an argument's value in each row.
struct PerRow<T> {
    values: Vec<T>,
    is_constant: bool,
}

impl<T: Copy> PerRow<T> {
    fn at(&self, row: usize) -> T {
        self.values[if self.is_constant { 0 } else { row }]
    }
}

fn repeat(call: &Call) -> Result<usize> {
    let (texts, counts) = (call.bytes(0), call.counts(1));
    Ok(call.sum(|row| texts.at(row).saturating_mul(counts.at(row))))
}

/// `lpad` and `rpad`: text, length in characters, and what fills it, which is a space by default.
fn pad(call: &Call) -> Result<usize> {
    let (texts, counts, fills) = (call.bytes(0), call.counts(1), call.texts(2));
    Ok(call.sum(|row| {
        let char_bytes = if fills.at(row).is_ascii() { 1 } else { 4 };
        counts.at(row).saturating_mul(char_bytes).saturating_add(texts.at(row))
    }))
}

fn replace(call: &Call) -> Result<usize> {
    let (texts, from, to) = (call.bytes(0), call.bytes(1), call.bytes(2));
    Ok(call.sum(|row| {
        let places = texts.at(row) / from.at(row).max(1) + 1;
        places.saturating_mul(to.at(row)).saturating_add(texts.at(row))
    }))
}

fn replace_counted(call: &Call) -> Result<usize> {
    let (texts, from, to) = (call.texts(0), call.texts(1), call.bytes(2));
    Ok(call.sum(|row| {
        let places = texts.at(row).matches(from.at(row)).count();
        places.saturating_mul(to.at(row)).saturating_add(texts.at(row).len())
    }))
}

/// A replacement may hold groups, which together are no longer than the text for each time that
/// the replacement names one.
fn regexp_replace(call: &Call) -> Result<usize> {
    let (texts, to, flags) = (call.bytes(0), call.texts(2), call.texts(3));
    Ok(call.sum(|row| {
        let places = if flags.at(row).contains('g') { texts.at(row).saturating_add(1) } else { 1 };
        replaced(texts.at(row), places, to.at(row))
    }))
}

fn regexp_replace_counted(call: &Call) -> Result<usize> {
    let (texts, patterns, to, flags) = (call.texts(0), call.texts(1), call.texts(2), call.texts(3));
    if !(patterns.is_constant && flags.is_constant && flags.at(0).contains('g')) {
        return regexp_replace(call);
    }
    let flags = flags.at(0).replace('g', "");
    let prefix = if flags.is_empty() { String::new() } else { format!("(?{flags})") };
    // What is no pattern is the function's to refuse.
    let Ok(pattern) = Regex::new(&(prefix + patterns.at(0))) else { return Ok(0) };
    Ok(call.sum(|row| {
        let places = pattern.find_iter(texts.at(row)).count();
        replaced(texts.at(row).len(), places, to.at(row))
    }))
}

fn replaced(text_bytes: usize, places: usize, to: &str) -> usize {
    let groups = to.matches(['\\', '$']).count();
    (places.saturating_mul(to.len()))
        .saturating_add(groups.saturating_add(1).saturating_mul(text_bytes))
}

fn array_repeat(call: &Call) -> Result<usize> {
    let (elements, counts) = (call.bytes(0), call.counts(1));
    Ok(call.sum(|row| elements_bytes(counts.at(row), elements.at(row))))
}

/// A list, its new length, and what fills it.
fn array_resize(call: &Call) -> Result<usize> {
    let (lists, counts, fills) = (call.bytes(0), call.counts(1), call.bytes(2));
    Ok(call.sum(|row| elements_bytes(counts.at(row), fills.at(row)).saturating_add(lists.at(row))))
}

fn elements_bytes(count: usize, bytes: usize) -> usize {
    count.saturating_mul(bytes.saturating_add(ELEMENT_BYTES))
}

/// A list, what is between its elements, and what stands for NULL.
fn array_to_string(call: &Call) -> Result<usize> {
    let lists = call.read(0, |values| match element_ranges(values) {
        Some((_, ranges)) => ranges.into_iter().map(|range| range.len()).collect(),
        None => vec![0; values.len()],
    });
    let (bytes, between, nulls) = (call.bytes(0), call.bytes(1), call.bytes(2));
    Ok(call.sum(|row| {
        let of_one = between.at(row).saturating_add(nulls.at(row)).saturating_add(NUMBER_BYTES);
        lists.at(row).saturating_mul(of_one).saturating_add(bytes.at(row))
    }))
}

/// `range` and `generate_series` of numbers: stop; start and stop; or start, stop and step. Of dates
/// and times it is the last.
fn range(call: &Call) -> Result<usize> {
    if let Some(Argument { values, is_constant }) = call.arguments.get(2)
        && let Some(intervals) = values.as_primitive_opt::<IntervalMonthDayNanoType>()
    {
        let steps = intervals.iter().map(|interval| step_ns(interval.unwrap_or_default()));
        let values = steps.collect::<Option<_>>().ok_or_else(|| {
            QueryError::unsupported(
                "a series whose interval has parts of both signs is not supported",
            )
        })?;
        let steps = PerRow { values, is_constant: *is_constant };
        let [starts, stops] = [0, 1].map(|at| call.read(at, nanoseconds));
        return Ok(call.sum(|row| series_bytes(starts.at(row), stops.at(row), steps.at(row))));
    }
    let numbers = [0, 1, 2].map(|at| call.numbers(at));
    let [first, second, third] = &numbers;
    Ok(call.sum(|row| {
        let [first, second, third] = [first, second, third].map(|numbers| numbers.at(row).into());
        match call.arguments.len() {
            1 => series_bytes(0, first, 1),
            2 => series_bytes(first, second, 1),
            _ => series_bytes(first, second, third),
        }
    }))
}

fn series_bytes(start: i128, stop: i128, step: i128) -> usize {
    let way = stop - start;
    if step == 0 || way.signum() * step.signum() < 0 {
        return 0;
    }
    elements_bytes(usize::try_from(way / step + 1).unwrap_or(usize::MAX), 0)
}

/// The shortest that an interval may be; `None` when its parts do not go the same way, so that it
/// may never arrive.
fn step_ns(interval: IntervalMonthDayNano) -> Option<i128> {
    const HOUR_NS: i128 = 3_600_000_000_000;
    let parts = [
        i128::from(interval.months) * 28 * 24 * HOUR_NS,
        // A day may be shorter where clocks are set forward.
        i128::from(interval.days) * 22 * HOUR_NS,
        i128::from(interval.nanoseconds),
    ];
    let goes = |sign| parts.iter().any(|part| part.signum() == sign);
    (!(goes(1) && goes(-1))).then(|| parts.iter().sum())
}

/// Dates and times in nanoseconds since the epoch.
fn nanoseconds(values: &dyn Array) -> Vec<i128> {
    fn scaled<N: Into<i128>>(values: impl Iterator<Item = Option<N>>, by: i128) -> Vec<i128> {
        values.map(|value| value.map_or(0, |value| value.into() * by)).collect()
    }
    match values.data_type() {
        DataType::Date32 => scaled(values.as_primitive::<Date32Type>().iter(), 86_400_000_000_000),
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => {
                scaled(values.as_primitive::<TimestampSecondType>().iter(), 1_000_000_000)
            }
            TimeUnit::Millisecond => {
                scaled(values.as_primitive::<TimestampMillisecondType>().iter(), 1_000_000)
            }
            TimeUnit::Microsecond => {
                scaled(values.as_primitive::<TimestampMicrosecondType>().iter(), 1000)
            }
            TimeUnit::Nanosecond => {
                scaled(values.as_primitive::<TimestampNanosecondType>().iter(), 1)
            }
        },
        _ => vec![0; values.len()],
    }
}

/// How many bytes each value has, those of its elements included.
fn value_bytes(values: &dyn Array) -> Vec<usize> {
    match values.data_type() {
        DataType::Utf8 => lengths(values.as_string::<i32>().offsets()),
        DataType::LargeUtf8 => lengths(values.as_string::<i64>().offsets()),
        DataType::Binary => lengths(values.as_binary::<i32>().offsets()),
        DataType::LargeBinary => lengths(values.as_binary::<i64>().offsets()),
        DataType::Utf8View => {
            values.as_string_view().lengths().map(|bytes| bytes as usize).collect()
        }
        DataType::BinaryView => {
            values.as_binary_view().lengths().map(|bytes| bytes as usize).collect()
        }
        DataType::Boolean | DataType::Null => vec![1; values.len()],
        DataType::Struct(_) => {
            let mut sums = vec![0usize; values.len()];
            for column in values.as_struct().columns() {
                for (sum, bytes) in sums.iter_mut().zip(value_bytes(column)) {
                    *sum = sum.saturating_add(bytes);
                }
            }
            sums
        }
        other => match (element_ranges(values), other.primitive_width()) {
            (Some((elements, ranges)), _) => {
                let bytes = value_bytes(&elements);
                let of_range = |range: Range<usize>| {
                    bytes[range].iter().map(|bytes| bytes + ELEMENT_BYTES).sum()
                };
                ranges.into_iter().map(of_range).collect()
            }
            (None, Some(width)) => vec![width; values.len()],
            (None, None) => vec![values.get_array_memory_size(); values.len()],
        },
    }
}

/// The elements of all lists, and where those of each are.
fn element_ranges(values: &dyn Array) -> Option<(ArrayRef, Vec<Range<usize>>)> {
    match values.data_type() {
        DataType::List(_) => {
            let lists = values.as_list::<i32>();
            Some((ArrayRef::clone(lists.values()), ranges(lists.offsets())))
        }
        DataType::LargeList(_) => {
            let lists = values.as_list::<i64>();
            Some((ArrayRef::clone(lists.values()), ranges(lists.offsets())))
        }
        DataType::FixedSizeList(_, _) => {
            let lists = values.as_fixed_size_list();
            let len = usize::try_from(lists.value_length()).unwrap_or(0);
            let ranges = (0..lists.len()).map(|row| row * len..(row + 1) * len);
            Some((ArrayRef::clone(lists.values()), ranges.collect()))
        }
        _ => None,
    }
}

fn lengths<O: ArrowNativeType>(offsets: &OffsetBuffer<O>) -> Vec<usize> {
    ranges(offsets).into_iter().map(|range| range.len()).collect()
}

fn ranges<O: ArrowNativeType>(offsets: &OffsetBuffer<O>) -> Vec<Range<usize>> {
    offsets.windows(2).map(|pair| pair[0].as_usize()..pair[1].as_usize()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use datafusion::arrow::array::{
        Date32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, StringArray,
        StringViewArray, TimestampSecondArray,
    };
    use datafusion::arrow::datatypes::Field;
    use datafusion::common::ScalarValue;
    use datafusion::common::config::ConfigOptions;
    use datafusion::execution::registry::FunctionRegistry;
    use datafusion::execution::{SessionState, SessionStateBuilder};
    use datafusion::logical_expr::{ReturnFieldArgs, ScalarFunctionArgs};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What the function itself makes of the arguments; `None` when it refuses them.
    fn made(name: &str, arguments: &[ColumnarValue], rows: usize) -> Option<usize> {
        static STATE: LazyLock<SessionState> =
            LazyLock::new(|| SessionStateBuilder::new_with_default_features().build());
        let function = STATE.udf(name).unwrap();
        let field = |value: &ColumnarValue| Arc::new(Field::new("a", value.data_type(), true));
        let arg_fields: Vec<_> = arguments.iter().map(field).collect();
        let scalars = vec![None; arguments.len()];
        let return_field = function
            .return_field_from_args(ReturnFieldArgs {
                arg_fields: &arg_fields,
                scalar_arguments: &scalars,
            })
            .unwrap();
        let result = function.invoke_with_args(ScalarFunctionArgs {
            args: arguments.to_vec(),
            arg_fields,
            number_rows: rows,
            return_field,
            config_options: Arc::new(ConfigOptions::new()),
        });
        Some(bytes_of(result.ok()?.to_array(1).unwrap().as_ref()))
    }

    /// Bytes of texts and numbers without anything around them.
    fn bytes_of(values: &dyn Array) -> usize {
        match element_ranges(values) {
            Some((elements, ranges)) => {
                let part = |range: Range<usize>| elements.slice(range.start, range.len());
                ranges.into_iter().map(|range| bytes_of(&part(range))).sum()
            }
            None => value_bytes(values).into_iter().sum(),
        }
    }

    fn check(name: &str, arguments: &[ColumnarValue], rows: usize) -> Result<(), TestCaseError> {
        let growing = Growing::named(name).unwrap();
        let call = Call::new(arguments, rows).unwrap();
        let Some(made) = made(name, arguments, rows) else { return Ok(()) };
        let bound = (growing.bound)(&call).unwrap();
        prop_assert!(made <= bound, "{name} made {made} bytes, not {bound}: {arguments:?}");
        if let Some(counted) = growing.counted {
            let counted = counted(&call).unwrap();
            prop_assert!(made <= counted, "{name} made {made} bytes, not {counted}: {arguments:?}");
            prop_assert!(counted <= bound, "{name}: {counted} is not less than {bound}");
        }
        Ok(())
    }

    const ROWS: usize = 4;

    fn texts(pattern: &'static str) -> impl Strategy<Value = ColumnarValue> {
        let text = prop_oneof![4 => pattern.prop_map(Some), 1 => Just(None)];
        (vec(text, ROWS), 0..3).prop_map(|(texts, kind)| match kind {
            0 => ColumnarValue::Array(Arc::new(StringArray::from(texts))),
            1 => ColumnarValue::Array(Arc::new(StringViewArray::from_iter(texts))),
            _ => ColumnarValue::Scalar(ScalarValue::Utf8(texts[0].clone())),
        })
    }

    /// All of one type, as they are when a function gets them.
    fn alike(patterns: &'static [&'static str]) -> impl Strategy<Value = Vec<ColumnarValue>> {
        let text = |pattern: &&'static str| {
            (vec(proptest::option::weighted(0.9, *pattern), ROWS), any::<bool>())
        };
        let all: Vec<_> = patterns.iter().map(text).collect();
        (all, any::<bool>()).prop_map(|(all, is_view)| {
            let argument =
                |(texts, is_constant): (Vec<Option<String>>, bool)| match (is_constant, is_view) {
                    (true, true) => ColumnarValue::Scalar(ScalarValue::Utf8View(texts[0].clone())),
                    (true, false) => ColumnarValue::Scalar(ScalarValue::Utf8(texts[0].clone())),
                    (false, true) => {
                        ColumnarValue::Array(Arc::new(StringViewArray::from_iter(texts)))
                    }
                    (false, false) => ColumnarValue::Array(Arc::new(StringArray::from(texts))),
                };
            all.into_iter().map(argument).collect()
        })
    }

    fn numbers(range: Range<i64>) -> impl Strategy<Value = ColumnarValue> {
        let number = prop_oneof![6 => range.prop_map(Some), 1 => Just(None)];
        (vec(number, ROWS), any::<bool>()).prop_map(|(numbers, is_constant)| {
            if is_constant {
                ColumnarValue::Scalar(ScalarValue::Int64(numbers[0]))
            } else {
                ColumnarValue::Array(Arc::new(Int64Array::from(numbers)))
            }
        })
    }

    fn lists() -> impl Strategy<Value = ColumnarValue> {
        let list = proptest::option::weighted(0.9, vec(proptest::option::of(any::<i64>()), 0..5));
        vec(list, ROWS).prop_map(|lists| {
            ColumnarValue::Array(Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists)))
        })
    }

    fn intervals() -> impl Strategy<Value = Vec<IntervalMonthDayNano>> {
        let interval = (-2..3i32, -2..3i32, -2..3i64);
        let hours = |(months, days, hours)| {
            IntervalMonthDayNano::new(months, days, hours * 3_600_000_000_000)
        };
        vec(interval.prop_map(hours), ROWS)
    }

    proptest! {
        #[test]
        fn no_text_is_larger_than_its_bound(
            text in texts("[aä]{0,6}"), times in numbers(-2..50), count in numbers(0..50), fill in texts("[bö]{0,3}"),
        ) {
            check("repeat", &[text.clone(), times], ROWS)?;
            // Not below zero, where these two panic.
            for name in ["lpad", "rpad"] {
                check(name, &[text.clone(), count.clone()], ROWS)?;
                check(name, &[text.clone(), count.clone(), fill.clone()], ROWS)?;
            }
        }

        #[test]
        fn no_replacement_is_larger_than_its_bound(
            plain in alike(&["[abä]{0,12}", "[ab]{0,2}", "[cö]{0,9}"]),
            regular in alike(&["[abä]{0,12}", "(a|b)?|a*|[^b]|(b)", "[cö\\\\12$]{0,9}", "g|gi|i|"]),
        ) {
            check("replace", &plain, ROWS)?;
            check("regexp_replace", &regular[..3], ROWS)?;
            check("regexp_replace", &regular, ROWS)?;
        }

        #[test]
        fn no_list_is_larger_than_its_bound(
            list in lists(), text in texts("[aä]{0,6}"), count in numbers(-2..50), fill in numbers(0..9),
            words in alike(&["[;ö]{0,6}", "[nö]{0,6}"]),
        ) {
            for element in [&list, &text, &fill] {
                check("array_repeat", &[element.clone(), count.clone()], ROWS)?;
            }
            check("array_resize", &[list.clone(), count.clone(), fill.clone()], ROWS)?;
            check("array_to_string", &[list.clone(), words[0].clone()], ROWS)?;
            check("array_to_string", &[list, words[0].clone(), words[1].clone()], ROWS)?;
        }

        #[test]
        fn no_series_is_longer_than_its_bound(
            start in numbers(-40..40), stop in numbers(-40..40), step in numbers(-4..4),
            days in vec((-90..90i32, -90..90i32), ROWS), intervals in intervals(),
        ) {
            for name in ["range", "generate_series"] {
                check(name, std::slice::from_ref(&stop), ROWS)?;
                check(name, &[start.clone(), stop.clone()], ROWS)?;
                check(name, &[start.clone(), stop.clone(), step.clone()], ROWS)?;
            }
            let (starts, stops): (Vec<i32>, Vec<i32>) = days.into_iter().unzip();
            let may_end = intervals.iter().all(|interval| step_ns(*interval).is_some());
            let steps = ColumnarValue::Array(Arc::new(IntervalMonthDayNanoArray::from(intervals)));
            let dates = |days: &[i32]| ColumnarValue::Array(Arc::new(Date32Array::from(days.to_vec())));
            let times = |days: &[i32]| {
                let seconds = days.iter().map(|day| i64::from(*day) * 86_400);
                ColumnarValue::Array(Arc::new(TimestampSecondArray::from_iter_values(seconds)))
            };
            for of in [&dates as &dyn Fn(&[i32]) -> ColumnarValue, &times] {
                let arguments = [of(&starts), of(&stops), steps.clone()];
                if may_end {
                    check("range", &arguments, ROWS)?;
                    check("generate_series", &arguments, ROWS)?;
                } else {
                    prop_assert!(range(&Call::new(&arguments, ROWS).unwrap()).is_err());
                }
            }
        }
    }
}
