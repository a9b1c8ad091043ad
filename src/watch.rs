//! Who watches which job: a bell for each watched job, rung when the job may have changed.
//!
//! Rung at once for what this process hears of, and for some of the watched jobs now and then, in
//! turn, because notices may be lost: who watches looks at the job when its bell rings, so a sweep
//! bounds how often the store is asked. Bounded in number. Must not know: stores, HTTP, stages.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::observe::{Observer, Point};
use crate::store::JobId;

/// The bells there are.
#[derive(Debug)]
pub struct Watch {
    places: Arc<Semaphore>,
    bells: Mutex<Bells>,
}

#[derive(Debug, Default)]
struct Bells {
    jobs: BTreeMap<JobId, Bell>,
    /// The last job of the last sweep.
    swept: Option<JobId>,
    /// Whether nobody is to wait any more.
    closed: bool,
}

#[derive(Debug)]
struct Bell {
    rope: watch::Sender<()>,
    watchers: usize,
}

/// One who watches a job. Dropped, its place is free.
#[derive(Debug)]
pub struct Watcher {
    id: JobId,
    bell: watch::Receiver<()>,
    watch: Arc<Watch>,
    _place: OwnedSemaphorePermit,
}

impl Watch {
    /// Nobody watches; at most so many may at once.
    #[must_use]
    pub fn new(watchers: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(watchers)),
            bells: Mutex::default(),
        }
    }

    /// Watches a job from now on; `None` if as many do already as may.
    #[must_use]
    pub fn add(self: &Arc<Self>, id: JobId) -> Option<Watcher> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let mut bells = self.bells();
        let bell = if bells.closed {
            // Its rope is gone: who waits for it is told so.
            watch::channel(()).1
        } else {
            let bell = bells.jobs.entry(id).or_insert_with(|| Bell {
                rope: watch::channel(()).0,
                watchers: 0,
            });
            bell.watchers += 1;
            bell.rope.subscribe()
        };
        drop(bells);
        Some(Watcher {
            id,
            bell,
            watch: self.clone(),
            _place: place,
        })
    }

    /// The job may have changed.
    pub fn ring(&self, id: JobId) {
        if let Some(bell) = self.bells().jobs.get(&id) {
            bell.rope.send_replace(());
        }
    }

    /// Rings the next bells in turn, for at most so many watchers, but for all of one job.
    pub fn sweep(&self, most: usize) {
        let mut bells = self.bells();
        let from = bells.swept.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rung = 0;
        let mut last = None;
        for (id, bell) in bells.jobs.range((from, Bound::Unbounded)) {
            if rung >= most {
                break;
            }
            bell.rope.send_replace(());
            rung += bell.watchers;
            last = Some(*id);
        }
        // After the last one it begins anew.
        let behind = |last: &JobId| (Bound::Excluded(*last), Bound::Unbounded);
        let swept = last.filter(|last| bells.jobs.range(behind(last)).next().is_some());
        bells.swept = swept;
    }

    /// Nobody waits from now on.
    pub fn close(&self) {
        let mut bells = self.bells();
        bells.closed = true;
        bells.jobs.clear();
    }

    fn leave(&self, id: JobId) {
        let mut bells = self.bells();
        if let Some(bell) = bells.jobs.get_mut(&id) {
            bell.watchers -= 1;
            if bell.watchers == 0 {
                bells.jobs.remove(&id);
            }
        }
    }

    fn bells(&self) -> MutexGuard<'_, Bells> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Watch {
    /// That a job runs is told by nobody else.
    fn reached(&self, point: Point, id: JobId) {
        if point == Point::Started {
            self.ring(id);
        }
    }
}

impl Watcher {
    /// Waits until the job may have changed since this was last asked; `false` if nobody is to
    /// wait any more.
    pub async fn rung(&mut self) -> bool {
        self.bell.changed().await.is_ok()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watch.leave(self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Which of them were rung.
    fn rung<const N: usize>(watchers: &mut [Watcher; N]) -> [bool; N] {
        watchers
            .each_mut()
            .map(|watcher| watcher.rung().now_or_never() == Some(true))
    }

    #[test]
    fn a_ring_is_heard_by_all_who_watch_the_job_and_is_remembered() {
        let watch = Arc::new(Watch::new(9));
        let (job, other) = (JobId::new(), JobId::new());
        let mut watchers = [job, job, other].map(|id| watch.add(id).unwrap());
        watch.ring(JobId::new());
        assert_eq!(rung(&mut watchers), [false; 3]);
        watch.ring(job);
        watch.ring(job);
        assert_eq!(rung(&mut watchers), [true, true, false]);
        assert_eq!(
            rung(&mut watchers),
            [false; 3],
            "twice before a look is once"
        );
        watch.reached(Point::Decoded, other);
        assert_eq!(rung(&mut watchers), [false; 3]);
        watch.reached(Point::Started, other);
        assert_eq!(rung(&mut watchers), [false, false, true]);
    }

    #[test]
    fn places_are_bounded_and_come_back_and_nothing_is_left_behind() {
        let watch = Arc::new(Watch::new(2));
        let job = JobId::new();
        let first = watch.add(job).unwrap();
        let second = watch.add(job).unwrap();
        assert!(watch.add(job).is_none());
        drop(first);
        let mut third = watch.add(job).unwrap();
        drop(second);
        watch.ring(job);
        assert_eq!(third.rung().now_or_never(), Some(true));
        drop(third);
        assert!(watch.bells().jobs.is_empty());
    }

    #[test]
    fn sweeps_come_to_every_job_in_turn() {
        let watch = Arc::new(Watch::new(9));
        let jobs = [JobId::new(), JobId::new(), JobId::new()];
        let mut watchers = jobs.map(|id| watch.add(id).unwrap());
        watch.sweep(2);
        assert_eq!(rung(&mut watchers), [true, true, false]);
        watch.sweep(2);
        assert_eq!(rung(&mut watchers), [false, false, true]);
        watch.sweep(2);
        assert_eq!(rung(&mut watchers), [true, true, false]);
        watch.sweep(9);
        assert_eq!(rung(&mut watchers), [false, false, true]);
        watch.sweep(9);
        assert_eq!(rung(&mut watchers), [true; 3]);
        // One that just comes to the last leaves nobody out of the next.
        for _ in 0..2 {
            watch.sweep(3);
            assert_eq!(rung(&mut watchers), [true; 3]);
        }
    }

    #[test]
    fn nobody_waits_after_the_end() {
        let watch = Arc::new(Watch::new(2));
        let mut before = watch.add(JobId::new()).unwrap();
        watch.close();
        let mut after = watch.add(JobId::new()).unwrap();
        assert_eq!(before.rung().now_or_never(), Some(false));
        assert_eq!(after.rung().now_or_never(), Some(false));
    }
}
