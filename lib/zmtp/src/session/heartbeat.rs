//! PING and PONG: finding out that a peer is gone although its connection is not.
//!
//! # Source
//! 37/ZMTP "Connection Heartbeating". Any byte of the peer proves that it lives, as in libzmq.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::SessionError;
use crate::codec::command::Command;

/// How to watch a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeartbeatConfig {
    /// A PING is sent so often; zero sends none, and only what the peer promises is watched.
    pub interval: Duration,
    /// A peer that was not heard for so long after a PING is given up; the interval when it is zero.
    pub timeout: Duration,
    /// What we promise: the peer may give us up when it does not hear us for so long. Zero promises
    /// nothing. It travels in tenths of a second.
    pub ttl: Duration,
}

#[derive(Debug)]
pub(super) struct Heartbeat {
    config: HeartbeatConfig,
    next_ping: Option<Instant>,
    /// Something must be heard before this, because of a PING.
    silence_ends: Option<Instant>,
    /// What the peer promised, and when that was last kept.
    promise: Option<(Duration, Instant)>,
}

impl Heartbeat {
    pub(super) fn new(config: HeartbeatConfig, now: Instant) -> Heartbeat {
        let next_ping = (!config.interval.is_zero()).then(|| now + config.interval);
        Heartbeat { config, next_ping, silence_ends: None, promise: None }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.silence_ends = None;
        if let Some((_, kept)) = &mut self.promise {
            *kept = now;
        }
    }

    /// The peer will be heard at least so often, or never again.
    pub(super) fn promised(&mut self, now: Instant, ttl: Duration) {
        self.promise = (!ttl.is_zero()).then_some((ttl, now));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let promise = self.promise.map(|(ttl, kept)| kept + ttl);
        self.next_ping.into_iter().chain(self.silence_ends).chain(promise).min()
    }

    /// The PING that is due.
    pub(super) fn on_deadline(&mut self, now: Instant) -> Result<Option<Command>, SessionError> {
        let is_over = |deadline: Instant| deadline <= now;
        if self.silence_ends.is_some_and(is_over)
            || self.promise.is_some_and(|(ttl, kept)| is_over(kept + ttl))
        {
            return Err(SessionError::Silent);
        }
        if !self.next_ping.is_some_and(is_over) {
            return Ok(None);
        }
        let HeartbeatConfig { interval, timeout, ttl } = self.config;
        self.next_ping = Some(now + interval);
        let timeout = if timeout.is_zero() { interval } else { timeout };
        self.silence_ends.get_or_insert(now + timeout);
        let ttl_ds = u16::try_from(ttl.as_millis() / 100).unwrap_or(u16::MAX);
        Ok(Some(Command::Ping { ttl_ds, context: Bytes::new() }))
    }
}
