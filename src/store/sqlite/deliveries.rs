//! Ends are told: who is next, what came of it, when it is given up.
//!
//! Must not know: how jobs come to their end, who tells.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, Row};

use super::rows::{VIEW, view};
use super::session::Session;
use crate::store::rules::{keep_until, try_again};
use crate::store::{DeliveryState, DueDelivery, JobId, JobState, Outcome, Tried, Turn, UnixMillis};

/// What is needed to settle a delivery.
struct Owed {
    seq: i64,
    state: JobState,
    key_until: Option<UnixMillis>,
}

impl Session<'_> {
    /// See `JobStore::claim_deliveries`.
    pub(super) fn claim_deliveries(
        &self,
        room: usize,
        lease: Duration,
    ) -> rusqlite::Result<Vec<DueDelivery>> {
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        let sql = "SELECT id FROM job WHERE call_next <= ? AND finished > ? \
                   ORDER BY call_next, seq LIMIT ?";
        let ids: Vec<JobId> = self
            .prepare(sql)?
            .query_map((self.now, self.oldest_told(), room), |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let until = self.now.after(lease);
        let mut claimed = Vec::with_capacity(ids.len());
        for id in ids {
            let sql = "UPDATE job SET call_next = ?, call_tries = call_tries + 1 WHERE id = ?";
            self.execute(sql, (until, id))?;
            let sql = format!("SELECT {VIEW}, result FROM job WHERE id = ?");
            let job = self.prepare(&sql)?.query_row([id], view)?;
            let tries = job.delivery.as_ref().map_or(0, |delivery| delivery.tries);
            let ended = job.finished.unwrap_or_default();
            let turn = Turn { id, ended, tries };
            claimed.push(DueDelivery { turn, job });
        }
        Ok(claimed)
    }

    /// See `JobStore::settle_deliveries`.
    pub(super) fn settle_delivery(&self, tried: &Tried) -> rusqlite::Result<bool> {
        let sql = "SELECT seq, state, key_until, finished FROM job \
                   WHERE id = ? AND finished = ? AND call_tries = ? AND call_next IS NOT NULL";
        let row = |row: &Row<'_>| Ok((owed(row)?, row.get(3)?));
        let found: Option<(Owed, UnixMillis)> = self
            .prepare(sql)?
            .query_row((tried.turn.id, tried.turn.ended, tried.turn.tries), row)
            .optional()?;
        let Some((job, finished)) = found else {
            return Ok(false);
        };
        match &tried.outcome {
            Outcome::Delivered => self.tell(&job, DeliveryState::Delivered, None)?,
            Outcome::GivenUp { reason } => {
                self.tell(&job, DeliveryState::GivenUp, Some(reason))?;
            }
            Outcome::Postponed { after } => {
                let at = try_again(self.limits, self.now, *after, finished);
                let sql = "UPDATE job SET call_next = ?, call_tries = max(call_tries - 1, 0) WHERE seq = ?";
                self.execute(sql, (at, job.seq))?;
            }
            Outcome::Again { after, reason } => {
                let at = try_again(self.limits, self.now, *after, finished);
                let sql = "UPDATE job SET call_next = ?, call_reason = ? WHERE seq = ?";
                self.execute(sql, (at, reason, job.seq))?;
            }
        }
        Ok(true)
    }

    /// Gives up what was tried for long enough and nobody tries just now; how many there were.
    pub(super) fn give_up(&self) -> rusqlite::Result<u64> {
        let sql = "SELECT seq, state, key_until FROM job \
                   WHERE call_next IS NOT NULL AND finished <= ? AND call_next <= ?";
        let over: Vec<Owed> = self
            .prepare(sql)?
            .query_map((self.oldest_told(), self.now), owed)?
            .collect::<rusqlite::Result<_>>()?;
        for job in &over {
            self.tell(job, DeliveryState::GivenUp, None)?;
        }
        Ok(over.len() as u64)
    }

    /// A delivery comes to its end, and its job is kept like any other.
    fn tell(&self, job: &Owed, state: DeliveryState, reason: Option<&str>) -> rusqlite::Result<()> {
        let keep =
            (job.state != JobState::Dead).then(|| keep_until(self.limits, self.now, job.key_until));
        let sql = "UPDATE job SET owed = 0, call_next = NULL, call_state = ?, \
                   call_reason = ifnull(?, call_reason), keep_until = ? WHERE seq = ?";
        self.execute(sql, (state, reason, keep, job.seq)).map(drop)
    }

    /// Jobs that ended then or before are not told any more.
    fn oldest_told(&self) -> i64 {
        let ttl = i64::try_from(self.limits.callback_ttl.as_millis()).unwrap_or(i64::MAX);
        i64::try_from(self.now.0)
            .unwrap_or(i64::MAX)
            .saturating_sub(ttl)
    }
}

fn owed(row: &Row<'_>) -> rusqlite::Result<Owed> {
    Ok(Owed {
        seq: row.get(0)?,
        state: row.get(1)?,
        key_until: row.get(2)?,
    })
}
