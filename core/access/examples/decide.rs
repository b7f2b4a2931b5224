//! How long a decision takes, with one rule and with ten thousand.
//!
//!     cargo run --release --example decide

use std::hint::black_box;
use std::time::Instant;

use posthouse_access::{
    Access, AccessChange, Effect, Grantee, NamePattern, Operation, OperationSet, Permissions,
    Resource, ResourceKind, Rule,
};
use posthouse_types::{Principal, TopicName};

const DECISIONS: u32 = 2_000_000;

fn permissions(rules: u32) -> Permissions {
    let mut access = Access::default();
    for number in 0..rules {
        let pattern = match number % 3 {
            0 => NamePattern::Literal(format!("orders-{number}").into_bytes()),
            1 => NamePattern::Prefixed(format!("team-{number}-").into_bytes()),
            _ => NamePattern::Prefixed(b"orders".to_vec()),
        };
        let rule = Rule {
            grantee: Grantee::named(&format!("user-{}", number % 100)),
            effect: Effect::Allow,
            operations: OperationSet::of(Operation::Write),
            kind: ResourceKind::Topic,
            pattern,
        };
        access.apply(AccessChange::RuleAdded { rule });
    }
    Permissions::of(&access)
}

fn main() {
    let topic = TopicName::new("orders-0").expect("a constant name is valid");
    let principal = Principal::user("user-0");
    for rules in [1, 100, 10_000] {
        let permissions = permissions(rules);
        let resource = || Resource::Topic(black_box(&topic));
        let looked_up = time(|| {
            let standing = permissions.standing(black_box(&principal));
            assert!(standing.allows(Operation::Write, resource()));
        });
        let standing = permissions.standing(&principal);
        let kept = time(|| assert!(standing.allows(Operation::Write, resource())));
        println!(
            "{rules:>6} rules: {looked_up} ns a decision, {kept} ns where the standing is kept"
        );
    }
}

/// Nanoseconds each.
fn time(decide: impl Fn()) -> u128 {
    let began = Instant::now();
    for _ in 0..DECISIONS {
        decide();
    }
    (began.elapsed() / DECISIONS).as_nanos()
}
