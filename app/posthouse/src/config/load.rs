//! Layers the sources of settings over each other.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::Config;
use super::settings::{SETTINGS, find, nearest};

/// Variables that begin as settings do and are the command line's own.
const OTHER_VARIABLES: [&str; 3] = ["POSTHOUSE_NODE", "POSTHOUSE_CONFIG", "POSTHOUSE_TLS_CA"];

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The code.
    Default,
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(String),
}

/// The settings in force, and where each one that is not a default came from.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// By key.
    pub origins: BTreeMap<&'static str, Origin>,
    /// Variables named like settings that are none, with what may have been meant.
    ///
    /// These are not errors: Kubernetes puts `POSTHOUSE_PORT` and the like into the environment of
    /// every container beside a service called `posthouse`.
    pub unknown_variables: Vec<(String, Option<String>)>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not TOML", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A key that is no setting.
    #[error("{origin} sets {key}, which is not a setting{}", did_you_mean(nearest))]
    UnknownKey {
        /// The key.
        key: String,
        /// Who sets it.
        origin: Origin,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// A value that the setting cannot hold.
    #[error("{origin} sets {key} to {value:?}, which {reason}")]
    Value {
        /// The setting.
        key: String,
        /// The value.
        value: String,
        /// Who sets it.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
    },
}

/// Reads the settings from every source.
///
/// `variables` is the whole environment; `flags` are `(key, value, flag)`.
///
/// # Errors
/// [`ConfigError`], which names the source, the key and the value.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: impl IntoIterator<Item = (String, String, String)>,
) -> Result<Loaded, ConfigError> {
    let mut loaded = Loaded::default();
    if let Some(path) = file {
        loaded.read_file(path)?;
    }
    loaded.read_variables(variables)?;
    for (key, value, flag) in flags {
        loaded.set(&key, &value, Origin::Flag(flag))?;
    }
    Ok(loaded)
}

impl Loaded {
    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        self.read_toml(&text, path)
    }

    fn read_toml(&mut self, text: &str, path: &Path) -> Result<(), ConfigError> {
        let table: toml::Table = text.parse().map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        for (key, value) in table {
            match value {
                toml::Value::Table(inner) if key == super::endpoints::TABLE => {
                    self.config.zeromq.endpoints = super::endpoints::read(inner, path)?;
                }
                toml::Value::Table(mut inner) => {
                    if key == super::listeners::TABLE
                        && let Some(listeners) = inner.remove(super::listeners::LISTENERS)
                    {
                        self.config.node.kafka_listeners = super::listeners::read(listeners, path)?;
                    }
                    for (name, value) in inner {
                        self.set_toml(&format!("{key}.{name}"), &value, path)?;
                    }
                }
                value => self.set_toml(&key, &value, path)?,
            }
        }
        Ok(())
    }

    fn set_toml(&mut self, key: &str, value: &toml::Value, path: &Path) -> Result<(), ConfigError> {
        let text = match value {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.set(key, &text, Origin::File(path.to_owned()))
    }

    fn read_variables(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            if !name.starts_with("POSTHOUSE_") || OTHER_VARIABLES.contains(&name.as_str()) {
                continue;
            }
            match SETTINGS.iter().find(|setting| setting.variable() == name) {
                Some(setting) => self.set(setting.key, &value, Origin::Variable(name))?,
                None => {
                    let near = SETTINGS
                        .iter()
                        .map(|setting| setting.variable())
                        .filter(|known| strsim::damerau_levenshtein(known, &name) <= 3)
                        .min_by_key(|known| strsim::damerau_levenshtein(known, &name));
                    self.unknown_variables.push((name, near));
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str, origin: Origin) -> Result<(), ConfigError> {
        let Some(setting) = find(key) else {
            return Err(ConfigError::UnknownKey {
                key: key.to_owned(),
                origin,
                nearest: nearest(key),
            });
        };
        (setting.set)(&mut self.config, value).map_err(|reason| ConfigError::Value {
            key: key.to_owned(),
            value: value.to_owned(),
            origin: origin.clone(),
            reason,
        })?;
        self.origins.insert(setting.key, origin);
        Ok(())
    }

    /// Where a setting's value came from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => formatter.write_str("the default"),
            Origin::File(path) => path.display().fmt(formatter),
            Origin::Variable(name) => write!(formatter, "the variable {name}"),
            Origin::Flag(flag) => write!(formatter, "the flag {flag}"),
        }
    }
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map(|key| format!("; did you mean {key}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_TOML;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn flag(key: &str, value: &str) -> (String, String, String) {
        (key.to_owned(), value.to_owned(), "--set".to_owned())
    }

    fn toml(text: &str) -> Result<Loaded, ConfigError> {
        let mut loaded = Loaded::default();
        loaded.read_toml(text, Path::new("test.toml")).map(|()| loaded)
    }

    #[test]
    fn the_embedded_file_is_the_defaults() {
        let loaded = toml(DEFAULT_TOML).unwrap();
        let defaults = Config::default();
        for setting in SETTINGS {
            assert_eq!(
                (setting.show)(&loaded.config),
                (setting.show)(&defaults),
                "{}",
                setting.key
            );
            assert!(loaded.origins.contains_key(setting.key), "{} is not in the file", setting.key);
        }
    }

    #[test]
    fn flags_win_over_variables_and_variables_over_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("posthouse.toml");
        let text = "[broker]\ndefault_partitions = 2\ngroup_members_max = 20\npartitions_per_topic_max = 200\n";
        std::fs::write(&path, text).unwrap();
        let loaded = load(
            Some(&path),
            variables(&[
                ("POSTHOUSE_BROKER_DEFAULT_PARTITIONS", "3"),
                ("POSTHOUSE_BROKER_GROUP_MEMBERS_MAX", "30"),
            ]),
            [flag("broker.default_partitions", "4")],
        )
        .unwrap();
        let broker = &loaded.config.broker;
        assert_eq!(broker.default_partitions, 4);
        assert_eq!(broker.group_members_max, 30);
        assert_eq!(broker.partitions_per_topic_max, 200);
        assert_eq!(loaded.origin("broker.default_partitions"), &Origin::Flag("--set".to_owned()));
        assert_eq!(loaded.origin("data_dir"), &Origin::Default);
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = toml("[broker]\ndefault_partition = 2\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "test.toml sets broker.default_partition, which is not a setting; did you mean broker.default_partitions?"
        );
        let error = toml("retention_age = \"1 d\"\n").unwrap_err();
        assert!(error.to_string().ends_with("did you mean topic.retention_age?"), "{error}");
    }

    #[test]
    fn a_wrong_value_names_the_key_and_the_value() {
        let error = load(None, [], [flag("broker.default_partitions", "0")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the flag --set sets broker.default_partitions to \"0\", which is below 1, the least that makes sense"
        );
        for threads in ["redis.threads", "log.commit_threads", "query.threads"] {
            let error = load(None, [], [flag(threads, "100000")]).unwrap_err().to_string();
            assert!(error.contains(threads) && error.contains("1024"), "{error}");
        }
        assert!(toml("data_dir = 3\nkafka = 4\n").is_err());
    }

    #[test]
    fn unknown_variables_are_reported_and_not_refused() {
        let loaded = load(
            None,
            variables(&[
                ("POSTHOUSE_NODE", "x"),
                ("POSTHOUSE_PORT", "tcp://10.0.0.1:8080"),
                ("POSTHOUSE_DATADIR", "/data"),
                ("PATH", "/bin"),
            ]),
            [],
        )
        .unwrap();
        assert_eq!(
            loaded.unknown_variables,
            vec![
                ("POSTHOUSE_PORT".to_owned(), None),
                ("POSTHOUSE_DATADIR".to_owned(), Some("POSTHOUSE_DATA_DIR".to_owned())),
            ]
        );
    }
}
