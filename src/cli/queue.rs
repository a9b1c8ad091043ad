//! `beagle queue`: what is in the queue, and putting it right.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use console::style;

use super::{Outcome, opening, terminal};
use crate::admin::{self, Job, Reply, Request, socket};
use crate::config::Config;
use crate::config::layer::Layer;
use crate::config::store_url::StoreUrl;
use crate::store::{Delivery, Finding, JobId, JobState, Severity, Stats, StoreError, UnixMillis};

/// Shows the queue and puts it right, whether a server runs on it or not.
///
/// Examples:
///   beagle queue ls
///   beagle queue dead
///   beagle queue retry --all
///   beagle queue doctor --store redis://127.0.0.1:6379
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Queue {
    #[command(subcommand)]
    command: Command,

    /// Where jobs are kept, as for `beagle serve`.
    #[arg(
        long,
        env = "BEAGLE_STORE",
        value_name = "URL",
        hide_env_values = true,
        global = true
    )]
    store: Option<String>,

    /// Folder of the embedded store.
    #[arg(long, env = "BEAGLE_DATA", value_name = "FOLDER", global = true)]
    data: Option<PathBuf>,

    /// Read settings from this TOML file.
    #[arg(long, env = "BEAGLE_CONFIG", value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How full the queue is, and its oldest jobs.
    Ls {
        /// Only jobs in this state.
        #[arg(long)]
        state: Option<State>,
        /// Most jobs to show.
        #[arg(long, default_value = "20")]
        limit: usize,
    },
    /// One job.
    Show {
        /// Its name.
        id: JobId,
    },
    /// Queues dead letters anew.
    Retry {
        /// Which.
        #[arg(required_unless_present = "all")]
        id: Option<JobId>,
        /// All of them.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Takes a job back.
    Cancel {
        /// Which.
        id: JobId,
    },
    /// Forgets jobs that have ended.
    Purge {
        /// How they ended.
        state: Ended,
    },
    /// The dead letters and why they died.
    Dead {
        /// Most to show.
        #[arg(long, default_value = "100")]
        limit: usize,
    },
    /// Checks everything that durability depends on.
    Doctor,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Queued,
    Running,
    Done,
    Dead,
    Expired,
    Cancelled,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ended {
    Done,
    Dead,
    Expired,
    Cancelled,
}

impl From<State> for JobState {
    fn from(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Running => Self::Running,
            State::Done => Self::Done,
            State::Dead => Self::Dead,
            State::Expired => Self::Expired,
            State::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Ended> for JobState {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Done => Self::Done,
            Ended::Dead => Self::Dead,
            Ended::Expired => Self::Expired,
            Ended::Cancelled => Self::Cancelled,
        }
    }
}

impl Queue {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let said = Layer {
            store: self.store.clone(),
            data: self.data.clone(),
            ..Layer::default()
        };
        let config = opening::config(self.config.as_deref(), &said)?;
        let requests = match &self.command {
            Command::Ls { state, limit } => vec![
                Request::Stats,
                Request::List {
                    state: state.map(Into::into),
                    limit: *limit,
                },
            ],
            Command::Show { id } => vec![Request::Show(*id)],
            Command::Retry { id, .. } => vec![Request::Retry(*id)],
            Command::Cancel { id } => vec![Request::Cancel(*id)],
            Command::Purge { state } => vec![Request::Purge((*state).into())],
            Command::Dead { limit } => vec![Request::List {
                state: Some(JobState::Dead),
                limit: *limit,
            }],
            Command::Doctor => vec![Request::Doctor],
        };
        let replies = actix::System::new().block_on(ask(&config, requests))?;
        let mut outcome = Outcome::Done;
        for reply in replies {
            if let Reply::Failed(reason) = reply {
                bail!(reason);
            }
            if self.json {
                terminal::line(&serde_json::to_string(&reply)?);
            } else {
                show(&reply);
            }
            if troubles(&reply) {
                outcome = Outcome::SomeFailed;
            }
        }
        Ok(outcome)
    }
}

/// Asks the server that has the store, or else the store itself.
async fn ask(config: &Config, requests: Vec<Request>) -> anyhow::Result<Vec<Reply>> {
    if let StoreUrl::Sqlite(path) = &config.store {
        anyhow::ensure!(
            path.exists(),
            "{} does not exist: no server has run there; name its --data or --store",
            path.display()
        );
        let door = socket::beside(path);
        let asked: std::io::Result<Vec<Reply>> = requests
            .iter()
            .map(|request| socket::ask(&door, request))
            .collect();
        match asked {
            Ok(replies) => return Ok(replies),
            Err(error) => tracing::debug!(%error, "no server answers"),
        }
    }
    let store =
        opening::looking(config).map_err(|error| match error.downcast_ref::<StoreError>() {
            Some(StoreError::InUse(_)) => {
                error.context("a server has the store, and does not answer")
            }
            _ => error,
        })?;
    let mut replies = Vec::with_capacity(requests.len());
    for request in requests {
        replies.push(admin::answer(&*store, request).await);
    }
    for place in store.places() {
        if let Some(trouble) = place.trouble {
            terminal::note(&format!("{}: {trouble}: its jobs are left out", place.name));
        }
    }
    let failed = |reply: &Reply| matches!(reply, Reply::Failed(_));
    let closed = store.close().await;
    if !replies.iter().any(failed) {
        closed.context("the store did not close in order")?;
    }
    Ok(replies)
}

/// Whether a reply is bad news, for the exit code.
fn troubles(reply: &Reply) -> bool {
    match reply {
        Reply::Job(None) | Reply::State(None) => true,
        Reply::Findings(findings) => findings
            .iter()
            .any(|found| found.severity == Severity::Danger),
        _ => false,
    }
}

fn show(reply: &Reply) {
    match reply {
        Reply::Stats(stats) => terminal::line(&summary(stats)),
        Reply::Jobs(jobs) if jobs.is_empty() => terminal::line("no jobs"),
        Reply::Jobs(jobs) => jobs.iter().for_each(|job| terminal::line(&row(job))),
        Reply::Job(Some(job)) => {
            terminal::line(&row(job));
            if let Some(callback) = &job.callback {
                terminal::line(&told(callback));
            }
            for prediction in job.predictions.iter().flatten() {
                let percent = prediction.probability * 100.0;
                terminal::line(&format!("  {percent:6.2} %  {}", prediction.label));
            }
        }
        Reply::Job(None) | Reply::State(None) => terminal::line("nothing is known of this job"),
        Reply::Count(count) => terminal::line(&format!("{count} job(s)")),
        Reply::State(Some(state)) => terminal::line(state.name()),
        Reply::Findings(findings) => findings.iter().for_each(finding),
        Reply::Failed(reason) => terminal::note(reason),
    }
}

fn summary(stats: &Stats) -> String {
    let oldest = stats.oldest.map_or(String::new(), |oldest| {
        format!(", the oldest for {}", age(oldest))
    });
    let due = match stats.due {
        0 => String::new(),
        due => format!(", {due} callback(s) due"),
    };
    format!(
        "{} queued, {} running ({:.1} MB{oldest}); {} ended, {} dead{due}",
        stats.queued,
        stats.running,
        stats.bytes as f64 / 1e6,
        stats.ended,
        stats.dead
    )
}

fn age(since: UnixMillis) -> String {
    let seconds = UnixMillis::now().since(since).as_secs();
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

fn row(job: &Job) -> String {
    let state = style(format!("{:<9}", job.state.name()));
    let state = match job.state {
        JobState::Done => state.green(),
        JobState::Dead => state.red(),
        _ => state,
    };
    let reason = job
        .reason
        .as_deref()
        .map_or(String::new(), |reason| format!("  {reason}"));
    format!(
        "{}  {state}  {:<10}  {} attempt(s)  {} ago{reason}",
        job.id,
        job.profile,
        job.attempts,
        age(UnixMillis(job.created_ms))
    )
}

/// How a job's callback stands.
fn told(callback: &Delivery) -> String {
    let reason = callback.reason.as_deref().map_or(String::new(), |reason| {
        format!(", the last failure: {reason}")
    });
    format!(
        "  callback {} after {} tries{reason}",
        callback.state.name(),
        callback.tries
    )
}

fn finding(found: &Finding) {
    let mark = match found.severity {
        Severity::Fine => style("fine   ").green(),
        Severity::Warning => style("warning").yellow(),
        Severity::Danger => style("danger ").red(),
    };
    terminal::line(&format!("{mark}  {:<18} {}", found.check, found.message));
}
