//! The grammar of statements about users and permissions.
//!
//! ```text
//! CREATE {USER | ROLE} [IF NOT EXISTS] name [WITH] [option …]
//! ALTER {USER | ROLE} name [WITH] option …
//! DROP {USER | ROLE} [IF EXISTS] name [, …]
//!     option: PASSWORD {'text' | NULL} | SUPERUSER | NOSUPERUSER | LOGIN | NOLOGIN
//!           | [NO] CERTIFICATE 'subject' | [NO] CURVE KEY 'key'
//! {GRANT | DENY} {operation [, …] | ALL [PRIVILEGES]} ON [kind] {name [, …] | *} TO user [, …]
//! REVOKE [DENY] {operation [, …] | ALL [PRIVILEGES]} ON [kind] {name [, …] | *} FROM user [, …]
//!     kind: TABLE | TOPIC | GROUP | CHANNEL | SERVICE | QUEUE | PAIR | KEY | TRANSACTIONAL_ID
//!         | CLUSTER, without a name | ALL TABLES IN SCHEMA public
//! SHOW USERS
//! SHOW GRANTS [FOR user]
//! ```
//!
//! # Invariants
//! - A password is shown by nothing here: not by `{:?}`, nor by an error about the statement.

use std::fmt;

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;
use posthouse_access::{
    Effect, Grantee, NamePattern, Operation, OperationSet, ResourceKind, Rule, RuleFilter,
};

use super::{Name, ScriptParser, StatementKind};
use crate::QueryError;
use crate::catalog::SCHEMA;
use crate::error::sqlstate;

/// A statement about users and permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccessStatement {
    CreateUser { name: Name, if_not_exists: bool, options: Vec<UserOption>, word: &'static str },
    AlterUser { name: Name, options: Vec<UserOption>, word: &'static str },
    DropUsers { names: Vec<Name>, if_exists: bool, word: &'static str },
    Allow(Vec<Rule>),
    Deny(Vec<Rule>),
    Revoke(Vec<Revoked>),
    ShowUsers,
    ShowGrants { user: Option<String> },
}

/// What is said of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UserOption {
    Password(Option<Secret>),
    Superuser(bool),
    Login(bool),
    Certificate { subject: String, is_added: bool },
    CurveKey { key: String, is_added: bool },
}

/// A password as it was written.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// Operations that the rules which a filter selects lose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revoked {
    pub(crate) filter: RuleFilter,
    pub(crate) operations: OperationSet,
}

/// What rules are about, before it is known whose they are.
struct Privileges {
    operations: Vec<OperationSet>,
    kind: ResourceKind,
    patterns: Vec<NamePattern>,
}

impl ScriptParser<'_> {
    /// The statement, when its first words are those of one about users or permissions.
    pub(super) fn access(&mut self) -> Result<Option<StatementKind>, QueryError> {
        let statement = match (self.word(0).as_str(), self.word(1).as_str()) {
            ("CREATE", "USER" | "ROLE") => self.create_user()?,
            ("ALTER", "USER" | "ROLE") => self.alter_user()?,
            ("DROP", "USER" | "ROLE") => self.drop_users()?,
            ("GRANT", _) => {
                self.skip(1);
                AccessStatement::Allow(self.rules(Effect::Allow, "TO")?)
            }
            ("DENY", _) => {
                self.skip(1);
                AccessStatement::Deny(self.rules(Effect::Deny, "TO")?)
            }
            ("REVOKE", _) => self.revoke()?,
            ("SHOW", "USERS") => {
                self.skip(2);
                AccessStatement::ShowUsers
            }
            ("SHOW", "GRANTS") => {
                self.skip(2);
                let user = if self.accept("FOR") { Some(self.grantee()?) } else { None };
                AccessStatement::ShowGrants { user }
            }
            _ => return Ok(None),
        };
        Ok(Some(StatementKind::Access(statement)))
    }

    fn create_user(&mut self) -> Result<AccessStatement, QueryError> {
        let is_user = self.word(1) == "USER";
        self.skip(2);
        let if_not_exists =
            self.parser.parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let name = self.identifier()?;
        let mut options = self.user_options()?;
        // As in PostgreSQL, the one word means somebody who logs in, the other does not.
        if !is_user && !options.iter().any(|option| matches!(option, UserOption::Login(_))) {
            options.push(UserOption::Login(false));
        }
        let word = if is_user { "CREATE USER" } else { "CREATE ROLE" };
        Ok(AccessStatement::CreateUser { name, if_not_exists, options, word })
    }

    fn alter_user(&mut self) -> Result<AccessStatement, QueryError> {
        let word = if self.word(1) == "USER" { "ALTER USER" } else { "ALTER ROLE" };
        self.skip(2);
        let name = self.identifier()?;
        let options = self.user_options()?;
        if options.is_empty() {
            return Err(self.expected("PASSWORD, SUPERUSER or LOGIN", &self.peek(0)));
        }
        Ok(AccessStatement::AlterUser { name, options, word })
    }

    fn drop_users(&mut self) -> Result<AccessStatement, QueryError> {
        let word = if self.word(1) == "USER" { "DROP USER" } else { "DROP ROLE" };
        self.skip(2);
        let if_exists = self.parser.parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        let names = self.list(ScriptParser::identifier)?;
        Ok(AccessStatement::DropUsers { names, if_exists, word })
    }

    fn user_options(&mut self) -> Result<Vec<UserOption>, QueryError> {
        self.accept("WITH");
        let mut options = Vec::new();
        while let Some(option) = self.user_option()? {
            options.push(option);
        }
        Ok(options)
    }

    fn user_option(&mut self) -> Result<Option<UserOption>, QueryError> {
        let is_removed = self.word(0) == "NO";
        let word = self.word(usize::from(is_removed));
        let option = match word.as_str() {
            "CERTIFICATE" => {
                self.skip(1 + usize::from(is_removed));
                let subject = self.quoted("the subject of a certificate in quotes")?;
                UserOption::Certificate { subject, is_added: !is_removed }
            }
            "CURVE" if self.word(1 + usize::from(is_removed)) == "KEY" => {
                self.skip(2 + usize::from(is_removed));
                let key = self.quoted("a public key in quotes")?;
                UserOption::CurveKey { key, is_added: !is_removed }
            }
            _ if is_removed => {
                let wanted = "CERTIFICATE or CURVE KEY";
                return Err(self.expected(wanted, &self.peek(1)));
            }
            // PostgreSQL's older word before it means nothing there either.
            "ENCRYPTED" if self.word(1) == "PASSWORD" => {
                self.skip(2);
                self.password()?
            }
            "PASSWORD" => {
                self.skip(1);
                self.password()?
            }
            "SUPERUSER" | "NOSUPERUSER" => {
                self.skip(1);
                UserOption::Superuser(word == "SUPERUSER")
            }
            "LOGIN" | "NOLOGIN" => {
                self.skip(1);
                UserOption::Login(word == "LOGIN")
            }
            _ => return Ok(None),
        };
        Ok(Some(option))
    }

    fn password(&mut self) -> Result<UserOption, QueryError> {
        if self.accept("NULL") {
            return Ok(UserOption::Password(None));
        }
        let text = self.quoted("a password in quotes, or NULL")?;
        Ok(UserOption::Password(Some(Secret(text))))
    }

    /// A text in quotes, in any of PostgreSQL's ways of quoting one.
    fn quoted(&mut self, wanted: &str) -> Result<String, QueryError> {
        let token = self.peek(0);
        let text = match &token.token {
            Token::SingleQuotedString(text)
            | Token::EscapedStringLiteral(text)
            | Token::UnicodeStringLiteral(text) => text.clone(),
            Token::DollarQuotedString(text) => text.value.clone(),
            _ => return Err(self.expected(wanted, &token)),
        };
        self.skip(1);
        Ok(text)
    }

    fn rules(&mut self, effect: Effect, preposition: &str) -> Result<Vec<Rule>, QueryError> {
        let Privileges { operations, kind, patterns } = self.privileges()?;
        let mut rules = Vec::new();
        for grantee in self.grantees(preposition)? {
            for pattern in &patterns {
                for operations in &operations {
                    let (grantee, pattern) = (Grantee::named(&grantee), pattern.clone());
                    rules.push(Rule { grantee, effect, operations: *operations, kind, pattern });
                }
            }
        }
        Ok(rules)
    }

    fn revoke(&mut self) -> Result<AccessStatement, QueryError> {
        self.skip(1);
        let effect = if self.accept("DENY") { Effect::Deny } else { Effect::Allow };
        let Privileges { operations, kind, patterns } = self.privileges()?;
        let operations = operations.into_iter().fold(OperationSet::NONE, OperationSet::union);
        let mut revoked = Vec::new();
        for grantee in self.grantees("FROM")? {
            for pattern in &patterns {
                let filter = RuleFilter {
                    grantee: Some(Grantee::named(&grantee)),
                    effect: Some(effect),
                    kind: Some(kind),
                    pattern: Some(pattern.clone()),
                    ..RuleFilter::default()
                };
                revoked.push(Revoked { filter, operations });
            }
        }
        Ok(AccessStatement::Revoke(revoked))
    }

    fn privileges(&mut self) -> Result<Privileges, QueryError> {
        let operations = if self.accept("ALL") {
            self.accept("PRIVILEGES");
            vec![OperationSet::ALL]
        } else {
            self.list(ScriptParser::operation)?
        };
        if !self.accept("ON") {
            return Err(self.expected("ON", &self.peek(0)));
        }
        let (kind, patterns) = self.resources()?;
        Ok(Privileges { operations, kind, patterns })
    }

    /// SQL's word for it, or Kafka's.
    fn operation(&mut self) -> Result<OperationSet, QueryError> {
        let word = self.word(0);
        let operation = match word.as_str() {
            "" => None,
            "SELECT" => Some(OperationSet::of(Operation::Read)),
            "INSERT" => Some(OperationSet::of(Operation::Write)),
            "DROP" => Some(OperationSet::of(Operation::Delete)),
            kafka => kafka.parse().ok(),
        };
        let Some(operation) = operation else {
            let wanted = "SELECT, INSERT, CREATE, ALTER, DROP, ALL or an operation of Kafka's";
            return Err(self.expected(wanted, &self.peek(0)));
        };
        self.skip(1);
        Ok(operation)
    }

    fn resources(&mut self) -> Result<(ResourceKind, Vec<NamePattern>), QueryError> {
        let any = |kind| Ok((kind, vec![NamePattern::Any]));
        // A word is a kind only when a name follows: a topic may be called `key`.
        let is_name = matches!(self.word(1).as_str(), "TO" | "FROM")
            || matches!(self.peek(1).token, Token::Comma | Token::Period);
        let word = self.word(0);
        if word == "CLUSTER" && is_name {
            self.skip(1);
            return any(ResourceKind::Cluster);
        }
        if word == "ALL" && self.word(1) == "TABLES" {
            self.skip(2);
            self.all_tables()?;
            return any(ResourceKind::Topic);
        }
        let kind = match word.as_str() {
            "" => None,
            _ if is_name => None,
            "TABLE" => Some(ResourceKind::Topic),
            other => other.parse().ok().filter(|kind| *kind != ResourceKind::Cluster),
        };
        if kind.is_some() {
            self.skip(1);
        }
        let kind = kind.unwrap_or(ResourceKind::Topic);
        let patterns = self.list(|parser| parser.pattern(kind))?;
        Ok((kind, patterns))
    }

    fn all_tables(&mut self) -> Result<(), QueryError> {
        for word in ["IN", "SCHEMA"] {
            if !self.accept(word) {
                return Err(self.expected(word, &self.peek(0)));
            }
        }
        let schema = self.identifier()?;
        if schema.text == SCHEMA {
            return Ok(());
        }
        let message = format!("there is no schema \"{}\"; topics are in {SCHEMA}", schema.text);
        Err(QueryError::new(sqlstate::INVALID_NAME, message).at(schema.position))
    }

    fn pattern(&mut self, kind: ResourceKind) -> Result<NamePattern, QueryError> {
        if self.parser.parser.consume_token(&Token::Mul) {
            return Ok(NamePattern::Any);
        }
        let name = match kind {
            ResourceKind::Topic => self.name()?,
            _ => self.identifier()?,
        };
        Ok(NamePattern::parse(&name.text))
    }

    fn grantees(&mut self, preposition: &str) -> Result<Vec<String>, QueryError> {
        if !self.accept(preposition) {
            return Err(self.expected(preposition, &self.peek(0)));
        }
        self.list(ScriptParser::grantee)
    }

    /// A user's name; everybody's, as rules know it, for `PUBLIC`.
    fn grantee(&mut self) -> Result<String, QueryError> {
        if self.accept("PUBLIC") {
            return Ok(Grantee::everybody().name().to_owned());
        }
        let name = self.identifier()?;
        if Grantee::named(&name.text).is_everybody() || name.text.is_empty() {
            let message = format!("\"{}\" is not a user's name", name.text);
            let error = QueryError::new(sqlstate::INVALID_NAME, message).at(name.position);
            return Err(error.with_hint("PUBLIC means everybody"));
        }
        Ok(name.text)
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
