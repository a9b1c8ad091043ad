//! Which jobs run next, and when.
//!
//! Pure: no actors, no clock, no pixels; time is an argument, and `T` is whatever the caller
//! keeps of a job. The rules, in the order they are asked:
//!
//! 1. Without a free Classifier nothing is decided.
//! 2. Jobs are ordered by priority, then by the earliest deadline, then by arrival; one that has
//!    seen [`PASSES`] batches go before it goes before all others, so that nobody starves here.
//! 3. The first job decides: a suspect (started before) runs alone; another takes along those of
//!    its lane, in the same order, up to the largest batch.
//! 4. A full batch goes at once. So does any other, unless company is known to be on its way and
//!    the oldest of the batch has waited less than the longest delay.

use std::time::Duration;

use crate::store::{Priority, UnixMillis};

/// What the policy may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Most jobs in a batch; at least 1.
    pub max_size: usize,
    /// Longest time that a job waits for company while a Classifier is free.
    pub max_delay: Duration,
}

/// Batches that may go before a job because of their priority or deadline.
pub const PASSES: u32 = 4;

/// Which network a job needs: only jobs of one lane share a batch.
pub type Lane = usize;

/// A job as the policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    /// Which network it needs.
    pub lane: Lane,
    /// Which goes first.
    pub priority: Priority,
    /// The earlier goes first, within a priority.
    pub deadline: UnixMillis,
    /// Whether it was started before and must be alone.
    pub suspect: bool,
    /// When it came here, on the caller's monotonic clock.
    pub since: Duration,
    /// The caller's own.
    pub job: T,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision<T> {
    /// Give these to a Classifier.
    Run(Vec<Entry<T>>),
    /// Ask again at this time, or when something changes.
    WaitUntil(Duration),
    /// Nothing waits.
    Idle,
}

/// What is claimed is run within this time, as far as can be known; what takes longer is left to
/// other processes.
pub const SOON: Duration = Duration::from_secs(2);

/// Jobs that a process may hold beside those that run, given how long an image takes each of its
/// Classifiers: what they do [`SOON`], at most a batch each and one more. One that has not run
/// yet, and whose speed is not known, gets one job.
pub fn most_waiting(limits: &BatchLimits, images: impl Iterator<Item = Option<Duration>>) -> usize {
    let size = limits.max_size.max(1);
    let (mut soon, mut most) = (0, 0);
    for image in images {
        let in_time = image.map_or(1, |image| SOON.as_micros() / image.as_micros().max(1));
        // A large number is as good as the largest.
        soon += usize::try_from(in_time).map_or(2 * size, |jobs| jobs.clamp(1, 2 * size));
        most += size;
    }
    soon.min(if most > 0 { most + size } else { 0 })
}

/// Jobs that wait for a Classifier.
#[derive(Debug)]
pub struct Waiting<T> {
    limits: BatchLimits,
    entries: Vec<Place<T>>,
}

/// An entry, and how many batches have gone before it.
#[derive(Debug)]
struct Place<T> {
    entry: Entry<T>,
    passed: u32,
}

impl<T> Place<T> {
    /// The smallest goes first; those who have waited enough by their arrival.
    const fn rank(&self) -> (bool, Duration, Priority, UnixMillis) {
        let patient = self.passed < PASSES;
        let arrival = if patient {
            Duration::ZERO
        } else {
            self.entry.since
        };
        (patient, arrival, self.entry.priority, self.entry.deadline)
    }
}

impl<T> Waiting<T> {
    /// Nobody waits yet.
    #[must_use]
    pub const fn new(limits: BatchLimits) -> Self {
        Self {
            limits,
            entries: Vec::new(),
        }
    }

    /// How many wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a job, in its place.
    pub fn push(&mut self, entry: Entry<T>) {
        let place = Place { entry, passed: 0 };
        let before = |other: &Place<T>| other.rank() <= place.rank();
        let at = self.entries.partition_point(before);
        self.entries.insert(at, place);
    }

    /// Takes everybody out.
    pub fn drain(&mut self) -> Vec<Entry<T>> {
        let all = std::mem::take(&mut self.entries);
        all.into_iter().map(|place| place.entry).collect()
    }

    /// Decides for one free Classifier at the time `now`; `company` says whether more work is
    /// known to be on its way.
    pub fn decide(&mut self, now: Duration, company: bool) -> Decision<T> {
        let Some(Place { entry: first, .. }) = self.entries.first() else {
            return Decision::Idle;
        };
        if first.suspect {
            let alone = self.entries.remove(0).entry;
            self.pass();
            return Decision::Run(vec![alone]);
        }
        let lane = first.lane;
        let fits = |entry: &Entry<T>| entry.lane == lane && !entry.suspect;
        let size = self.limits.max_size.max(1);
        let entries = || self.entries.iter().map(|place| &place.entry);
        let batch = || entries().filter(|entry| fits(entry)).take(size);
        let oldest = batch().map(|entry| entry.since).min().unwrap_or(now);
        let until = oldest + self.limits.max_delay;
        if company && batch().count() < size && now < until {
            return Decision::WaitUntil(until);
        }
        let mut room = size;
        let taken = self.entries.extract_if(.., |place| {
            let take = room > 0 && fits(&place.entry);
            room -= usize::from(take);
            take
        });
        let batch = taken.map(|place| place.entry).collect();
        self.pass();
        Decision::Run(batch)
    }

    /// A batch has gone before those who still wait.
    fn pass(&mut self) {
        for place in &mut self.entries {
            place.passed = place.passed.saturating_add(1);
        }
        self.entries.sort_by_key(Place::rank);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BatchLimits = BatchLimits {
        max_size: 3,
        max_delay: Duration::from_millis(5),
    };

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn job(name: &'static str) -> Entry<&'static str> {
        Entry {
            lane: 0,
            priority: Priority::Normal,
            deadline: UnixMillis(1000),
            suspect: false,
            since: ms(0),
            job: name,
        }
    }

    fn waiting(jobs: impl IntoIterator<Item = Entry<&'static str>>) -> Waiting<&'static str> {
        let mut waiting = Waiting::new(LIMITS);
        for job in jobs {
            waiting.push(job);
        }
        waiting
    }

    #[track_caller]
    fn runs(waiting: &mut Waiting<&'static str>, now: u64, company: bool) -> Vec<&'static str> {
        match waiting.decide(ms(now), company) {
            Decision::Run(batch) => batch.into_iter().map(|entry| entry.job).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_process_holds_what_it_can_run_soon_and_no_more_than_a_batch_beside() {
        let limits = BatchLimits {
            max_size: 32,
            ..LIMITS
        };
        let most = |images: &[Option<u64>]| {
            let images = images.iter().map(|image| image.map(ms));
            most_waiting(&limits, images)
        };
        assert_eq!(most(&[]), 0, "without a Classifier nothing is claimed");
        assert_eq!(most(&[None]), 1, "its speed is not known yet");
        assert_eq!(most(&[Some(0)]), 64);
        assert_eq!(most(&[Some(10)]), 64);
        assert_eq!(most(&[Some(100)]), 20);
        assert_eq!(most(&[Some(5000)]), 1);
        assert_eq!(most(&[Some(1), Some(1000), None]), 64 + 2 + 1);
        assert_eq!(most(&[Some(1), Some(1)]), 96);
    }

    #[test]
    fn nothing_waits_nothing_runs() {
        assert_eq!(waiting([]).decide(ms(0), true), Decision::Idle);
    }

    #[test]
    fn a_lone_job_on_an_idle_server_runs_at_once() {
        assert_eq!(runs(&mut waiting([job("a")]), 0, false), ["a"]);
    }

    #[test]
    fn company_on_its_way_is_waited_for_but_no_longer_than_the_delay() {
        let mut jobs = waiting([job("a")]);
        assert_eq!(jobs.decide(ms(0), true), Decision::WaitUntil(ms(5)));
        assert_eq!(jobs.decide(ms(4), true), Decision::WaitUntil(ms(5)));
        assert_eq!(runs(&mut jobs, 5, true), ["a"]);
    }

    #[test]
    fn the_delay_counts_from_the_oldest_even_if_it_is_not_first() {
        let urgent = Entry {
            priority: Priority::High,
            since: ms(3),
            ..job("urgent")
        };
        let mut jobs = waiting([job("old"), urgent]);
        assert_eq!(jobs.decide(ms(4), true), Decision::WaitUntil(ms(5)));
        assert_eq!(runs(&mut jobs, 5, true), ["urgent", "old"]);
    }

    #[test]
    fn a_full_batch_waits_for_nobody_and_leaves_the_rest() {
        let mut jobs = waiting([job("a"), job("b"), job("c"), job("d")]);
        assert_eq!(runs(&mut jobs, 0, true), ["a", "b", "c"]);
        assert_eq!(runs(&mut jobs, 0, false), ["d"]);
        assert!(jobs.is_empty());
    }

    #[test]
    fn priority_goes_before_deadline_and_deadline_before_arrival() {
        let with = |name, priority, deadline| Entry {
            priority,
            deadline: UnixMillis(deadline),
            ..job(name)
        };
        let mut jobs = waiting([
            with("low", Priority::Low, 1),
            with("late", Priority::Normal, 900),
            with("early", Priority::Normal, 100),
            with("early too", Priority::Normal, 100),
            with("high", Priority::High, 5000),
        ]);
        assert_eq!(runs(&mut jobs, 0, false), ["high", "early", "early too"]);
        assert_eq!(runs(&mut jobs, 0, false), ["late", "low"]);
    }

    #[test]
    fn nobody_sees_more_than_so_many_batches_go_before_it() {
        let high = || Entry {
            priority: Priority::High,
            ..job("high")
        };
        let low = Entry {
            priority: Priority::Low,
            ..job("low")
        };
        let mut jobs = waiting([low]);
        let mut gone = 0;
        loop {
            for _ in 0..LIMITS.max_size {
                jobs.push(high());
            }
            if runs(&mut jobs, 0, true).contains(&"low") {
                break;
            }
            gone += 1;
        }
        assert_eq!(gone, PASSES);
    }

    #[test]
    fn a_suspect_runs_alone_in_its_turn_and_joins_nobody() {
        let suspect = |name| Entry {
            suspect: true,
            ..job(name)
        };
        let mut jobs = waiting([job("a"), suspect("s"), job("b"), suspect("t")]);
        assert_eq!(runs(&mut jobs, 0, false), ["a", "b"]);
        assert_eq!(runs(&mut jobs, 0, true), ["s"]);
        assert_eq!(runs(&mut jobs, 0, true), ["t"]);
    }

    #[test]
    fn lanes_do_not_mix_and_the_first_job_chooses() {
        let other = |name| Entry {
            lane: 1,
            ..job(name)
        };
        let mut jobs = waiting([other("x"), job("a"), other("y"), job("b")]);
        assert_eq!(runs(&mut jobs, 0, false), ["x", "y"]);
        assert_eq!(runs(&mut jobs, 0, false), ["a", "b"]);
    }
}
