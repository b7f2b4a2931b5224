//! Settings taken one by one, each with its check; what is left over is refused.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use posthouse_broker::{EndpointRefused, EndpointSettings};

use super::security;

/// Every setting there is, for whoever mistypes one.
const KNOWN: &[&str] = &[
    "socket",
    "bind",
    "connect",
    "topic",
    "channel",
    "queue",
    "group",
    "service",
    "pair",
    "role",
    "concurrency",
    "idempotent",
    "timeout_ms",
    "when_absent",
    "errors",
    "requests_max",
    "overflow",
    "subscribe",
    "hwm",
    "send_hwm",
    "receive_hwm",
    "linger_ms",
    "identity",
    "heartbeat_ms",
    "heartbeat_timeout_ms",
    "message_bytes_max",
    "reconnect_ms",
    "reconnect_max_ms",
    "user",
    "mechanism",
    "server",
    "plain_username",
    "plain_password",
    "curve_secret_key",
    "curve_server_key",
    "curve_allow",
];

/// Before the settings of a second socket.
pub(super) const BACK: &str = "back.";

/// Refuses settings that no endpoint has, before anything else is said about the declaration.
pub(super) fn check_names(settings: &EndpointSettings) -> Result<(), EndpointRefused> {
    let parted = |full: &str| match full.strip_prefix(BACK) {
        Some(name) => (BACK, name.to_owned()),
        None => ("", full.to_owned()),
    };
    let is_unknown = |full: &str| !KNOWN.contains(&parted(full).1.as_str());
    let Some((full, values)) = settings.iter().find(|(full, _)| is_unknown(full)) else {
        return Ok(());
    };
    let (prefix, name) = parted(full);
    let distance = |known: &&&str| strsim::damerau_levenshtein(known, &name);
    let near = KNOWN.iter().min_by_key(distance).filter(|known| distance(known) <= 3);
    let is_secret = near.is_some_and(|near| security::is_secret(near));
    let value = values.first().map_or("", String::as_str);
    let value = if is_secret { security::MASK } else { value };
    let refused = EndpointRefused::new(full, value, "is not a setting of an endpoint");
    Err(match near {
        Some(near) => refused.help(format!("did you mean {prefix}{near}?")),
        None => refused.help("docs/doors/zeromq.md lists the settings"),
    })
}

/// Settings that nothing has taken yet.
pub(super) struct Fields {
    /// Before every name, in what is said about it.
    prefix: &'static str,
    left: Vec<(String, Vec<String>)>,
}

impl Fields {
    pub(super) fn new(settings: &EndpointSettings) -> Fields {
        let left = settings.iter().map(|(name, values)| (name.to_owned(), values.to_vec()));
        Fields { prefix: "", left: left.collect() }
    }

    /// The settings whose name begins with `prefix`, by the rest of it.
    pub(super) fn split_off(&mut self, prefix: &'static str) -> Fields {
        let mut inner = Vec::new();
        self.left.retain(|(name, values)| match name.strip_prefix(prefix) {
            Some(rest) => {
                inner.push((rest.to_owned(), values.clone()));
                false
            }
            None => true,
        });
        Fields { prefix, left: inner }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Whether a setting is given, and nothing has taken it yet.
    pub(super) fn has(&self, name: &str) -> bool {
        self.left.iter().any(|(known, _)| known == name)
    }

    /// All values of a setting.
    pub(super) fn list(&mut self, name: &str) -> Vec<String> {
        let found = self.left.iter().position(|(known, _)| known == name);
        found.map(|index| self.left.swap_remove(index).1).unwrap_or_default()
    }

    /// The one value of a setting.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, EndpointRefused> {
        let mut values = self.list(name);
        let value = values.pop();
        match value {
            Some(value) if !values.is_empty() => {
                Err(self.refused(name, &value, "is one value too many: there is only one"))
            }
            value => Ok(value),
        }
    }

    /// The one value of a setting, which is not empty.
    pub(super) fn name(&mut self, name: &str) -> Result<Option<String>, EndpointRefused> {
        match self.text(name)? {
            Some(value) if value.is_empty() => Err(self.refused(name, "", "is empty")),
            value => Ok(value),
        }
    }

    pub(super) fn number<N>(
        &mut self,
        name: &str,
        range: RangeInclusive<N>,
    ) -> Result<Option<N>, EndpointRefused>
    where
        N: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        let reason = || format!("is not a whole number from {} to {}", range.start(), range.end());
        number.map(Some).ok_or_else(|| self.refused(name, &text, reason()))
    }

    /// Milliseconds up to a day.
    pub(super) fn milliseconds(&mut self, name: &str) -> Result<Option<Duration>, EndpointRefused> {
        let ms = self.number(name, 0..=86_400_000_u64)?;
        Ok(ms.map(Duration::from_millis))
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, EndpointRefused> {
        self.choice(name, &[("true", true), ("false", false)])
    }

    pub(super) fn choice<T: Clone>(
        &mut self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, EndpointRefused> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let chosen = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim()));
        let words = || choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        match chosen {
            Some((_, value)) => Ok(Some(value.clone())),
            None => Err(self.refused(name, &text, format!("is not one of {}", words()))),
        }
    }

    /// A refusal of a setting of these, which does not repeat a secret.
    pub(super) fn refused(
        &self,
        name: &str,
        value: &str,
        reason: impl Into<String>,
    ) -> EndpointRefused {
        let value = if security::is_secret(name) { security::MASK } else { value };
        EndpointRefused::new(&format!("{}{name}", self.prefix), value, reason)
    }

    /// Refuses what nothing has taken: `for_what` says where it would do nothing.
    pub(super) fn finish(self, for_what: &str) -> Result<(), EndpointRefused> {
        let Some((name, values)) = self.left.first() else { return Ok(()) };
        let value = values.first().map_or("", String::as_str);
        let refused = self.refused(name, value, format!("does nothing {for_what}"));
        Err(refused.help("leave it out"))
    }
}
