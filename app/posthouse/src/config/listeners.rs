//! More listeners of the Kafka door, in the file: tables, because a person names them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::value::{HostPort, SettingValue};
use super::{ConfigError, Origin};

/// The table that they are in, and what it is called there.
pub(super) const TABLE: &str = "kafka";
pub(super) const LISTENERS: &str = "listeners";

/// LIMIT: characters of a name.
const NAME_LEN_MAX: usize = 64;

/// What the reference page says.
pub(super) const PAGE: &str = "
## `[kafka.listeners.NAME]`

One table for each further address of the Kafka door, beside `kafka.address` and `kafka.tls_address`. Clients are told
to connect to what the listener that they came in by advertises, so that those inside a network and those outside reach
the same node by different names. Only the file has them: there is no variable and no flag. [tls.md](tls.md) has an
example.

- `address`: where it listens, `host:port`.
- `tls`: whether it speaks TLS, `true` or `false`; `false` when it is not there.
- `advertise`: where clients are told to connect, `host:port`; the bound address when it is not there.

```toml
[kafka.listeners.inside]
address = \"127.0.0.1:9094\"
tls = true
advertise = \"posthouse.internal:9094\"
```
";

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaListener {
    /// Where it listens.
    pub address: HostPort,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Where clients are told to connect; the bound address when `None`.
    pub advertise: Option<HostPort>,
}

/// Reads `[kafka.listeners.*]`.
pub(super) fn read(
    value: toml::Value,
    path: &Path,
) -> Result<BTreeMap<String, KafkaListener>, ConfigError> {
    let toml::Value::Table(named) = value else {
        let key = format!("{TABLE}.{LISTENERS}");
        return Err(refused(key, value.to_string(), path, "is no table of listeners"));
    };
    named.into_iter().map(|(name, value)| Ok((name.clone(), one(&name, value, path)?))).collect()
}

/// The listeners as the file has them.
pub(super) fn show(listeners: &BTreeMap<String, KafkaListener>) -> String {
    let mut text = String::new();
    for (name, listener) in listeners {
        let KafkaListener { address, tls, advertise } = listener;
        let _ =
            write!(text, "\n[{TABLE}.{LISTENERS}.{name}]\naddress = \"{address}\"\ntls = {tls}\n");
        if let Some(advertise) = advertise {
            let _ = writeln!(text, "advertise = \"{advertise}\"");
        }
    }
    text
}

fn one(name: &str, value: toml::Value, path: &Path) -> Result<KafkaListener, ConfigError> {
    let key = format!("{TABLE}.{LISTENERS}.{name}");
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || name.len() > NAME_LEN_MAX || !name.bytes().all(is_plain) || name == "tls"
    {
        let reason =
            "is no name of a listener; write letters, digits, '-' and '_', and not \"tls\"";
        return Err(refused(key, name.to_owned(), path, reason));
    }
    let toml::Value::Table(table) = value else {
        return Err(refused(key, value.to_string(), path, "is no table of settings"));
    };
    let (mut address, mut tls, mut advertise) = (None, false, None);
    for (setting, value) in table {
        let key = format!("{key}.{setting}");
        let text = match value {
            toml::Value::String(text) => text,
            other => other.to_string(),
        };
        match setting.as_str() {
            "address" => address = Some(parse(&key, &text, path)?),
            "tls" => tls = parse(&key, &text, path)?,
            "advertise" => advertise = Some(parse(&key, &text, path)?),
            _ => {
                let origin = Origin::File(path.to_owned());
                return Err(ConfigError::UnknownKey { key, origin, nearest: None });
            }
        }
    }
    let missing = || refused(format!("{key}.address"), String::new(), path, "must say host:port");
    Ok(KafkaListener { address: address.ok_or_else(missing)?, tls, advertise })
}

fn parse<V: SettingValue>(key: &str, text: &str, path: &Path) -> Result<V, ConfigError> {
    V::parse(text).map_err(|reason| refused(key.to_owned(), text.to_owned(), path, &reason))
}

fn refused(key: String, value: String, path: &Path, reason: &str) -> ConfigError {
    let origin = Origin::File(path.to_owned());
    ConfigError::Value { key, value, origin, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BTreeMap<String, KafkaListener>, String> {
        let mut table: toml::Table = text.parse().unwrap();
        let Some(toml::Value::Table(mut kafka)) = table.remove(TABLE) else { panic!("{text}") };
        read(kafka.remove(LISTENERS).unwrap(), Path::new("test.toml"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn listeners_of_the_file_read_back_as_shown() {
        let text = "[kafka.listeners.in]\naddress = \"127.0.0.1:1\"\ntls = true\nadvertise = \"h:2\"\n\
                    [kafka.listeners.out]\naddress = \"[::1]:3\"\n";
        let read = parse(text).unwrap();
        assert!(read["in"].tls && !read["out"].tls);
        assert_eq!(parse(&show(&read)).unwrap(), read);
    }

    #[test]
    fn a_wrong_one_names_the_file_and_the_setting() {
        let error = parse("[kafka.listeners.in]\naddress = \"9\"\n").unwrap_err();
        assert!(error.starts_with("test.toml sets kafka.listeners.in.address to \"9\""), "{error}");
        let error = parse("[kafka.listeners.in]\ntls = true\n").unwrap_err();
        assert!(error.contains("kafka.listeners.in.address"), "{error}");
        let error = parse("[kafka.listeners.in]\nadress = \"h:1\"\n").unwrap_err();
        assert!(error.contains("kafka.listeners.in.adress, which is not a setting"), "{error}");
        assert!(parse("[kafka.listeners.tls]\naddress = \"h:1\"\n").is_err());
        assert!(parse("[kafka]\nlisteners = 3\n").is_err());
    }
}
