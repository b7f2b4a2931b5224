//! How a client may prove who it is, and which ways are open to one connection.

use crate::config::{KafkaConfig, PlainPolicy};

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SaslMechanism {
    Plain,
    ScramSha256,
    ScramSha512,
    OauthBearer,
}

/// What matters about how a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// The bytes are encrypted on their way.
    pub(crate) is_tls: bool,
    /// The client is on this machine.
    pub(crate) is_loopback: bool,
}

impl SaslMechanism {
    const ALL: [SaslMechanism; 4] = [
        SaslMechanism::Plain,
        SaslMechanism::ScramSha256,
        SaslMechanism::ScramSha512,
        SaslMechanism::OauthBearer,
    ];

    /// Its registered name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
            SaslMechanism::OauthBearer => "OAUTHBEARER",
        }
    }

    /// Those that a client so connected may use.
    pub(crate) fn offered(config: &KafkaConfig, path: Path) -> Vec<SaslMechanism> {
        SaslMechanism::ALL.into_iter().filter(|one| one.is_open(config, path)).collect()
    }

    fn is_open(self, config: &KafkaConfig, path: Path) -> bool {
        // Where a password or a token travels as it is, nobody must be able to listen.
        let is_private = match config.sasl_plain {
            PlainPolicy::Tls => path.is_tls,
            PlainPolicy::Loopback => path.is_tls || path.is_loopback,
            PlainPolicy::Always => true,
        };
        match self {
            SaslMechanism::Plain => is_private,
            SaslMechanism::OauthBearer => is_private && config.oauth.jwks.is_some(),
            SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512 => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_clear_is_taken_only_where_the_setting_says_so() {
        let open = |sasl_plain, is_tls, is_loopback| {
            let config = KafkaConfig { sasl_plain, ..KafkaConfig::default() };
            SaslMechanism::offered(&config, Path { is_tls, is_loopback })
                .contains(&SaslMechanism::Plain)
        };
        assert!(open(PlainPolicy::Tls, true, false));
        assert!(!open(PlainPolicy::Tls, false, true));
        assert!(open(PlainPolicy::Loopback, true, false));
        assert!(open(PlainPolicy::Loopback, false, true));
        assert!(!open(PlainPolicy::Loopback, false, false));
        assert!(open(PlainPolicy::Always, false, false));
        assert_eq!(KafkaConfig::default().sasl_plain, PlainPolicy::Tls);
    }
}
