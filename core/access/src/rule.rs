//! Permissions as people give them: rules, named as Kafka names its ACLs.

use std::fmt;

use posthouse_types::Principal;
use serde::{Deserialize, Serialize};

use crate::{OperationSet, ResourceKind};

/// One permission, or one refusal. Refusals win over permissions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// Whom it is about.
    pub grantee: Grantee,
    /// Whether it allows or denies.
    pub effect: Effect,
    /// What it allows or denies.
    pub operations: OperationSet,
    /// On what kind of thing.
    pub kind: ResourceKind,
    /// On which of them.
    pub pattern: NamePattern,
}

/// Whether a rule allows or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the variants are plain")]
pub enum Effect {
    Allow,
    Deny,
}

/// Whom a rule is about: `User:alice`, or `User:*` for everybody.
///
/// It need not be a user that is kept: an OAuth token's subject is one too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grantee(String);

impl Grantee {
    /// Everybody.
    pub fn everybody() -> Grantee {
        Grantee("User:*".to_owned())
    }

    /// One, by name: `alice`, or `*`.
    pub fn named(name: &str) -> Grantee {
        Grantee(format!("User:{name}"))
    }

    /// As Kafka writes it, `User:alice`; `None` for any other type of principal.
    pub fn parse(text: &str) -> Option<Grantee> {
        let name = text.strip_prefix("User:")?;
        (!name.is_empty()).then(|| Grantee(text.to_owned()))
    }

    /// As Kafka writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name alone.
    pub fn name(&self) -> &str {
        self.0.strip_prefix("User:").unwrap_or(&self.0)
    }

    /// Whether it is everybody.
    pub fn is_everybody(&self) -> bool {
        self.0 == "User:*"
    }

    /// Whether it is this one, and not only everybody.
    pub fn is(&self, principal: &Principal) -> bool {
        self.0 == principal.as_str()
    }
}

impl fmt::Display for Grantee {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Which names a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "name", rename_all = "kebab-case")]
pub enum NamePattern {
    /// Every name; Kafka's literal `*`.
    Any,
    /// This name.
    Literal(#[serde(with = "bytes_as_text")] Vec<u8>),
    /// Names that begin so; Kafka's `PREFIXED`.
    Prefixed(#[serde(with = "bytes_as_text")] Vec<u8>),
}

impl NamePattern {
    /// Whether a name is one of them.
    pub fn matches(&self, name: &[u8]) -> bool {
        match self {
            NamePattern::Any => true,
            NamePattern::Literal(own) => own == name,
            NamePattern::Prefixed(prefix) => name.starts_with(prefix),
        }
    }

    /// As people write it: `*`, `orders`, or `orders*` for a prefix.
    ///
    /// A literal name that ends in `*` cannot be written so; a backslash before it says that it is
    /// meant.
    pub fn parse(text: &str) -> NamePattern {
        if text == "*" {
            return NamePattern::Any;
        }
        if let Some(literal) = text.strip_suffix("\\*") {
            return NamePattern::Literal(format!("{literal}*").into_bytes());
        }
        match text.strip_suffix('*') {
            Some(prefix) => NamePattern::Prefixed(prefix.as_bytes().to_vec()),
            None => NamePattern::Literal(text.as_bytes().to_vec()),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        match self {
            NamePattern::Any => formatter.write_str("*"),
            NamePattern::Literal(name) => match text(name).strip_suffix('*') {
                Some(start) => write!(formatter, "{start}\\*"),
                None => formatter.write_str(&text(name)),
            },
            NamePattern::Prefixed(prefix) => write!(formatter, "{}*", text(prefix)),
        }
    }
}

/// Which rules are meant: those that agree with everything that is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleFilter {
    /// Whom they are about.
    pub grantee: Option<Grantee>,
    /// Whether they allow or deny.
    pub effect: Option<Effect>,
    /// An operation that they name; `All` only those that name all.
    pub operations: Option<OperationSet>,
    /// On what kind of thing.
    pub kind: Option<ResourceKind>,
    /// With exactly this pattern.
    pub pattern: Option<NamePattern>,
    /// With any pattern that matches this name; Kafka's `MATCH`.
    pub matching: Option<Vec<u8>>,
}

impl RuleFilter {
    /// Whether a rule is meant.
    pub fn selects(&self, rule: &Rule) -> bool {
        fn agrees<T: PartialEq>(wanted: Option<&T>, own: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == own)
        }
        agrees(self.grantee.as_ref(), &rule.grantee)
            && agrees(self.effect.as_ref(), &rule.effect)
            && agrees(self.operations.as_ref(), &rule.operations)
            && agrees(self.kind.as_ref(), &rule.kind)
            && agrees(self.pattern.as_ref(), &rule.pattern)
            && self.matching.as_ref().is_none_or(|name| rule.pattern.matches(name))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match self.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        let Rule { grantee, operations, kind, pattern, .. } = self;
        write!(formatter, "{effect} {grantee} {operations} on {kind} {pattern}")
    }
}

/// Names are any bytes. As text where they are text, so that an operator may read the catalog.
mod bytes_as_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Text(String),
        Bytes { base64: String },
    }

    pub(super) fn serialize<S: Serializer>(name: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(name) {
            Ok(text) => text.serialize(serializer),
            Err(_) => Stored::Bytes { base64: STANDARD.encode(name) }.serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<u8>, D::Error> {
        match Stored::deserialize(source)? {
            Stored::Text(text) => Ok(text.into_bytes()),
            Stored::Bytes { base64 } => STANDARD.decode(base64).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;

    #[test]
    fn patterns_read_back_as_they_are_written() {
        for text in ["*", "orders", "orders*", "odd\\*", "a*b", "日本*"] {
            assert_eq!(NamePattern::parse(text).to_string(), text);
        }
        assert_eq!(NamePattern::parse("odd\\*"), NamePattern::Literal(b"odd*".to_vec()));
    }

    #[test]
    fn a_rule_reads_back_from_json_whatever_bytes_it_names() {
        for pattern in [
            NamePattern::Any,
            NamePattern::Literal(b"orders".to_vec()),
            NamePattern::Prefixed(b"\xff\x00".to_vec()),
        ] {
            let rule = Rule {
                grantee: Grantee::named("alice"),
                effect: Effect::Deny,
                operations: OperationSet::of(Operation::Read),
                kind: ResourceKind::TransactionalId,
                pattern,
            };
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule, "{json}");
        }
    }

    #[test]
    fn only_users_are_granted_anything() {
        assert!(Grantee::parse("User:alice").is_some());
        assert!(Grantee::parse("Group:staff").is_none());
        assert!(Grantee::parse("User:").is_none());
        assert!(Grantee::parse("User:*").unwrap().is_everybody());
    }

    #[test]
    fn a_filter_that_names_nothing_selects_every_rule() {
        let rule = Rule {
            grantee: Grantee::everybody(),
            effect: Effect::Allow,
            operations: OperationSet::ALL,
            kind: ResourceKind::Topic,
            pattern: NamePattern::Prefixed(b"a".to_vec()),
        };
        assert!(RuleFilter::default().selects(&rule));
        let matching =
            |name: &[u8]| RuleFilter { matching: Some(name.to_vec()), ..Default::default() };
        assert!(matching(b"abc").selects(&rule));
        assert!(!matching(b"bc").selects(&rule));
        let exact = NamePattern::Literal(b"abc".to_vec());
        assert!(!RuleFilter { pattern: Some(exact), ..Default::default() }.selects(&rule));
    }
}
