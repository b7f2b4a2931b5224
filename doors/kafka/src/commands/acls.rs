//! Rules as Kafka's ACL requests write them, and which of them a filter means.
//!
//! Kafka knows of one operation and a host for each binding. A rule for several operations is shown
//! as several bindings; the host is always `*`, because rules do not look at addresses. Rules about
//! what Kafka does not know of (channels, services, queues, pairs, keys) are neither shown nor
//! removed here.
//!
//! # Source
//! Kafka 4.1 `ResourceType`, `PatternType`, `AclOperation`, `AclPermissionType`;
//! `ResourcePatternFilter.matches` and `AccessControlEntryFilter.matches`.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::protocol::StrBytes;
use posthouse_access::{Effect, Grantee, NamePattern, OperationSet, Rule, RuleFilter};
use posthouse_broker::{Operation, Resource, ResourceKind};
use posthouse_types::TopicName;

use crate::errors::Refusal;
use crate::node::Call;

/// "Any", in every field of a filter.
const ANY: i8 = 1;

const MATCH: i8 = 2;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;

const ALL_OPERATIONS: i8 = 2;

const DENY: i8 = 2;
const ALLOW: i8 = 3;

/// Every name, as a literal pattern.
const WILDCARD: &str = "*";

/// The one host.
const ANY_HOST: &str = "*";

const CLUSTER_NAME: &str = "kafka-cluster";

/// One binding, field by field as on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Binding {
    pub(super) resource_type: i8,
    pub(super) resource_name: String,
    pub(super) pattern_type: i8,
    pub(super) principal: String,
    pub(super) host: String,
    pub(super) operation: i8,
    pub(super) permission: i8,
}

/// Which bindings are meant; `None` means any.
#[derive(Clone, Debug)]
pub(super) struct BindingFilter {
    pub(super) resource_type: i8,
    pub(super) resource_name: Option<StrBytes>,
    pub(super) pattern_type: i8,
    pub(super) principal: Option<StrBytes>,
    pub(super) host: Option<StrBytes>,
    pub(super) operation: i8,
    pub(super) permission: i8,
}

/// A rule that a filter means, wholly or for some of its operations.
#[derive(Debug)]
pub(super) struct Meant {
    pub(super) rule: Rule,
    pub(super) bindings: Vec<Binding>,
    /// What the rule says of the other operations.
    pub(super) rest: Option<Rule>,
}

/// All that a filter means. The caller may know all rules.
pub(super) fn find(call: &Call, filter: &BindingFilter) -> Result<Vec<Meant>, Refusal> {
    filter.check()?;
    let rules = call
        .broker()
        .rules(&call.principal, &RuleFilter::default())
        .map_err(|error| Refusal::from(&error))?;
    Ok(rules.into_iter().filter_map(|rule| Meant::of(rule, filter)).collect())
}

/// Only whoever may do so to the cluster.
pub(super) fn check_cluster(call: &Call, operation: Operation) -> Result<(), Refusal> {
    call.broker()
        .authorize(&call.principal, operation, Resource::Cluster)
        .map_err(|denied| Refusal::from(&denied))
}

impl Meant {
    fn of(rule: Rule, filter: &BindingFilter) -> Option<Meant> {
        let every = Binding::of(&rule, ALL_OPERATIONS)?;
        if rule.operations == OperationSet::ALL {
            let bindings = vec![every];
            return filter.matches(&bindings[0]).then_some(Meant { rule, bindings, rest: None });
        }
        let (mut bindings, mut rest) = (Vec::new(), OperationSet::NONE);
        for operation in rule.operations.iter() {
            let binding = Binding { operation: operation_code(operation), ..every.clone() };
            match filter.matches(&binding) {
                true => bindings.push(binding),
                false => rest = rest.with(operation),
            }
        }
        let rest = (!rest.is_empty()).then(|| Rule { operations: rest, ..rule.clone() });
        (!bindings.is_empty()).then_some(Meant { rule, bindings, rest })
    }
}

impl Binding {
    /// `None` for a rule about something that Kafka has no name for.
    fn of(rule: &Rule, operation: i8) -> Option<Binding> {
        let resource_type = resource_code(rule.kind)?;
        let shown = |name: &[u8]| match (rule.kind, TopicName::new(name)) {
            (ResourceKind::Topic, Ok(name)) => name.kafka_alias(),
            _ => String::from_utf8_lossy(name).into_owned(),
        };
        let (pattern_type, resource_name) = match &rule.pattern {
            NamePattern::Any => (LITERAL, WILDCARD.to_owned()),
            NamePattern::Literal(name) => (LITERAL, shown(name)),
            NamePattern::Prefixed(prefix) => (PREFIXED, shown(prefix)),
        };
        Some(Binding {
            resource_type,
            resource_name,
            pattern_type,
            principal: rule.grantee.as_str().to_owned(),
            host: ANY_HOST.to_owned(),
            operation,
            permission: match rule.effect {
                Effect::Allow => ALLOW,
                Effect::Deny => DENY,
            },
        })
    }

    /// The rule that a client asks for.
    pub(super) fn to_rule(&self) -> Result<Rule, Refusal> {
        let invalid = |text: String| Refusal::new(Code::InvalidRequest, text);
        let kind = resource_kind(self.resource_type).ok_or_else(|| {
            invalid(format!("there are no permissions on resources of type {}", self.resource_type))
        })?;
        if self.host != ANY_HOST {
            let text = format!(
                "host {:?}: permissions do not look at addresses, only * is taken",
                self.host
            );
            return Err(invalid(text));
        }
        let grantee = Grantee::parse(&self.principal).ok_or_else(|| {
            invalid(format!("principal {:?} is not of the form User:NAME", self.principal))
        })?;
        let operations = match (self.operation, operation_of(self.operation)) {
            (ALL_OPERATIONS, _) => OperationSet::ALL,
            (_, Some(operation)) => OperationSet::of(operation),
            (code, None) => return Err(invalid(format!("there is no operation {code}"))),
        };
        let effect = match self.permission {
            ALLOW => Effect::Allow,
            DENY => Effect::Deny,
            code => return Err(invalid(format!("there is no permission type {code}"))),
        };
        Ok(Rule { grantee, effect, operations, kind, pattern: self.pattern(kind)? })
    }

    fn pattern(&self, kind: ResourceKind) -> Result<NamePattern, Refusal> {
        let invalid = |text: &str| Refusal::new(Code::InvalidRequest, text);
        let name = self.resource_name.as_str();
        if name.is_empty() {
            return Err(invalid("a resource's name is not empty"));
        }
        if kind == ResourceKind::Cluster && name != CLUSTER_NAME {
            return Err(invalid("the cluster's only name is kafka-cluster"));
        }
        // A topic is named by its alias, as everywhere at this door.
        let bytes = match (kind, TopicName::from_kafka_alias(name)) {
            (ResourceKind::Topic, Ok(name)) => name.as_bytes().to_vec(),
            _ => name.as_bytes().to_vec(),
        };
        match (self.pattern_type, name) {
            (LITERAL, WILDCARD) => Ok(NamePattern::Any),
            (LITERAL, _) => Ok(NamePattern::Literal(bytes)),
            (PREFIXED, _) => Ok(NamePattern::Prefixed(bytes)),
            _ => Err(invalid("a pattern is literal or prefixed")),
        }
    }
}

impl BindingFilter {
    /// A filter with what nobody knows of is refused, rather than found to match nothing.
    fn check(&self) -> Result<(), Refusal> {
        let known = self.resource_type > 0
            && (ANY..=PREFIXED).contains(&self.pattern_type)
            && self.operation > 0
            && (ANY..=ALLOW).contains(&self.permission);
        match known {
            true => Ok(()),
            false => Err(Refusal::new(Code::InvalidRequest, "the filter has unknown elements")),
        }
    }

    fn matches(&self, binding: &Binding) -> bool {
        let code = |wanted: i8, own: i8| wanted == ANY || wanted == own;
        let text = |wanted: &Option<StrBytes>, own: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.as_str() == own)
        };
        code(self.resource_type, binding.resource_type)
            && self.matches_name(binding)
            && text(&self.principal, &binding.principal)
            && text(&self.host, &binding.host)
            && code(self.operation, binding.operation)
            && code(self.permission, binding.permission)
    }

    fn matches_name(&self, binding: &Binding) -> bool {
        let own = binding.resource_name.as_str();
        let wanted = self.resource_name.as_ref().map(StrBytes::as_str);
        match (self.pattern_type, wanted) {
            (ANY | MATCH, None) => true,
            (ANY, Some(wanted)) => wanted == own,
            (MATCH, Some(wanted)) => match binding.pattern_type {
                PREFIXED => wanted.starts_with(own),
                _ => wanted == own || own == WILDCARD,
            },
            (pattern, None) => pattern == binding.pattern_type,
            (pattern, Some(wanted)) => pattern == binding.pattern_type && wanted == own,
        }
    }
}

/// Kafka's `ResourceType`.
fn resource_code(kind: ResourceKind) -> Option<i8> {
    match kind {
        ResourceKind::Topic => Some(2),
        ResourceKind::Group => Some(3),
        ResourceKind::Cluster => Some(4),
        ResourceKind::TransactionalId => Some(5),
        ResourceKind::Channel
        | ResourceKind::Service
        | ResourceKind::Queue
        | ResourceKind::Pair
        | ResourceKind::Key => None,
    }
}

fn resource_kind(code: i8) -> Option<ResourceKind> {
    ResourceKind::ALL.into_iter().find(|&kind| resource_code(kind) == Some(code))
}

/// Kafka's `AclOperation`.
pub(super) fn operation_code(operation: Operation) -> i8 {
    match operation {
        Operation::Read => 3,
        Operation::Write => 4,
        Operation::Create => 5,
        Operation::Delete => 6,
        Operation::Alter => 7,
        Operation::Describe => 8,
        Operation::ClusterAction => 9,
        Operation::DescribeConfigs => 10,
        Operation::AlterConfigs => 11,
        Operation::IdempotentWrite => 12,
    }
}

fn operation_of(code: i8) -> Option<Operation> {
    Operation::ALL.into_iter().find(|&operation| operation_code(operation) == code)
}

#[cfg(test)]
mod tests;
