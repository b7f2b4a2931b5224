//! Who there is and what they may do: the state that the catalog keeps.
//!
//! It decides nothing: what a caller may change is checked before a change is made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;

use posthouse_types::{ByteSize, Timestamp};
use serde::{Deserialize, Serialize};

use crate::users::Users;
use crate::{Mechanism, Rule, Token, TokenHash, TokenId, UserName, Verifier};

/// Users, tokens and rules.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Access {
    /// Random, made once: what decoys are derived from.
    #[serde(default, with = "hidden")]
    secret: Vec<u8>,
    #[serde(default)]
    users: Users,
    #[serde(default, with = "by_id")]
    tokens: BTreeMap<TokenId, TokenEntry>,
    #[serde(default)]
    rules: BTreeSet<Rule>,
}

/// Someone who may log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The name.
    pub name: UserName,
    /// What checks the password; none for one who comes in by other means only. One a mechanism.
    #[serde(default)]
    pub verifiers: Vec<Verifier>,
    /// Whether it may do everything, whatever rules say.
    #[serde(default)]
    pub superuser: bool,
    /// Whether it is kept out, with everything that is its own.
    #[serde(default)]
    pub disabled: bool,
    /// Subjects of client certificates that stand for it, as RFC 4514 writes them.
    #[serde(default)]
    pub certificates: BTreeSet<String>,
    /// Its CURVE public keys, in Z85.
    #[serde(default)]
    pub curve_keys: BTreeSet<String>,
    /// How much it may move, where that is not what everybody may.
    #[serde(default, skip_serializing_if = "UserRates::is_empty")]
    pub rates: UserRates,
}

/// How much one user may move and ask in a second; what is `None` is as for everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRates {
    /// Bytes of records written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<ByteSize>,
    /// Bytes of records read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<ByteSize>,
    /// Requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<NonZeroU32>,
}

impl UserRates {
    /// Whether all is as for everybody.
    pub fn is_empty(&self) -> bool {
        *self == UserRates::default()
    }
}

/// A token, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEntry {
    /// Its name.
    pub id: TokenId,
    /// Whose it is.
    pub user: UserName,
    /// What is kept of its secret.
    pub hash: TokenHash,
    /// What its owner calls it; may be empty.
    #[serde(default)]
    pub label: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; `None` when it does not.
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum AccessChange {
    /// The node's first start: what decoys are derived from.
    SecretMade {
        /// Random bytes.
        #[serde(with = "hidden")]
        secret: Vec<u8>,
    },
    /// A user is this, and nothing else.
    UserPut {
        /// All of it.
        user: User,
    },
    /// A user is gone, with its tokens and the rules about it.
    UserDeleted {
        /// Who.
        name: UserName,
    },
    /// A token was made.
    TokenAdded {
        /// All of it.
        token: TokenEntry,
    },
    /// A token is gone.
    TokenDeleted {
        /// Which.
        id: TokenId,
    },
    /// A rule holds from now on.
    RuleAdded {
        /// Which.
        rule: Rule,
    },
    /// A rule does not hold any more.
    RuleRemoved {
        /// Which.
        rule: Rule,
    },
}

impl User {
    /// A user that cannot log in yet.
    pub fn new(name: UserName) -> User {
        User {
            name,
            verifiers: Vec::new(),
            superuser: false,
            disabled: false,
            certificates: BTreeSet::new(),
            curve_keys: BTreeSet::new(),
            rates: UserRates::default(),
        }
    }

    /// What checks its password by this mechanism.
    pub fn verifier(&self, mechanism: Mechanism) -> Option<&Verifier> {
        self.verifiers.iter().find(|one| one.mechanism() == mechanism)
    }

    /// Has this check its password from now on, instead of what did by the same mechanism.
    pub fn set_verifier(&mut self, verifier: Verifier) {
        self.verifiers.retain(|one| one.mechanism() != verifier.mechanism());
        self.verifiers.push(verifier);
    }
}

impl TokenEntry {
    /// Whether it has ended.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

impl Access {
    /// Makes a change. One about what is not there does nothing.
    pub fn apply(&mut self, change: AccessChange) {
        match change {
            AccessChange::SecretMade { secret } => self.secret = secret,
            AccessChange::UserPut { user } => self.users.put(user),
            AccessChange::UserDeleted { name } => {
                self.users.remove(&name);
                self.tokens.retain(|_, token| token.user != name);
                self.rules.retain(|rule| !rule.grantee.is(&name.principal()));
            }
            AccessChange::TokenAdded { token } => {
                self.tokens.insert(token.id.clone(), token);
            }
            AccessChange::TokenDeleted { id } => {
                self.tokens.remove(&id);
            }
            AccessChange::RuleAdded { rule } => {
                self.rules.insert(rule);
            }
            AccessChange::RuleRemoved { rule } => {
                self.rules.remove(&rule);
            }
        }
    }

    /// Whether the secret of its first start is made.
    pub fn has_secret(&self) -> bool {
        !self.secret.is_empty()
    }

    /// A user by name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(&UserName::new(name).ok()?)
    }

    /// All users, by name.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &User> {
        self.users.iter()
    }

    /// A token by its id, expired or not.
    pub fn token_entry(&self, id: &TokenId) -> Option<&TokenEntry> {
        self.tokens.get(id)
    }

    /// All tokens, by id.
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = &TokenEntry> {
        self.tokens.values()
    }

    /// All rules.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Whether a rule holds.
    pub fn has_rule(&self, rule: &Rule) -> bool {
        self.rules.contains(rule)
    }

    /// What checks a name's password in an exchange: a decoy's, when nobody who may come in has it.
    /// A decoy pretends to have been hashed `iterations` times.
    pub fn verifier(&self, name: &str, mechanism: Mechanism, iterations: u32) -> Verifier {
        // Made in any case, because making it takes time.
        let decoy = Verifier::decoy(mechanism, name, &self.secret, iterations);
        let user = self.user(name).filter(|user| !user.disabled);
        user.and_then(|user| user.verifier(mechanism)).cloned().unwrap_or(decoy)
    }

    /// What checks a name's password when it is sent as it is: the user's own, or a decoy.
    pub fn any_verifier(&self, name: &str, iterations: u32) -> Verifier {
        let decoy = Verifier::decoy(Mechanism::ScramSha256, name, &self.secret, iterations);
        let user = self.user(name).filter(|user| !user.disabled);
        // The one whose cost is a decoy's, where there is a choice.
        let own =
            |user: &User| user.verifier(Mechanism::ScramSha256).or(user.verifiers.first()).cloned();
        user.and_then(own).unwrap_or(decoy)
    }

    /// The token that this is, unless it has expired or its user may not come in.
    pub fn token(&self, token: &Token, now: Timestamp) -> Option<&TokenEntry> {
        let entry = self.tokens.get(token.id())?;
        let user = self.users.get(&entry.user)?;
        (token.matches(&entry.hash) && !entry.has_expired(now) && !user.disabled).then_some(entry)
    }

    /// Whom a client certificate stands for.
    pub fn user_of_certificate(&self, subject: &str) -> Option<&User> {
        self.owner_of_certificate(subject).filter(|user| !user.disabled)
    }

    /// Whose CURVE key this is, in Z85.
    pub fn user_of_curve_key(&self, key: &str) -> Option<&User> {
        self.owner_of_curve_key(key).filter(|user| !user.disabled)
    }

    /// Who has a client certificate's subject, also one who may not come in.
    pub fn owner_of_certificate(&self, subject: &str) -> Option<&User> {
        self.users.of_certificate(subject)
    }

    /// Who has a CURVE key, also one who may not come in.
    pub fn owner_of_curve_key(&self, key: &str) -> Option<&User> {
        self.users.of_curve_key(key)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Access")
            .field("users", &self.users.iter().len())
            .field("tokens", &self.tokens.len())
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}

mod hidden {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(source)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

/// A map whose values know their keys is kept as a list.
mod by_id {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{TokenEntry, TokenId};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<TokenId, TokenEntry>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map.values())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        source: D,
    ) -> Result<BTreeMap<TokenId, TokenEntry>, D::Error> {
        let list = Vec::<TokenEntry>::deserialize(source)?;
        Ok(list.into_iter().map(|one| (one.id.clone(), one)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Effect, Grantee, ITERATIONS_MIN, NamePattern, OperationSet, ResourceKind};

    fn alice() -> User {
        let mut user = User::new(UserName::new("alice").unwrap());
        for mechanism in Mechanism::ALL {
            user.set_verifier(Verifier::of_password(mechanism, b"pw", ITERATIONS_MIN).unwrap());
        }
        user
    }

    fn rule_about(name: &str) -> Rule {
        Rule {
            grantee: Grantee::named(name),
            effect: Effect::Allow,
            operations: OperationSet::ALL,
            kind: ResourceKind::Topic,
            pattern: NamePattern::Any,
        }
    }

    fn entry(token: &Token, expires: Option<Timestamp>) -> TokenEntry {
        TokenEntry {
            id: token.id().clone(),
            user: UserName::new("alice").unwrap(),
            hash: token.hash(),
            label: "build".into(),
            created: Timestamp::from_ms(0),
            expires,
        }
    }

    fn with(changes: impl IntoIterator<Item = AccessChange>) -> Access {
        let mut access = Access::default();
        for change in changes {
            let json = serde_json::to_string(&change).unwrap();
            assert_eq!(serde_json::from_str::<AccessChange>(&json).unwrap(), change);
            access.apply(change);
        }
        access
    }

    #[test]
    fn all_of_it_survives_a_snapshot() {
        let token = Token::random();
        let access = with([
            AccessChange::SecretMade { secret: vec![7; 32] },
            AccessChange::UserPut { user: alice() },
            AccessChange::TokenAdded { token: entry(&token, None) },
            AccessChange::RuleAdded { rule: rule_about("alice") },
        ]);
        let json = serde_json::to_string(&access).unwrap();
        let again: Access = serde_json::from_str(&json).unwrap();
        assert!(again.any_verifier("alice", ITERATIONS_MIN).check(b"pw"));
        assert!(again.token(&token, Timestamp::from_ms(1)).is_some());
        assert!(again.has_rule(&rule_about("alice")));
        let mechanism = Mechanism::ScramSha512;
        assert_eq!(
            again.verifier("nobody", mechanism, 5000),
            access.verifier("nobody", mechanism, 5000)
        );
    }

    #[test]
    fn whoever_is_not_there_is_checked_at_the_same_cost() {
        let mut user = alice();
        // As Kafka's tools leave it: the other one is set anew, and comes last.
        let anew = Verifier::of_password(Mechanism::ScramSha256, b"pw", ITERATIONS_MIN).unwrap();
        user.set_verifier(anew);
        let access = with([AccessChange::UserPut { user }]);
        let cost = |name| {
            let verifier = access.any_verifier(name, ITERATIONS_MIN);
            (verifier.mechanism(), verifier.iterations())
        };
        assert_eq!(cost("alice"), cost("nobody"));
        for mechanism in Mechanism::ALL {
            let asked = access.verifier("nobody", mechanism, ITERATIONS_MIN);
            assert_eq!((asked.mechanism(), asked.iterations()), (mechanism, ITERATIONS_MIN));
        }
    }

    #[test]
    fn what_a_user_had_goes_with_the_user() {
        let token = Token::random();
        let mut access = with([
            AccessChange::UserPut { user: alice() },
            AccessChange::TokenAdded { token: entry(&token, None) },
            AccessChange::RuleAdded { rule: rule_about("alice") },
            AccessChange::RuleAdded { rule: rule_about("*") },
        ]);
        access.apply(AccessChange::UserDeleted { name: UserName::new("alice").unwrap() });
        assert!(access.token(&token, Timestamp::from_ms(1)).is_none());
        assert!(!access.any_verifier("alice", ITERATIONS_MIN).check(b"pw"));
        assert_eq!(access.rules().collect::<Vec<_>>(), [&rule_about("*")]);
    }

    #[test]
    fn a_token_ends_at_its_time() {
        let token = Token::random();
        let access = with([
            AccessChange::UserPut { user: alice() },
            AccessChange::TokenAdded { token: entry(&token, Some(Timestamp::from_ms(10))) },
        ]);
        assert!(access.token(&token, Timestamp::from_ms(9)).is_some());
        assert!(access.token(&token, Timestamp::from_ms(10)).is_none());
    }

    #[test]
    fn one_who_is_disabled_comes_in_by_no_means() {
        let token = Token::random();
        let mut user = alice();
        user.certificates.insert("CN=alice".into());
        user.curve_keys.insert("k".into());
        user.disabled = true;
        let access = with([
            AccessChange::UserPut { user },
            AccessChange::TokenAdded { token: entry(&token, None) },
        ]);
        assert!(!access.any_verifier("alice", ITERATIONS_MIN).check(b"pw"));
        assert!(access.token(&token, Timestamp::from_ms(1)).is_none());
        assert!(access.user_of_certificate("CN=alice").is_none());
        assert!(access.user_of_curve_key("k").is_none());
    }
}
