//! The declarations that callers can see: a copy of what the catalog says, made for those who
//! follow it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Declaration, DeclarationKind, Declarations};

/// All declarations.
pub(crate) struct DeclarationTable {
    kinds: BTreeMap<DeclarationKind, watch::Sender<Arc<Declarations>>>,
    /// Held over a change until callers see it.
    changes: tokio::sync::Mutex<()>,
}

impl DeclarationTable {
    /// What a recovered catalog says.
    pub(crate) fn new<'a>(declared: impl IntoIterator<Item = &'a Declaration>) -> Self {
        let mut kinds: BTreeMap<_, Declarations> =
            DeclarationKind::ALL.into_iter().map(|kind| (kind, Declarations::new())).collect();
        for one in declared {
            kinds.entry(one.kind).or_default().insert(one.name.clone(), Arc::new(one.clone()));
        }
        let sender = |(kind, declared)| (kind, watch::Sender::new(Arc::new(declared)));
        DeclarationTable {
            kinds: kinds.into_iter().map(sender).collect(),
            changes: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn watch(&self, kind: DeclarationKind) -> watch::Receiver<Arc<Declarations>> {
        self.sender(kind).subscribe()
    }

    pub(super) fn current(&self, kind: DeclarationKind) -> Arc<Declarations> {
        Arc::clone(&self.sender(kind).borrow())
    }

    pub(super) fn changes(&self) -> &tokio::sync::Mutex<()> {
        &self.changes
    }

    pub(super) fn show(&self, kind: DeclarationKind, change: impl FnOnce(&mut Declarations)) {
        self.sender(kind).send_modify(|current| change(Arc::make_mut(current)));
    }

    fn sender(&self, kind: DeclarationKind) -> &watch::Sender<Arc<Declarations>> {
        self.kinds.get(&kind).expect("every kind has its place")
    }
}
