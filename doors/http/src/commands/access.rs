//! Users, tokens and rules: list, make, change, delete.

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use posthouse_access::{
    Effect, Grantee, NamePattern, OperationSet, ResourceKind, Rule, RuleFilter, TokenEntry,
    TokenId, User, UserName,
};
use posthouse_broker::{NewToken, UserChange};
use posthouse_types::{ByteSize, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::input::{NamePath, Parameters, json};
use crate::errors::Problem;
use crate::routes::Door;

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserBody {
    /// The name.
    name: String,
    /// Whether it may do everything, whatever rules say.
    superuser: bool,
    /// Whether it is kept out.
    disabled: bool,
    /// How its password is checked: `SCRAM-SHA-256`; empty when it has none.
    passwords: Vec<&'static str>,
    /// Subjects of client certificates that stand for it.
    certificates: BTreeSet<String>,
    /// Its CURVE public keys, in Z85.
    curve_keys: BTreeSet<String>,
    /// Bytes of records that it may write in a second; `null` when it is as for everybody.
    write_rate: Option<u64>,
    /// Bytes of records that it may read in a second; `null` when it is as for everybody.
    read_rate: Option<u64>,
    /// Requests that it may make in a second; `null` when it is as for everybody.
    request_rate: Option<u32>,
}

/// A user to be made, or what is to change of one; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserSettings {
    /// A password, or `null` for none.
    #[serde(default, deserialize_with = "super::queues::given")]
    #[schema(value_type = Option<String>)]
    password: Option<Option<String>>,
    /// Whether it may do everything.
    superuser: Option<bool>,
    /// Whether it is kept out.
    disabled: Option<bool>,
    /// Subjects of client certificates that stand for it, as RFC 4514 writes them; all of them.
    certificates: Option<BTreeSet<String>>,
    /// Its CURVE public keys, in Z85; all of them.
    curve_keys: Option<BTreeSet<String>>,
    /// Bytes of records that it may write in a second, or `null` to have it as for everybody.
    #[serde(default, deserialize_with = "super::queues::given")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    write_rate: Option<Option<NonZeroU64>>,
    /// Bytes of records that it may read in a second, or `null` to have it as for everybody.
    #[serde(default, deserialize_with = "super::queues::given")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    read_rate: Option<Option<NonZeroU64>>,
    /// Requests that it may make in a second, or `null` to have it as for everybody.
    #[serde(default, deserialize_with = "super::queues::given")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    request_rate: Option<Option<NonZeroU32>>,
}

/// A user to be made.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewUser {
    /// The name.
    name: String,
    /// All else.
    #[serde(flatten)]
    #[schema(inline)]
    settings: UserSettings,
}

/// A token, as far as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenBody {
    /// Its name.
    id: String,
    /// Whose it is.
    user: String,
    /// What its owner calls it.
    label: String,
    /// When it was made, in milliseconds since the epoch.
    created_ms: i64,
    /// When it ends; `null` when it does not.
    expires_ms: Option<i64>,
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedToken {
    /// Whose it is; who asks, when left out.
    user: Option<String>,
    /// What its owner calls it.
    #[serde(default)]
    label: String,
    /// Milliseconds until it ends; never, when left out.
    expires_in_ms: Option<u64>,
}

/// A token that was made: the one time that it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeToken {
    /// Its name.
    id: String,
    /// The token, which is not shown again.
    token: String,
}

/// A rule.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleBody {
    /// Whom it is about; `*` is everybody.
    user: String,
    /// `allow` (the default) or `deny`, which wins.
    #[serde(default = "allow")]
    effect: String,
    /// Kafka's names with commas between: `Read,Write`, or `All`.
    operations: String,
    /// `topic`, `group`, `cluster`, `channel`, `service`, `queue`, `pair`, `key`, `transactional-id`.
    kind: String,
    /// Which: `orders`, `orders*` for all that begin so, or `*`.
    name: String,
}

/// Which rules; at least one is given to delete any.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichRules {
    user: Option<String>,
    effect: Option<String>,
    operations: Option<String>,
    kind: Option<String>,
    name: Option<String>,
}

fn allow() -> String {
    "allow".to_owned()
}

/// List the users: all of them, or oneself.
#[utoipa::path(get, path = "/users", tag = "access",
    responses((status = 200, body = Vec<UserBody>), (status = "default", body = Problem)))]
pub(crate) async fn users(door: Door) -> Result<Json<Vec<UserBody>>, Problem> {
    let users = door.broker.users(&door.principal)?;
    Ok(Json(users.into_iter().map(UserBody::from).collect()))
}

/// Make a user.
#[utoipa::path(post, path = "/users", tag = "access", request_body = NewUser,
    responses((status = 201), (status = "default", body = Problem)))]
pub(crate) async fn create_user(door: Door, body: Body) -> Result<StatusCode, Problem> {
    let new: NewUser = json(body, &door.config).await?;
    let name = UserName::new(&new.name)?;
    let changes = new.settings.changes(&User::new(name.clone()));
    door.broker.create_user(&door.principal, name, changes).await?;
    Ok(StatusCode::CREATED)
}

/// Change a user: its password, whether it is a superuser or disabled, its certificates and keys.
#[utoipa::path(patch, path = "/users/{name}", tag = "access", request_body = UserSettings,
    params(("name" = String, Path, description = "The user")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn alter_user(
    door: Door,
    NamePath(name): NamePath,
    body: Body,
) -> Result<StatusCode, Problem> {
    let settings: UserSettings = json(body, &door.config).await?;
    let users = door.broker.users(&door.principal)?;
    let user = users.into_iter().find(|user| user.name.as_str() == name);
    // One that may not be seen is left to the broker to refuse.
    let user = user.map_or_else(|| UserName::new(&name).map(User::new), Ok)?;
    door.broker.alter_user(&door.principal, &name, settings.changes(&user)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete a user, with its tokens and the rules about it.
#[utoipa::path(delete, path = "/users/{name}", tag = "access",
    params(("name" = String, Path, description = "The user")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete_user(
    door: Door,
    NamePath(name): NamePath,
) -> Result<StatusCode, Problem> {
    door.broker.delete_user(&door.principal, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the tokens: all of them, or one's own.
#[utoipa::path(get, path = "/tokens", tag = "access",
    responses((status = 200, body = Vec<TokenBody>), (status = "default", body = Problem)))]
pub(crate) async fn tokens(door: Door) -> Result<Json<Vec<TokenBody>>, Problem> {
    let tokens = door.broker.tokens(&door.principal)?;
    Ok(Json(tokens.into_iter().map(TokenBody::from).collect()))
}

/// Make a token. The answer has it whole, which it is not shown again.
#[utoipa::path(post, path = "/tokens", tag = "access", request_body = WantedToken,
    responses((status = 201, body = MadeToken), (status = "default", body = Problem)))]
pub(crate) async fn create_token(
    door: Door,
    body: Body,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    let wanted: WantedToken = json(body, &door.config).await?;
    let own = || door.principal.as_str().trim_start_matches("User:").to_owned();
    let user = UserName::new(wanted.user.unwrap_or_else(own))?;
    let now = door.broker.clock().wall().as_ms();
    let ends = |ms: u64| Timestamp::from_ms(now.saturating_add_unsigned(ms));
    let new = NewToken { user, label: wanted.label, expires: wanted.expires_in_ms.map(ends) };
    let token = door.broker.create_token(&door.principal, new).await?;
    let made = MadeToken { id: token.id().to_string(), token: token.reveal() };
    Ok((StatusCode::CREATED, Json(made)))
}

/// End a token.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "access",
    params(("id" = String, Path, description = "The token's id")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete_token(
    door: Door,
    NamePath(id): NamePath,
) -> Result<StatusCode, Problem> {
    door.broker.delete_token(&door.principal, TokenId::named(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the rules: all of them, or those about oneself and everybody.
#[utoipa::path(get, path = "/acls", tag = "access",
    params(
        ("user" = Option<String>, Query, description = "Only those about this user, or `*`"),
        ("effect" = Option<String>, Query, description = "Only `allow`, or only `deny`"),
        ("operations" = Option<String>, Query, description = "Only those with exactly these"),
        ("kind" = Option<String>, Query, description = "Only those about this kind"),
        ("name" = Option<String>, Query, description = "Only those with exactly this name or pattern")),
    responses((status = 200, body = Vec<RuleBody>), (status = "default", body = Problem)))]
pub(crate) async fn rules(
    door: Door,
    Parameters(which): Parameters<WhichRules>,
) -> Result<Json<Vec<RuleBody>>, Problem> {
    let rules = door.broker.rules(&door.principal, &which.filter()?)?;
    Ok(Json(rules.into_iter().map(RuleBody::from).collect()))
}

/// Add a rule.
#[utoipa::path(post, path = "/acls", tag = "access", request_body = RuleBody,
    responses((status = 201), (status = "default", body = Problem)))]
pub(crate) async fn add_rule(door: Door, body: Body) -> Result<StatusCode, Problem> {
    let rule: RuleBody = json(body, &door.config).await?;
    door.broker.add_rules(&door.principal, vec![rule.rule()?]).await?;
    Ok(StatusCode::CREATED)
}

/// Remove the rules that are named; gives them.
#[utoipa::path(delete, path = "/acls", tag = "access",
    params(
        ("user" = Option<String>, Query, description = "Those about this user, or `*`"),
        ("effect" = Option<String>, Query, description = "Those that `allow`, or `deny`"),
        ("operations" = Option<String>, Query, description = "Those with exactly these"),
        ("kind" = Option<String>, Query, description = "Those about this kind"),
        ("name" = Option<String>, Query, description = "Those with exactly this name or pattern")),
    responses((status = 200, body = Vec<RuleBody>), (status = "default", body = Problem)))]
pub(crate) async fn remove_rules(
    door: Door,
    Parameters(which): Parameters<WhichRules>,
) -> Result<Json<Vec<RuleBody>>, Problem> {
    let filter = which.filter()?;
    if filter == RuleFilter::default() {
        let detail = "no rule is named, and that would be every rule";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "missing_parameter", detail)
            .help("say which by user, effect, operations, kind or name"));
    }
    let removed = door.broker.remove_rules(&door.principal, filter).await?;
    Ok(Json(removed.into_iter().map(RuleBody::from).collect()))
}

impl UserSettings {
    /// What changes of a user that is `before`.
    fn changes(self, before: &User) -> Vec<UserChange> {
        let password = self.password.map(|password| match password {
            Some(password) => UserChange::Password(password.into_bytes()),
            None => UserChange::NoPassword,
        });
        let mut changes: Vec<_> = password.into_iter().collect();
        changes.extend(self.superuser.map(UserChange::Superuser));
        changes.extend(self.disabled.map(UserChange::Disabled));
        let rate = |rate: Option<NonZeroU64>| rate.map(|rate| ByteSize(rate.get()));
        changes.extend(self.write_rate.map(rate).map(UserChange::WriteRate));
        changes.extend(self.read_rate.map(rate).map(UserChange::ReadRate));
        changes.extend(self.request_rate.map(UserChange::RequestRate));
        if let Some(wanted) = self.certificates {
            let gone = before.certificates.difference(&wanted).cloned();
            changes.extend(gone.map(UserChange::NoCertificate));
            changes.extend(wanted.into_iter().map(UserChange::Certificate));
        }
        if let Some(wanted) = self.curve_keys {
            let gone = before.curve_keys.difference(&wanted).cloned();
            changes.extend(gone.map(UserChange::NoCurveKey));
            changes.extend(wanted.into_iter().map(UserChange::CurveKey));
        }
        changes
    }
}

impl From<User> for UserBody {
    fn from(user: User) -> UserBody {
        let passwords = user.verifiers.iter().map(|one| one.mechanism().name()).collect();
        let User { name, superuser, disabled, certificates, curve_keys, rates, .. } = user;
        let bytes = |rate: Option<ByteSize>| rate.map(|rate| rate.0);
        UserBody {
            name: name.to_string(),
            superuser,
            disabled,
            passwords,
            certificates,
            curve_keys,
            write_rate: bytes(rates.write),
            read_rate: bytes(rates.read),
            request_rate: rates.requests.map(NonZeroU32::get),
        }
    }
}

impl From<TokenEntry> for TokenBody {
    fn from(token: TokenEntry) -> TokenBody {
        TokenBody {
            id: token.id.to_string(),
            user: token.user.to_string(),
            label: token.label,
            created_ms: token.created.as_ms(),
            expires_ms: token.expires.map(Timestamp::as_ms),
        }
    }
}

impl From<Rule> for RuleBody {
    fn from(rule: Rule) -> RuleBody {
        RuleBody {
            user: rule.grantee.name().to_owned(),
            effect: match rule.effect {
                Effect::Allow => allow(),
                Effect::Deny => "deny".to_owned(),
            },
            operations: rule.operations.to_string(),
            kind: rule.kind.to_string(),
            name: rule.pattern.to_string(),
        }
    }
}

impl RuleBody {
    fn rule(&self) -> Result<Rule, Problem> {
        Ok(Rule {
            grantee: grantee(&self.user)?,
            effect: effect(&self.effect)?,
            operations: operations(&self.operations)?,
            kind: kind(&self.kind)?,
            pattern: NamePattern::parse(&self.name),
        })
    }
}

impl WhichRules {
    fn filter(&self) -> Result<RuleFilter, Problem> {
        Ok(RuleFilter {
            grantee: self.user.as_deref().map(grantee).transpose()?,
            effect: self.effect.as_deref().map(effect).transpose()?,
            operations: self.operations.as_deref().map(operations).transpose()?,
            kind: self.kind.as_deref().map(kind).transpose()?,
            pattern: self.name.as_deref().map(NamePattern::parse),
            matching: None,
        })
    }
}

fn grantee(name: &str) -> Result<Grantee, Problem> {
    if name == "*" {
        return Ok(Grantee::everybody());
    }
    Ok(Grantee::named(UserName::new(name)?.as_str()))
}

fn effect(text: &str) -> Result<Effect, Problem> {
    match text {
        "allow" => Ok(Effect::Allow),
        "deny" => Ok(Effect::Deny),
        _ => Err(Problem::parameter("effect", text, "is neither allow nor deny")),
    }
}

fn operations(text: &str) -> Result<OperationSet, Problem> {
    text.parse()
        .map_err(|error: String| Problem::parameter("operations", text, "names none").help(error))
}

fn kind(text: &str) -> Result<ResourceKind, Problem> {
    text.parse().map_err(|error: String| Problem::parameter("kind", text, "is none").help(error))
}
