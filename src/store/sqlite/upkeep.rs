//! Time passes: leases run out, deadlines pass, what is old or too much is forgotten.
//!
//! Must not know: who asks, when.

use super::session::{Session, live};
use crate::store::{JobState, Tended};

/// Most bytes given back to the file system at one time, so that no caller waits long for it.
const AT_ONCE_BYTES: i64 = 8 << 20;
/// Free bytes that stay in the file for the next jobs.
const SPARE_BYTES: i64 = 64 << 20;

impl Session<'_> {
    /// See `JobStore::tend`.
    pub(super) fn tend(&mut self) -> rusqlite::Result<Tended> {
        let mut tended = Tended::default();
        for job in self.lives(live!("WHERE lease <= ? ORDER BY seq"), [self.now])? {
            if job.attempts >= self.limits.max_attempts {
                self.bury(&job, None)?;
                tended.dead += 1;
            } else {
                self.queue_again(job.seq)?;
                tended.reclaimed += 1;
            }
        }
        let late = live!("WHERE state = 0 AND deadline <= ? ORDER BY seq");
        for job in self.lives(late, [self.now])? {
            self.end(&job, JobState::Expired, None)?;
            tended.expired += 1;
        }
        tended.given_up = self.give_up()?;
        self.execute("DELETE FROM job WHERE keep_until <= ?", [self.now])?;
        self.give_back(SPARE_BYTES)?;
        Ok(tended)
    }

    /// Takes back what a process held that is gone: jobs it had claimed or was running.
    pub(super) fn take_over(&mut self) -> rusqlite::Result<()> {
        for job in self.lives(live!("WHERE lease IS NOT NULL ORDER BY seq"), [])? {
            if job.attempts >= self.limits.max_attempts {
                self.bury(&job, None)?;
            } else {
                self.queue_again(job.seq)?;
            }
        }
        Ok(())
    }

    /// See `JobStore::purge`.
    pub(super) fn purge(&self, state: JobState) -> rusqlite::Result<u64> {
        if !state.is_final() {
            return Ok(0);
        }
        let gone = self.execute("DELETE FROM job WHERE state = ?", [state])?;
        Ok(gone as u64)
    }

    /// Forgets outcomes and dead letters that are too many, the oldest first.
    pub(super) fn trim(&self) -> rusqlite::Result<()> {
        let sql = "SELECT sum(jobs - owed) FILTER (WHERE state = 2), \
                   sum(jobs - owed) FILTER (WHERE state > 2) FROM tally";
        let (dead, outcomes): (u64, u64) = self
            .prepare(sql)?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let surplus = dead.saturating_sub(self.limits.max_dead);
        if surplus > 0 {
            let sql = "DELETE FROM job WHERE seq IN (SELECT seq FROM job WHERE state = 2 AND owed = 0 \
                       ORDER BY finished, seq LIMIT ?)";
            self.execute(sql, [surplus])?;
        }
        let surplus = outcomes.saturating_sub(self.limits.max_results);
        if surplus > 0 {
            let sql = "DELETE FROM job WHERE seq IN (SELECT seq FROM job WHERE state > 2 AND owed = 0 \
                       ORDER BY finished, seq LIMIT ?)";
            self.execute(sql, [surplus])?;
        }
        Ok(())
    }

    /// Lets the file shrink when more of it is free than so many bytes.
    pub(super) fn give_back(&self, spare: i64) -> rusqlite::Result<()> {
        let number = |sql| self.prepare(sql)?.query_row([], |row| row.get::<_, i64>(0));
        // A file that is older than this program may have pages of another size.
        let page = number("PRAGMA page_size")?;
        let free = number("PRAGMA freelist_count")?;
        let surplus = (free - spare / page).min(AT_ONCE_BYTES / page);
        if surplus > 0 {
            let sql = format!("PRAGMA incremental_vacuum({surplus})");
            let mut vacuum = self.conn.prepare(&sql)?;
            let mut rows = vacuum.query([])?;
            // Each step frees a page.
            while rows.next()?.is_some() {}
        }
        Ok(())
    }
}
