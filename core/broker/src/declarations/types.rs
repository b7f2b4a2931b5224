//! What callers say and see.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What kind of thing is declared. Names are unique within a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeclarationKind {
    /// Sockets of a live door.
    Endpoint,
    /// A topic that is delivered to a URL.
    Webhook,
    /// A topic that is written to a file.
    FileSink,
}

impl DeclarationKind {
    /// Every kind.
    pub const ALL: [DeclarationKind; 3] =
        [DeclarationKind::Endpoint, DeclarationKind::Webhook, DeclarationKind::FileSink];
}

impl fmt::Display for DeclarationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeclarationKind::Endpoint => "endpoint",
            DeclarationKind::Webhook => "webhook",
            DeclarationKind::FileSink => "file sink",
        })
    }
}

/// One declaration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Declaration {
    /// Its kind.
    pub kind: DeclarationKind,
    /// Its name: 1 to 249 of `A-Z a-z 0-9 . _ -`.
    pub name: String,
    /// What is to be run, in the terms of whoever runs it. It may hold secrets.
    pub spec: serde_json::Value,
}

/// All declarations of one kind, by name.
pub type Declarations = BTreeMap<String, Arc<Declaration>>;

/// What a declaration does where the name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclareMode {
    /// It is refused.
    Create,
    /// It takes the place of the one that is there.
    Replace,
}
