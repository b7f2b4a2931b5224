//! The decision: may a principal do something to a resource?
//!
//! As Kafka's `StandardAuthorizer` decides: a superuser may; otherwise a rule that denies the
//! operation wins, then one that allows it, or something that implies it, and what no rule is about
//! is denied. Rules are indexed by whom and what they are about, so that a decision looks at none
//! that cannot matter: it costs a few look-ups by hash, however many rules there are.

use std::sync::Arc;

use foldhash::fast::RandomState;
use posthouse_types::Principal;

use crate::{Access, Effect, NamePattern, Operation, OperationSet, Resource, ResourceKind, Rule};

/// What is looked up at every decision. Administrators choose what it holds, so names that collide
/// cannot be planted by those who are judged by it.
type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;

/// All rules, indexed. Made anew whenever they change.
#[derive(Debug, Default)]
pub struct Permissions {
    named: HashMap<Box<str>, Arc<Standing>>,
    /// Of everybody about whom nothing is said.
    unnamed: Arc<Standing>,
}

/// What one principal may do. Whoever asks often keeps it for as long as the rules stand.
#[derive(Debug, Default)]
pub struct Standing {
    rank: Rank,
    own: Grants,
    everybody: Arc<Grants>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rank {
    #[default]
    Ordinary,
    Superuser,
    /// It may not come in: nothing is its own, not even what everybody has.
    ShutOut,
}

impl Permissions {
    /// Indexes what is kept.
    pub fn of(access: &Access) -> Permissions {
        let mut named: HashMap<Box<str>, (Rank, Grants)> = HashMap::default();
        let mut everybody = Grants::default();
        for user in access.users() {
            let rank = match (user.disabled, user.superuser) {
                (true, _) => Rank::ShutOut,
                (false, true) => Rank::Superuser,
                (false, false) => continue,
            };
            named.entry(user.name.principal().as_str().into()).or_default().0 = rank;
        }
        for rule in access.rules() {
            if rule.grantee.is_everybody() {
                everybody.add(rule);
            } else {
                named.entry(rule.grantee.as_str().into()).or_default().1.add(rule);
            }
        }
        let everybody = Arc::new(everybody);
        let standing = |(name, (rank, own))| {
            let everybody = Arc::clone(&everybody);
            (name, Arc::new(Standing { rank, own, everybody }))
        };
        let named = named.into_iter().map(standing).collect();
        let unnamed = Standing { everybody, ..Standing::default() };
        Permissions { named, unnamed: Arc::new(unnamed) }
    }

    /// What a principal may do.
    pub fn standing(&self, principal: &Principal) -> &Arc<Standing> {
        self.named.get(principal.as_str()).unwrap_or(&self.unnamed)
    }
}

impl Standing {
    /// Whether it may do so.
    pub fn allows(&self, operation: Operation, resource: Resource<'_>) -> bool {
        match self.rank {
            Rank::Superuser => return true,
            Rank::ShutOut => return false,
            Rank::Ordinary => {}
        }
        let name = resource.name();
        let of = |grants: &Grants| match resource {
            Resource::Channels { prefix } => grants.of_all(ResourceKind::Channel, prefix),
            _ => grants.of(resource.kind(), &name),
        };
        let found = of(&self.own).union(of(&self.everybody));
        !found.denied.contains(operation) && found.allowed.contains(operation)
    }

    /// Whether it may do so to anything of a kind, as far as no refusal stands against it: what
    /// Kafka asks before it makes a topic by itself, for instance.
    pub fn allows_any(&self, operation: Operation, kind: ResourceKind) -> bool {
        match self.rank {
            Rank::Superuser => return true,
            Rank::ShutOut => return false,
            Rank::Ordinary => {}
        }
        let grants = [&self.own, &self.everybody];
        grants.iter().any(|one| one.allows_any(kind, operation))
            && !grants.iter().any(|one| one.of(kind, b"").denied.contains(operation))
    }

    /// Whether it may do everything.
    pub fn is_superuser(&self) -> bool {
        self.rank == Rank::Superuser
    }
}

/// What is allowed and denied to one principal, by kind of resource.
#[derive(Debug, Default)]
struct Grants([Option<Box<KindGrants>>; ResourceKind::ALL.len()]);

/// Of one kind of resource.
#[derive(Debug, Default)]
struct KindGrants {
    any: Masks,
    literal: HashMap<Box<[u8]>, Masks>,
    prefixed: HashMap<Box<[u8]>, Masks>,
    /// How long the prefixes are, the shortest first: only those need be looked up.
    prefix_sizes: Vec<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Masks {
    allowed: OperationSet,
    denied: OperationSet,
}

impl Masks {
    fn add(&mut self, rule: &Rule) {
        match rule.effect {
            Effect::Allow => self.allowed = self.allowed.union(rule.operations.closed()),
            Effect::Deny => self.denied = self.denied.union(rule.operations),
        }
    }

    fn union(self, other: Masks) -> Masks {
        Masks {
            allowed: self.allowed.union(other.allowed),
            denied: self.denied.union(other.denied),
        }
    }
}

impl Grants {
    fn add(&mut self, rule: &Rule) {
        let kind = self.0[rule.kind as usize].get_or_insert_default();
        match &rule.pattern {
            NamePattern::Any => kind.any.add(rule),
            NamePattern::Literal(name) => {
                kind.literal.entry(name.as_slice().into()).or_default().add(rule);
            }
            NamePattern::Prefixed(prefix) => {
                kind.prefixed.entry(prefix.as_slice().into()).or_default().add(rule);
                if let Err(place) = kind.prefix_sizes.binary_search(&prefix.len()) {
                    kind.prefix_sizes.insert(place, prefix.len());
                }
            }
        }
    }

    /// What holds for one name.
    fn of(&self, kind: ResourceKind, name: &[u8]) -> Masks {
        let Some(kind) = &self.0[kind as usize] else { return Masks::default() };
        let literal = kind.literal.get(name).copied().unwrap_or_default();
        kind.covering(name).fold(kind.any.union(literal), Masks::union)
    }

    /// What holds for every name that begins so: allowed where one rule covers them all, denied
    /// where any of them is.
    fn of_all(&self, kind: ResourceKind, prefix: &[u8]) -> Masks {
        let Some(kind) = &self.0[kind as usize] else { return Masks::default() };
        let covering = kind.covering(prefix).fold(kind.any, Masks::union);
        let within = kind.literal.iter().chain(&kind.prefixed);
        let within = within.filter(|(name, _)| name.starts_with(prefix));
        let denied = within.fold(covering.denied, |all, (_, one)| all.union(one.denied));
        Masks { allowed: covering.allowed, denied }
    }

    fn allows_any(&self, kind: ResourceKind, operation: Operation) -> bool {
        self.0[kind as usize].as_ref().is_some_and(|kind| {
            let named = kind.literal.values().chain(kind.prefixed.values());
            named.chain([&kind.any]).any(|one| one.allowed.contains(operation))
        })
    }
}

impl KindGrants {
    /// What the prefixes of a name say.
    fn covering(&self, name: &[u8]) -> impl Iterator<Item = Masks> {
        let prefixes = self.prefix_sizes.iter().map_while(|size| name.get(..*size));
        prefixes.filter_map(|prefix| self.prefixed.get(prefix).copied())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{AccessChange, Grantee, User, UserName};

    fn rule(who: &str, effect: Effect, operation: Operation, pattern: &str) -> Rule {
        Rule {
            grantee: Grantee::named(who),
            effect,
            operations: OperationSet::of(operation),
            kind: ResourceKind::Channel,
            pattern: NamePattern::parse(pattern),
        }
    }

    fn permissions(rules: &[Rule]) -> Permissions {
        let mut access = Access::default();
        for rule in rules {
            access.apply(AccessChange::RuleAdded { rule: rule.clone() });
        }
        Permissions::of(&access)
    }

    fn may(permissions: &Permissions, who: &str, operation: Operation, channel: &str) -> bool {
        permissions
            .standing(&Principal::user(who))
            .allows(operation, Resource::Channel(channel.as_bytes()))
    }

    use Effect::{Allow, Deny};
    use Operation::{Describe, Read, Write};

    #[test]
    fn what_no_rule_is_about_is_denied() {
        let none = permissions(&[]);
        assert!(!may(&none, "alice", Read, "news"));
        let some = permissions(&[rule("alice", Allow, Read, "news")]);
        assert!(may(&some, "alice", Read, "news"));
        assert!(may(&some, "alice", Describe, "news"));
        assert!(!may(&some, "alice", Write, "news"));
        assert!(!may(&some, "alice", Read, "newspaper"));
        assert!(!may(&some, "bob", Read, "news"));
        let topic = posthouse_types::TopicName::new("news").unwrap();
        assert!(!some.standing(&Principal::user("alice")).allows(Read, Resource::Topic(&topic)));
    }

    #[test]
    fn a_refusal_wins_over_every_permission() {
        let some = permissions(&[
            rule("*", Allow, Read, "*"),
            rule("alice", Allow, Read, "news.secret"),
            rule("alice", Deny, Read, "news.s*"),
            rule("*", Deny, Read, "closed"),
        ]);
        assert!(may(&some, "alice", Read, "news.public"));
        assert!(!may(&some, "alice", Read, "news.secret"));
        assert!(may(&some, "bob", Read, "news.secret"));
        assert!(!may(&some, "bob", Read, "closed"));
        assert!(may(&some, "alice", Describe, "news.secret"), "only reading is denied");
    }

    #[test]
    fn a_superuser_may_do_everything_until_disabled() {
        let mut access = Access::default();
        let mut root = User::new(UserName::new("root").unwrap());
        root.superuser = true;
        access.apply(AccessChange::UserPut { user: root.clone() });
        access.apply(AccessChange::RuleAdded { rule: rule("*", Deny, Read, "*") });
        let permissions = Permissions::of(&access);
        assert!(may(&permissions, "root", Read, "anything"));
        root.disabled = true;
        access.apply(AccessChange::UserPut { user: root });
        access.apply(AccessChange::RuleAdded { rule: rule("*", Allow, Write, "*") });
        let permissions = Permissions::of(&access);
        assert!(!may(&permissions, "root", Write, "anything"));
        assert!(may(&permissions, "anyone", Write, "anything"));
    }

    #[test]
    fn a_pattern_of_channels_needs_each_of_them() {
        let some = permissions(&[
            rule("alice", Allow, Read, "news.*"),
            rule("bob", Allow, Read, "*"),
            rule("bob", Deny, Read, "news.secret"),
            rule("carol", Allow, Read, "news.public"),
        ]);
        let all = |who: &str, prefix: &str| {
            let resource = Resource::Channels { prefix: prefix.as_bytes() };
            some.standing(&Principal::user(who)).allows(Read, resource)
        };
        assert!(all("alice", "news."));
        assert!(all("alice", "news.s"));
        assert!(!all("alice", "new"));
        assert!(all("bob", "weather"));
        assert!(!all("bob", "news."));
        assert!(!all("bob", ""));
        assert!(!all("carol", "news.public"), "news.publicity may come");
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let pattern = prop_oneof![Just("*".to_owned()), "[ab]{1,3}", "[ab]{0,2}\\*"];
        let operation = prop::sample::select(Operation::ALL.to_vec());
        (prop::sample::select(vec!["a", "b", "*"]), any::<bool>(), operation, pattern).prop_map(
            |(who, allow, operation, pattern)| {
                rule(who, if allow { Allow } else { Deny }, operation, &pattern)
            },
        )
    }

    proptest! {
        /// The index decides as looking at every rule would.
        #[test]
        fn the_index_forgets_no_rule(
            rules in prop::collection::vec(any_rule(), 0..12),
            name in "[ab]{0,4}",
            operation in prop::sample::select(Operation::ALL.to_vec()),
        ) {
            let about = |rule: &&Rule| {
                (rule.grantee.is_everybody() || rule.grantee.name() == "a")
                    && rule.pattern.matches(name.as_bytes())
            };
            let denied = rules.iter().filter(about)
                .any(|one| one.effect == Deny && one.operations.contains(operation));
            let allowed = rules.iter().filter(about)
                .any(|one| one.effect == Allow && one.operations.closed().contains(operation));
            prop_assert_eq!(may(&permissions(&rules), "a", operation, &name), allowed && !denied);
        }

        /// Who may have all of them may have each of them.
        #[test]
        fn all_of_a_prefix_is_never_more_than_each(
            rules in prop::collection::vec(any_rule(), 0..12),
            prefix in "[ab]{0,2}",
            rest in "[ab]{0,3}",
            operation in prop::sample::select(Operation::ALL.to_vec()),
        ) {
            let permissions = permissions(&rules);
            let all = Resource::Channels { prefix: prefix.as_bytes() };
            if permissions.standing(&Principal::user("a")).allows(operation, all) {
                prop_assert!(may(&permissions, "a", operation, &(prefix + &rest)));
            }
        }
    }
}
