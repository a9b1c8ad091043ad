//! What clients asked and were told, how every job ended, and whether that is as promised.
//!
//! Pure: made-up histories are checked like real ones. Each request asks for a number of labels
//! of its own, so every job, heard of or not, can be told which request it came from. Must not
//! know: HTTP, processes, stores.

use std::collections::{BTreeMap, BTreeSet};

use beagle::store::{JobId, JobState};
use serde_json::Value;

use crate::fake;

/// How a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until the answer comes.
    Waits,
    /// For acceptance alone.
    Async,
    /// A moment, and then it has gone.
    Hasty,
}

/// What a client asked, and everything it was told.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Its number, unique; its picture and its number of labels follow from it.
    pub(crate) number: u16,
    /// What its picture makes the model do.
    pub(crate) act: fake::Act,
    /// Whether it has an idempotency key. If so it is repeated until somebody answers.
    pub(crate) keyed: bool,
    /// How it waits.
    pub(crate) patience: Patience,
    /// One for each time it was sent.
    pub(crate) told: Vec<Told>,
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// 200.
    Answered(JobId, Value),
    /// 202.
    Accepted(JobId),
    /// 500: a dead letter.
    Dead(JobId),
    /// 504; there may be no such job.
    TimedOut(JobId),
    /// 503.
    Refused(String),
    /// Nothing: the connection broke.
    Broken,
    /// What nobody should be told here.
    Other(String),
}

/// A job as it was found in the end.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Its name.
    pub(crate) id: JobId,
    /// The request that it came from.
    pub(crate) number: u16,
    /// Where it stands.
    pub(crate) state: JobState,
    /// How often it was started.
    pub(crate) attempts: u32,
    /// Its result.
    pub(crate) predictions: Option<Value>,
}

/// What became of everything, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Jobs that the store had, or a client was told it had.
    pub(crate) accepted: usize,
    /// Jobs with a result.
    pub(crate) answered: usize,
    /// Dead letters.
    pub(crate) dead: usize,
    /// Jobs whose deadline passed.
    pub(crate) expired: usize,
    /// Jobs of clients that had gone.
    pub(crate) cancelled: usize,
    /// Jobs that are not there any more, or never ended.
    pub(crate) lost: usize,
    /// Requests with two jobs or two different results.
    pub(crate) double: usize,
    /// Everything that is not as promised.
    pub(crate) wrong: Vec<String>,
}

impl Asked {
    /// The class that its picture shows.
    pub(crate) fn class(&self) -> u8 {
        (self.number % 256) as u8
    }

    /// Whether the model cannot do it.
    const fn fails(&self) -> bool {
        matches!(self.act, fake::Act::Panic | fake::Act::Fail)
    }

    /// Whether it may end without having run: nobody waited for it and nobody wanted it kept.
    fn may_be_dropped(&self) -> bool {
        !self.keyed && self.patience != Patience::Async
    }
}

impl Told {
    /// The job that the client was promised.
    const fn promised(&self) -> Option<JobId> {
        match self {
            Self::Answered(job, _) | Self::Accepted(job) | Self::Dead(job) => Some(*job),
            _ => None,
        }
    }
}

impl Verdict {
    /// Adds another one's numbers.
    pub(crate) fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.answered += other.answered;
        self.dead += other.dead;
        self.expired += other.expired;
        self.cancelled += other.cancelled;
        self.lost += other.lost;
        self.double += other.double;
        self.wrong.extend_from_slice(&other.wrong);
    }

    fn count(&mut self, job: &Job, most: u32) {
        match job.state {
            JobState::Done => self.answered += 1,
            JobState::Dead => self.dead += 1,
            JobState::Expired => self.expired += 1,
            JobState::Cancelled => self.cancelled += 1,
            JobState::Queued | JobState::Running => {
                self.lost += 1;
                self.wrong.push(format!("never ended: {job:?}"));
            }
        }
        if job.attempts > most {
            self.wrong
                .push(format!("more than {most} attempts: {job:?}"));
        }
    }

    fn judge(&mut self, asked: &Asked, jobs: &[&Job]) {
        let mut results: BTreeSet<String> = BTreeSet::new();
        let told = asked.told.iter().filter_map(|told| match told {
            Told::Answered(_, predictions) => Some(predictions),
            _ => None,
        });
        let kept = jobs.iter().filter_map(|job| job.predictions.as_ref());
        for predictions in told.chain(kept) {
            results.insert(predictions.to_string());
            if predictions[0]["label"] != fake::label(asked.class()) || asked.fails() {
                self.wrong
                    .push(format!("another picture's result: {asked:?} {jobs:?}"));
            }
        }
        if results.len() > 1 || jobs.len() > 1 {
            self.double += 1;
            self.wrong.push(format!("done twice: {asked:?} {jobs:?}"));
        }
        for job in jobs {
            let fits = match job.state {
                JobState::Done => job.predictions.is_some(),
                JobState::Dead => asked.fails(),
                JobState::Expired | JobState::Cancelled => asked.may_be_dropped(),
                JobState::Queued | JobState::Running => true,
            };
            let says = |told: &Told| match told {
                Told::Answered(..) => job.state == JobState::Done,
                Told::Dead(_) => job.state == JobState::Dead,
                _ => true,
            };
            if !fits || !asked.told.iter().all(says) {
                self.wrong.push(format!("a wrong end: {asked:?} {job:?}"));
            }
        }
        let strange = asked.told.iter().any(|told| matches!(told, Told::Other(_)));
        let hanging = asked.keyed && asked.told.last().and_then(Told::promised).is_none();
        if strange || hanging {
            self.wrong
                .push(format!("not told what it should be: {asked:?}"));
        }
    }
}

/// Checks that every accepted job came to one right end within its attempts, and that nobody was
/// told otherwise.
pub(crate) fn check(asked: &[Asked], jobs: &[Job], max_attempts: u32) -> Verdict {
    let mut verdict = Verdict::default();
    let mut of: BTreeMap<u16, Vec<&Job>> = BTreeMap::new();
    for job in jobs {
        verdict.count(job, max_attempts);
        of.entry(job.number).or_default().push(job);
    }
    let there: BTreeSet<JobId> = jobs.iter().map(|job| job.id).collect();
    let mut gone = BTreeSet::new();
    for asked in asked {
        let own = of.remove(&asked.number).unwrap_or_default();
        verdict.judge(asked, &own);
        let promised: BTreeSet<JobId> = asked.told.iter().filter_map(Told::promised).collect();
        for id in &promised - &there {
            gone.insert(id);
            verdict.wrong.push(format!("{id} is gone: {asked:?}"));
        }
        if own
            .iter()
            .any(|job| !promised.is_empty() && !promised.contains(&job.id))
        {
            verdict
                .wrong
                .push(format!("told of another job: {asked:?} {own:?}"));
        }
    }
    for stranger in of.values().flatten() {
        verdict.wrong.push(format!("nobody asked for {stranger:?}"));
    }
    verdict.lost += gone.len();
    verdict.accepted = there.len() + gone.len();
    verdict
}
