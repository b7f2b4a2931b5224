//! Functions that make much of little, with what they make counted in `query.memory`.
//!
//! DataFusion counts what its operators hold, but not what a function makes of a batch of rows:
//! `repeat('x', 2000000000)` would take two gigabytes of a machine that may not have them.
//!
//! # Invariants
//! - None of these functions begins to make more than the memory that is left.
//! - What one made of rows is counted until its last buffer is dropped, and what it made of
//!   constants for as long as the plan is run.

mod size;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::Array as _;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion_execution::memory_pool::arrow::ArrowMemoryPool;

use crate::QueryError;
use crate::error::sqlstate;
use size::{Call, Growing};

/// `plan` with what such functions make counted in `pool`, for one run of it.
///
/// The plan's constants are counted until the second is dropped.
pub(crate) fn count_in(
    pool: &Arc<dyn MemoryPool>,
    plan: LogicalPlan,
) -> Result<(LogicalPlan, Constants)> {
    let constants = MemoryConsumer::new("constants").register(pool);
    let memory = Arc::new(Memory { pool: Arc::clone(pool), constants });
    let counted = |expression: Expr| {
        Ok(match expression {
            Expr::ScalarFunction(call) => match Growing::named(call.func.name()) {
                Some(growing) => {
                    let memory = Arc::clone(&memory);
                    let counted = Counted { inner: call.func, growing, memory };
                    let function = Arc::new(ScalarUDF::new_from_impl(counted));
                    Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
                        function, call.args,
                    )))
                }
                None => Transformed::no(Expr::ScalarFunction(call)),
            },
            other => Transformed::no(other),
        })
    };
    let plan = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expression| expression.transform_up(counted))
    })?;
    Ok((plan.data, Constants { _memory: memory }))
}

/// Memory of what the functions of a plan have made of constants.
#[derive(Debug)]
pub(crate) struct Constants {
    _memory: Arc<Memory>,
}

/// What the functions of a plan may take, and have taken.
#[derive(Debug)]
struct Memory {
    pool: Arc<dyn MemoryPool>,
    constants: MemoryReservation,
}

/// A function that is refused what there is no memory for.
#[derive(Debug)]
struct Counted {
    inner: Arc<ScalarUDF>,
    growing: &'static Growing,
    memory: Arc<Memory>,
}

impl Counted {
    /// Reserves what the call may make at most.
    fn reserve(&self, args: &ScalarFunctionArgs) -> Result<MemoryReservation> {
        let reservation = MemoryConsumer::new(self.name()).register(&self.memory.pool);
        let call = Call::new(&args.args, args.number_rows)?;
        if reservation.try_grow((self.growing.bound)(&call)?).is_ok() {
            return Ok(reservation);
        }
        // The bound is quickly found. What the call makes may be less.
        if let Some(counted) = self.growing.counted
            && reservation.try_grow(counted(&call)?).is_ok()
        {
            return Ok(reservation);
        }
        Err(self.refusal(args.number_rows).into())
    }

    fn refusal(&self, rows: usize) -> QueryError {
        let left = match self.memory.pool.memory_limit() {
            MemoryLimit::Finite(limit) => limit.saturating_sub(self.memory.pool.reserved()),
            _ => usize::MAX,
        };
        let name = self.name();
        QueryError::new(
            sqlstate::OUT_OF_MEMORY,
            format!("{name}() would take more than the {left} bytes that query.memory has left"),
        )
        .with_hint(format!("ask for less, or raise query.memory (rows at a time: {rows})"))
    }
}

impl ScalarUDFImpl for Counted {
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let reservation = self.reserve(&args)?;
        let made = self.inner.invoke_with_args(args)?;
        reservation.free();
        match &made {
            ColumnarValue::Array(array) => {
                let consumer = MemoryConsumer::new(self.name());
                array.claim(&ArrowMemoryPool::new(Arc::clone(&self.memory.pool), consumer));
            }
            ColumnarValue::Scalar(value) => self.memory.constants.grow(value.size()),
        }
        Ok(made)
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(arguments)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arguments)
    }

    fn is_strict(&self) -> bool {
        self.inner.is_strict()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

impl PartialEq for Counted {
    fn eq(&self, other: &Counted) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Counted {}

impl Hash for Counted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}
