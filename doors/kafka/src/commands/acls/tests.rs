use proptest::prelude::*;

use super::*;

const TOPIC: i8 = 2;
const READ: i8 = 3;

fn binding(name: &str, pattern_type: i8) -> Binding {
    Binding {
        resource_type: TOPIC,
        resource_name: name.to_owned(),
        pattern_type,
        principal: "User:alice".to_owned(),
        host: "*".to_owned(),
        operation: READ,
        permission: ALLOW,
    }
}

fn everything() -> BindingFilter {
    BindingFilter {
        resource_type: ANY,
        resource_name: None,
        pattern_type: ANY,
        principal: None,
        host: None,
        operation: ANY,
        permission: ANY,
    }
}

fn about(name: &'static str, pattern_type: i8) -> BindingFilter {
    let resource_name = Some(StrBytes::from_static_str(name));
    BindingFilter { resource_name, pattern_type, ..everything() }
}

#[test]
fn match_finds_whatever_covers_a_name_and_the_others_only_what_is_written_so() {
    let covering = [binding("orders", LITERAL), binding("ord", PREFIXED), binding("*", LITERAL)];
    for binding in &covering {
        assert!(about("orders", MATCH).matches(binding), "{binding:?}");
    }
    assert!(!about("orders", MATCH).matches(&binding("orders2", LITERAL)));
    assert!(!about("orders", MATCH).matches(&binding("orders2", PREFIXED)));
    assert!(about("ord", ANY).matches(&binding("ord", PREFIXED)));
    assert!(about("ord", ANY).matches(&binding("ord", LITERAL)));
    assert!(!about("orders", ANY).matches(&binding("ord", PREFIXED)));
    assert!(!about("ord", LITERAL).matches(&binding("ord", PREFIXED)));
    assert!(about("ord", PREFIXED).matches(&binding("ord", PREFIXED)));
    assert!(everything().matches(&binding("ord", PREFIXED)));
    let literal = BindingFilter { pattern_type: LITERAL, ..everything() };
    assert!(!literal.matches(&binding("ord", PREFIXED)));
}

#[test]
fn every_field_of_a_filter_counts() {
    let own = binding("orders", LITERAL);
    let others = [
        BindingFilter { resource_type: 3, ..everything() },
        BindingFilter { principal: Some(StrBytes::from_static_str("User:bob")), ..everything() },
        BindingFilter { host: Some(StrBytes::from_static_str("192.0.2.1")), ..everything() },
        BindingFilter { operation: 4, ..everything() },
        BindingFilter { permission: DENY, ..everything() },
    ];
    for filter in others {
        assert!(!filter.matches(&own), "{filter:?}");
    }
}

#[test]
fn a_filter_with_unknown_elements_is_refused() {
    for filter in [
        BindingFilter { resource_type: 0, ..everything() },
        BindingFilter { pattern_type: 5, ..everything() },
        BindingFilter { operation: 0, ..everything() },
        BindingFilter { permission: 4, ..everything() },
    ] {
        assert_eq!(filter.check().unwrap_err().code, Code::InvalidRequest, "{filter:?}");
    }
    assert!(everything().check().is_ok());
}

#[test]
fn what_cannot_be_a_rule_is_refused_with_the_reason() {
    let own = binding("orders", LITERAL);
    for (wrong, part) in [
        (Binding { host: "192.0.2.1".into(), ..own.clone() }, "addresses"),
        (Binding { principal: "Group:staff".into(), ..own.clone() }, "User:NAME"),
        (Binding { resource_type: 6, ..own.clone() }, "type 6"),
        (Binding { resource_type: ANY, ..own.clone() }, "type 1"),
        (Binding { resource_type: 4, ..own.clone() }, "kafka-cluster"),
        (Binding { operation: 13, ..own.clone() }, "operation 13"),
        (Binding { operation: ANY, ..own.clone() }, "operation 1"),
        (Binding { permission: ANY, ..own.clone() }, "permission type 1"),
        (Binding { pattern_type: MATCH, ..own.clone() }, "literal or prefixed"),
        (Binding { resource_name: String::new(), ..own }, "not empty"),
    ] {
        let refusal = wrong.to_rule().unwrap_err();
        assert_eq!(refusal.code, Code::InvalidRequest);
        assert!(refusal.text.contains(part), "{}", refusal.text);
    }
}

#[test]
fn a_topic_is_named_by_its_alias() {
    let rule = binding("orders_x3Aeu", LITERAL).to_rule().unwrap();
    assert_eq!(rule.pattern, NamePattern::Literal(b"orders:eu".to_vec()));
    assert_eq!(Binding::of(&rule, READ).unwrap().resource_name, "orders_x3Aeu");
}

#[test]
fn a_rule_for_several_operations_is_several_bindings_and_loses_one_at_a_time() {
    let mut rule = binding("orders", LITERAL).to_rule().unwrap();
    rule.operations = rule.operations.with(Operation::Write);
    let whole = Meant::of(rule.clone(), &everything()).unwrap();
    assert_eq!(whole.bindings.iter().map(|one| one.operation).collect::<Vec<_>>(), [3, 4]);
    assert!(whole.rest.is_none());
    let reading = BindingFilter { operation: READ, ..everything() };
    let part = Meant::of(rule, &reading).unwrap();
    assert_eq!(part.bindings.len(), 1);
    assert_eq!(part.rest.unwrap().operations, OperationSet::of(Operation::Write));
}

#[test]
fn rules_that_kafka_has_no_name_for_stay_out_of_sight() {
    let mut rule = binding("orders", LITERAL).to_rule().unwrap();
    rule.kind = ResourceKind::Channel;
    assert!(Meant::of(rule, &everything()).is_none());
}

proptest! {
    #[test]
    fn a_binding_is_shown_as_it_was_made(
        resource_type in 2i8..=5,
        name in "[a-zA-Z0-9.-]{1,20}|\\*",
        pattern_type in LITERAL..=PREFIXED,
        operation in ALL_OPERATIONS..=12,
        permission in DENY..=ALLOW,
    ) {
        let resource_name = if resource_type == 4 { CLUSTER_NAME.to_owned() } else { name };
        let made = Binding {
            resource_type,
            resource_name,
            operation,
            permission,
            ..binding("", pattern_type)
        };
        // A prefix `*` is a prefix like any other, but a topic's alias has no such character.
        prop_assume!(!(made.resource_name == "*" && pattern_type == PREFIXED));
        let meant = Meant::of(made.to_rule().unwrap(), &everything()).unwrap();
        prop_assert_eq!(meant.bindings, vec![made]);
    }
}
