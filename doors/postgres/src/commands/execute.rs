//! `Execute`: a portal is run, or goes on where it was suspended.

use std::mem::replace;
use std::sync::Arc;

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::extendedquery::PortalSuspended;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::query::reply;
use super::{Exchange, Reply, Watch, watched};
use crate::errors::{Failure, Stop};
use crate::session::{Body, PortalState, Prepared, Tag};
use crate::sql::OwnStatement;
use crate::values::{Rows, Style};

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    pub(super) async fn execute(&mut self, portal: &str, rows_max: usize) -> Result<(), Stop> {
        let begun = Instant::now();
        let watch = self.watch();
        let result = self.run_portal(portal, rows_max, &watch).await;
        self.registration.running.end();
        self.door.metrics.duration.record(begun.elapsed());
        result
    }

    async fn run_portal(&mut self, name: &str, rows_max: usize, watch: &Watch) -> Result<(), Stop> {
        let Some(portal) = self.session.portal(name) else {
            return Err(Failure::UnknownPortal { name: name.to_owned() }.into());
        };
        let prepared = Arc::clone(&portal.prepared);
        let format = portal.format.clone();
        // Done until it turns out otherwise: a portal that fails cannot be run again.
        let state = replace(&mut portal.state, PortalState::Done);
        let own = match &prepared.body {
            Body::Own(own) => Some(own),
            _ => None,
        };
        self.check_transaction(own)?;
        let reply = match state {
            PortalState::Running(rows, tag) => Reply::Rows(rows, tag),
            PortalState::Done => return self.run_again(name, &prepared),
            PortalState::Bound(plan) => {
                self.door.metrics.extended.increment(1);
                match (&prepared.body, plan) {
                    (Body::Plan(_, tag), Some(plan)) => {
                        let running = self.query.run_plan(*plan);
                        let outcome = watched(watch, running).await??;
                        reply(outcome, *tag, &format, Style::of(&self.session.settings()))?
                    }
                    (Body::Own(own), _) => self.run_own(own.clone(), &format, watch).await?,
                    (Body::Statement(statement, tag), _) => {
                        let running = self.query.run(statement);
                        let outcome = watched(watch, running).await??;
                        reply(outcome, *tag, &format, Style::of(&self.session.settings()))?
                    }
                    (Body::Empty | Body::Plan(..), _) => return Ok(self.complete_empty()?),
                }
            }
        };
        self.finish_portal(name, reply, rows_max, watch).await
    }

    async fn finish_portal(
        &mut self,
        name: &str,
        reply: Reply,
        rows_max: usize,
        watch: &Watch,
    ) -> Result<(), Stop> {
        match reply {
            Reply::Rows(rows, tag) => self.send_some(name, rows, tag, rows_max, watch).await,
            Reply::Done(tag) => Ok(self.complete(tag)?),
            Reply::CopyOut(mut rows, options) => self.copy_out(&mut rows, &options, watch).await,
            Reply::CopyIn(copy) => self.copy_in(&copy, watch).await,
            Reply::Fetch(fetch) => self.send_fetched(&fetch, true, watch).await,
        }
    }

    async fn send_some(
        &mut self,
        name: &str,
        mut rows: Box<Rows>,
        tag: Tag,
        rows_max: usize,
        watch: &Watch,
    ) -> Result<(), Stop> {
        let sent = self.send_rows(&mut rows, rows_max, watch).await?;
        if !sent.is_suspended {
            return Ok(self.complete(tag.text(sent.count))?);
        }
        if let Some(portal) = self.session.portal(name) {
            portal.state = PortalState::Running(rows, tag);
        }
        Ok(self.send(&PgWireBackendMessage::PortalSuspended(PortalSuspended::new()))?)
    }

    /// A portal that has given all its rows gives none; other statements act only once.
    fn run_again(&mut self, name: &str, prepared: &Prepared) -> Result<(), Stop> {
        match &prepared.body {
            Body::Plan(_, tag) if prepared.schema.is_some() => Ok(self.complete(tag.text(0))?),
            Body::Own(OwnStatement::Show(_)) => Ok(self.complete("SHOW".to_owned())?),
            Body::Empty if prepared.schema.is_none() => Ok(self.complete_empty()?),
            Body::Empty => Ok(self.complete("SELECT 0".to_owned())?),
            Body::Own(_) | Body::Plan(..) | Body::Statement(..) => {
                Err(Failure::PortalDone { name: name.to_owned() }.into())
            }
        }
    }
}
