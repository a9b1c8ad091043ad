//! Taking jobs from the queue.
//!
//! One script takes them: what comes again and then the stream, priority by priority, at most the
//! room there is, each with its lease. So nothing is taken that is not wanted, nothing has to be
//! handed back, and no blocking read can be dropped with jobs in its hands. Waiting is apart from
//! taking: whatever makes work (an arrival, a job that comes again) rings a bell on the
//! subscription of [`news`](super::news), and a claim that found nothing tries again when it
//! rings, or after a second, because a bell that rings while a connection is being renewed is
//! not heard.
//!
//! A claim whose future is dropped, or whose answer is lost with the connection, may have taken
//! jobs that nobody knows of. Each claim has a name that is kept with its jobs, and
//! [`presence`](super::presence) hands back what lost claims have taken.
//!
//! Must not know: what pixels mean.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use redis::Pipeline;
use tokio::sync::watch;
use tokio::time::timeout;

use super::connection::Link;
use super::keys;
use super::presence::Claims;
use super::reply::{self, Row};
use super::scripts::Scripts;
use crate::store::recent::Recent;
use crate::store::{Claimed, StoreError};

/// Longest wait without a look at the queue.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// Most jobs in one claim; a script that takes more would keep the others waiting.
const MOST: usize = 1_000;

/// Most jobs whose pixels are asked for in one go: about 5 MB.
const FETCH: usize = 32;

/// What a claim needs.
pub(super) struct Claimer<'a> {
    pub(super) link: &'a Link,
    pub(super) bulk: &'a Link,
    pub(super) scripts: &'a Scripts,
    pub(super) claims: &'a Claims,
    pub(super) recent: &'a Mutex<Recent>,
    pub(super) bell: &'a watch::Sender<()>,
    pub(super) consumer: &'a str,
}

impl Claimer<'_> {
    /// See [`JobStore::claim`](crate::store::JobStore::claim).
    pub(super) async fn claim(&self, room: usize) -> Result<Vec<Claimed>, StoreError> {
        loop {
            // Before the look: what rings after it is not missed.
            let mut bell = self.bell.subscribe();
            let (claimed, more) = self.take(room).await?;
            if !claimed.is_empty() {
                return Ok(claimed);
            }
            if !more {
                // Both ends of the wait are the same: look again.
                let _ = timeout(LOOK, bell.changed()).await;
            }
        }
    }

    /// Takes what there is, and whether there may be more than was looked at.
    pub(super) async fn take(&self, room: usize) -> Result<(Vec<Claimed>, bool), StoreError> {
        let claim = self.claims.begin();
        let call = self.scripts.call(&self.scripts.claim);
        let room = room.clamp(1, MOST);
        let call = call.arg(self.consumer).arg(room).arg(claim.name);
        let (more, rows): (u8, Vec<Row>) = call.run(self.link).await?;
        let claimed = self.with_pixels(rows).await?;
        claim.arrived();
        Ok((claimed, more != 0))
    }

    async fn with_pixels(&self, rows: Vec<Row>) -> Result<Vec<Claimed>, StoreError> {
        let mut claimed = Vec::with_capacity(rows.len());
        let mut absent = Vec::new();
        for row in rows {
            let (mut job, bytes) = reply::claimed(row)?;
            let recent = self.take_recent(&job);
            if let Some(pixels) = recent {
                job.pixels = pixels;
            } else {
                absent.push((claimed.len(), bytes));
            }
            claimed.push(Some(job));
        }
        for some in absent.chunks(FETCH) {
            self.fetch(some, &mut claimed).await?;
        }
        let mut claimed: Vec<Claimed> = claimed.into_iter().flatten().collect();
        // The script gives the shares of the lower priorities first.
        claimed.sort_by_key(|job| job.priority);
        Ok(claimed)
    }

    fn take_recent(&self, job: &Claimed) -> Option<Bytes> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.take(&job.lease.id)
    }

    /// Reads pixels; a job that has none any more was cancelled a moment ago and is left out.
    async fn fetch(
        &self,
        absent: &[(usize, usize)],
        claimed: &mut [Option<Claimed>],
    ) -> Result<(), StoreError> {
        let mut pipe = Pipeline::with_capacity(absent.len());
        for &(at, bytes) in absent {
            let Some(job) = &claimed[at] else { continue };
            let command = pipe.cmd("HMGET").arg(keys::pixels(job.lease.id));
            // One too many, so that there is one even of nothing.
            for piece in 0..=bytes.div_ceil(keys::PIECE) {
                command.arg(piece);
            }
        }
        let mut line = self.bulk.line().await?;
        let reply = pipe.query_async(&mut line.connection).await;
        let all: Vec<Vec<Option<Vec<u8>>>> = reply.map_err(|error| line.lost(&error))?;
        for (&(at, bytes), pieces) in absent.iter().zip(all) {
            let pixels = reply::join(pieces);
            match &mut claimed[at] {
                Some(job) if pixels.len() == bytes => job.pixels = pixels,
                other => *other = None,
            }
        }
        Ok(())
    }
}
