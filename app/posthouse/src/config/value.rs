//! How one setting's value is written as text and read back.
//!
//! Text is the one form that a file, an environment variable and a flag share, so each kind of
//! value is parsed and shown in exactly one place.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use posthouse_kafka::PlainPolicy;
use posthouse_listener::ClientCertificates;
use posthouse_log::{CleanupPolicy, Durability, TimestampType};
use posthouse_postgres::Encryption;
use posthouse_query::FileAccess;
use posthouse_redis::KeysDurability;
use posthouse_types::ByteSize;

/// A value that a setting may hold.
pub(crate) trait SettingValue: Sized {
    /// What the reference page calls the kind, with the spellings allowed.
    const KIND: &'static str;
    /// Whether TOML holds it without quotes.
    const BARE: bool = false;

    /// Reads it; the error is a fragment that follows `"VALUE" `.
    fn parse(text: &str) -> Result<Self, String>;

    /// Writes it so that [`SettingValue::parse`] gives it back.
    fn show(&self) -> String;
}

macro_rules! number_value {
    ($($number:ty),*) => {$(
        impl SettingValue for $number {
            const KIND: &'static str = "number";
            const BARE: bool = true;

            fn parse(text: &str) -> Result<$number, String> {
                let digits = text.trim().replace('_', "");
                digits.parse().map_err(|_| {
                    format!("is not a whole number from {} to {}", <$number>::MIN, <$number>::MAX)
                })
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

number_value!(u8, u16, u32, u64, usize, NonZeroU32);

impl SettingValue for bool {
    const KIND: &'static str = "`true` or `false`";
    const BARE: bool = true;

    fn parse(text: &str) -> Result<bool, String> {
        match text.trim() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err("is neither true nor false".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for String {
    const KIND: &'static str = "text";

    fn parse(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl SettingValue for PathBuf {
    const KIND: &'static str = "path";

    fn parse(text: &str) -> Result<PathBuf, String> {
        if text.is_empty() { Err("is not a path".to_owned()) } else { Ok(PathBuf::from(text)) }
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl SettingValue for ByteSize {
    const KIND: &'static str = "size, such as `64 KiB`, `1 GiB` or a number of bytes";

    fn parse(text: &str) -> Result<ByteSize, String> {
        text.parse().map_err(|_| {
            "is not a size; write a number of bytes, or a number with KiB, MiB or GiB".to_owned()
        })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// The units of a duration, largest first, in milliseconds.
const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];

/// A duration as settings write it: `30 d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    Duration::parse(text)
}

impl SettingValue for Duration {
    const KIND: &'static str = "duration, such as `500 ms`, `30 s`, `5 min`, `12 h` or `7 d`";

    fn parse(text: &str) -> Result<Duration, String> {
        let fail = || "is not a duration; write a number and ms, s, min, h or d".to_owned();
        let text = text.trim();
        let digits_len = text.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, unit) = text.split_at(digits_len);
        let number: u64 = digits.parse().map_err(|_| fail())?;
        let unit = match unit.trim() {
            "" if number == 0 => "ms",
            "m" => "min",
            unit => unit,
        };
        let (_, scale) = DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(fail)?;
        number.checked_mul(*scale).map(Duration::from_millis).ok_or_else(fail)
    }

    fn show(&self) -> String {
        let ms = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        let exact = |(_, scale): &&(&str, u64)| ms >= *scale && ms.is_multiple_of(*scale);
        match DURATION_UNITS.iter().find(exact) {
            Some((unit, scale)) => format!("{} {unit}", ms / scale),
            None => "0 ms".to_owned(),
        }
    }
}

/// What an optional value is called when it is not there.
const NONE: &str = "none";

macro_rules! optional_value {
    ($($inner:ty => $kind:literal),*) => {$(
        impl SettingValue for Option<$inner> {
            const KIND: &'static str = $kind;

            fn parse(text: &str) -> Result<Option<$inner>, String> {
                if text.trim() == NONE { Ok(None) } else { <$inner>::parse(text).map(Some) }
            }

            fn show(&self) -> String {
                self.as_ref().map_or_else(|| NONE.to_owned(), SettingValue::show)
            }
        }
    )*};
}

optional_value!(
    ByteSize => "size, such as `64 KiB` or `1 GiB`, or `none`",
    Duration => "duration, such as `30 s`, `12 h` or `7 d`, or `none`",
    PathBuf => "path, or `none`",
    String => "text, or `none`",
    NonZeroU32 => "whole number from 1, or `none`",
    HostPort => "`host:port`, or `none`"
);

macro_rules! named_value {
    ($type:ty, $kind:literal, $($name:literal => $value:expr),*) => {
        impl SettingValue for $type {
            const KIND: &'static str = $kind;

            fn parse(text: &str) -> Result<$type, String> {
                match text.trim() {
                    $($name => Ok($value),)*
                    _ => Err(format!("is not {}", $kind)),
                }
            }

            fn show(&self) -> String {
                $(if *self == $value { return $name.to_owned(); })*
                unreachable!("every value of {} has a name", stringify!($type))
            }
        }
    };
}

named_value!(KeysDurability, "`everysec` or `always`",
    "everysec" => KeysDurability::EverySecond, "always" => KeysDurability::Always);

named_value!(ClientCertificates, "`off`, `request` or `require`",
    "off" => ClientCertificates::Off, "request" => ClientCertificates::Request,
    "require" => ClientCertificates::Require);
named_value!(Encryption, "`off`, `allow` or `require`",
    "off" => Encryption::Off, "allow" => Encryption::Allow, "require" => Encryption::Require);
named_value!(PlainPolicy, "`tls`, `loopback` or `always`",
    "tls" => PlainPolicy::Tls, "loopback" => PlainPolicy::Loopback, "always" => PlainPolicy::Always);
named_value!(Durability, "`fsync` or `relaxed`",
    "fsync" => Durability::Fsync, "relaxed" => Durability::Relaxed);
named_value!(TimestampType, "`CreateTime` or `LogAppendTime`",
    "CreateTime" => TimestampType::CreateTime, "LogAppendTime" => TimestampType::LogAppendTime);
named_value!(LogFormat, "`text` or `json`",
    "text" => LogFormat::Text, "json" => LogFormat::Json);
named_value!(EngineKind, "`local` or `memory`",
    "local" => EngineKind::Local, "memory" => EngineKind::Memory);

impl SettingValue for FileAccess {
    const KIND: &'static str = "`off`, `anywhere`, or a directory";

    fn parse(text: &str) -> Result<FileAccess, String> {
        Ok(match text.trim() {
            "" => return Err("is neither off, anywhere nor a directory".to_owned()),
            "off" => FileAccess::Off,
            "anywhere" => FileAccess::Anywhere,
            directory => FileAccess::Under(PathBuf::from(directory)),
        })
    }

    fn show(&self) -> String {
        match self {
            FileAccess::Off => "off".to_owned(),
            FileAccess::Anywhere => "anywhere".to_owned(),
            FileAccess::Under(directory) => directory.display().to_string(),
        }
    }
}

impl SettingValue for CleanupPolicy {
    const KIND: &'static str = "`delete`, `compact` or `compact,delete`";

    fn parse(text: &str) -> Result<CleanupPolicy, String> {
        let mut policy = CleanupPolicy { delete: false, compact: false };
        for word in text.split(',').map(str::trim) {
            match word {
                "delete" => policy.delete = true,
                "compact" => policy.compact = true,
                _ => return Err(format!("is not {}", Self::KIND)),
            }
        }
        Ok(policy)
    }

    fn show(&self) -> String {
        match (self.compact, self.delete) {
            (true, true) => "compact,delete",
            (true, false) => "compact",
            (false, _) => "delete",
        }
        .to_owned()
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Which log engine a node runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// Segment files in the data directory.
    #[default]
    Local,
    /// Nothing is kept; for tests.
    Memory,
}

/// A host and a port as they were written; the host may be a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address; IPv6 without its brackets.
    pub host: String,
    /// The port; 0 asks for a free one.
    pub port: u16,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<HostPort, String> {
        let fail = || "is not an address; write host:port, such as 127.0.0.1:9092".to_owned();
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(fail)?;
        let port = port.parse().map_err(|_| fail())?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        if host.is_empty() || (bracketed.is_none() && host.contains(':')) {
            return Err(fail());
        }
        Ok(HostPort { host: host.to_owned(), port })
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

impl SettingValue for HostPort {
    const KIND: &'static str = "`host:port`";

    fn parse(text: &str) -> Result<HostPort, String> {
        text.parse()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// Where a door listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DoorAddress {
    /// It does not.
    Off,
    /// Here.
    At(HostPort),
}

impl DoorAddress {
    /// The address of this machine alone, at `port`.
    pub fn loopback(port: u16) -> DoorAddress {
        DoorAddress::At(HostPort { host: "127.0.0.1".to_owned(), port })
    }
}

impl SettingValue for DoorAddress {
    const KIND: &'static str = "`host:port` (port 0: any free one), or `off`";

    fn parse(text: &str) -> Result<DoorAddress, String> {
        match text.trim() {
            "off" => Ok(DoorAddress::Off),
            text => text.parse().map(DoorAddress::At).map_err(|error: String| error + ", or off"),
        }
    }

    fn show(&self) -> String {
        match self {
            DoorAddress::Off => "off".to_owned(),
            DoorAddress::At(address) => address.to_string(),
        }
    }
}

impl FromStr for DoorAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<DoorAddress, String> {
        DoorAddress::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<V: SettingValue + PartialEq + std::fmt::Debug>(text: &str, value: V) {
        assert_eq!(V::parse(text).as_ref(), Ok(&value), "{text}");
        assert_eq!(V::parse(&value.show()), Ok(value), "{text} read back");
    }

    #[test]
    fn values_read_back_as_shown() {
        check("7 d", Duration::from_secs(7 * 86_400));
        check("90s", Duration::from_secs(90));
        check("1500 ms", Duration::from_millis(1500));
        check("0", Duration::ZERO);
        check("none", None::<Duration>);
        check("1 GiB", ByteSize::gib(1));
        check("compact,delete", CleanupPolicy { delete: true, compact: true });
        check("off", DoorAddress::Off);
        check("[::1]:9092", HostPort { host: "::1".to_owned(), port: 9092 });
        check("localhost:0", DoorAddress::At(HostPort { host: "localhost".to_owned(), port: 0 }));
        check("1_000", 1000_u32);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Duration::parse("7 fortnights").is_err());
        assert!(Duration::parse("99999999999999999999 d").is_err());
        assert!(HostPort::parse("9092").is_err());
        assert!(HostPort::parse("::1:9092").is_err());
        assert!(HostPort::parse(":9092").is_err());
        assert!(HostPort::parse("localhost:90929").is_err());
        assert!(CleanupPolicy::parse("shred").is_err());
        assert!(u16::parse("-1").is_err());
    }
}
