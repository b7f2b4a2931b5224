//! What is declared, over restarts and crashes.

use std::sync::Arc;

use posthouse_broker::{Broker, Declaration, DeclarationKind, DeclareError, DeclareMode};
use serde_json::json;

use crate::harness::{Node, me};

const KIND: DeclarationKind = DeclarationKind::Webhook;

fn declaration(name: &str, spec: &str) -> Declaration {
    Declaration { kind: KIND, name: name.into(), spec: json!({ "spec": spec }) }
}

async fn declare(broker: &Broker, name: &str, spec: &str) -> Result<(), DeclareError> {
    broker.declare(&me(), declaration(name, spec), DeclareMode::Create).await
}

fn names(broker: &Broker) -> Vec<String> {
    broker.declarations(&me(), KIND).unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn what_was_declared_survives_a_restart_and_a_crash() {
    let node = Node::start().await;
    declare(&node.broker, "kept", "one").await.unwrap();
    declare(&node.broker, "gone", "two").await.unwrap();
    node.broker.undeclare(&me(), KIND, "gone").await.unwrap();
    let node = node.restart().await;
    declare(&node.broker, "late", "three").await.unwrap();
    let node = node.crash().await;
    assert_eq!(names(&node.broker), ["kept", "late"]);
    let all = node.broker.declarations(&me(), KIND).unwrap();
    assert_eq!(*all["kept"], declaration("kept", "one"));
}

#[tokio::test]
async fn those_who_follow_see_each_change() {
    let node = Node::start().await;
    let mut changes = node.broker.watch_declarations(KIND);
    assert!(changes.borrow_and_update().is_empty());
    declare(&node.broker, "a", "one").await.unwrap();
    assert!(changes.has_changed().unwrap());
    let before = Arc::clone(&changes.borrow_and_update());
    let replace = declaration("a", "two");
    node.broker.declare(&me(), replace, DeclareMode::Replace).await.unwrap();
    assert_eq!(changes.borrow_and_update()["a"].spec, json!({ "spec": "two" }));
    assert_eq!(before["a"].spec, json!({ "spec": "one" }), "what was taken stays as it was");
}

#[tokio::test]
async fn a_name_is_declared_once_and_taken_back_once() {
    let node = Node::start().await;
    declare(&node.broker, "a", "one").await.unwrap();
    let again = declare(&node.broker, "a", "two").await.unwrap_err();
    assert_eq!(again.to_string(), "webhook a exists already");
    node.broker.undeclare(&me(), KIND, "a").await.unwrap();
    let again = node.broker.undeclare(&me(), KIND, "a").await.unwrap_err();
    assert_eq!(again.to_string(), "there is no webhook a");
}

#[tokio::test]
async fn names_and_sizes_have_limits_that_the_error_states() {
    let node = Node::start().await;
    for name in ["", "a b", "a/b", "ä", &"n".repeat(250)] {
        let error = declare(&node.broker, name, "").await.unwrap_err();
        assert!(matches!(error, DeclareError::Name { .. }), "{error}");
    }
    let error = declare(&node.broker, "a", &"s".repeat(65536)).await.unwrap_err();
    assert!(error.to_string().contains("65536 are allowed"), "{error}");
    assert!(names(&node.broker).is_empty());
}
