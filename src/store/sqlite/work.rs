//! Jobs are claimed, run, and come to their end.
//!
//! Must not know: how they came in, what is kept of them.

use bytes::Bytes;
use rusqlite::{OptionalExtension as _, Row};

use super::session::{Live, Session, live, live_row};
use crate::store::rules::turns;
use crate::store::{
    Cancelled, Claimed, Completed, Completion, Failed, Failure, JobId, JobState, Lease, Priority,
    Start,
};

impl Session<'_> {
    /// Takes at most `room` jobs; see `JobStore::claim`.
    pub(super) fn claim(&mut self, room: usize) -> rusqlite::Result<Vec<Claimed>> {
        let mut claimed = Vec::new();
        for (priority, share) in turns(*self.claimed, room) {
            let most = room.min(claimed.len() + share);
            while claimed.len() < most {
                let ready = self.ready(priority, most - claimed.len())?;
                if ready.is_empty() {
                    break;
                }
                for (job, details) in ready {
                    if job.attempts >= self.limits.max_attempts {
                        self.bury(&job, None)?;
                    } else if job.deadline <= self.now {
                        self.end(&job, JobState::Expired, None)?;
                    } else if let Some(pixels) = self.pixels(&job)? {
                        claimed.push(self.take(&job, details, pixels)?);
                    } else {
                        self.bury(&job, Some("its pixels are missing from the store"))?;
                    }
                }
            }
        }
        *self.claimed += claimed.len() as u64;
        claimed.sort_by_key(|job| job.priority);
        Ok(claimed)
    }

    fn ready(&self, priority: Priority, limit: usize) -> rusqlite::Result<Vec<(Live, Claimed)>> {
        let sql = "SELECT seq, id, state, attempts, deadline, key_until, owed, profile, top, \
                   priority, created, fence, traceparent FROM job WHERE state = 0 AND lease IS NULL AND priority = ? \
                   ORDER BY seq LIMIT ?";
        let mut ready = self.prepare(sql)?;
        ready.query_map((priority, limit), ready_row)?.collect()
    }

    fn take(&self, job: &Live, details: Claimed, pixels: Bytes) -> rusqlite::Result<Claimed> {
        let until = self.now.after(self.limits.lease);
        let sql = "UPDATE job SET fence = fence + 1, lease = ? WHERE seq = ?";
        self.execute(sql, (until, job.seq))?;
        Ok(Claimed { pixels, ..details })
    }

    fn pixels(&mut self, job: &Live) -> rusqlite::Result<Option<Bytes>> {
        if let Some(pixels) = self.recent.take(&job.id) {
            return Ok(Some(pixels));
        }
        let mut pixels = self.prepare("SELECT bytes FROM pixels WHERE seq = ?")?;
        let found = pixels.query_row([job.seq], |row| row.get::<_, Vec<u8>>(0));
        Ok(found.optional()?.map(Bytes::from))
    }

    /// See `JobStore::start`.
    pub(super) fn start(&mut self, lease: &Lease) -> rusqlite::Result<Start> {
        let Some(job) = self.held(lease)? else {
            return Ok(Start::Gone);
        };
        if job.state == JobState::Running {
            // Asked again by who does not know that it was told.
            return Ok(Start::Run);
        }
        if job.deadline <= self.now {
            self.end(&job, JobState::Expired, None)?;
            return Ok(Start::Gone);
        }
        let until = self.now.after(self.limits.lease);
        let sql = "UPDATE job SET state = 1, attempts = attempts + 1, lease = ? WHERE seq = ?";
        self.execute(sql, (until, job.seq))?;
        Ok(Start::Run)
    }

    /// See `JobStore::heartbeat`.
    pub(super) fn heartbeat(&self, lease: &Lease) -> rusqlite::Result<()> {
        if let Some(job) = self.held(lease)? {
            let until = self.now.after(self.limits.lease);
            self.execute("UPDATE job SET lease = ? WHERE seq = ?", (until, job.seq))?;
        }
        Ok(())
    }

    /// See `JobStore::complete`.
    pub(super) fn complete(&mut self, done: &Completion) -> rusqlite::Result<Completed> {
        let Some(job) = self.held(&done.lease)? else {
            return Ok(Completed::Stale);
        };
        self.end(&job, JobState::Done, Some(&done.result))?;
        Ok(Completed::First)
    }

    /// See `JobStore::fail`.
    pub(super) fn fail(&mut self, failed: &Failure) -> rusqlite::Result<Failed> {
        let Some(job) = self.held(&failed.lease)? else {
            return Ok(Failed::Stale);
        };
        if job.attempts >= self.limits.max_attempts {
            self.bury(&job, Some(&failed.reason))?;
            return Ok(Failed::Dead);
        }
        let sql = "UPDATE job SET reason = ? WHERE seq = ?";
        self.execute(sql, (&failed.reason, job.seq))?;
        self.queue_again(job.seq)?;
        Ok(Failed::Again)
    }

    /// See `JobStore::release`.
    pub(super) fn release(&self, lease: &Lease) -> rusqlite::Result<()> {
        match self.held(lease)? {
            Some(job) if job.state == JobState::Queued => self.queue_again(job.seq),
            _ => Ok(()),
        }
    }

    /// See `JobStore::cancel`.
    pub(super) fn cancel(&mut self, id: JobId) -> rusqlite::Result<Option<Cancelled>> {
        let sql = live!("WHERE id = ? AND (keep_until IS NULL OR keep_until > ?)");
        let found = self.prepare(sql)?.query_row((id, self.now), live_row);
        let Some(job) = found.optional()? else {
            return Ok(None);
        };
        if job.state.is_final() {
            return Ok(Some(Cancelled::Before(job.state)));
        }
        self.end(&job, JobState::Cancelled, None)?;
        self.recent.take(&id);
        Ok(Some(Cancelled::Now))
    }
}

/// A job as it will be claimed, without its pixels.
fn ready_row(row: &Row<'_>) -> rusqlite::Result<(Live, Claimed)> {
    let job = live_row(row)?;
    let fence: u64 = row.get(11)?;
    let claimed = Claimed {
        lease: Lease {
            id: job.id,
            fence: fence + 1,
        },
        pixels: Bytes::new(),
        profile: row.get(7)?,
        top: row.get(8)?,
        priority: row.get(9)?,
        created: row.get(10)?,
        deadline: job.deadline,
        attempts: job.attempts,
        traceparent: row.get(12)?,
    };
    Ok((job, claimed))
}
