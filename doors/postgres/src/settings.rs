//! A session's settings: what `SET` and `SHOW` are about.
//!
//! Owns the names, defaults and checks of the settings that PostgreSQL's clients use. A setting that
//! would change what is sent acts; one that has only one sensible value here refuses any other; the
//! rest are kept because clients set and read them, and `docs/doors/postgres.md` lists them.

use std::collections::BTreeMap;
use std::time::Duration;

use datafusion::arrow::array::timezone::Tz;

use crate::errors::Failure;

/// The version of PostgreSQL whose clients' expectations are met.
pub(crate) const SERVER_VERSION: &str = concat!("16.6 (Posthouse ", env!("CARGO_PKG_VERSION"), ")");
const SERVER_VERSION_NUMBER: &str = "160006";

/// LIMIT: settings of a client's own making, and the bytes of any value.
const CUSTOM_SETTINGS_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 1024;

/// What a value must be.
#[derive(Clone, Copy)]
enum Rule {
    /// Kept as it is.
    Any,
    /// Cannot be set.
    Fixed,
    /// Only the default, however it is spelled.
    Only,
    /// A time of day zone by its name or offset.
    TimeZone,
    /// Milliseconds, or a number with a unit.
    Timeout,
    DateStyle,
    Boolean,
    Integer,
    OneOf(&'static [&'static str]),
}

struct Known {
    /// As PostgreSQL writes it.
    name: &'static str,
    default: &'static str,
    rule: Rule,
    /// Clients are told of its value at the start and whenever it changes.
    is_reported: bool,
}

const fn known(name: &'static str, default: &'static str, rule: Rule) -> Known {
    Known { name, default, rule, is_reported: false }
}

const fn reported(name: &'static str, default: &'static str, rule: Rule) -> Known {
    Known { name, default, rule, is_reported: true }
}

/// All settings, in the order of their names in small letters.
const KNOWN: &[Known] = &[
    reported("application_name", "", Rule::Any),
    known("bytea_output", "hex", Rule::OneOf(&["hex", "escape"])),
    reported("client_encoding", "UTF8", Rule::Only),
    known("client_min_messages", "notice", Rule::Any),
    reported("DateStyle", "ISO, MDY", Rule::DateStyle),
    known("default_transaction_isolation", "read committed", Rule::Any),
    reported("default_transaction_read_only", "off", Rule::Boolean),
    known("extra_float_digits", "1", Rule::Integer),
    known("idle_in_transaction_session_timeout", "0", Rule::Any),
    known("idle_session_timeout", "0", Rule::Any),
    reported("in_hot_standby", "off", Rule::Fixed),
    reported("integer_datetimes", "on", Rule::Fixed),
    reported(
        "IntervalStyle",
        "postgres",
        Rule::OneOf(&["postgres", "iso_8601", "postgres_verbose", "sql_standard"]),
    ),
    reported("is_superuser", "off", Rule::Fixed),
    known("lock_timeout", "0", Rule::Any),
    known("max_identifier_length", "63", Rule::Fixed),
    known("max_index_keys", "32", Rule::Fixed),
    // By which psql's \password hashes what it sends.
    known("password_encryption", "scram-sha-256", Rule::OneOf(&["scram-sha-256"])),
    known("row_security", "off", Rule::Any),
    known("search_path", "public", Rule::Any),
    reported("server_encoding", "UTF8", Rule::Fixed),
    reported("server_version", SERVER_VERSION, Rule::Fixed),
    known("server_version_num", SERVER_VERSION_NUMBER, Rule::Fixed),
    reported("session_authorization", "", Rule::Fixed),
    reported("standard_conforming_strings", "on", Rule::Only),
    known("statement_timeout", "0", Rule::Timeout),
    known("synchronous_commit", "on", Rule::Any),
    reported("TimeZone", "UTC", Rule::TimeZone),
    known("transaction_isolation", "read committed", Rule::Any),
    known("transaction_read_only", "off", Rule::Boolean),
];

/// The values of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// What a reset goes back to, where it is not the default of [`KNOWN`].
    initial: BTreeMap<String, String>,
    /// What has been set, by name in small letters.
    set: BTreeMap<String, String>,
}

impl Settings {
    /// A session of `user` that begins with this `statement_timeout`.
    pub(crate) fn new(user: &str, is_superuser: bool, statement_timeout: Duration) -> Settings {
        let mut initial = BTreeMap::new();
        if is_superuser {
            initial.insert("is_superuser".to_owned(), "on".to_owned());
        }
        initial.insert("session_authorization".to_owned(), user.to_owned());
        let timeout = statement_timeout.as_millis().to_string();
        initial.insert("statement_timeout".to_owned(), timeout);
        Settings { initial, set: BTreeMap::new() }
    }

    /// What the client asked for when it connected becomes what a reset goes back to.
    pub(crate) fn open_with(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        self.set(name, value)?;
        let name = name.to_lowercase();
        if let Some(value) = self.set.remove(&name) {
            self.initial.insert(name, value);
        }
        Ok(())
    }

    /// The value of a setting, whatever the case of its name.
    pub(crate) fn value(&self, name: &str) -> Result<&str, Failure> {
        let key = name.to_lowercase();
        let given = self.set.get(&key).or_else(|| self.initial.get(&key)).map(String::as_str);
        given
            .or_else(|| find(&key).map(|known| known.default))
            .ok_or_else(|| Failure::UnknownSetting { name: name.to_owned() })
    }

    /// Sets `name`.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let key = name.to_lowercase();
        if value.len() > VALUE_BYTES_MAX {
            let message = format!("value of parameter \"{name}\" is longer than {VALUE_BYTES_MAX}");
            return Err(Failure::InvalidParameter { message });
        }
        let value = match find(&key) {
            Some(known) => known.checked(value)?,
            None if key.contains('.') => {
                let custom = self.set.keys().filter(|name| name.contains('.')).count();
                if custom >= CUSTOM_SETTINGS_MAX && !self.set.contains_key(&key) {
                    return Err(Failure::TooMany { what: "settings", max: CUSTOM_SETTINGS_MAX });
                }
                value.to_owned()
            }
            None => return Err(Failure::UnknownSetting { name: name.to_owned() }),
        };
        self.set.insert(key, value);
        Ok(())
    }

    /// Back to what the session began with.
    pub(crate) fn reset(&mut self, name: &str) -> Result<(), Failure> {
        let key = name.to_lowercase();
        match find(&key) {
            Some(Known { rule: Rule::Fixed, .. }) => {
                Err(Failure::FixedSetting { name: name.to_owned() })
            }
            None if !key.contains('.') => Err(Failure::UnknownSetting { name: name.to_owned() }),
            _ => {
                self.set.remove(&key);
                Ok(())
            }
        }
    }

    pub(crate) fn reset_all(&mut self) {
        self.set.clear();
    }

    /// Names and values of all that PostgreSQL would show.
    pub(crate) fn all(&self) -> Vec<(&str, &str)> {
        let value =
            |known: &'static Known| (known.name, self.value(known.name).unwrap_or_default());
        let custom = self.set.iter().filter(|(name, _)| name.contains('.'));
        KNOWN
            .iter()
            .map(value)
            .chain(custom.map(|(name, value)| (name.as_str(), value.as_str())))
            .collect()
    }

    /// Names and values that clients are told at the start.
    pub(crate) fn reported(&self) -> Vec<(&'static str, &str)> {
        let value =
            |known: &'static Known| (known.name, self.value(known.name).unwrap_or_default());
        KNOWN.iter().filter(|known| known.is_reported).map(value).collect()
    }

    /// How long a statement may take; `None` for as long as it likes.
    pub(crate) fn statement_timeout(&self) -> Option<Duration> {
        let value = self.value("statement_timeout").unwrap_or_default();
        milliseconds(value).filter(|ms| *ms > 0).map(Duration::from_millis)
    }

    /// Where two sets of settings differ, among the reported ones.
    pub(crate) fn changes_from<'a>(&'a self, before: &Settings) -> Vec<(&'static str, &'a str)> {
        let reported = self.reported().into_iter();
        reported.filter(|(name, value)| before.value(name).ok() != Some(value)).collect()
    }
}

impl Known {
    /// The value as it is kept and shown.
    fn checked(&self, value: &str) -> Result<String, Failure> {
        let invalid = || Failure::InvalidParameter {
            message: format!("invalid value for parameter \"{}\": \"{value}\"", self.name),
        };
        let lower = value.to_lowercase();
        match self.rule {
            Rule::Any => Ok(value.to_owned()),
            Rule::Fixed => Err(Failure::FixedSetting { name: self.name.to_owned() }),
            Rule::Only => {
                let same = self.default.to_lowercase();
                let spelled = lower.replace('-', "");
                let aliases: &[&str] =
                    if same == "on" { &["true", "1", "yes"] } else { &["unicode"] };
                let is_same = spelled == same || aliases.contains(&spelled.as_str());
                is_same.then(|| self.default.to_owned()).ok_or_else(invalid)
            }
            Rule::TimeZone => time_zone(value).ok_or_else(invalid),
            Rule::Timeout => milliseconds(&lower).map(|ms| ms.to_string()).ok_or_else(invalid),
            Rule::DateStyle => date_style(&lower).ok_or_else(invalid),
            Rule::Boolean => match lower.as_str() {
                "on" | "true" | "yes" | "1" => Ok("on".to_owned()),
                "off" | "false" | "no" | "0" => Ok("off".to_owned()),
                _ => Err(invalid()),
            },
            Rule::Integer => lower
                .parse::<i8>()
                .ok()
                .filter(|digits| (-15..=3).contains(digits))
                .map(|digits| digits.to_string())
                .ok_or_else(invalid),
            Rule::OneOf(values) => {
                values.contains(&lower.as_str()).then(|| lower.clone()).ok_or_else(invalid)
            }
        }
    }
}

/// Whether `SHOW` of this name, in small letters, is about a setting.
pub(crate) fn is_known(name: &str) -> bool {
    find(name).is_some()
}

fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name.eq_ignore_ascii_case(name))
}

fn time_zone(value: &str) -> Option<String> {
    let name = match value.to_lowercase().as_str() {
        "utc" | "gmt" | "etc/utc" | "z" | "zulu" | "default" | "local" => "UTC",
        _ => value,
    };
    if let Ok(hours) = name.parse::<i8>() {
        return (-15..=15).contains(&hours).then(|| format!("{hours:+03}:00"));
    }
    name.parse::<Tz>().ok().map(|_| name.to_owned())
}

/// PostgreSQL's spelling of a duration: a number, then `ms`, `s`, `min`, `h` or `d`.
fn milliseconds(value: &str) -> Option<u64> {
    let value = value.trim();
    let digits = value.find(|character: char| !character.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let factor = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let milliseconds = number.parse::<u64>().ok()?.checked_mul(factor)?;
    // SPEC: the setting is a 32-bit integer in PostgreSQL.
    (milliseconds <= 0x7fff_ffff).then_some(milliseconds)
}

/// A style and an order, either of which may be left out.
fn date_style(value: &str) -> Option<String> {
    let (mut style, mut order) = ("ISO", "MDY");
    for word in value.split(',').map(str::trim) {
        match word {
            "iso" => style = "ISO",
            "sql" => style = "SQL",
            "german" => style = "German",
            "postgres" => style = "Postgres",
            "mdy" | "us" | "noneuropean" => order = "MDY",
            "dmy" | "euro" | "european" => order = "DMY",
            "ymd" => order = "YMD",
            _ => return None,
        }
    }
    Some(format!("{style}, {order}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new("ada", false, Duration::ZERO)
    }

    #[test]
    fn names_are_known_in_any_case() {
        let mut settings = settings();
        settings.set("datestyle", "german").unwrap();
        assert_eq!(settings.value("DateStyle").unwrap(), "German, MDY");
    }

    #[test]
    fn durations_are_read_with_their_units() {
        let mut settings = settings();
        for (value, expected) in
            [("250", 250), ("2s", 2_000), ("3 min", 180_000), ("1h", 3_600_000)]
        {
            settings.set("statement_timeout", value).unwrap();
            assert_eq!(settings.statement_timeout(), Some(Duration::from_millis(expected)));
        }
        settings.set("statement_timeout", "0").unwrap();
        assert_eq!(settings.statement_timeout(), None);
        for value in ["-1", "ten", "5 weeks", "99999999999d", ""] {
            assert!(settings.set("statement_timeout", value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_setting_with_one_sensible_value_refuses_others() {
        let mut settings = settings();
        assert!(settings.set("client_encoding", "utf-8").is_ok());
        assert!(settings.set("client_encoding", "LATIN1").is_err());
        assert!(settings.set("standard_conforming_strings", "off").is_err());
        assert!(matches!(settings.set("server_version", "17"), Err(Failure::FixedSetting { .. })));
        assert!(matches!(settings.set("no_such", "1"), Err(Failure::UnknownSetting { .. })));
    }

    #[test]
    fn a_reset_goes_back_to_what_the_client_connected_with() {
        let mut settings = settings();
        settings.open_with("application_name", "psql").unwrap();
        settings.set("application_name", "other").unwrap();
        settings.reset("application_name").unwrap();
        assert_eq!(settings.value("application_name").unwrap(), "psql");
        assert!(settings.reset("server_version").is_err());
    }

    #[test]
    fn time_zones_are_checked() {
        let mut settings = settings();
        for (value, expected) in
            [("utc", "UTC"), ("Europe/Berlin", "Europe/Berlin"), ("-5", "-05:00")]
        {
            settings.set("timezone", value).unwrap();
            assert_eq!(settings.value("TimeZone").unwrap(), expected);
        }
        assert!(settings.set("timezone", "Mars/Olympus").is_err());
    }

    #[test]
    fn settings_of_a_clients_own_are_bounded() {
        let mut settings = settings();
        for index in 0..CUSTOM_SETTINGS_MAX {
            settings.set(&format!("my.s{index}"), "x").unwrap();
        }
        assert!(matches!(settings.set("my.more", "x"), Err(Failure::TooMany { .. })));
        settings.set("my.s0", "y").unwrap();
        assert!(settings.set("my.s0", &"y".repeat(VALUE_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn only_reported_settings_that_changed_are_told() {
        let before = settings();
        let mut after = before.clone();
        after.set("timezone", "Asia/Tokyo").unwrap();
        after.set("search_path", "x").unwrap();
        assert_eq!(after.changes_from(&before), [("TimeZone", "Asia/Tokyo")]);
    }
}
