//! The audit log: who came in, who was refused what, who changed whose access.
//!
//! A topic like any other, `__posthouse_audit`, one JSON object a record, which superusers may read. It
//! holds no secret and nothing of any message.
//!
//! # Invariants
//! - Nobody waits for it. What is not written yet is bounded; beyond that, records are dropped and
//!   counted: whoever floods the node with refusals must not stop it.

use std::net::IpAddr;
use std::sync::Weak;

use bytes::BytesMut;
use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{LeaderEpoch, Offset, PartitionIndex, Principal, Timestamp, TopicName};
use serde::Serialize;
use tokio::sync::mpsc;

use super::{Knock, LoginError};
use crate::{AppendFailure, Broker, Denied, TopicRef, metrics};

/// Its name.
pub const AUDIT_TOPIC: &str = "__posthouse_audit";

/// LIMIT: records that wait to be written.
const WAITING_MAX: usize = 4096;

/// LIMIT: records of one batch.
const BATCH_MAX: usize = 500;

/// LIMIT: longest name or other text from outside that is written down.
const TEXT_CHARS_MAX: usize = 256;

/// What is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AuditRecord {
    event: &'static str,
    /// Who, or who they say they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    door: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    /// How they proved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    /// What it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl AuditRecord {
    fn new(event: &'static str) -> AuditRecord {
        AuditRecord {
            event,
            principal: None,
            door: None,
            address: None,
            method: None,
            operation: None,
            resource: None,
            reason: None,
        }
    }

    pub(super) fn logged_in(knock: Knock, principal: &Principal, method: &'static str) -> Self {
        AuditRecord {
            principal: Some(short(principal.as_str())),
            door: Some(knock.door),
            address: Some(knock.address),
            method: Some(method),
            ..AuditRecord::new("login")
        }
    }

    pub(super) fn refused(
        knock: Knock,
        claimed: &str,
        method: &'static str,
        error: &LoginError,
    ) -> Self {
        let reason = match error {
            LoginError::Refused => None,
            LoginError::Exchange(error) => Some(short(&error.to_string())),
        };
        AuditRecord {
            principal: (!claimed.is_empty()).then(|| short(claimed)),
            door: Some(knock.door),
            address: Some(knock.address),
            method: Some(method),
            reason,
            ..AuditRecord::new("login-refused")
        }
    }

    pub(crate) fn denied(denied: &Denied) -> Self {
        AuditRecord {
            principal: Some(short(denied.principal.as_str())),
            operation: Some(denied.operation.clone()),
            resource: Some(short(&denied.resource)),
            ..AuditRecord::new("denied")
        }
    }

    /// An administrative act.
    pub(crate) fn changed(principal: &Principal, what: impl Into<String>, resource: &str) -> Self {
        AuditRecord {
            principal: Some(short(principal.as_str())),
            operation: Some(what.into()),
            resource: Some(short(resource)),
            ..AuditRecord::new("changed")
        }
    }
}

/// Where records are handed in.
#[derive(Clone)]
pub(crate) struct Audit(Option<mpsc::Sender<AuditRecord>>);

impl Audit {
    /// With the end from which they are written; nothing is, where nobody need log in.
    pub(crate) fn new(required: bool) -> (Audit, mpsc::Receiver<AuditRecord>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Audit(required.then_some(sender)), receiver)
    }

    /// Hands a record in.
    pub(crate) fn record(&self, record: AuditRecord) {
        if let Some(sender) = &self.0
            && sender.try_send(record).is_err()
        {
            metrics::audit_dropped();
        }
    }
}

impl Broker {
    /// Writes what is handed in, until the node stops.
    pub(crate) fn start_audit(&self, mut records: mpsc::Receiver<AuditRecord>) {
        let this = Weak::clone(self.this());
        let stopping = self.stopping().clone();
        self.tasks().spawn(async move {
            let mut taken = Vec::new();
            loop {
                let next = records.recv_many(&mut taken, BATCH_MAX);
                if stopping.run_until_cancelled(next).await.is_none() {
                    // The node stops: what was handed in before is still written.
                    while taken.len() < BATCH_MAX
                        && let Ok(record) = records.try_recv()
                    {
                        taken.push(record);
                    }
                }
                if taken.is_empty() {
                    return;
                }
                let Some(broker) = this.upgrade() else { return };
                if let Err(error) = broker.write_audit(&taken).await {
                    metrics::audit_dropped();
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, records = taken.len(), "audit log not written");
                }
                taken.clear();
            }
        });
    }

    async fn write_audit(&self, records: &[AuditRecord]) -> Result<(), AppendFailure> {
        let node = Principal::node();
        let name = TopicName::new(AUDIT_TOPIC).expect("a constant name is valid");
        let topic = self.audit_topic(&node, name).await?;
        let at = self.clock().wall();
        let batch = batch_of(records, at)?;
        let appended = self.append(&node, &topic, PartitionIndex::ZERO, batch).await?;
        appended.ticket.durable().await?;
        Ok(())
    }

    /// Made at the first record, whether or not others' topics make themselves.
    async fn audit_topic(
        &self,
        node: &Principal,
        name: TopicName,
    ) -> Result<TopicRef, AppendFailure> {
        if !self.has_topic(name.as_bytes()) {
            let create = crate::CreateTopic {
                name: name.clone(),
                partitions: Some(1),
                overrides: Vec::new(),
                schema: None,
                validate_only: false,
            };
            match self.create_topic(node, create).await {
                Ok(_) | Err(crate::CreateTopicError::Exists(_)) => {}
                Err(source) => {
                    return Err(AppendFailure::Create { name, source: Box::new(source) });
                }
            }
        }
        Ok(TopicRef::Name(name))
    }
}

fn batch_of(records: &[AuditRecord], at: Timestamp) -> Result<BytesMut, AppendFailure> {
    let mut builder = BatchBuilder::new(Compression::None);
    for record in records {
        let json = serde_json::to_vec(record).expect("plain data written to memory");
        builder.push(at, None, Some(&json), &[]);
    }
    let placed = builder.build()?.place(Offset::ZERO, LeaderEpoch(-1));
    Ok(BytesMut::from(&placed.bytes()[..]))
}

/// Text from outside is cut, so that a record is never large.
fn short(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_who_where_and_what_and_leaves_out_what_is_not_known() {
        let knock = Knock { door: "kafka", address: [192, 0, 2, 1].into() };
        let record = AuditRecord::refused(knock, "alice", "password", &LoginError::Refused);
        assert_eq!(
            serde_json::to_string(&record).unwrap(),
            r#"{"event":"login-refused","principal":"alice","door":"kafka","address":"192.0.2.1","method":"password"}"#
        );
    }

    #[test]
    fn a_flood_is_dropped_and_holds_nobody_up() {
        let (audit, mut records) = Audit::new(true);
        for _ in 0..WAITING_MAX + 10 {
            audit.record(AuditRecord::new("denied"));
        }
        let mut kept = 0;
        while records.try_recv().is_ok() {
            kept += 1;
        }
        assert_eq!(kept, WAITING_MAX);
    }

    #[test]
    fn text_from_outside_is_cut() {
        let record = AuditRecord::changed(&Principal::user(&"x".repeat(10_000)), "made", "user y");
        assert!(serde_json::to_string(&record).unwrap().len() < 500);
    }
}
