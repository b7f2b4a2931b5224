//! The settings that change how a value is written.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use pgwire::types::format::FormatOptions;

use crate::settings::Settings;

/// How values are written in one statement.
#[derive(Clone, Debug)]
pub(crate) struct Style {
    /// For the types that arrow-pg writes.
    pub(super) options: Arc<FormatOptions>,
    /// `DateStyle` is ISO: dates are written here.
    pub(super) is_iso: bool,
    /// `bytea_output` is hexadecimal: bytes are written here.
    pub(super) is_hex: bool,
    pub(super) float_digits: i8,
    pub(super) time_zone: Tz,
    pub(super) time_zone_name: Arc<str>,
}

impl Style {
    pub(crate) fn of(settings: &Settings) -> Style {
        let value = |name: &str| settings.value(name).unwrap_or_default().to_owned();
        let shared = ["datestyle", "intervalstyle", "bytea_output", "extra_float_digits"];
        let map: HashMap<String, String> =
            shared.iter().map(|name| ((*name).to_owned(), value(name))).collect();
        let zone = value("timezone");
        let utc = || "+00:00".parse().expect("an offset is a time zone");
        Style {
            options: Arc::new(FormatOptions::from_client_metadata(&map)),
            is_iso: map["datestyle"].starts_with("ISO"),
            is_hex: map["bytea_output"] == "hex",
            float_digits: map["extra_float_digits"].parse().unwrap_or(1),
            time_zone: zone.parse().unwrap_or_else(|_| utc()),
            time_zone_name: Arc::from(zone),
        }
    }
}
