//! LeaveGroup: members that go, or are sent away by their instance id.

use tracing::info;

use super::group::Group;
use super::output::Context;
use super::{Leave, LeftMember};
use crate::GroupError;

impl Group {
    /// Removes members, then rebalances once. One answer for each, in order.
    pub(super) fn leave(&mut self, cx: &mut Context<'_>, leaves: Vec<Leave>) -> Vec<LeftMember> {
        let count_before = self.members.len();
        let left: Vec<LeftMember> = leaves
            .into_iter()
            .map(|leave| {
                let result = self.leave_one(cx, &leave);
                LeftMember { member_id: leave.member_id, instance_id: leave.instance_id, result }
            })
            .collect();
        if self.members.len() < count_before {
            self.rebalance(cx, "a member left");
        } else {
            // An id taken back may be all that the rebalance still waited for.
            self.complete_join_if_all_joined(cx);
        }
        left
    }

    fn leave_one(&mut self, cx: &mut Context<'_>, leave: &Leave) -> Result<(), GroupError> {
        let reason = leave.reason.as_deref().unwrap_or_default();
        let instance = leave.instance_id.as_deref();
        if !leave.member_id.is_empty() && self.pending.remove(&leave.member_id).is_some() {
            info!(group = %self.name, member = leave.member_id, reason, "pending member leaves");
            return Ok(());
        }
        // An administrator names a static member by its instance id alone.
        let holder = instance.and_then(|instance| self.members.instance_holder(instance));
        let id = match holder {
            Some(holder) if leave.member_id.is_empty() => holder.to_owned(),
            _ => leave.member_id.clone(),
        };
        self.members.check(&self.name, &id, instance)?;
        info!(group = %self.name, member = id, instance, reason, "member leaves");
        self.remove_member(cx, &id);
        Ok(())
    }
}
