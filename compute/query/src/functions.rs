//! Functions that make much of little, with what they make counted in `query.memory`.
//!
//! DataFusion counts what its operators hold, but not what a function makes of a batch of rows:
//! `repeat('x', 2000000000)` would take two gigabytes of a machine that may not have them.
//!
//! # Invariants
//! - None of these functions begins to make more than the memory that is left.
//! - What one made of rows is counted until its last buffer is dropped, and what it made of
//!   constants until the statement is.

mod size;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::Array as _;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::execution::registry::FunctionRegistry;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};
use datafusion_execution::memory_pool::arrow::ArrowMemoryPool;

use crate::QueryError;
use crate::error::sqlstate;
use size::{Call, GROWING, Growing};

/// Has `state` count what the functions of one statement make.
pub(crate) fn count_in_memory(state: &mut SessionState) -> Result<()> {
    let pool = Arc::clone(&state.runtime_env().memory_pool);
    let constants = MemoryConsumer::new("constants").register(&pool);
    let memory = Arc::new(Memory { pool, constants });
    for growing in &GROWING {
        let inner = state.udf(growing.name)?;
        let counted = Counted { inner, growing, memory: Arc::clone(&memory) };
        state.register_udf(Arc::new(ScalarUDF::new_from_impl(counted)))?;
    }
    Ok(())
}

/// What the functions of a statement may take, and have taken.
#[derive(Debug)]
struct Memory {
    pool: Arc<dyn MemoryPool>,
    /// For what was made of constants, which the statement's plan holds.
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
        let Err(_) = reservation.try_grow((self.growing.bound)(&call)?) else {
            return Ok(reservation);
        };
        // The bound is quickly found. What the call makes may be less.
        let bytes = match self.growing.counted {
            Some(counted) => counted(&call)?,
            None => usize::MAX,
        };
        reservation.try_grow(bytes).map_err(|_| self.refusal(args.number_rows))?;
        Ok(reservation)
    }

    fn refusal(&self, rows: usize) -> QueryError {
        let left = match self.memory.pool.memory_limit() {
            MemoryLimit::Finite(limit) => limit.saturating_sub(self.memory.pool.reserved()),
            _ => usize::MAX,
        };
        QueryError::new(
            sqlstate::OUT_OF_MEMORY,
            format!("{}() would take more memory for {rows} rows than the {left} bytes that query.memory has left", self.name()),
        )
        .with_hint("ask for less, or raise query.memory")
    }
}

impl ScalarUDFImpl for Counted {
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let reservation = self.reserve(&args)?;
        let made = self.inner.invoke_with_args(args)?;
        match &made {
            ColumnarValue::Array(array) => {
                reservation.free();
                let consumer = MemoryConsumer::new(self.name());
                array.claim(&ArrowMemoryPool::new(Arc::clone(&self.memory.pool), consumer));
            }
            ColumnarValue::Scalar(_) => {
                let bytes = reservation.free();
                self.memory.constants.grow(bytes);
            }
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
