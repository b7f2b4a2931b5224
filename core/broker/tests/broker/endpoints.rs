//! Endpoints: checked by whoever runs them, kept in the catalog, and waited for.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use posthouse_broker::{
    Broker, DeclarationKind, DeclareError, EndpointDescription, EndpointError, EndpointRefused,
    EndpointRunner, EndpointSettings, EndpointState,
};

use crate::harness::{Node, me};

/// Runs nothing; notes who waited for what, and refuses what it does not know.
struct Fake {
    broker: Arc<Broker>,
    waited: Mutex<Vec<String>>,
}

impl EndpointRunner for Fake {
    fn check(&self, _name: &str, settings: &EndpointSettings) -> Result<(), EndpointRefused> {
        match settings.iter().find(|(name, _)| *name != "socket") {
            Some((name, values)) => Err(EndpointRefused::new(name, &values[0], "is unknown")),
            None => Ok(()),
        }
    }

    fn settled<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        async move { self.waited.lock().push(name.to_owned()) }.boxed()
    }

    fn describe(&self) -> Vec<EndpointDescription> {
        let declared = self.broker.declarations(&me(), DeclarationKind::Endpoint).unwrap();
        let describe = |name: &str, configured| EndpointDescription {
            name: name.to_owned(),
            socket: "PULL".to_owned(),
            target: String::new(),
            configured,
            state: EndpointState::Running,
            addresses: Vec::new(),
            peers: 0,
            received: 0,
            sent: 0,
            dropped: 0,
            settings: EndpointSettings::default(),
        };
        let declared = declared.keys().map(|name| describe(name, false));
        declared.chain([describe("configured", true)]).collect()
    }
}

fn settings(name: &str) -> EndpointSettings {
    let mut settings = EndpointSettings::default();
    settings.push(name, "PULL");
    settings
}

#[tokio::test]
async fn what_is_declared_is_checked_kept_and_waited_for() {
    let node = Node::start().await;
    let broker = Arc::clone(&node.broker);
    let absent = broker.endpoints(&me()).await;
    assert!(matches!(absent, Err(EndpointError::NoRunner)), "{absent:?}");

    let fake = Arc::new(Fake { broker: Arc::clone(&broker), waited: Mutex::default() });
    let runner: Arc<dyn EndpointRunner> = Arc::clone(&fake) as _;
    broker.run_endpoints(&runner);

    let refused = broker.create_endpoint(&me(), "in", settings("soket")).await;
    let Err(EndpointError::Refused(refused)) = refused else { panic!("{refused:?}") };
    assert_eq!((refused.field.as_str(), refused.value.as_str()), ("soket", "PULL"));
    assert!(broker.declarations(&me(), DeclarationKind::Endpoint).unwrap().is_empty());

    let made = broker.create_endpoint(&me(), "in", settings("socket")).await.unwrap();
    assert_eq!(made.name, "in");
    let again = broker.create_endpoint(&me(), "in", settings("socket")).await;
    assert!(matches!(again, Err(EndpointError::Declare(DeclareError::Exists { .. }))), "{again:?}");
    let kept = broker.declarations(&me(), DeclarationKind::Endpoint).unwrap();
    assert_eq!(kept["in"].spec, serde_json::json!({ "socket": "PULL" }));

    broker.drop_endpoint(&me(), "in").await.unwrap();
    let unknown = broker.drop_endpoint(&me(), "in").await;
    assert!(
        matches!(unknown, Err(EndpointError::Declare(DeclareError::Unknown { .. }))),
        "{unknown:?}"
    );
    assert_eq!(*fake.waited.lock(), ["in", "in"]);
}

#[tokio::test]
async fn an_endpoint_of_the_configuration_is_not_declared_over_nor_dropped() {
    let node = Node::start().await;
    let broker = Arc::clone(&node.broker);
    let fake = Arc::new(Fake { broker: Arc::clone(&broker), waited: Mutex::default() });
    let runner: Arc<dyn EndpointRunner> = fake as _;
    broker.run_endpoints(&runner);
    let made = broker.create_endpoint(&me(), "configured", settings("socket")).await;
    assert!(matches!(made, Err(EndpointError::Configured(_))), "{made:?}");
    let dropped = broker.drop_endpoint(&me(), "configured").await;
    assert!(matches!(dropped, Err(EndpointError::Configured(_))), "{dropped:?}");
}
