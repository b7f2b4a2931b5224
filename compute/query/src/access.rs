//! Runs the statements about users and permissions.
//!
//! Owns how they are told in PostgreSQL's terms. Who may do so, and what of it is kept and written to
//! the audit log, the broker decides.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray};
use posthouse_access::{
    Effect, Operation, OperationSet, ResourceKind, Rule, RuleFilter, User, UserName, Verifier,
};
use posthouse_broker::{AccessError, Broker, UserChange};
use posthouse_types::Principal;

use crate::QueryError;
use crate::ddl::{TopicOutcome, table};
use crate::error::sqlstate;
use crate::statement::{AccessStatement, Name, Revoked, UserOption};

/// Runs such statements for one principal.
pub(crate) struct AccessStatements {
    pub(crate) broker: Arc<Broker>,
    pub(crate) principal: Principal,
}

impl AccessStatements {
    pub(crate) async fn run(&self, statement: AccessStatement) -> Result<TopicOutcome, QueryError> {
        match statement {
            AccessStatement::CreateUser { name, if_not_exists, options, word } => {
                self.create(&name, if_not_exists, options).await?;
                Ok(TopicOutcome::Done(word))
            }
            AccessStatement::AlterUser { name, options, word } => {
                let altered =
                    self.broker.alter_user(&self.principal, &name.text, changes(options)?).await;
                altered.map_err(|error| failed(&error).at(name.position))?;
                Ok(TopicOutcome::Done(word))
            }
            AccessStatement::DropUsers { names, if_exists, word } => {
                self.drop(&names, if_exists).await?;
                Ok(TopicOutcome::Done(word))
            }
            AccessStatement::Allow(rules) => self.add(rules, "GRANT").await,
            AccessStatement::Deny(rules) => self.add(rules, "DENY").await,
            AccessStatement::Revoke(revoked) => self.revoke(revoked).await,
            AccessStatement::ShowUsers => self.show_users(),
            AccessStatement::ShowGrants { user } => self.show_grants(user.as_deref()),
        }
    }

    async fn create(
        &self,
        name: &Name,
        if_not_exists: bool,
        options: Vec<UserOption>,
    ) -> Result<(), QueryError> {
        let user = UserName::new(&name.text).map_err(|error| {
            QueryError::new(sqlstate::INVALID_NAME, error.to_string()).at(name.position)
        })?;
        match self.broker.create_user(&self.principal, user, changes(options)?).await {
            Err(AccessError::UserExists(_)) if if_not_exists => Ok(()),
            done => done.map_err(|error| failed(&error).at(name.position)),
        }
    }

    async fn drop(&self, names: &[Name], if_exists: bool) -> Result<(), QueryError> {
        for name in names {
            match self.broker.delete_user(&self.principal, &name.text).await {
                Ok(()) => {}
                Err(AccessError::UnknownUser(_)) if if_exists => {}
                Err(error) => return Err(failed(&error).at(name.position)),
            }
        }
        Ok(())
    }

    async fn add(&self, rules: Vec<Rule>, tag: &'static str) -> Result<TopicOutcome, QueryError> {
        let added = self.broker.add_rules(&self.principal, rules).await;
        added.map_err(|error| failed(&error))?;
        Ok(TopicOutcome::Done(tag))
    }

    /// Takes operations out of rules. A rule that keeps some is put back with those before it goes,
    /// so that nothing is lost in between.
    async fn revoke(&self, revoked: Vec<Revoked>) -> Result<TopicOutcome, QueryError> {
        // Who may change nothing may not find out what there is either.
        self.broker
            .authorize(&self.principal, Operation::Alter, posthouse_access::Resource::Cluster)
            .map_err(|denied| QueryError::denied(&denied))?;
        for Revoked { filter, operations } in revoked {
            let rules = self.broker.rules(&self.principal, &filter);
            for rule in rules.map_err(|error| failed(&error))? {
                let Some(rest) = without(rule.operations, operations) else { continue };
                if !rest.is_empty() {
                    let kept = Rule { operations: rest, ..rule.clone() };
                    let added = self.broker.add_rules(&self.principal, vec![kept]).await;
                    added.map_err(|error| failed(&error))?;
                }
                let this = RuleFilter { operations: Some(rule.operations), ..filter.clone() };
                let removed = self.broker.remove_rules(&self.principal, this).await;
                removed.map_err(|error| failed(&error))?;
            }
        }
        Ok(TopicOutcome::Done("REVOKE"))
    }

    fn show_users(&self) -> Result<TopicOutcome, QueryError> {
        let users = self.broker.users(&self.principal).map_err(|error| failed(&error))?;
        let text = |read: fn(&User) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(users.iter().map(read)))
        };
        let flag = |read: fn(&User) -> bool| -> ArrayRef {
            Arc::new(BooleanArray::from_iter(users.iter().map(|user| Some(read(user)))))
        };
        let count = |read: fn(&User) -> usize| -> ArrayRef {
            let whole = |user| i64::try_from(read(user)).unwrap_or(i64::MAX);
            Arc::new(Int64Array::from_iter_values(users.iter().map(whole)))
        };
        let names = ["user", "superuser", "login", "password", "certificates", "curve_keys"];
        let columns = vec![
            text(|user| user.name.to_string()),
            flag(|user| user.superuser),
            flag(|user| !user.disabled),
            text(mechanisms),
            count(|user| user.certificates.len()),
            count(|user| user.curve_keys.len()),
        ];
        table(&names, columns).map(TopicOutcome::Rows)
    }

    fn show_grants(&self, user: Option<&str>) -> Result<TopicOutcome, QueryError> {
        let filter = RuleFilter {
            grantee: user.map(posthouse_access::Grantee::named),
            ..RuleFilter::default()
        };
        let rules = self.broker.rules(&self.principal, &filter).map_err(|error| failed(&error))?;
        let text = |read: fn(&Rule) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(rules.iter().map(read)))
        };
        let names = ["user", "effect", "operations", "kind", "name"];
        let columns = vec![
            text(|rule| match rule.grantee.is_everybody() {
                true => "PUBLIC".to_owned(),
                false => rule.grantee.name().to_owned(),
            }),
            text(|rule| match rule.effect {
                Effect::Allow => "allow".to_owned(),
                Effect::Deny => "deny".to_owned(),
            }),
            text(|rule| rule.operations.to_string()),
            text(|rule| rule.kind.name().to_owned()),
            text(|rule| match rule.kind {
                ResourceKind::Cluster => String::new(),
                _ => rule.pattern.to_string(),
            }),
        ];
        table(&names, columns).map(TopicOutcome::Rows)
    }
}

/// By which mechanisms a password is checked; nothing of the password.
fn mechanisms(user: &User) -> String {
    let names: Vec<&str> = user.verifiers.iter().map(|one| one.mechanism().name()).collect();
    names.join(" ")
}

/// What is left of operations; `None` when they are all left.
fn without(all: OperationSet, taken: OperationSet) -> Option<OperationSet> {
    let rest = all.iter().filter(|one| !taken.contains(*one));
    let rest = rest.fold(OperationSet::NONE, OperationSet::with);
    (rest != all).then_some(rest)
}

fn changes(options: Vec<UserOption>) -> Result<Vec<UserChange>, QueryError> {
    let mut changes = Vec::new();
    for option in options {
        match option {
            UserOption::Password(None) => changes.push(UserChange::NoPassword),
            UserOption::Password(Some(secret)) => changes.extend(password(&secret.0)?),
            UserOption::Superuser(is_superuser) => {
                changes.push(UserChange::Superuser(is_superuser));
            }
            UserOption::Login(may_log_in) => changes.push(UserChange::Disabled(!may_log_in)),
            UserOption::Certificate { subject, is_added: true } => {
                changes.push(UserChange::Certificate(subject));
            }
            UserOption::Certificate { subject, is_added: false } => {
                changes.push(UserChange::NoCertificate(subject));
            }
            UserOption::CurveKey { key, is_added: true } => {
                changes.push(UserChange::CurveKey(key));
            }
            UserOption::CurveKey { key, is_added: false } => {
                changes.push(UserChange::NoCurveKey(key));
            }
        }
    }
    Ok(changes)
}

/// A password, or what psql's `\password` has made of one: then it is not known here, and what
/// checked the old one by any other mechanism must go.
fn password(text: &str) -> Result<Vec<UserChange>, QueryError> {
    match Verifier::from_postgres(text) {
        Some(Ok(verifier)) => Ok(vec![UserChange::NoPassword, UserChange::Verifier(verifier)]),
        Some(Err(error)) => Err(failed(&AccessError::from(error))),
        None if is_md5(text) => Err(QueryError::new(
            sqlstate::FEATURE_NOT_SUPPORTED,
            "a password hashed by MD5 is not supported",
        )
        .with_hint("set password_encryption to scram-sha-256 where it is hashed")),
        None => Ok(vec![UserChange::Password(text.as_bytes().to_vec())]),
    }
}

/// As PostgreSQL tells one.
fn is_md5(text: &str) -> bool {
    let hash = text.strip_prefix("md5");
    hash.is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn failed(error: &AccessError) -> QueryError {
    let state = match error {
        AccessError::Denied(denied) => return QueryError::denied(denied),
        AccessError::UserExists(_) | AccessError::Taken { .. } => sqlstate::DUPLICATE_OBJECT,
        AccessError::UnknownUser(_) | AccessError::UnknownToken(_) => sqlstate::UNDEFINED_OBJECT,
        AccessError::Name(_) => sqlstate::INVALID_NAME,
        AccessError::Password(_) | AccessError::CurveKey { .. } | AccessError::Expired => {
            sqlstate::INVALID_PARAMETER_VALUE
        }
        AccessError::TooMany { .. } | AccessError::TooLong { .. } => {
            sqlstate::PROGRAM_LIMIT_EXCEEDED
        }
        AccessError::LastSuperuser(_) => sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
        AccessError::Superuser => sqlstate::INSUFFICIENT_PRIVILEGE,
        AccessError::Catalog(_) => sqlstate::IO_ERROR,
    };
    QueryError::new(state, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_hashed_already_replaces_every_other_check() {
        let hashed = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$\
             AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let changes = password(hashed).unwrap();
        assert!(matches!(changes[..], [UserChange::NoPassword, UserChange::Verifier(_)]));
        assert!(matches!(password("hunter2").unwrap()[..], [UserChange::Password(_)]));
        // Like one, and none: it is a password, as in PostgreSQL.
        assert!(matches!(password("SCRAM-SHA-256$x").unwrap()[..], [UserChange::Password(_)]));
        let md5 = password(&format!("md5{}", "0".repeat(32))).unwrap_err();
        assert_eq!(md5.sqlstate, "0A000");
        let few = password(&hashed.replace("4096", "1")).unwrap_err();
        assert_eq!(few.sqlstate, "22023");
    }

    #[test]
    fn operations_are_taken_out_of_a_set() {
        let read = OperationSet::of(Operation::Read);
        let both = read.with(Operation::Write);
        assert_eq!(without(both, read), Some(OperationSet::of(Operation::Write)));
        assert_eq!(without(read, both), Some(OperationSet::NONE));
        assert_eq!(without(read, OperationSet::of(Operation::Write)), None);
        let most = without(OperationSet::ALL, read).unwrap();
        assert!(!most.contains(Operation::Read) && most.contains(Operation::Write));
    }
}
