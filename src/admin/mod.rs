//! What an operator may ask of a queue, and the answers: the same whether the store is opened for
//! it or a running server is asked over its [`socket`].
//!
//! Must not know: how an answer is shown, which store it is.

pub mod socket;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::classify::top::Prediction;
use crate::respond::record::Record;
use crate::store::{
    Cancelled, Delivery, Finding, JobId, JobState, JobStore, JobView, Stats, StoreError, UnixMillis,
};

/// How long a job that is retried may wait for its turn.
const RETRIED: Duration = Duration::from_secs(24 * 3600);

/// A question or an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// How full the queue is.
    Stats,
    /// Jobs in a state or in any, the oldest first.
    List {
        /// Which.
        state: Option<JobState>,
        /// Most of them.
        limit: usize,
    },
    /// One job.
    Show(JobId),
    /// Queue dead letters anew: this one, or all.
    Retry(Option<JobId>),
    /// Take a job back.
    Cancel(JobId),
    /// Forget every job that ended like this.
    Purge(JobState),
    /// What durability depends on.
    Doctor,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// See [`Request::Stats`].
    Stats(Stats),
    /// See [`Request::List`].
    Jobs(Vec<Job>),
    /// See [`Request::Show`]; `None` if nothing is known of it.
    Job(Option<Job>),
    /// How many were queued anew or forgotten.
    Count(u64),
    /// The job's state afterwards; `None` if nothing is known of it.
    State(Option<JobState>),
    /// See [`Request::Doctor`].
    Findings(Vec<Finding>),
    /// It could not be done.
    Failed(String),
}

/// A job, for operators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// Where it stands.
    pub state: JobState,
    /// By which profile it is classified.
    pub profile: String,
    /// How often it was started.
    pub attempts: u32,
    /// When it arrived.
    pub created_ms: u64,
    /// When it must have been started.
    pub deadline_ms: u64,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_ms: Option<u64>,
    /// Why its last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How its callback stands, and why a try has failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub callback: Option<Delivery>,
    /// Its answer, if it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predictions: Option<Vec<Prediction>>,
}

impl From<JobView> for Job {
    fn from(view: JobView) -> Self {
        let record = view.result.as_deref().and_then(Record::from_bytes);
        Self {
            id: view.id,
            state: view.state,
            profile: view.profile,
            attempts: view.attempts,
            created_ms: view.created.0,
            deadline_ms: view.deadline.0,
            finished_ms: view.finished.map(|finished| finished.0),
            reason: view.reason,
            callback: view.delivery,
            predictions: record.map(|record| record.predictions),
        }
    }
}

/// Does what is asked.
pub async fn answer(store: &dyn JobStore, request: Request) -> Reply {
    let done = match request {
        Request::Stats => store.stats().await.map(Reply::Stats),
        Request::List { state, limit } => {
            let jobs = store.list(state, limit).await;
            jobs.map(|jobs| Reply::Jobs(jobs.into_iter().map(Job::from).collect()))
        }
        Request::Show(id) => store
            .job(id)
            .await
            .map(|job| Reply::Job(job.map(Job::from))),
        Request::Retry(which) => retry(store, which).await.map(Reply::Count),
        Request::Cancel(id) => store
            .cancel(id)
            .await
            .map(|found| Reply::State(found.map(Cancelled::state))),
        Request::Purge(state) => store.purge(state).await.map(Reply::Count),
        Request::Doctor => store.doctor().await.map(Reply::Findings),
    };
    done.unwrap_or_else(|error| Reply::Failed(error.to_string()))
}

async fn retry(store: &dyn JobStore, which: Option<JobId>) -> Result<u64, StoreError> {
    let deadline = UnixMillis::now().after(RETRIED);
    let ids = match which {
        Some(id) => vec![id],
        None => {
            let dead = store.list(Some(JobState::Dead), usize::MAX).await?;
            dead.into_iter().map(|job| job.id).collect()
        }
    };
    let mut count = 0;
    for id in ids {
        count += u64::from(store.retry(id, deadline).await?);
    }
    Ok(count)
}
