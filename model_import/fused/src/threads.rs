//! Threads that wait for work: they spin for moments and then sleep.
//!
//! The caller is one of the threads. Must not know: what the work is.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// How often a thread looks before it gives way: some tens of microseconds.
const SPINS: usize = 1000;

/// Work for all threads; it is told the thread's number, 0 for the caller.
type Job<'a> = &'a (dyn Fn(usize) + Sync);

/// A fixed number of threads.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    /// The current work. Written by the caller while no worker runs, read by workers once
    /// `round` has grown.
    job: UnsafeCell<Option<Job<'static>>>,
    /// Grows with every piece of work.
    round: AtomicUsize,
    /// Workers that still run it.
    running: AtomicUsize,
    stop: AtomicBool,
    panicked: AtomicBool,
    /// Held to sleep and to wake, so that no wake is lost.
    sleep: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `job` is the only field that is not `Sync`; its comment says who touches it when, and
// `round` and `running` order the accesses.
unsafe impl Sync for Shared {}
// SAFETY: a job is `Sync`, so a reference to it may be sent.
unsafe impl Send for Shared {}

impl Pool {
    /// `threads` threads in all, at least one. Each but the caller's calls `start` with its number
    /// before it works.
    pub(crate) fn new(threads: usize, start: fn(usize)) -> Self {
        let shared = Arc::new(Shared {
            job: UnsafeCell::new(None),
            round: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
        });
        let workers = (1..threads.max(1)).map(|thread| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                start(thread);
                shared.work(thread);
            })
        });
        let workers = workers.collect();
        Self { shared, workers }
    }

    /// How many threads there are.
    pub(crate) const fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `job` on every thread and waits for all of them.
    ///
    /// # Panics
    /// When `job` does, on any thread.
    pub(crate) fn run(&mut self, job: Job<'_>) {
        let shared = &self.shared;
        shared.panicked.store(false, Ordering::Relaxed);
        // SAFETY: only the lifetime changes. Workers use the job until `running` is 0, and this
        // function waits for that before it returns, a panic included.
        let job = unsafe { std::mem::transmute::<Job<'_>, Job<'static>>(job) };
        // SAFETY: no worker runs: `&mut self` makes this the only caller, and the last call waited.
        unsafe { *shared.job.get() = Some(job) };
        shared.running.store(self.workers.len(), Ordering::Relaxed);
        if !self.workers.is_empty() {
            shared.next_round();
        }
        let own = catch_unwind(AssertUnwindSafe(|| job(0)));
        if own.is_err() {
            shared.panicked.store(true, Ordering::Relaxed);
        }
        wait(|| shared.running.load(Ordering::Acquire) == 0);
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(
            !shared.panicked.load(Ordering::Relaxed),
            "a compute thread panicked"
        );
    }

    /// A barrier for the threads of one piece of work.
    pub(crate) fn barrier(&self) -> Barrier {
        Barrier {
            shared: Arc::clone(&self.shared),
            threads: self.threads(),
            arrived: AtomicUsize::new(0),
            passed: AtomicUsize::new(0),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.next_round();
        for worker in self.workers.drain(..) {
            // A worker ends only here, and its panics were caught.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn next_round(&self) {
        let sleeping = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.round.fetch_add(1, Ordering::Release);
        drop(sleeping);
        self.wake.notify_all();
    }

    fn work(&self, thread: usize) {
        let mut seen = 0;
        loop {
            self.await_round(seen);
            seen += 1;
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            // SAFETY: the caller wrote the job before this round began and waits for this worker
            // before it writes another.
            let job = unsafe { *self.job.get() };
            let run = AssertUnwindSafe(|| job.into_iter().for_each(|job| job(thread)));
            if catch_unwind(run).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.running.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits until a round after `seen` has begun.
    fn await_round(&self, seen: usize) {
        for _ in 0..SPINS {
            if self.round.load(Ordering::Acquire) != seen {
                return;
            }
            std::hint::spin_loop();
        }
        let mut sleeping = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        while self.round.load(Ordering::Acquire) == seen {
            let woken = self.wake.wait(sleeping);
            sleeping = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Lets no thread pass before all have come.
pub(crate) struct Barrier {
    shared: Arc<Shared>,
    threads: usize,
    arrived: AtomicUsize,
    passed: AtomicUsize,
}

impl Barrier {
    /// Waits for all threads of the pool. What they wrote before can be read after.
    ///
    /// # Panics
    /// When another thread has panicked, for it will never come.
    pub(crate) fn wait(&self) {
        let passed = self.passed.load(Ordering::Relaxed);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.arrived.store(0, Ordering::Relaxed);
            self.passed.store(passed + 1, Ordering::Release);
            return;
        }
        self.wait_until(|| self.passed.load(Ordering::Acquire) != passed);
    }

    /// Waits for something that other threads of the pool do soon.
    ///
    /// # Panics
    /// When another thread has panicked, for it may never do it.
    pub(crate) fn wait_until(&self, mut done: impl FnMut() -> bool) {
        wait(|| {
            let panicked = self.shared.panicked.load(Ordering::Relaxed);
            assert!(!panicked, "another compute thread panicked");
            done()
        });
    }
}

/// Waits for something that another running thread does soon.
fn wait(mut done: impl FnMut() -> bool) {
    let mut spins = 0;
    while !done() {
        spins += 1;
        if spins < SPINS {
            std::hint::spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_runs_every_job() {
        for threads in 1..5 {
            let mut pool = Pool::new(threads, |_| ());
            for _ in 0..50 {
                let seen: Vec<AtomicUsize> = (0..threads).map(|_| AtomicUsize::new(0)).collect();
                let barrier = pool.barrier();
                pool.run(&|thread| {
                    for step in 1..20 {
                        seen[thread].store(step, Ordering::Relaxed);
                        barrier.wait();
                        assert!(seen.iter().all(|s| s.load(Ordering::Relaxed) == step));
                        barrier.wait();
                    }
                });
            }
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        for panicking in 0..2 {
            let mut pool = Pool::new(2, |_| ());
            let barrier = pool.barrier();
            let failed = catch_unwind(AssertUnwindSafe(|| {
                pool.run(&|thread| {
                    assert!(thread != panicking, "on purpose");
                    barrier.wait();
                });
            }));
            assert!(failed.is_err());
            let count = AtomicUsize::new(0);
            pool.run(&|_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.into_inner(), 2);
        }
    }
}
