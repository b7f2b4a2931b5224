//! What an endpoint is declared with: names, and one text or several for each.
//!
//! SQL, JSON, TOML and a command line all write this; what it means, the door alone says.

use serde_json::{Map, Value};

use super::EndpointRefused;

/// Settings in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSettings(Vec<(String, Vec<String>)>);

impl EndpointSettings {
    /// Gives a setting a value; one that has a value has one more then.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => self.0.push((name, vec![value])),
        }
    }

    /// Every setting with its values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    /// Reads a JSON object. Numbers and booleans are texts; members of an object inside it are called
    /// `outer.inner`.
    ///
    /// # Errors
    /// [`EndpointRefused`] names what is neither a text, a list of texts nor an object of those.
    pub fn from_json(object: &Map<String, Value>) -> Result<EndpointSettings, EndpointRefused> {
        let mut settings = EndpointSettings::default();
        for (name, value) in object {
            match value {
                Value::Object(inner) => {
                    for (inner, value) in inner {
                        settings.push_json(format!("{name}.{inner}"), value)?;
                    }
                }
                value => settings.push_json(name.clone(), value)?,
            }
        }
        Ok(settings)
    }

    /// The settings as [`EndpointSettings::from_json`] reads them.
    pub fn to_json(&self) -> Map<String, Value> {
        let value = |values: &[String]| match values {
            [one] => Value::from(one.as_str()),
            several => Value::from(several),
        };
        self.iter().map(|(name, values)| (name.to_owned(), value(values))).collect()
    }

    fn push_json(&mut self, name: String, value: &Value) -> Result<(), EndpointRefused> {
        let values = match value {
            Value::Null => return Ok(()),
            Value::Array(values) => values.iter().map(text).collect::<Option<Vec<String>>>(),
            value => text(value).map(|text| vec![text]),
        };
        let Some(values) = values else {
            let reason = "is neither a text, a number, true or false, nor a list of those";
            return Err(EndpointRefused::new(&name, &value.to_string(), reason));
        };
        self.0.push((name, values));
        Ok(())
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Result<EndpointSettings, EndpointRefused> {
        EndpointSettings::from_json(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn json_reads_back() {
        let json = r#"{"bind": ["a", "b"], "hwm": 7, "back": {"socket": "PUB"}, "empty": []}"#;
        let read = settings(json).unwrap();
        let shown = EndpointSettings::from_json(&read.to_json()).unwrap();
        let sorted = |settings: &EndpointSettings| {
            let mut all = settings.0.clone();
            all.sort();
            all
        };
        assert_eq!(sorted(&shown), sorted(&read));
        assert!(read.iter().any(|(name, values)| name == "back.socket" && values == ["PUB"]));
    }

    #[test]
    fn what_is_no_text_is_refused_by_name() {
        let refused = settings(r#"{"bind": [["a"]]}"#).unwrap_err();
        assert_eq!(refused.field, "bind");
        assert!(settings(r#"{"back": {"more": {"deep": 1}}}"#).is_err());
    }
}
