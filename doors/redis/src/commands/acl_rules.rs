//! `ACL SETUSER`'s modifiers as the node's rules, and back.
//!
//! Redis says which commands a user may run, and on which keys and channels. Rules say what may be
//! done to which of them. So a category of commands stands for operations on the patterns that the
//! user has, and a pattern of keys for the keys, for the streams that have such names, which are
//! topics, and for their groups:
//!
//! | category | on keys and topics | on groups | on channels | on the cluster |
//! | --- | --- | --- | --- | --- |
//! | `@read` | Read | Read | | |
//! | `@write` | Write, Create, Delete | Write, Create, Delete, Alter | | |
//! | `@pubsub` | | | Read, Write | |
//! | `@admin`, `@dangerous` | | | | Alter, Describe |
//!
//! What rules cannot say is refused: single commands, selectors, patterns that are neither literal nor
//! a prefix. Rules that other doors' tools gave stay as they are.
//!
//! # Source
//! Redis 7.0 `acl.c`, `ACLSetUser`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use posthouse_access::{Effect, Grantee, NamePattern, Operation, OperationSet, ResourceKind, Rule};
use posthouse_broker::UserChange;

use crate::errors::CommandError;

/// Commands that are allowed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Category {
    Read,
    Write,
    PubSub,
    Admin,
}

/// By Redis's names.
pub(super) const CATEGORIES: &[(&str, Category)] = &[
    ("read", Category::Read),
    ("write", Category::Write),
    ("pubsub", Category::PubSub),
    ("admin", Category::Admin),
    ("dangerous", Category::Admin),
];

const ALL: [Category; 4] = [Category::Read, Category::Write, Category::PubSub, Category::Admin];

/// What a user may do, as Redis sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grants {
    keys: BTreeMap<NamePattern, KeyAccess>,
    channels: BTreeSet<NamePattern>,
    categories: BTreeSet<Category>,
}

/// What a pattern of keys is good for: `%R~`, `%W~`, `~`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct KeyAccess {
    read: bool,
    write: bool,
}

/// What `ACL SETUSER` was told, in order.
#[derive(Debug, Default)]
pub(super) struct Modifiers(Vec<Modifier>);

#[derive(Clone, PartialEq, Eq)]
enum Modifier {
    Enabled(bool),
    Password(Vec<u8>),
    NoPassword,
    Keys(NamePattern, KeyAccess),
    NoKeys,
    Channels(NamePattern),
    NoChannels,
    Allow(Vec<Category>),
    Forbid(Vec<Category>),
}

impl std::fmt::Debug for Modifier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Modifier")
    }
}

impl Modifiers {
    /// Reads them.
    pub(super) fn parse(words: &[Bytes]) -> Result<Modifiers, CommandError> {
        let mut modifiers = Vec::new();
        for word in words {
            let read = modifier(word).map_err(|reason| refused(word, reason))?;
            modifiers.extend(read);
        }
        Ok(Modifiers(modifiers))
    }

    /// What a user that has some grants has afterwards.
    pub(super) fn grants(&self, before: &Grants) -> Result<Grants, CommandError> {
        let mut grants = before.clone();
        for modifier in &self.0 {
            grants.apply(modifier);
        }
        self.check(&grants)?;
        Ok(grants)
    }

    /// Refuses half of a permission: nowhere would it be remembered until the other half is said.
    fn check(&self, after: &Grants) -> Result<(), CommandError> {
        let names = |is: fn(&Modifier) -> bool| self.0.iter().any(is);
        let names_keys = names(|one| matches!(one, Modifier::Keys(..)));
        let names_channels = names(|one| matches!(one, Modifier::Channels(_)));
        let names_commands = names(|one| match one {
            Modifier::Allow(categories) => {
                matches!(categories[..], [Category::Read | Category::Write])
            }
            _ => false,
        });
        let missing = if names_keys && after.keys_allow_nothing() {
            "patterns of keys allow nothing without commands; say +@read, +@write or +@all with them"
        } else if names_channels && !after.categories.contains(&Category::PubSub) {
            "patterns of channels allow nothing without commands; say +@pubsub or +@all with them"
        } else if names_commands && after.keys.is_empty() {
            "commands allow nothing without keys; say a pattern such as ~app:* with them"
        } else {
            return Ok(());
        };
        Err(CommandError::Said(format!("ERR ACL SETUSER: {missing}")))
    }

    /// What changes of the user itself.
    pub(super) fn user_changes(&self) -> Vec<UserChange> {
        let change = |modifier: &Modifier| match modifier {
            Modifier::Enabled(on) => Some(UserChange::Disabled(!on)),
            Modifier::Password(password) => Some(UserChange::Password(password.clone())),
            Modifier::NoPassword => Some(UserChange::NoPassword),
            _ => None,
        };
        self.0.iter().filter_map(change).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const SYNTAX: &str = "Syntax error";
const UNKNOWN: &str = "Unknown command or category name in ACL";
const COMMANDS_ALONE: &str = "single commands cannot be allowed or denied here, only @read, @write, @pubsub, @admin and @all";
const ONE_PASSWORD: &str =
    "a user has one password; set another with > or remove it with resetpass";
const HASH: &str =
    "a hash cannot be taken: passwords are kept as SCRAM verifiers; give the password with >";
const NO_PASSWORD: &str = "every user here has a password or another proof";
const SELECTOR: &str = "selectors cannot be kept here";
const PATTERN: &str = "a pattern here is a name, or the beginning of names and then one *";

fn refused(word: &[u8], reason: &str) -> CommandError {
    // What may be a password is not repeated.
    let secret = word.first().is_some_and(|first| b"><#!".contains(first));
    let shown = if secret { format!("{}...", char::from(word[0])) } else { text(word) };
    CommandError::Said(format!("ERR Error in ACL SETUSER modifier '{shown}': {reason}"))
}

fn modifier(word: &[u8]) -> Result<Vec<Modifier>, &'static str> {
    let lower = text(word).to_ascii_lowercase();
    let both = KeyAccess { read: true, write: true };
    Ok(vec![match lower.as_str() {
        "on" => Modifier::Enabled(true),
        "off" => Modifier::Enabled(false),
        "resetpass" => Modifier::NoPassword,
        "nopass" => return Err(NO_PASSWORD),
        "allkeys" => Modifier::Keys(NamePattern::Any, both),
        "resetkeys" => Modifier::NoKeys,
        "allchannels" => Modifier::Channels(NamePattern::Any),
        "resetchannels" => Modifier::NoChannels,
        "allcommands" => Modifier::Allow(ALL.to_vec()),
        "nocommands" => Modifier::Forbid(ALL.to_vec()),
        // Payloads are always checked.
        "sanitize-payload" => return Ok(Vec::new()),
        "skip-sanitize-payload" => return Err("payloads are always checked"),
        "clearselectors" => return Ok(Vec::new()),
        "reset" => {
            return Ok(vec![
                Modifier::NoPassword,
                Modifier::NoKeys,
                Modifier::NoChannels,
                Modifier::Enabled(false),
                Modifier::Forbid(ALL.to_vec()),
            ]);
        }
        _ => return Ok(vec![with_value(word)?]),
    }])
}

fn with_value(word: &[u8]) -> Result<Modifier, &'static str> {
    let both = KeyAccess { read: true, write: true };
    let (first, rest) = word.split_first().ok_or(SYNTAX)?;
    match first {
        b'>' => Ok(Modifier::Password(rest.to_vec())),
        b'<' => Err(ONE_PASSWORD),
        b'#' | b'!' => Err(HASH),
        b'(' => Err(SELECTOR),
        b'~' => Ok(Modifier::Keys(pattern(rest)?, both)),
        b'%' => {
            let split = rest.iter().position(|byte| *byte == b'~').ok_or(SYNTAX)?;
            let access = match rest[..split].to_ascii_uppercase().as_slice() {
                b"R" => KeyAccess { read: true, write: false },
                b"W" => KeyAccess { read: false, write: true },
                b"RW" | b"WR" => both,
                _ => return Err(SYNTAX),
            };
            Ok(Modifier::Keys(pattern(&rest[split + 1..])?, access))
        }
        b'&' => Ok(Modifier::Channels(pattern(rest)?)),
        b'+' => Ok(Modifier::Allow(categories(rest)?)),
        b'-' => Ok(Modifier::Forbid(categories(rest)?)),
        _ => Err(SYNTAX),
    }
}

/// A glob that is a name or a prefix. A backslash takes a sign as it is.
fn pattern(glob: &[u8]) -> Result<NamePattern, &'static str> {
    if glob == b"*" {
        return Ok(NamePattern::Any);
    }
    let mut name = Vec::with_capacity(glob.len());
    let mut rest = glob;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'*' if rest.is_empty() => return Ok(NamePattern::Prefixed(name)),
            b'*' | b'?' | b'[' => return Err(PATTERN),
            b'\\' => {
                let (taken, after) = rest.split_first().ok_or(PATTERN)?;
                name.push(*taken);
                rest = after;
            }
            byte => name.push(*byte),
        }
    }
    if name.is_empty() { Err(PATTERN) } else { Ok(NamePattern::Literal(name)) }
}

fn categories(word: &[u8]) -> Result<Vec<Category>, &'static str> {
    let Some(name) = word.strip_prefix(b"@") else { return Err(COMMANDS_ALONE) };
    let name = text(name).to_ascii_lowercase();
    if name == "all" {
        return Ok(ALL.to_vec());
    }
    let found = CATEGORIES.iter().find(|(known, _)| *known == name);
    found.map(|(_, category)| vec![*category]).ok_or(UNKNOWN)
}

impl Grants {
    /// Everything there is.
    pub(super) fn everything() -> Grants {
        Grants {
            keys: BTreeMap::from([(NamePattern::Any, KeyAccess { read: true, write: true })]),
            channels: BTreeSet::from([NamePattern::Any]),
            categories: ALL.into(),
        }
    }

    /// What rules about a user allow it here.
    pub(super) fn of(rules: &[Rule]) -> Grants {
        let mut grants = Grants::default();
        for rule in rules.iter().filter(|rule| rule.effect == Effect::Allow) {
            let has = |operation| rule.operations.contains(operation);
            match rule.kind {
                ResourceKind::Key => {
                    let access = grants.keys.entry(rule.pattern.clone()).or_default();
                    access.read |= has(Operation::Read);
                    access.write |= has(Operation::Write);
                }
                ResourceKind::Channel => {
                    grants.channels.insert(rule.pattern.clone());
                    grants.categories.insert(Category::PubSub);
                }
                ResourceKind::Cluster if has(Operation::Alter) => {
                    grants.categories.insert(Category::Admin);
                }
                _ => {}
            }
        }
        grants.keys.retain(|_, access| access.read || access.write);
        let reads = grants.keys.values().any(|access| access.read);
        let writes = grants.keys.values().any(|access| access.write);
        grants.categories.extend(reads.then_some(Category::Read));
        grants.categories.extend(writes.then_some(Category::Write));
        grants
    }

    fn apply(&mut self, modifier: &Modifier) {
        match modifier {
            Modifier::Keys(pattern, access) => {
                let own = self.keys.entry(pattern.clone()).or_default();
                own.read |= access.read;
                own.write |= access.write;
            }
            Modifier::NoKeys => self.keys.clear(),
            Modifier::Channels(pattern) => {
                self.channels.insert(pattern.clone());
            }
            Modifier::NoChannels => self.channels.clear(),
            Modifier::Allow(categories) => self.categories.extend(categories),
            Modifier::Forbid(categories) => {
                self.categories.retain(|category| !categories.contains(category));
            }
            Modifier::Enabled(_) | Modifier::Password(_) | Modifier::NoPassword => {}
        }
    }

    fn keys_allow_nothing(&self) -> bool {
        self.keys.values().all(|access| self.key_operations(*access).is_empty())
    }

    fn key_operations(&self, access: KeyAccess) -> Vec<Operation> {
        let mut operations = Vec::new();
        if access.read && self.categories.contains(&Category::Read) {
            operations.push(Operation::Read);
        }
        if access.write && self.categories.contains(&Category::Write) {
            operations.extend([Operation::Write, Operation::Create, Operation::Delete]);
        }
        operations
    }

    /// As `ACL LIST` shows them: `~a* %R~b`.
    pub(super) fn keys_text(&self) -> String {
        let shown = self.keys.iter().map(|(pattern, access)| {
            let prefix = match (access.read, access.write) {
                (true, false) => "%R~",
                (false, true) => "%W~",
                _ => "~",
            };
            format!("{prefix}{}", glob(pattern))
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    /// As `ACL LIST` shows them.
    pub(super) fn channels_text(&self) -> String {
        let shown = self.channels.iter().map(|pattern| format!("&{}", glob(pattern)));
        shown.collect::<Vec<_>>().join(" ")
    }

    /// As `ACL LIST` shows them.
    pub(super) fn commands_text(&self) -> String {
        if ALL.iter().all(|category| self.categories.contains(category)) {
            return "+@all".to_owned();
        }
        let mut shown = "-@all".to_owned();
        for category in &self.categories {
            let name = CATEGORIES.iter().find(|(_, known)| known == category);
            shown += &name.map(|(name, _)| format!(" +@{name}")).unwrap_or_default();
        }
        shown
    }
}

fn glob(pattern: &NamePattern) -> String {
    let escaped = |name: &[u8]| {
        let mut shown = String::new();
        for letter in text(name).chars() {
            if "*?[\\".contains(letter) {
                shown.push('\\');
            }
            shown.push(letter);
        }
        shown
    };
    match pattern {
        NamePattern::Any => "*".to_owned(),
        NamePattern::Literal(name) => escaped(name),
        NamePattern::Prefixed(prefix) => escaped(prefix) + "*",
    }
}

/// The rules that give grants to a user.
pub(super) fn rules_of(grants: &Grants, grantee: &Grantee) -> BTreeSet<Rule> {
    let rule = |kind, pattern, operations: &[Operation]| Rule {
        grantee: grantee.clone(),
        effect: Effect::Allow,
        operations: operations.iter().fold(OperationSet::NONE, |all, one| all.with(*one)),
        kind,
        pattern,
    };
    let mut rules = BTreeSet::new();
    for (pattern, access) in &grants.keys {
        let mut operations = grants.key_operations(*access);
        if operations.is_empty() {
            continue;
        }
        for kind in [ResourceKind::Key, ResourceKind::Topic] {
            rules.insert(rule(kind, pattern.clone(), &operations));
        }
        if operations.contains(&Operation::Write) {
            operations.push(Operation::Alter);
        }
        rules.insert(rule(ResourceKind::Queue, groups_of(pattern), &operations));
    }
    if grants.categories.contains(&Category::PubSub) {
        for pattern in &grants.channels {
            let operations = [Operation::Read, Operation::Write];
            rules.insert(rule(ResourceKind::Channel, pattern.clone(), &operations));
        }
    }
    if grants.categories.contains(&Category::Admin) {
        let operations = [Operation::Alter, Operation::Describe];
        rules.insert(rule(ResourceKind::Cluster, NamePattern::Any, &operations));
    }
    rules
}

/// The groups of the streams of such names: they are called `STREAM/GROUP`.
fn groups_of(pattern: &NamePattern) -> NamePattern {
    match pattern {
        NamePattern::Literal(name) => NamePattern::Prefixed([name, &b"/"[..]].concat()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Modifiers, String> {
        let words: Vec<Bytes> =
            words.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        Modifiers::parse(&words).map_err(|error| error.to_string())
    }

    fn granted(words: &str) -> Result<Grants, String> {
        parsed(words)?.grants(&Grants::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_maps_reads_back_from_its_rules() {
        for (words, shown) in [
            ("+@all ~* &*", "~* &* +@all"),
            ("+@read ~app:*", "~app:*  -@all +@read"),
            (
                "+@read +@write +@pubsub %R~a %W~b* &news.*",
                "%R~a %W~b* &news.* -@all +@read +@write +@pubsub",
            ),
            ("+@all -@dangerous ~a\\*b", "~a\\*b  -@all +@read +@write +@pubsub"),
            ("allkeys allcommands -@write", "~*  -@all +@read +@pubsub +@admin"),
        ] {
            let grants = granted(words).unwrap();
            let text = |grants: &Grants| {
                [grants.keys_text(), grants.channels_text(), grants.commands_text()].join(" ")
            };
            assert_eq!(text(&grants), shown, "{words}");
            let rules: Vec<Rule> =
                rules_of(&grants, &Grantee::named("alice")).into_iter().collect();
            let again = Grants::of(&rules);
            let again_rules = rules_of(&again, &Grantee::named("alice"));
            assert!(again_rules.iter().eq(rules.iter()), "{words}: {again:?}");
        }
    }

    #[test]
    fn a_pattern_of_keys_covers_streams_and_their_groups() {
        let grants = granted("+@read ~orders").unwrap();
        let rules = rules_of(&grants, &Grantee::named("alice"));
        let shown: Vec<String> = rules.iter().map(Rule::to_string).collect();
        for expected in [
            "allow User:alice Read on topic orders",
            "allow User:alice Read on key orders",
            "allow User:alice Read on queue orders/*",
        ] {
            assert!(shown.iter().any(|rule| rule == expected), "{expected}: {shown:?}");
        }
        assert_eq!(shown.len(), 3);
    }

    #[test]
    fn what_is_taken_away_is_gone() {
        let all = granted("+@all ~a ~b &c").unwrap();
        for (words, keys, channels, commands) in [
            ("-@write", "~a ~b", "&c", "-@all +@read +@pubsub +@admin"),
            ("resetkeys", "", "&c", "+@all"),
            ("resetchannels", "~a ~b", "", "+@all"),
            ("reset", "", "", "-@all"),
        ] {
            let grants = parsed(words).unwrap().grants(&all).unwrap();
            assert_eq!(grants.keys_text(), keys, "{words}");
            assert_eq!(grants.channels_text(), channels, "{words}");
            assert_eq!(grants.commands_text(), commands, "{words}");
        }
    }

    #[test]
    fn what_does_not_map_is_refused_with_its_reason() {
        for (words, reason) in [
            ("+get", "single commands"),
            ("-@nothing", UNKNOWN),
            ("~a*b", PATTERN),
            ("&a?", PATTERN),
            ("(+@all)", SELECTOR),
            ("nopass", NO_PASSWORD),
            ("nonsense", SYNTAX),
            ("%X~a", SYNTAX),
            ("~a*", "allow nothing without commands"),
            ("&a", "channels allow nothing without commands"),
            ("+@read", "allow nothing without keys"),
        ] {
            let error = granted(words).unwrap_err();
            assert!(error.contains(reason), "{words}: {error}");
        }
    }

    #[test]
    fn no_error_repeats_a_password() {
        for word in ["<secret", "#secret", "!secret"] {
            assert!(!parsed(word).unwrap_err().contains("secret"), "{word}");
        }
        assert!(!format!("{:?}", parsed(">secret").unwrap()).contains("secret"));
        assert_eq!(parsed(">secret").unwrap().user_changes().len(), 1);
    }
}
