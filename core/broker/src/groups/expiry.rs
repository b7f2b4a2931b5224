//! Timeouts: sessions, ids not used, rebalances and syncs.
//!
//! The alarm is set early rather than exactly: a heartbeat moves a member's deadline without
//! touching it. When it rings, every deadline is looked at and the alarm set anew, so a group of
//! `n` members costs `n` steps about once in a session timeout, and a heartbeat costs one.

use std::time::Instant;

use tracing::info;

use super::group::{Gathering, Group, InitialDelay, Phase, Syncing};
use super::output::Context;
use crate::metrics;

impl Group {
    /// Sees to everything whose time has come.
    pub(super) fn on_timeout(&mut self, cx: &mut Context<'_>) {
        let pending_before = self.pending.len();
        self.pending.retain(|_, expires_at| *expires_at > cx.at.now);
        if self.pending.len() < pending_before {
            self.complete_join_if_all_joined(cx);
        }
        self.expire_sessions(cx);
        self.expire_phase(cx);
        self.reset_alarm();
    }

    /// Makes sure that the alarm rings by `deadline`.
    pub(super) fn wake_by(&mut self, deadline: Instant) {
        self.wake_at = Some(self.wake_at.map_or(deadline, |at| at.min(deadline)));
    }

    /// Sets the alarm to the first deadline there is.
    pub(super) fn reset_alarm(&mut self) {
        let sessions = self.members.iter().filter(|member| !member.is_waiting());
        let phase = match &self.phase {
            Phase::Preparing(gathering) => Some(gathering.deadline),
            Phase::Completing(syncing) | Phase::Stable(syncing) if !syncing.unsynced.is_empty() => {
                Some(syncing.deadline)
            }
            Phase::Empty | Phase::Completing(_) | Phase::Stable(_) => None,
        };
        self.wake_at = sessions
            .map(|member| member.expires_at)
            .chain(self.pending.values().copied())
            .chain(phase)
            .min();
    }

    fn expire_sessions(&mut self, cx: &mut Context<'_>) {
        let now = cx.at.now;
        let expired =
            self.members.ids_where(|member| !member.is_waiting() && member.expires_at <= now);
        if expired.is_empty() {
            return;
        }
        for id in expired {
            info!(group = %self.name, member = id, "member was silent too long");
            metrics::group_member_expired();
            self.remove_member(cx, &id);
        }
        self.rebalance(cx, "a member was silent too long");
    }

    fn expire_phase(&mut self, cx: &mut Context<'_>) {
        let now = cx.at.now;
        if let Phase::Preparing(gathering) = &mut self.phase
            && gathering.deadline <= now
            && !extend_initial_delay(gathering, cx)
        {
            self.complete_join(cx);
        } else if let Phase::Completing(syncing) | Phase::Stable(syncing) = &self.phase
            && !syncing.unsynced.is_empty()
            && syncing.deadline <= now
        {
            self.evict_unsynced(cx);
        }
    }

    fn evict_unsynced(&mut self, cx: &mut Context<'_>) {
        let (Phase::Completing(Syncing { unsynced, .. }) | Phase::Stable(Syncing { unsynced, .. })) =
            &self.phase
        else {
            return;
        };
        for id in unsynced.clone() {
            info!(group = %self.name, member = id, "member did not sync in time");
            metrics::group_member_expired();
            self.remove_member(cx, &id);
        }
        self.rebalance(cx, "a member did not sync in time");
    }
}

/// Waits again if members have come since the last time, within the rebalance timeout.
fn extend_initial_delay(gathering: &mut Gathering, cx: &Context<'_>) -> bool {
    let Some(InitialDelay { remaining, has_grown }) = &mut gathering.initial else { return false };
    if !*has_grown || remaining.is_zero() {
        return false;
    }
    let step = cx.config.initial_rebalance_delay.min(*remaining);
    *remaining -= step;
    *has_grown = false;
    gathering.deadline = cx.at.now + step;
    true
}
