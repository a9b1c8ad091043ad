//! Jobs come into the queue: offered, or retried.
//!
//! Must not know: what becomes of them.

use rusqlite::{OptionalExtension as _, params};

use super::session::{Session, Trouble};
use crate::store::rules::{admit, admit_callback};
use crate::store::{
    Claimed, Enqueued, Entered, Idempotency, JobId, JobState, NewJob, StoreError, UnixMillis,
};

impl Session<'_> {
    /// See `JobStore::enqueue`.
    pub(super) fn enqueue(&mut self, job: &NewJob) -> Result<Enqueued, Trouble> {
        if let Some(settled) = self.settled_before(job)? {
            return Ok(settled);
        }
        self.insert(job, JobState::Queued)?;
        self.recent.insert(job.id, job.pixels.clone());
        Ok(Enqueued::Accepted)
    }

    /// See `JobStore::enqueue_and_start`.
    pub(super) fn enqueue_and_start(&mut self, job: &NewJob) -> Result<Entered, Trouble> {
        if job.deadline <= self.now || self.any_ready()? {
            return self.enqueue(job).map(Entered::Queued);
        }
        if let Some(settled) = self.settled_before(job)? {
            return Ok(Entered::Queued(settled));
        }
        self.insert(job, JobState::Running)?;
        *self.claimed += 1;
        Ok(Entered::Started(Claimed::first(job)))
    }

    /// What is said of a job that need not be taken in; nothing if it is to be, and may.
    fn settled_before(&self, job: &NewJob) -> Result<Option<Enqueued>, Trouble> {
        let known = self
            .prepare("SELECT 1 FROM job WHERE id = ?")?
            .exists([job.id])?;
        if known {
            return Ok(Some(Enqueued::Accepted));
        }
        if let Some(asked) = &job.idempotency
            && let Some(existing) = self.named(asked)?
        {
            return Ok(Some(Enqueued::Existing(existing)));
        }
        let (jobs, bytes) = self.load()?;
        admit(self.limits, jobs, bytes, job.pixels.len() as u64)?;
        if job.callback.is_some() {
            admit_callback(self.limits, self.callbacks()?)?;
        }
        Ok(None)
    }

    /// Takes a job in, to wait or to run at once.
    fn insert(&mut self, job: &NewJob, state: JobState) -> rusqlite::Result<()> {
        let asked = job.idempotency.as_ref();
        if let Some(asked) = asked {
            // Its time is over, or `named` would have found it.
            let sql = "UPDATE job SET key = NULL WHERE key = ?";
            self.execute(sql, [&asked.key])?;
        }
        let runs = state == JobState::Running;
        let sql = "INSERT INTO job (id, state, attempts, fence, lease, priority, profile, top, \
                   created, deadline, size, key, fingerprint, key_until, callback, traceparent, owed) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let seq = self.prepare(sql)?.insert(params![
            job.id,
            state,
            runs,
            runs,
            runs.then(|| self.now.after(self.limits.lease)),
            job.priority,
            job.profile,
            job.top,
            job.created,
            job.deadline,
            job.pixels.len() as u64,
            asked.map(|asked| &asked.key),
            asked.map(|asked| &asked.fingerprint),
            asked.map(|_| self.now.after(self.limits.key_ttl)),
            job.callback.as_ref().map(|callback| &callback.url),
            job.traceparent,
            job.callback.is_some(),
        ])?;
        let sql = "INSERT INTO pixels (seq, bytes) VALUES (?, ?)";
        self.execute(sql, (seq, &job.pixels[..]))?;
        self.wrote += job.pixels.len() as u64;
        Ok(())
    }

    /// Whether a job waits that nobody has claimed.
    fn any_ready(&self) -> rusqlite::Result<bool> {
        // Else SQLite looks through the deadlines of those that are claimed as well.
        let sql =
            "SELECT 1 FROM job INDEXED BY job_ready WHERE state = 0 AND lease IS NULL LIMIT 1";
        self.prepare(sql)?.exists([])
    }

    /// The job that has this key, if the key lives.
    fn named(&self, asked: &Idempotency) -> Result<Option<JobId>, Trouble> {
        let sql = "SELECT id, fingerprint FROM job WHERE key = ? AND key_until > ?";
        let found: Option<(JobId, String)> = self
            .prepare(sql)?
            .query_row((&asked.key, self.now), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match found {
            Some((job, fingerprint)) if fingerprint != asked.fingerprint => {
                Err(StoreError::KeyReused { job }.into())
            }
            found => Ok(found.map(|(job, _)| job)),
        }
    }

    /// See `JobStore::retry`.
    pub(super) fn retry(&mut self, id: JobId, deadline: UnixMillis) -> Result<bool, Trouble> {
        let sql =
            "SELECT seq, size, callback IS NOT NULL, owed FROM job WHERE id = ? AND state = 2";
        let found: Option<(i64, u64, bool, bool)> = self
            .prepare(sql)?
            .query_row([id], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let Some((seq, size, called, owed)) = found else {
            return Ok(false);
        };
        let (jobs, bytes) = self.load()?;
        admit(self.limits, jobs, bytes, size)?;
        if called && !owed {
            admit_callback(self.limits, self.callbacks()?)?;
        }
        // It arrives now, behind the others of its priority.
        let sql = "SELECT max(seq) + 1 FROM job";
        let last: i64 = self.prepare(sql)?.query_row([], |row| row.get(0))?;
        let sql = "UPDATE job SET seq = ?, state = 0, attempts = 0, deadline = ?, \
                   finished = NULL, reason = NULL, owed = ?, call_next = NULL, call_tries = 0, \
                   call_state = NULL, call_reason = NULL WHERE seq = ?";
        self.execute(sql, (last, deadline, called, seq))?;
        self.execute("UPDATE pixels SET seq = ? WHERE seq = ?", (last, seq))?;
        Ok(true)
    }
}
