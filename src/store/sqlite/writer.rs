//! The one thread that has the database: it takes everything that waits, does it in one
//! transaction, and answers when that is committed.
//!
//! If something in a transaction fails, all of it is taken back and each is done again in a
//! transaction of its own, so that a failure is its caller's alone. Must not know: the rules of
//! the queue, tables.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;

use rusqlite::Connection;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::flusher::Flusher;
use super::open::{Opened, log, unavailable};
use super::session::{Session, Trouble};
use crate::store::recent::Recent;
use crate::store::{Claimed, JobId, Lease, StoreError, StoreLimits, UnixMillis};

/// Most requests in one transaction, and most that wait for it.
pub(super) const AT_ONCE: usize = 256;

/// What is asked of the thread.
pub(super) enum Message {
    /// Something to be done now.
    Work(Box<dyn Work>),
    /// A claim, to be answered when there is something to claim.
    Claim(Waiting),
    /// The end, answered when everything is written and let go.
    Close(oneshot::Sender<Result<(), StoreError>>),
}

/// Something to be done in a transaction, for a caller who waits.
pub(super) trait Work: Send {
    /// Does it; again if the transaction it was done in was not committed.
    fn run(&mut self, session: &mut Session<'_>) -> rusqlite::Result<()>;
    /// Tells the caller what came of it, or why nothing did.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// [`Work`] made of a function.
pub(super) struct Call<T, F> {
    pub(super) work: F,
    pub(super) outcome: Option<Result<T, StoreError>>,
    pub(super) reply: oneshot::Sender<Result<T, StoreError>>,
}

/// A claim that waits.
pub(super) struct Waiting {
    pub(super) room: usize,
    pub(super) reply: oneshot::Sender<Result<Granted, StoreError>>,
}

/// Claimed jobs on their way to the caller: given back if it does not want them any more.
pub(super) struct Granted {
    jobs: Vec<Claimed>,
    back: mpsc::WeakSender<Message>,
}

/// The thread's belongings.
pub(super) struct Writer {
    conn: Connection,
    /// Let go after the connection.
    lock: File,
    path: PathBuf,
    limits: StoreLimits,
    recent: Recent,
    /// Jobs claimed so far, for the shares of the priorities.
    claimed: u64,
    flusher: Flusher,
    waiting: VecDeque<Waiting>,
    ended: broadcast::Sender<JobId>,
    back: mpsc::WeakSender<Message>,
}

// === impl Call ===

impl<T, F> Work for Call<T, F>
where
    T: Send,
    F: FnMut(&mut Session<'_>) -> Result<T, Trouble> + Send,
{
    fn run(&mut self, session: &mut Session<'_>) -> rusqlite::Result<()> {
        self.outcome = match (self.work)(session) {
            Ok(answer) => Some(Ok(answer)),
            Err(Trouble::Refused(error)) => Some(Err(error)),
            Err(Trouble::Failed(error)) => return Err(error),
        };
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let outcome = self.outcome.unwrap_or_else(|| Err(ended()));
        // A caller that has gone does not mind.
        let _ = self.reply.send(committed.and(outcome));
    }
}

// === impl Granted ===

impl Granted {
    /// The jobs are the caller's from here on.
    pub(super) fn accept(mut self) -> Vec<Claimed> {
        std::mem::take(&mut self.jobs)
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        let leases: Vec<Lease> = self.jobs.iter().map(|job| job.lease).collect();
        let give_back = Call {
            work: move |session: &mut Session<'_>| {
                leases.iter().try_for_each(|lease| session.release(lease))?;
                Ok(())
            },
            outcome: None,
            reply: oneshot::channel().0,
        };
        if let Some(back) = self.back.upgrade() {
            // If there is no room the leases run out, which does the same, later.
            let _ = back.try_send(Message::Work(Box::new(give_back)));
        }
    }
}

// === impl Writer ===

impl Writer {
    /// Takes over what an earlier process left in the file.
    pub(super) fn new(
        opened: Opened,
        path: PathBuf,
        limits: StoreLimits,
        recent: Recent,
        ended: broadcast::Sender<JobId>,
        back: mpsc::WeakSender<Message>,
    ) -> Result<Self, StoreError> {
        let mut writer = Self {
            conn: opened.conn,
            lock: opened.lock,
            flusher: Flusher::new(&log(&path)),
            path,
            limits,
            recent,
            claimed: 0,
            waiting: VecDeque::new(),
            ended,
            back,
        };
        let taken = writer.transact(UnixMillis::now(), |session| session.take_over());
        taken.map_err(|error| unavailable(&writer.path, &error))?;
        Ok(writer)
    }

    /// Serves until the end is asked for or nobody is left to ask.
    pub(super) fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut work = Vec::new();
        while let Some(first) = messages.blocking_recv() {
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Work(one) => work.push(one),
                    Message::Claim(claim) => self.waiting.push_back(claim),
                    Message::Close(reply) => {
                        self.serve(&mut work, UnixMillis::now());
                        // From here on whoever asks is refused at once.
                        drop(messages);
                        let _ = reply.send(self.close());
                        return;
                    }
                }
                next = (work.len() < AT_ONCE)
                    .then(|| messages.try_recv().ok())
                    .flatten();
            }
            self.serve(&mut work, UnixMillis::now());
        }
        // Dropped without a close: as after a kill, but there is time to be tidy.
        let _ = self.close();
    }

    /// Does everything and answers, together if that goes well, else one by one.
    fn serve(&mut self, work: &mut Vec<Box<dyn Work>>, now: UnixMillis) {
        self.waiting.retain(|claim| !claim.reply.is_closed());
        let mut waiting = std::mem::take(&mut self.waiting);
        let together = self.transact(now, |session| {
            for one in work.iter_mut() {
                one.run(session)?;
            }
            claim(session, waiting.iter())
        });
        match together {
            Ok(granted) => {
                work.drain(..).for_each(|one| one.answer(Ok(())));
                self.grant(&mut waiting, granted);
            }
            Err(error) => {
                tracing::warn!(%error, requests = work.len(), "transaction failed, each alone now");
                for mut one in work.drain(..) {
                    let alone = self.transact(now, |session| one.run(session));
                    one.answer(alone.map_err(|error| unavailable(&self.path, &error)));
                }
                self.claim_alone(&mut waiting, now);
            }
        }
        self.waiting = waiting;
    }

    fn claim_alone(&mut self, waiting: &mut VecDeque<Waiting>, now: UnixMillis) {
        while let Some(first) = waiting.front() {
            let alone = self.transact(now, |session| claim(session, [first]));
            match alone {
                Ok(granted) if granted.is_empty() => break,
                Ok(granted) => self.grant(waiting, granted),
                Err(error) => {
                    if let Some(claim) = waiting.pop_front() {
                        let _ = claim.reply.send(Err(unavailable(&self.path, &error)));
                    }
                }
            }
        }
    }

    /// Gives jobs to the claims that have waited longest.
    fn grant(&self, waiting: &mut VecDeque<Waiting>, granted: Vec<Vec<Claimed>>) {
        for jobs in granted {
            if let Some(claim) = waiting.pop_front() {
                let back = self.back.clone();
                // Whoever has gone gives them back by dropping them.
                let _ = claim.reply.send(Ok(Granted { jobs, back }));
            }
        }
    }

    /// Does something in one transaction; who ended in it is told when it is committed.
    fn transact<T>(
        &mut self,
        now: UnixMillis,
        steps: impl FnOnce(&mut Session<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut session = Session {
            conn: &self.conn,
            limits: &self.limits,
            now,
            recent: &mut self.recent,
            claimed: &mut self.claimed,
            ended: Vec::new(),
            wrote: 0,
        };
        let done = steps(&mut session).and_then(|answer| {
            session.trim()?;
            session.conn.prepare_cached("COMMIT")?.execute([])?;
            Ok(answer)
        });
        match done {
            Ok(answer) => {
                self.flusher.wrote(session.wrote);
                for id in session.ended {
                    // Nobody listening is fine.
                    let _ = self.ended.send(id);
                }
                Ok(answer)
            }
            Err(error) => {
                // Some failures have taken the transaction back themselves.
                if !self.conn.is_autocommit() {
                    self.conn.execute_batch("ROLLBACK")?;
                }
                Err(error)
            }
        }
    }

    /// Writes everything into the file and lets go of it. What was held comes back when the file
    /// is opened again.
    fn close(mut self) -> Result<(), StoreError> {
        for claim in self.waiting.drain(..) {
            let _ = claim.reply.send(Err(ended()));
        }
        // Closing writes the log into the file.
        let closed = self.conn.close().map_err(|(_, error)| error);
        drop(self.lock);
        closed.map_err(|error| unavailable(&self.path, &error))
    }
}

/// What the claims get, the first in line first, as far as it goes.
fn claim<'a>(
    session: &mut Session<'_>,
    waiting: impl IntoIterator<Item = &'a Waiting>,
) -> rusqlite::Result<Vec<Vec<Claimed>>> {
    let mut granted = Vec::new();
    for claim in waiting {
        let jobs = session.claim(claim.room)?;
        if jobs.is_empty() {
            break;
        }
        granted.push(jobs);
    }
    Ok(granted)
}

/// What is said of a store whose thread has ended.
pub(super) fn ended() -> StoreError {
    StoreError::Unavailable("it was closed".to_owned())
}
