//! The SQL functions by which clients ask about the session and about objects.
//!
//! Owns those that depend on the session, and those of `psql` and its kin that datafusion-pg-catalog
//! lacks. What is not known here (sizes, comments, the arguments of functions) is null.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF, TypeSignature, Volatility,
};
use parking_lot::RwLock;

use crate::settings::{SERVER_VERSION, Settings};

/// Whose session it is.
pub(crate) struct Identity {
    pub(crate) user: String,
    pub(crate) process: i32,
    pub(crate) settings: Arc<RwLock<Settings>>,
}

/// Objects of any kind can be seen by everybody.
const VISIBILITY: [&str; 7] = [
    "pg_collation_is_visible",
    "pg_conversion_is_visible",
    "pg_function_is_visible",
    "pg_opclass_is_visible",
    "pg_operator_is_visible",
    "pg_opfamily_is_visible",
    "pg_type_is_visible",
];

/// Texts that nobody wrote.
const UNKNOWN_TEXTS: [&str; 8] = [
    "col_description",
    "obj_description",
    "shobj_description",
    "pg_get_function_arguments",
    "pg_get_function_identity_arguments",
    "pg_get_function_result",
    "pg_get_indexdef",
    "pg_size_pretty",
];

/// Sizes that nobody measured.
const UNKNOWN_SIZES: [&str; 3] = ["pg_database_size", "pg_indexes_size", "pg_table_size"];

/// The functions of one session of `database`.
pub(crate) fn functions(identity: Identity, database: &str) -> Vec<ScalarUDF> {
    let Identity { user, process, settings } = identity;
    let version = format!("PostgreSQL {SERVER_VERSION} on {}", std::env::consts::ARCH);
    let known = [
        ("version", ScalarValue::from(version)),
        ("current_database", ScalarValue::from(database)),
        ("session_user", ScalarValue::from(user.as_str())),
        ("current_user", ScalarValue::from(user)),
        ("pg_backend_pid", ScalarValue::from(process)),
        ("pg_is_in_recovery", ScalarValue::from(false)),
    ];
    let visible = VISIBILITY.map(|name| (name, ScalarValue::from(true)));
    let texts = UNKNOWN_TEXTS.map(|name| (name, ScalarValue::Utf8(None)));
    let sizes = UNKNOWN_SIZES.map(|name| (name, ScalarValue::Int64(None)));
    let constants = known.into_iter().chain(visible).chain(texts).chain(sizes);
    let mut functions: Vec<_> = constants.map(|(name, value)| constant(name, value)).collect();
    functions.push(current_setting(settings));
    functions
}

/// A function that gives `value` whatever it is asked.
fn constant(name: &str, value: ScalarValue) -> ScalarUDF {
    let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
    let signature = Signature::one_of(any, Volatility::Stable);
    let data_type = value.data_type();
    let body = Arc::new(move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(value.clone())));
    SimpleScalarUDF::new_with_signature(name, signature, data_type, body).into()
}

/// `current_setting('name' [, missing_ok])`: what `SHOW name` shows.
fn current_setting(settings: Arc<RwLock<Settings>>) -> ScalarUDF {
    let forms = vec![
        TypeSignature::Exact(vec![DataType::Utf8]),
        TypeSignature::Exact(vec![DataType::Utf8, DataType::Boolean]),
    ];
    let signature = Signature::one_of(forms, Volatility::Stable);
    let body = Arc::new(move |arguments: &[ColumnarValue]| setting(&settings.read(), arguments));
    let name = "current_setting";
    SimpleScalarUDF::new_with_signature(name, signature, DataType::Utf8, body).into()
}

fn setting(
    settings: &Settings,
    arguments: &[ColumnarValue],
) -> Result<ColumnarValue, DataFusionError> {
    let (name, missing_ok) = match arguments {
        [ColumnarValue::Scalar(name)] => (name, false),
        [ColumnarValue::Scalar(name), ColumnarValue::Scalar(ScalarValue::Boolean(missing_ok))] => {
            (name, missing_ok.unwrap_or(false))
        }
        _ => return exec_err!("current_setting takes the name of one setting"),
    };
    let null = Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None)));
    let Some(Some(name)) = name.try_as_str() else { return null };
    match settings.value(name) {
        Ok(value) => Ok(ColumnarValue::Scalar(ScalarValue::from(value))),
        Err(_) if missing_ok => null,
        Err(failure) => exec_err!("{failure}"),
    }
}
