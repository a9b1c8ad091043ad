//! The embedded store: one SQLite file that one process has to itself.
//!
//! `open` makes sure of the file, `writer` is the one thread that has it, `session` and its
//! neighbours are the rules of the queue in SQL, `schema` the tables. Must not know: Redis,
//! actors, HTTP.

mod open;
mod writer;
mod flusher;
mod session;
mod offers;
mod work;
mod deliveries;
mod upkeep;
mod looks;
mod rows;
mod schema;
#[cfg(test)]
mod moments;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{broadcast, mpsc, oneshot};

use self::session::{Session, Trouble};
use self::writer::{AT_ONCE, Call, Message, Waiting, Writer};
use super::recent::Recent;
use super::{
    Cancelled, Claimed, Completed, Completion, Description, DueDelivery, Enqueued, Entered, Failed,
    Failure, Finding, JobId, JobState, JobStore, JobView, Lease, NewJob, Start, Stats, StoreError,
    StoreLimits, Tended, Tried, UnixMillis,
};

/// Most bytes of pixels kept in memory, so that claims need not read them back.
const RECENT_BYTES: u64 = 64 << 20;
/// Names of ended jobs that a receiver may lag behind.
const ENDED: usize = 4096;

/// When what is written is safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// Accepted jobs survive `kill -9` of the process; the last ones may be lost with the power.
    #[default]
    Normal,
    /// Accepted jobs survive power loss too; each commit waits for the disk.
    Full,
}

/// A queue in a file.
pub struct SqliteStore {
    path: PathBuf,
    synchronous: Synchronous,
    messages: Option<mpsc::Sender<Message>>,
    ended: broadcast::Sender<JobId>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

// === impl SqliteStore ===

impl SqliteStore {
    /// Opens the queue in this file, which is made if there is none; its folder must exist. The
    /// file is this process's alone until it is closed. Jobs that an earlier process had claimed
    /// or was running are queued again. Blocks, while it reads the whole file to see that it is
    /// sound.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process has the file; [`StoreError::Unusable`] if it is
    /// damaged, of a newer version, or not a queue; [`StoreError::Unavailable`] if the system
    /// does not let it be opened.
    pub fn open(
        path: &Path,
        limits: StoreLimits,
        synchronous: Synchronous,
    ) -> Result<Self, StoreError> {
        let opened = open::open(path, synchronous)?;
        let (messages, received) = mpsc::channel(AT_ONCE);
        let ended = broadcast::Sender::new(ENDED);
        let recent = Recent::new(RECENT_BYTES.min(limits.max_bytes));
        let writer = Writer::new(
            opened,
            path.to_owned(),
            limits,
            recent,
            ended.clone(),
            messages.downgrade(),
        )?;
        let thread = Builder::new()
            .name("beagle-sqlite".to_owned())
            .spawn(move || writer.run(received))
            .map_err(|error| StoreError::Unavailable(format!("no thread for it: {error}")))?;
        Ok(Self {
            path: path.to_owned(),
            synchronous,
            messages: Some(messages),
            ended,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Lets the thread do something, and waits until that is committed.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Session<'_>) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let outcome = None;
        let call = Box::new(Call {
            work,
            outcome,
            reply,
        });
        self.ask(Message::Work(call), answer).await
    }

    /// One step for each, in order, all in one transaction.
    async fn each<A, T>(
        &self,
        given: &[A],
        step: impl Fn(&mut Session<'_>, &A) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<Vec<T>, StoreError>
    where
        A: Clone + Send + 'static,
        T: Send + 'static,
    {
        let given = given.to_vec();
        self.call(move |session| {
            let done = given.iter().map(|one| step(session, one));
            Ok(done.collect::<rusqlite::Result<Vec<T>>>()?)
        })
        .await
    }

    async fn ask<T>(
        &self,
        message: Message,
        answer: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let messages = self.messages.as_ref().ok_or_else(writer::ended)?;
        let sent = messages.send(message).await;
        sent.map_err(|_| writer::ended())?;
        answer.await.unwrap_or_else(|_| Err(writer::ended()))
    }
}

impl Drop for SqliteStore {
    /// Waits for the thread, so that the file is free when the value is gone.
    fn drop(&mut self) {
        self.messages = None;
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // If it has panicked, everybody who waited was told.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl JobStore for SqliteStore {
    async fn enqueue(&self, job: NewJob) -> Result<Enqueued, StoreError> {
        self.call(move |session| session.enqueue(&job)).await
    }

    async fn enqueue_and_start(&self, job: NewJob) -> Result<Entered, StoreError> {
        self.call(move |session| session.enqueue_and_start(&job))
            .await
    }

    async fn claim(&self, room: usize) -> Result<Vec<Claimed>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let claim = Message::Claim(Waiting { room, reply });
        Ok(self.ask(claim, answer).await?.accept())
    }

    async fn start(&self, leases: &[Lease]) -> Result<Vec<Start>, StoreError> {
        let each = |session: &mut Session<'_>, lease: &Lease| session.start(lease);
        self.each(leases, each).await
    }

    async fn heartbeat(&self, leases: &[Lease]) -> Result<(), StoreError> {
        let each = |session: &mut Session<'_>, lease: &Lease| session.heartbeat(lease);
        self.each(leases, each).await.map(drop)
    }

    async fn complete(&self, done: &[Completion]) -> Result<Vec<Completed>, StoreError> {
        let each = |session: &mut Session<'_>, one: &Completion| session.complete(one);
        self.each(done, each).await
    }

    async fn fail(&self, failed: &[Failure]) -> Result<Vec<Failed>, StoreError> {
        let each = |session: &mut Session<'_>, one: &Failure| session.fail(one);
        self.each(failed, each).await
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError> {
        let each = |session: &mut Session<'_>, lease: &Lease| session.release(lease);
        self.each(leases, each).await.map(drop)
    }

    async fn cancel(&self, id: JobId) -> Result<Option<Cancelled>, StoreError> {
        self.call(move |session| Ok(session.cancel(id)?)).await
    }

    async fn job(&self, id: JobId) -> Result<Option<JobView>, StoreError> {
        self.call(move |session| Ok(session.job(id)?)).await
    }

    async fn ahead(&self, id: JobId) -> Result<Option<u64>, StoreError> {
        self.call(move |session| Ok(session.ahead(id)?)).await
    }

    async fn claim_deliveries(
        &self,
        room: usize,
        lease: Duration,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        self.call(move |session| Ok(session.claim_deliveries(room, lease)?))
            .await
    }

    async fn settle_deliveries(&self, tried: &[Tried]) -> Result<Vec<bool>, StoreError> {
        let each = |session: &mut Session<'_>, one: &Tried| session.settle_delivery(one);
        self.each(tried, each).await
    }

    fn ended(&self) -> broadcast::Receiver<JobId> {
        self.ended.subscribe()
    }

    async fn tend(&self) -> Result<Tended, StoreError> {
        self.call(|session| Ok(session.tend()?)).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.call(|session| Ok(session.stats()?)).await
    }

    async fn list(
        &self,
        state: Option<JobState>,
        limit: usize,
    ) -> Result<Vec<JobView>, StoreError> {
        self.call(move |session| Ok(session.list(state, limit)?))
            .await
    }

    async fn retry(&self, id: JobId, deadline: UnixMillis) -> Result<bool, StoreError> {
        self.call(move |session| session.retry(id, deadline)).await
    }

    async fn purge(&self, state: JobState) -> Result<u64, StoreError> {
        self.call(move |session| Ok(session.purge(state)?)).await
    }

    async fn doctor(&self) -> Result<Vec<Finding>, StoreError> {
        self.call(|session| Ok(session.doctor()?)).await
    }

    fn description(&self) -> Description {
        Description {
            place: format!("sqlite {}", self.path.display()),
            durability: self.synchronous.promise().to_owned(),
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Close(reply), answer).await
    }
}

// === impl Synchronous ===

impl Synchronous {
    fn pragma(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::Full => "FULL",
        }
    }

    fn promise(self) -> &'static str {
        match self {
            Self::Normal => {
                "An accepted job survives kill -9 of this process; the last ones may be lost when \
                 the power fails."
            }
            Self::Full => "An accepted job survives kill -9 of this process and power loss.",
        }
    }
}
