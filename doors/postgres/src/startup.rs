//! From the first byte of a connection to a session.
//!
//! Owns the opening packets, encryption and what a client is told about the server; who it is,
//! `authentication` finds out.

use std::collections::BTreeMap;

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{GssEncResponse, SslResponse};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey,
};
use posthouse_listener::{Opening as Handshake, Stream};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::PostgresConfig;
use crate::cancel::{Registration, Sessions};
use crate::codec::Opening;
use crate::config::Encryption;
use crate::errors::Fatal;
use crate::settings::Settings;
use crate::wire::Wire;

/// The protocol's name in a TLS handshake.
const ALPN: &[u8] = b"postgresql";

/// LIMIT: SPEC: a client asks for each kind of encryption at most once before it starts.
const OPENINGS_MAX: usize = 3;

/// Parameters of the start packet that are not settings.
const NOT_SETTINGS: [&str; 4] = ["user", "database", "options", "replication"];

/// What a client asked for when it connected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) user: String,
    settings: Vec<(String, String)>,
    minor: u16,
    /// Protocol options that nobody here knows.
    unknown_options: Vec<String>,
}

/// Reads the opening packets; `None` when the connection was for something else, or nothing.
pub(crate) async fn request(
    wire: &mut Wire<Stream>,
    sessions: &Sessions,
    handshake: Option<&Handshake>,
    encryption: Encryption,
) -> Result<Option<Request>, Fatal> {
    let handshake = handshake.filter(|handshake| handshake.acceptor.is_some());
    if let Some(handshake) = handshake
        && wire.stream().begins_with_tls().await?
    {
        // SPEC: PostgreSQL 17, "SSL Session Encryption": without the name it may be an attack that
        // brings another protocol's client here.
        wire.encrypt(handshake).await?;
        if wire.tls().and_then(|peer| peer.alpn.as_deref()) != Some(ALPN) {
            return Ok(None);
        }
    }
    for _ in 0..OPENINGS_MAX {
        let declined = match wire.opening().await? {
            None => return Ok(None),
            Some(Opening::Cancel { process, secret }) => {
                sessions.cancel(process, &secret);
                return Ok(None);
            }
            Some(Opening::Start { minor, parameters }) => {
                if encryption == Encryption::Require && wire.tls().is_none() {
                    return Err(Fatal::NotEncrypted);
                }
                return Request::new(minor, parameters).map(Some);
            }
            Some(Opening::Tls) => match handshake {
                // The client, or somebody between (CVE-2021-23222).
                Some(_) if wire.has_input() => return Err(Fatal::UnencryptedData),
                Some(handshake) if wire.tls().is_none() => {
                    push(wire, PgWireBackendMessage::SslResponse(SslResponse::Accept))?;
                    wire.flush().await?;
                    wire.encrypt(handshake).await?;
                    continue;
                }
                _ => PgWireBackendMessage::SslResponse(SslResponse::Refuse),
            },
            Some(Opening::Gss) => PgWireBackendMessage::GssEncResponse(GssEncResponse::Refuse),
        };
        push(wire, declined)?;
        wire.flush().await?;
    }
    Ok(None)
}

impl Request {
    fn new(minor: u16, mut parameters: BTreeMap<String, String>) -> Result<Request, Fatal> {
        let user =
            parameters.remove("user").filter(|user| !user.is_empty()).ok_or(Fatal::NoUser)?;
        if parameters.get("replication").is_some_and(|value| value != "false" && value != "0") {
            return Err(Fatal::NoReplication);
        }
        let mut settings = options(parameters.get("options").map_or("", String::as_str));
        let (unknown_options, others): (Vec<_>, Vec<_>) =
            parameters.into_iter().partition(|(name, _)| name.starts_with("_pq_."));
        settings.extend(others.into_iter().filter(|(name, _)| !NOT_SETTINGS.contains(&&**name)));
        let unknown_options = unknown_options.into_iter().map(|(name, _)| name).collect();
        Ok(Request { user, settings, minor, unknown_options })
    }

    /// The settings that the session begins with.
    pub(crate) fn settings(
        &self,
        config: &PostgresConfig,
        is_superuser: bool,
    ) -> Result<Settings, Fatal> {
        let mut settings = Settings::new(&self.user, is_superuser, config.statement_timeout);
        for (name, value) in &self.settings {
            settings.open_with(name, value).map_err(Fatal::Setting)?;
        }
        Ok(settings)
    }
}

/// Tells a client that wants more of the protocol than there is how much of it there is.
pub(crate) fn negotiate<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    request: &Request,
) -> Result<(), Fatal> {
    if request.minor == 0 && request.unknown_options.is_empty() {
        return Ok(());
    }
    let options = request.unknown_options.clone();
    let negotiate = NegotiateProtocolVersion::new(0, options);
    push(wire, PgWireBackendMessage::NegotiateProtocolVersion(negotiate))
}

/// Tells the client that it is let in, about the server, and how to cancel.
pub(crate) fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    settings: &Settings,
    registration: &Registration,
) -> Result<(), Fatal> {
    push(wire, PgWireBackendMessage::Authentication(Authentication::Ok))?;
    for (name, value) in settings.reported() {
        let status = ParameterStatus::new(name.to_owned(), value.to_owned());
        push(wire, PgWireBackendMessage::ParameterStatus(status))?;
    }
    let secret = SecretKey::I32(i32::from_be_bytes(registration.secret));
    let key = BackendKeyData::new(registration.process, secret);
    push(wire, PgWireBackendMessage::BackendKeyData(key))
}

pub(crate) fn push<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    message: PgWireBackendMessage,
) -> Result<(), Fatal> {
    wire.push(&message).map_err(|failure| Fatal::Session { message: failure.to_string() })
}

/// The settings in `-c name=value` and `--name=value`. A backslash keeps the next character.
fn options(text: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => words.last_mut().into_iter().for_each(|word| word.extend(characters.next())),
            blank if blank.is_whitespace() => words.push(String::new()),
            other => words.last_mut().into_iter().for_each(|word| word.push(other)),
        }
    }
    words
        .iter()
        .map(|word| word.trim_start_matches("-c").trim_start_matches("--"))
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.replace('-', "_"), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(parameters: &[(&str, &str)]) -> Result<Request, Fatal> {
        let pairs = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Request::new(0, pairs.collect())
    }

    #[test]
    fn the_start_packet_sets_settings() {
        let request = request(&[
            ("user", "ada"),
            ("database", "any"),
            ("application_name", "psql"),
            ("options", r"-c statement_timeout=5s --search-path=a\ b"),
        ])
        .unwrap();
        let settings = request.settings(&PostgresConfig::default(), false).unwrap();
        assert_eq!(settings.value("statement_timeout").unwrap(), "5000");
        assert_eq!(settings.value("search_path").unwrap(), "a b");
        assert_eq!(settings.value("application_name").unwrap(), "psql");
        assert_eq!(settings.value("session_authorization").unwrap(), "ada");
    }

    #[test]
    fn a_start_packet_must_name_a_user_and_no_replication() {
        assert!(matches!(request(&[]), Err(Fatal::NoUser)));
        let replication = request(&[("user", "ada"), ("replication", "database")]);
        assert!(matches!(replication, Err(Fatal::NoReplication)));
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        let request = request(&[("user", "ada"), ("no_such", "1")]).unwrap();
        let refused = request.settings(&PostgresConfig::default(), false);
        assert!(matches!(refused, Err(Fatal::Setting(_))));
    }
}
