//! Jobs come into the queue: offered, or retried.
//!
//! Must not know: what becomes of them.

use rusqlite::{OptionalExtension as _, params};

use super::session::{Session, Trouble};
use crate::store::rules::{admit, admit_callback};
use crate::store::{Enqueued, Idempotency, JobId, NewJob, StoreError, UnixMillis};

impl Session<'_> {
    /// See `JobStore::enqueue`.
    pub(super) fn enqueue(&mut self, job: &NewJob) -> Result<Enqueued, Trouble> {
        let known = self
            .prepare("SELECT 1 FROM job WHERE id = ?")?
            .exists([job.id])?;
        if known {
            return Ok(Enqueued::Accepted);
        }
        if let Some(asked) = &job.idempotency
            && let Some(existing) = self.named(asked)?
        {
            return Ok(Enqueued::Existing(existing));
        }
        let size = job.pixels.len() as u64;
        let (jobs, bytes) = self.load()?;
        admit(self.limits, jobs, bytes, size)?;
        if job.callback.is_some() {
            admit_callback(self.limits, self.callbacks()?)?;
        }

        let asked = job.idempotency.as_ref();
        if let Some(asked) = asked {
            // Its time is over, or `named` would have found it.
            let sql = "UPDATE job SET key = NULL WHERE key = ?";
            self.execute(sql, [&asked.key])?;
        }
        let key = asked.map(|asked| &asked.key);
        let fingerprint = asked.map(|asked| &asked.fingerprint);
        let key_until = asked.map(|_| self.now.after(self.limits.key_ttl));
        let sql = "INSERT INTO job (id, state, priority, profile, top, created, deadline, size, \
                   key, fingerprint, key_until, callback, traceparent, owed) \
                   VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let seq = self.prepare(sql)?.insert(params![
            job.id,
            job.priority,
            job.profile,
            job.top,
            job.created,
            job.deadline,
            size,
            key,
            fingerprint,
            key_until,
            job.callback.as_ref().map(|callback| &callback.url),
            job.traceparent,
            job.callback.is_some(),
        ])?;
        let sql = "INSERT INTO pixels (seq, bytes) VALUES (?, ?)";
        self.execute(sql, (seq, &job.pixels[..]))?;
        self.wrote += size;
        self.recent.insert(job.id, job.pixels.clone());
        Ok(Enqueued::Accepted)
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
