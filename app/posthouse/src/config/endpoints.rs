//! Endpoints in the file: the one part of the settings that is a table of tables, because a person
//! names what is in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use posthouse_broker::EndpointSettings;
use posthouse_zeromq::{EndpointSpec, Policy};
use serde_json::{Map, Value};

use super::{ConfigError, Origin};

/// The table that is not of the ordinary kind.
pub(super) const TABLE: &str = "zeromq";
const ENDPOINTS: &str = "endpoints";

/// What the reference page says.
pub(super) const PAGE: &str = "
## `[zeromq.endpoints.NAME]`

One table for each ZeroMQ endpoint that the node opens when it starts, beside those declared with SQL, over HTTP or by
`posthouse endpoint create`. Only the file has them: there is no variable and no flag. One that cannot be opened keeps
the node from starting. [doors/zeromq.md](doors/zeromq.md) lists the settings.

```toml
[zeromq.endpoints.orders-in]
socket = \"PULL\"
bind = \"tcp://127.0.0.1:5555\"
topic = \"orders\"
```
";

/// Reads `[zeromq.endpoints.*]`.
pub(super) fn read(
    table: toml::Table,
    path: &Path,
) -> Result<BTreeMap<String, EndpointSettings>, ConfigError> {
    let origin = || Origin::File(path.to_owned());
    let mut endpoints = BTreeMap::new();
    for (key, value) in table {
        let (ENDPOINTS, toml::Value::Table(named)) = (key.as_str(), value) else {
            let key = format!("{TABLE}.{key}");
            return Err(ConfigError::UnknownKey { key, origin: origin(), nearest: None });
        };
        for (name, value) in named {
            let key = format!("{TABLE}.{ENDPOINTS}.{name}");
            let settings = object(value).and_then(|object| {
                EndpointSettings::from_json(&object).map_err(|refused| refused.to_string())
            });
            let settings = settings.map_err(|reason| refusal(&key, &reason, origin()))?;
            check(&key, &name, &settings, origin())?;
            endpoints.insert(name, settings);
        }
    }
    Ok(endpoints)
}

/// The endpoints as the file has them, without their secrets.
pub(super) fn show(endpoints: &BTreeMap<String, EndpointSettings>) -> String {
    let mut text = String::new();
    for (name, settings) in endpoints {
        let name = toml::Value::String(name.clone());
        let _ = write!(text, "\n[{TABLE}.{ENDPOINTS}.{name}]\n");
        for (setting, values) in EndpointSpec::masked(settings).iter() {
            let values = match values {
                [one] => toml::Value::String(one.clone()),
                several => {
                    toml::Value::Array(several.iter().cloned().map(toml::Value::String).collect())
                }
            };
            let _ = writeln!(text, "{setting} = {values}");
        }
    }
    text
}

/// Everything but what depends on the node's other settings, which is looked at when it starts.
fn check(
    key: &str,
    name: &str,
    settings: &EndpointSettings,
    origin: Origin,
) -> Result<(), ConfigError> {
    let lenient = Policy::lenient(settings);
    EndpointSpec::parse(name, settings, lenient).map(drop).map_err(|refused| {
        let help = refused.help.as_deref().map(|help| format!("; {help}")).unwrap_or_default();
        ConfigError::Value {
            key: format!("{key}.{}", refused.field),
            value: refused.value.clone(),
            origin,
            reason: format!("{}{help}", refused.reason),
        }
    })
}

fn refusal(key: &str, reason: &str, origin: Origin) -> ConfigError {
    let (key, reason) = (key.to_owned(), format!("is no endpoint: {reason}"));
    ConfigError::Value { key, value: String::new(), origin, reason }
}

fn object(value: toml::Value) -> Result<Map<String, Value>, String> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("it is a table".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BTreeMap<String, EndpointSettings>, String> {
        let mut table: toml::Table = text.parse().unwrap();
        let Some(toml::Value::Table(zeromq)) = table.remove(TABLE) else { panic!("{text}") };
        read(zeromq, Path::new("test.toml")).map_err(|error| error.to_string())
    }

    const IN: &str =
        "[zeromq.endpoints.in]\nsocket = \"PULL\"\nbind = [\"ipc:///a\", \"ipc:///b\"]\n";

    #[test]
    fn an_endpoint_of_the_file_reads_back_as_shown() {
        let read = parse(&format!("{IN}topic = \"t\"\nhwm = 7\n")).unwrap();
        assert_eq!(parse(&show(&read)).unwrap(), read);
    }

    #[test]
    fn a_wrong_one_names_the_file_the_setting_and_the_way_out() {
        let error = parse(&format!("{IN}topic = \"t\"\nhwn = 7\n")).unwrap_err();
        assert_eq!(
            error,
            "test.toml sets zeromq.endpoints.in.hwn to \"7\", which is not a setting of an endpoint; did you mean hwm?"
        );
        let error = parse("[zeromq]\nports = 3\n").unwrap_err();
        assert!(error.contains("zeromq.ports, which is not a setting"), "{error}");
    }
}
