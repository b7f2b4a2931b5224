//! Changing who may come in and what they may do, and showing it.
//!
//! Whoever may alter the cluster may change access; only a superuser may touch superusers. Everybody
//! may change their own password and make and end their own tokens.

use posthouse_access::{
    Access, AccessChange, Mechanism, Rule, RuleFilter, Token, TokenEntry, TokenId, User, UserName,
    Verifier,
};
use posthouse_types::Principal;

use super::{AccessError, AuditRecord, NewToken, UserChange};
use crate::catalog::CatalogCommand;
use crate::{AppendFailure, Broker, Operation, Resource};

/// LIMIT: users.
const USERS_MAX: usize = 100_000;

/// LIMIT: tokens.
const TOKENS_MAX: usize = 100_000;

/// LIMIT: rules.
const RULES_MAX: usize = 100_000;

/// LIMIT: what a user has of certificates, and of keys.
const PROOFS_MAX: usize = 100;

/// LIMIT: a label, or a certificate's subject.
const TEXT_BYTES_MAX: usize = 1024;

impl Broker {
    /// Makes a user.
    ///
    /// # Errors
    /// [`AccessError`]; nothing was changed, unless it is a failure to store it.
    ///
    /// # Cancellation
    /// Safe to drop; the user may be made all the same. So are all changes here.
    pub async fn create_user(
        &self,
        principal: &Principal,
        name: UserName,
        changes: Vec<UserChange>,
    ) -> Result<(), AccessError> {
        self.authorize(principal, Operation::Alter, Resource::Cluster)?;
        let verifiers = self.hash_passwords(&changes).await?;
        let asking = principal.clone();
        self.complete(|broker| async move {
            let _in_order = broker.gate().changes().lock().await;
            let access = broker.gate().current();
            if access.user(name.as_str()).is_some() {
                return Err(AccessError::UserExists(name));
            }
            if access.users().len() >= USERS_MAX {
                return Err(AccessError::TooMany { what: "users", max: USERS_MAX });
            }
            let user = broker.changed(&access, &asking, User::new(name), &changes, verifiers)?;
            broker.audit_user(&asking, &user.name, "created", &changes);
            broker.keep_access(vec![AccessChange::UserPut { user }]).await
        })
        .await
    }

    /// Changes a user. Who may alter the configuration of the cluster may change rates.
    ///
    /// # Errors
    /// As [`Broker::create_user`].
    pub async fn alter_user(
        &self,
        principal: &Principal,
        name: &str,
        changes: Vec<UserChange>,
    ) -> Result<(), AccessError> {
        let own = is_self(principal, name)
            && changes.iter().all(|change| {
                matches!(
                    change,
                    UserChange::Password(_) | UserChange::Verifier(_) | UserChange::NoPassword
                )
            });
        let only_rates = !changes.is_empty() && changes.iter().all(UserChange::is_rate);
        if only_rates && !self.gate().shows(principal, Operation::Alter, Resource::Cluster) {
            self.authorize(principal, Operation::AlterConfigs, Resource::Cluster)?;
        } else if !own {
            self.authorize(principal, Operation::Alter, Resource::Cluster)?;
        }
        let verifiers = self.hash_passwords(&changes).await?;
        let (asking, name) = (principal.clone(), name.to_owned());
        self.complete(|broker| async move {
            let _in_order = broker.gate().changes().lock().await;
            let access = broker.gate().current();
            let user = access.user(&name).ok_or(AccessError::UnknownUser(name))?;
            if user.superuser && !own && !broker.gate().is_superuser(&asking) {
                return Err(AccessError::Superuser);
            }
            let user = broker.changed(&access, &asking, user.clone(), &changes, verifiers)?;
            broker.check_superusers(&access, &user.name, Some(&user))?;
            broker.audit_user(&asking, &user.name, "altered", &changes);
            broker.keep_access(vec![AccessChange::UserPut { user }]).await
        })
        .await
    }

    /// Deletes a user, with its tokens and the rules about it.
    ///
    /// # Errors
    /// As [`Broker::create_user`].
    pub async fn delete_user(&self, principal: &Principal, name: &str) -> Result<(), AccessError> {
        self.authorize(principal, Operation::Alter, Resource::Cluster)?;
        let (asking, name) = (principal.clone(), name.to_owned());
        self.complete(|broker| async move {
            let _in_order = broker.gate().changes().lock().await;
            let access = broker.gate().current();
            let user = access.user(&name).ok_or(AccessError::UnknownUser(name))?;
            if user.superuser && !broker.gate().is_superuser(&asking) {
                return Err(AccessError::Superuser);
            }
            broker.check_superusers(&access, &user.name, None)?;
            broker.audit_user(&asking, &user.name, "deleted", &[]);
            broker.keep_access(vec![AccessChange::UserDeleted { name: user.name.clone() }]).await
        })
        .await
    }

    /// All users, by name; to one who may not see them all, itself.
    ///
    /// # Errors
    /// [`AccessError::Denied`] to one who is no user.
    pub fn users(&self, principal: &Principal) -> Result<Vec<User>, AccessError> {
        let access = self.gate().current();
        if self.gate().shows(principal, Operation::Describe, Resource::Cluster) {
            return Ok(access.users().cloned().collect());
        }
        match access.users().find(|user| user.name.principal() == *principal) {
            Some(user) => Ok(vec![user.clone()]),
            None => {
                self.authorize(principal, Operation::Describe, Resource::Cluster)?;
                Ok(Vec::new())
            }
        }
    }

    /// Makes a token; only here is it ever seen whole.
    ///
    /// # Errors
    /// As [`Broker::create_user`].
    pub async fn create_token(
        &self,
        principal: &Principal,
        new: NewToken,
    ) -> Result<Token, AccessError> {
        if !is_self(principal, new.user.as_str()) {
            self.authorize(principal, Operation::Alter, Resource::Cluster)?;
        }
        check_text("the label", &new.label)?;
        let created = self.clock().wall();
        if new.expires.is_some_and(|at| at <= created) {
            return Err(AccessError::Expired);
        }
        let asking = principal.clone();
        self.complete(|broker| async move {
            let _in_order = broker.gate().changes().lock().await;
            let access = broker.gate().current();
            let Some(user) = access.user(new.user.as_str()) else {
                return Err(AccessError::UnknownUser(new.user.to_string()));
            };
            // A token of a superuser is one in all but name.
            if user.superuser && !broker.gate().is_superuser(&asking) {
                return Err(AccessError::Superuser);
            }
            if access.tokens().len() >= TOKENS_MAX {
                return Err(AccessError::TooMany { what: "tokens", max: TOKENS_MAX });
            }
            let token = Token::random();
            let NewToken { user, label, expires } = new;
            let (id, hash) = (token.id().clone(), token.hash());
            let resource = format!("token {id} of user {user}");
            broker.gate().audit.record(AuditRecord::changed(&asking, "created", &resource));
            let entry = TokenEntry { id, user, hash, label, created, expires };
            broker.keep_access(vec![AccessChange::TokenAdded { token: entry }]).await?;
            Ok(token)
        })
        .await
    }

    /// Ends a token.
    ///
    /// # Errors
    /// As [`Broker::create_user`].
    pub async fn delete_token(
        &self,
        principal: &Principal,
        id: TokenId,
    ) -> Result<(), AccessError> {
        let asking = principal.clone();
        self.complete(|broker| async move {
            let _in_order = broker.gate().changes().lock().await;
            let access = broker.gate().current();
            let found = access.token_entry(&id);
            if !found.is_some_and(|token| is_self(&asking, token.user.as_str())) {
                broker.authorize(&asking, Operation::Alter, Resource::Cluster)?;
            }
            let token = found.ok_or_else(|| AccessError::UnknownToken(id.clone()))?;
            let resource = format!("token {id} of user {}", token.user);
            broker.gate().audit.record(AuditRecord::changed(&asking, "deleted", &resource));
            broker.keep_access(vec![AccessChange::TokenDeleted { id }]).await
        })
        .await
    }

    /// All tokens, as far as they are kept; to one who may not see them all, its own.
    ///
    /// # Errors
    /// None today.
    pub fn tokens(&self, principal: &Principal) -> Result<Vec<TokenEntry>, AccessError> {
        let access = self.gate().current();
        let all = self.gate().shows(principal, Operation::Describe, Resource::Cluster);
        let own = |token: &&TokenEntry| all || is_self(principal, token.user.as_str());
        Ok(access.tokens().filter(own).cloned().collect())
    }

    /// Adds rules; those that hold already are left.
    ///
    /// # Errors
    /// As [`Broker::create_user`].
    pub async fn add_rules(
        &self,
        principal: &Principal,
        rules: Vec<Rule>,
    ) -> Result<(), AccessError> {
        self.authorize(principal, Operation::Alter, Resource::Cluster)?;
        let asking = principal.clone();
        self.complete(|broker| async move {
            let _in_order = broker.gate().changes().lock().await;
            let access = broker.gate().current();
            if access.rules().len() + rules.len() > RULES_MAX {
                return Err(AccessError::TooMany { what: "rules", max: RULES_MAX });
            }
            let new: Vec<_> = rules.into_iter().filter(|rule| !access.has_rule(rule)).collect();
            for rule in &new {
                let record = AuditRecord::changed(&asking, "rule added", &rule.to_string());
                broker.gate().audit.record(record);
            }
            let changes = new.into_iter().map(|rule| AccessChange::RuleAdded { rule });
            broker.keep_access(changes.collect()).await
        })
        .await
    }

    /// Removes the rules that are meant, and gives them.
    ///
    /// # Errors
    /// As [`Broker::create_user`].
    pub async fn remove_rules(
        &self,
        principal: &Principal,
        filter: RuleFilter,
    ) -> Result<Vec<Rule>, AccessError> {
        self.authorize(principal, Operation::Alter, Resource::Cluster)?;
        let asking = principal.clone();
        self.complete(|broker| async move {
            let _in_order = broker.gate().changes().lock().await;
            let access = broker.gate().current();
            let found: Vec<Rule> =
                access.rules().filter(|rule| filter.selects(rule)).cloned().collect();
            for rule in &found {
                let record = AuditRecord::changed(&asking, "rule removed", &rule.to_string());
                broker.gate().audit.record(record);
            }
            let changes = found.iter().map(|rule| AccessChange::RuleRemoved { rule: rule.clone() });
            broker.keep_access(changes.collect()).await?;
            Ok(found)
        })
        .await
    }

    /// The rules that are meant; to one who may not see them all, those about itself and everybody.
    ///
    /// # Errors
    /// None today.
    pub fn rules(
        &self,
        principal: &Principal,
        filter: &RuleFilter,
    ) -> Result<Vec<Rule>, AccessError> {
        let access = self.gate().current();
        let all = self.gate().shows(principal, Operation::Describe, Resource::Cluster);
        let shown = |rule: &&Rule| {
            let own = rule.grantee.is(principal) || rule.grantee.is_everybody();
            (all || own) && filter.selects(rule)
        };
        Ok(access.rules().filter(shown).cloned().collect())
    }

    /// Keeps changes in the catalog, and puts them in force.
    pub(super) async fn keep_access(&self, changes: Vec<AccessChange>) -> Result<(), AccessError> {
        let mut access = Access::clone(&self.gate().current());
        let mut last = None;
        for change in changes {
            access.apply(change.clone());
            let command = CatalogCommand::AccessChanged { access: change };
            let kept = self.catalog().lock().commit(command, self.clock().wall());
            last = Some(kept.map_err(AppendFailure::from)?.1);
        }
        if let Some(ticket) = last {
            ticket.durable().await.map_err(AppendFailure::from)?;
        }
        self.gate().show(access);
        self.end_refused_subscriptions();
        Ok(())
    }

    /// Hashing takes milliseconds of a core, which other connections must not wait for.
    async fn hash_passwords(&self, changes: &[UserChange]) -> Result<Vec<Verifier>, AccessError> {
        let password = changes.iter().rev().find_map(|change| match change {
            UserChange::Password(password) => Some(password.clone()),
            _ => None,
        });
        let Some(password) = password else { return Ok(Vec::new()) };
        let iterations = self.gate().config().iterations;
        let hashed = tokio::task::spawn_blocking(move || {
            Mechanism::ALL
                .into_iter()
                .map(|mechanism| Verifier::of_password(mechanism, &password, iterations))
                .collect::<Result<Vec<_>, _>>()
        });
        match hashed.await {
            Ok(hashed) => Ok(hashed?),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// The user after changes.
    fn changed(
        &self,
        access: &Access,
        principal: &Principal,
        mut user: User,
        changes: &[UserChange],
        verifiers: Vec<Verifier>,
    ) -> Result<User, AccessError> {
        for change in changes {
            match change {
                UserChange::Password(_) => user.verifiers.clone_from(&verifiers),
                UserChange::Verifier(verifier) => user.set_verifier(verifier.clone()),
                UserChange::WithoutVerifier(mechanism) => {
                    user.verifiers.retain(|one| one.mechanism() != *mechanism);
                }
                UserChange::NoPassword => user.verifiers.clear(),
                UserChange::Superuser(superuser) => {
                    if *superuser != user.superuser && !self.gate().is_superuser(principal) {
                        return Err(AccessError::Superuser);
                    }
                    user.superuser = *superuser;
                }
                UserChange::Disabled(disabled) => user.disabled = *disabled,
                UserChange::Certificate(subject) => {
                    check_text("the subject", subject)?;
                    let owner = access.owner_of_certificate(subject);
                    check_free(subject, &user.name, owner)?;
                    user.certificates.insert(subject.clone());
                    check_count("certificates of one user", user.certificates.len())?;
                }
                UserChange::NoCertificate(subject) => {
                    user.certificates.remove(subject);
                }
                UserChange::CurveKey(key) => {
                    if !is_curve_key(key) {
                        return Err(AccessError::CurveKey {
                            value: key.chars().take(64).collect(),
                        });
                    }
                    let owner = access.owner_of_curve_key(key);
                    check_free(key, &user.name, owner)?;
                    user.curve_keys.insert(key.clone());
                    check_count("CURVE keys of one user", user.curve_keys.len())?;
                }
                UserChange::NoCurveKey(key) => {
                    user.curve_keys.remove(key);
                }
                UserChange::WriteRate(rate) => user.rates.write = *rate,
                UserChange::ReadRate(rate) => user.rates.read = *rate,
                UserChange::RequestRate(rate) => user.rates.requests = *rate,
            }
        }
        Ok(user)
    }

    /// Somebody must be left who may change everything.
    fn check_superusers(
        &self,
        access: &Access,
        name: &UserName,
        after: Option<&User>,
    ) -> Result<(), AccessError> {
        let counts = |user: &User| user.superuser && !user.disabled;
        let others = access.users().any(|user| user.name != *name && counts(user));
        let counted = access.user(name.as_str()).is_some_and(counts);
        if self.gate().is_required() && counted && !others && !after.is_some_and(counts) {
            return Err(AccessError::LastSuperuser(name.clone()));
        }
        Ok(())
    }

    fn audit_user(
        &self,
        principal: &Principal,
        name: &UserName,
        what: &str,
        changes: &[UserChange],
    ) {
        let details = changes.iter().map(|change| change.class());
        let what = details.fold(what.to_owned(), |all, one| format!("{all}, {one}"));
        self.gate().audit.record(AuditRecord::changed(principal, what, &format!("user {name}")));
    }
}

fn is_self(principal: &Principal, name: &str) -> bool {
    principal.as_str().strip_prefix("User:") == Some(name)
}

fn check_text(what: &'static str, text: &str) -> Result<(), AccessError> {
    match text.len() {
        0..=TEXT_BYTES_MAX => Ok(()),
        size => Err(AccessError::TooLong { what, size, max: TEXT_BYTES_MAX }),
    }
}

fn check_count(what: &'static str, count: usize) -> Result<(), AccessError> {
    if count > PROOFS_MAX {
        return Err(AccessError::TooMany { what, max: PROOFS_MAX });
    }
    Ok(())
}

fn check_free(value: &str, name: &UserName, owner: Option<&User>) -> Result<(), AccessError> {
    match owner {
        Some(owner) if owner.name != *name => {
            Err(AccessError::Taken { value: value.to_owned(), owner: owner.name.clone() })
        }
        _ => Ok(()),
    }
}

/// 32 bytes in Z85 (ZeroMQ's RFC 32).
fn is_curve_key(text: &str) -> bool {
    let legal =
        |byte: u8| byte.is_ascii_alphanumeric() || b".-:+=^!/*?&<>()[]{}@%$#".contains(&byte);
    text.len() == 40 && text.bytes().all(legal)
}
