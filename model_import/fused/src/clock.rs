//! How long the stages of a pass take.
//!
//! Must not know: what a stage is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long each stage took on all threads together, in nanoseconds, while a profile is made.
pub(crate) struct Clock {
    pub(crate) on: bool,
    stages: Vec<AtomicU64>,
}

impl Clock {
    /// A clock of so many stages, that stands still.
    pub(crate) fn new(stages: usize) -> Self {
        Self {
            on: false,
            stages: (0..stages).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Forgets what was measured.
    pub(crate) fn clear(&self) {
        for stage in &self.stages {
            stage.store(0, Ordering::Relaxed);
        }
    }

    /// The time of each stage, shared among `threads` threads.
    pub(crate) fn times(&self, threads: usize) -> Vec<Duration> {
        let nanoseconds = self
            .stages
            .iter()
            .map(|stage| stage.load(Ordering::Relaxed));
        nanoseconds
            .map(|spent| Duration::from_nanos(spent / threads as u64))
            .collect()
    }

    /// Adds the time since `start`, spent on `threads` threads; starts anew.
    pub(crate) fn lap(&self, stage: usize, start: &mut Option<Instant>, threads: usize) {
        if let Some(start) = start {
            let now = Instant::now();
            let spent = u64::try_from((now - *start).as_nanos()).unwrap_or(u64::MAX);
            self.stages[stage].fetch_add(spent * threads as u64, Ordering::Relaxed);
            *start = now;
        }
    }

    /// The time now, if it is wanted.
    pub(crate) fn start(&self) -> Option<Instant> {
        self.on.then(Instant::now)
    }
}
