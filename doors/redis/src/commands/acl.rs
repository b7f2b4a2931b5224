//! `ACL`: users and their permissions, in Redis's words.
//!
//! Users and rules are the node's, shared with every door; `acl_rules.rs` says which of Redis's
//! modifiers mean what there, and refuses the others.

use bytes::Bytes;
use posthouse_access::{Effect, Grantee, Rule, RuleFilter, User, UserName, random_key};
use posthouse_broker::{AccessError, UserChange};

use super::acl_rules::{CATEGORIES, Category, Grants, Modifiers, rules_of};
use super::streams::later;
use crate::access::{Asker, DEFAULT_USER};
use crate::codec::Reply;
use crate::commands::{integer, is, text};
use crate::errors::CommandError;
use crate::table::{self, Call, CommandSpec, Flags, Handler, Outcome};

pub(crate) const COMMANDS: &[CommandSpec] =
    &[CommandSpec::new("acl", -2, "server", Handler::Begin(acl))
        .flag(Flags::ADMIN)
        .flag(Flags::NO_SCRIPT)
        .about("6.0.0", "A container for Access List Control commands.")];

const HELP: &[&str] = &[
    "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CAT [<category>]",
    "DELUSER <username> [<username> ...]",
    "GENPASS [<bits>]",
    "GETUSER <username>",
    "LIST",
    "LOG [<count> | RESET]",
    "SETUSER <username> <attribute> [<attribute> ...]",
    "USERS",
    "WHOAMI",
    "HELP",
];

const KNOWN: &[&str] = &[
    "cat", "deluser", "genpass", "getuser", "help", "list", "load", "log", "save", "setuser",
    "users", "whoami",
];

fn acl(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let subcommand = text(&arguments[1]).to_ascii_lowercase();
    let asker = call.asker();
    let reply = match (subcommand.as_str(), &arguments[2..]) {
        ("whoami", []) => Reply::bulk(call.client.identity.user().to_owned()),
        ("users", []) => Reply::Array(
            users(&asker)?.iter().map(|user| Reply::bulk(user.name.as_str().to_owned())).collect(),
        ),
        ("list", []) => {
            let users = users(&asker)?;
            let lines = users.iter().map(|user| line(&asker, user).map(Reply::bulk));
            Reply::Array(lines.collect::<Result<_, _>>()?)
        }
        ("getuser", [name]) => {
            let found =
                users(&asker)?.into_iter().find(|user| user.name.as_str().as_bytes() == name);
            found.map_or(Ok(Reply::Null), |user| describe(&asker, &user))?
        }
        ("setuser", [name, modifiers @ ..]) => {
            let (name, modifiers) = (user_name(name)?, Modifiers::parse(modifiers)?);
            return Ok(later(async move { set_user(&asker, name, modifiers).await }));
        }
        ("deluser", names) if !names.is_empty() => {
            let names: Vec<String> = names.iter().map(text).collect();
            return Ok(later(async move { delete_users(&asker, &names).await }));
        }
        ("cat", []) => Reply::Array(CATEGORIES.iter().map(|(name, _)| Reply::text(name)).collect()),
        ("cat", [category]) => commands_of(category)?,
        ("genpass", []) => generated(256)?,
        ("genpass", [bits]) => generated(integer(bits)?)?,
        ("log", []) => log(call, 10),
        ("log", [word]) if is(word, "reset") => {
            call.server.acl_log.clear();
            Reply::OK
        }
        ("log", [count]) => log(call, usize::try_from(integer(count)?.max(0)).unwrap_or(0)),
        ("load" | "save", []) => {
            return Err(CommandError::said(
                "ERR This Redis instance is not configured to use an ACL file: users and permissions are kept by the node as they are set.",
            ));
        }
        ("help", []) => Reply::Array(HELP.iter().map(|line| Reply::Simple(line)).collect()),
        (known, _) if KNOWN.contains(&known) => {
            return Err(CommandError::Arity(format!("acl|{known}")));
        }
        _ => {
            let subcommand = text(&arguments[1]);
            return Err(CommandError::UnknownSubcommand { command: "ACL", subcommand });
        }
    };
    Ok(Outcome::Reply(reply))
}

fn user_name(name: &Bytes) -> Result<UserName, CommandError> {
    if name.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0) {
        return Err(CommandError::said("ERR Usernames can't contain spaces or null characters"));
    }
    let name =
        std::str::from_utf8(name).map_err(|_| CommandError::said("ERR Usernames are text"))?;
    UserName::new(name).map_err(|error| CommandError::Said(format!("ERR {error}")))
}

/// All users. Without authentication everybody is the default user, who may do everything.
fn users(asker: &Asker) -> Result<Vec<User>, CommandError> {
    let mut users = asker.broker.users(&asker.principal)?;
    let has_default = users.iter().any(|user| user.name.as_str() == DEFAULT_USER);
    if !asker.guarded && !has_default {
        let name = UserName::new(DEFAULT_USER).expect("it is a user's name");
        users.insert(0, User { superuser: true, ..User::new(name) });
    }
    Ok(users)
}

fn rules_about(asker: &Asker, name: &UserName) -> Result<Vec<Rule>, CommandError> {
    let grantee = Some(Grantee::named(name.as_str()));
    let filter = RuleFilter { grantee, effect: Some(Effect::Allow), ..RuleFilter::default() };
    Ok(asker.broker.rules(&asker.principal, &filter)?)
}

fn grants_of(asker: &Asker, user: &User) -> Result<Grants, CommandError> {
    if user.superuser {
        return Ok(Grants::everything());
    }
    Ok(Grants::of(&rules_about(asker, &user.name)?))
}

/// A user as `ACL LIST` shows it. What checks its password is not shown.
fn line(asker: &Asker, user: &User) -> Result<String, CommandError> {
    let grants = grants_of(asker, user)?;
    let switch = if user.disabled { "off" } else { "on" };
    let words = [
        "user".to_owned(),
        user.name.to_string(),
        switch.to_owned(),
        grants.keys_text(),
        grants.channels_text(),
        grants.commands_text(),
    ];
    Ok(words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
}

fn describe(asker: &Asker, user: &User) -> Result<Reply, CommandError> {
    let grants = grants_of(asker, user)?;
    let switch = if user.disabled { "off" } else { "on" };
    let mut flags = vec![Reply::text(switch)];
    if !asker.guarded && user.name.as_str() == DEFAULT_USER {
        flags.push(Reply::text("nopass"));
    }
    let pair = |name, value| (Reply::text(name), value);
    Ok(Reply::Map(vec![
        pair("flags", Reply::Set(flags)),
        // Only what checks them is kept, and that is not shown.
        pair("passwords", Reply::Array(Vec::new())),
        pair("commands", Reply::bulk(grants.commands_text())),
        pair("keys", Reply::bulk(grants.keys_text())),
        pair("channels", Reply::bulk(grants.channels_text())),
        pair("selectors", Reply::Array(Vec::new())),
    ]))
}

async fn set_user(
    asker: &Asker,
    name: UserName,
    modifiers: Modifiers,
) -> Result<Reply, CommandError> {
    let (broker, principal) = (&asker.broker, &asker.principal);
    let known = broker.users(principal)?.into_iter().find(|user| user.name == name);
    let held = rules_about(asker, &name)?;
    let before = Grants::of(&held);
    let after = modifiers.grants(&before)?;
    let mut changes = modifiers.user_changes();
    match &known {
        Some(_) if changes.is_empty() => {}
        Some(user) => broker.alter_user(principal, user.name.as_str(), changes).await?,
        None => {
            // A new user is off until it is said to be on.
            if !changes.iter().any(|change| matches!(change, UserChange::Disabled(_))) {
                changes.push(UserChange::Disabled(true));
            }
            broker.create_user(principal, name.clone(), changes).await?;
        }
    }
    let grantee = Grantee::named(name.as_str());
    let (before, after) = (rules_of(&before, &grantee), rules_of(&after, &grantee));
    for rule in before.iter().filter(|rule| !after.contains(rule) && held.contains(rule)) {
        broker.remove_rules(principal, exactly(rule)).await?;
    }
    let new: Vec<Rule> = after.into_iter().filter(|rule| !held.contains(rule)).collect();
    if !new.is_empty() {
        broker.add_rules(principal, new).await?;
    }
    Ok(Reply::OK)
}

fn exactly(rule: &Rule) -> RuleFilter {
    RuleFilter {
        grantee: Some(rule.grantee.clone()),
        effect: Some(rule.effect),
        operations: Some(rule.operations),
        kind: Some(rule.kind),
        pattern: Some(rule.pattern.clone()),
        matching: None,
    }
}

async fn delete_users(asker: &Asker, names: &[String]) -> Result<Reply, CommandError> {
    let mut deleted = 0;
    for name in names {
        match asker.broker.delete_user(&asker.principal, name).await {
            Ok(()) => deleted += 1,
            Err(AccessError::UnknownUser(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Reply::Integer(deleted))
}

fn commands_of(category: &Bytes) -> Result<Reply, CommandError> {
    let found = CATEGORIES.iter().find(|(name, _)| is(category, name));
    let Some((_, category)) = found else {
        return Err(CommandError::Said(format!("ERR Unknown category '{}'", text(category))));
    };
    let is_in = |spec: &&CommandSpec| match category {
        Category::Read => spec.flags.has(Flags::READONLY),
        Category::Write => spec.flags.has(Flags::WRITE),
        Category::PubSub => spec.flags.has(Flags::PUBSUB),
        Category::Admin => spec.flags.has(Flags::ADMIN),
    };
    Ok(Reply::Array(table::all().filter(is_in).map(|spec| Reply::text(spec.name)).collect()))
}

/// A password that nobody guesses, in hexadecimal digits.
fn generated(bits: i64) -> Result<Reply, CommandError> {
    const BITS_MAX: i64 = 4096;
    let bits = usize::try_from(bits).ok().filter(|_| (1..=BITS_MAX).contains(&bits)).ok_or_else(
        || {
            CommandError::Said(format!(
                "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to {BITS_MAX}"
            ))
        },
    )?;
    let digits = bits.div_ceil(4);
    let mut password = String::with_capacity(digits + 64);
    while password.len() < digits {
        password.extend(random_key().iter().map(|byte| format!("{byte:02x}")));
    }
    password.truncate(digits);
    Ok(Reply::bulk(password))
}

fn log(call: &Call<'_>, count: usize) -> Reply {
    let now = call.server.broker.clock().now();
    let pair = |name, value| (Reply::text(name), value);
    let entries = call.server.acl_log.latest(count).into_iter().map(|entry| {
        let age = now.saturating_duration_since(entry.at).as_secs_f64();
        Reply::Map(vec![
            pair("count", Reply::Integer(entry.count)),
            pair("reason", Reply::text(entry.denial.reason.name())),
            pair("context", Reply::text(entry.denial.context.name())),
            pair("object", entry.denial.object.into()),
            pair("username", Reply::bulk(entry.denial.user)),
            pair("age-seconds", Reply::Double(age)),
            pair("client-info", Reply::bulk(entry.client)),
        ])
    });
    Reply::Array(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_as_long_as_it_is_asked_to_be() {
        for (bits, digits) in [(256, 64), (1, 1), (5, 2), (12, 3), (4096, 1024)] {
            let Ok(Reply::Bulk(password)) = generated(bits) else { panic!("{bits}") };
            assert_eq!(password.len(), digits, "{bits}");
            assert!(password.iter().all(u8::is_ascii_hexdigit));
        }
        assert_ne!(generated(256), generated(256));
        assert!(generated(0).is_err() && generated(4097).is_err());
    }

    #[test]
    fn categories_name_their_commands() {
        let names = |category: &'static str| {
            let Ok(Reply::Array(names)) = commands_of(&category.into()) else { panic!() };
            names
        };
        assert!(names("READ").contains(&Reply::text("get")));
        assert!(names("write").contains(&Reply::text("set")));
        assert!(names("pubsub").contains(&Reply::text("publish")));
        assert!(names("admin").contains(&Reply::text("acl")));
        assert!(commands_of(&"nothing".into()).is_err());
    }
}
