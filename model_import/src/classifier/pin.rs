//! Threads that keep to one core: thread `i` of a network to the core `i` of those that the process
//! may use, round and round.
//!
//! The thread that brings a batch is thread 0. It may be anybody's, and threads inherit the cores of
//! the one that starts them, so it is pinned while it computes and no longer. Must not know: networks.

#[cfg(target_os = "linux")]
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Whether threads can be pinned here, or why not.
#[cfg(target_os = "linux")]
pub(super) fn check() -> Result<(), String> {
    let cores = sched_getaffinity(None);
    let kept = cores.and_then(|cores| sched_setaffinity(None, &cores));
    kept.map_err(|error| {
        format!("the system does not let threads be pinned ({error}): leave --pin-threads out")
    })
}

/// The same where the system has no such thing.
#[cfg(not(target_os = "linux"))]
pub(super) fn check() -> Result<(), String> {
    Err("threads can be pinned on Linux only: leave --pin-threads out".to_owned())
}

/// Keeps the calling thread to the core of thread `thread` as long as it lives.
pub(super) fn keep(thread: usize) {
    std::mem::forget(Pinned::to_core_of(thread));
}

/// The calling thread kept to one core, until this is dropped.
pub(super) struct Pinned {
    /// The cores it had before.
    #[cfg(target_os = "linux")]
    before: Option<CpuSet>,
}

impl Pinned {
    /// Keeps it to the core of thread `thread`. A system that refuses what it allowed when the
    /// network was loaded is not worth a batch: the thread then stays as it is.
    #[cfg(target_os = "linux")]
    pub(super) fn to_core_of(thread: usize) -> Self {
        let before = sched_getaffinity(None).ok();
        if let Some(core) = before.and_then(|cores| core(&cores, thread)) {
            let mut only = CpuSet::new();
            only.set(core);
            let _ = sched_setaffinity(None, &only);
        }
        Self { before }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) const fn to_core_of(_: usize) -> Self {
        Self {}
    }
}

#[cfg(target_os = "linux")]
impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(cores) = &self.before {
            let _ = sched_setaffinity(None, cores);
        }
    }
}

/// The core of thread `thread` among these.
#[cfg(target_os = "linux")]
fn core(cores: &CpuSet, thread: usize) -> Option<usize> {
    let allowed = (0..CpuSet::MAX_CPU).filter(|&core| cores.is_set(core));
    let count = allowed.clone().count();
    allowed.cycle().nth(thread.checked_rem(count)?)
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    fn cores() -> Vec<usize> {
        let cores = sched_getaffinity(None).unwrap();
        let allowed = (0..CpuSet::MAX_CPU).filter(|&core| cores.is_set(core));
        allowed.collect()
    }

    #[test]
    fn threads_take_the_allowed_cores_in_turn() {
        let mut allowed = CpuSet::new();
        assert_eq!(core(&allowed, 0), None);
        for core in [3, 5, 6] {
            allowed.set(core);
        }
        let taken: Vec<_> = (0..5).map(|thread| core(&allowed, thread)).collect();
        assert_eq!(taken, [3, 5, 6, 3, 5].map(Some));
    }

    #[test]
    fn a_thread_is_pinned_while_the_guard_lives_and_free_after() {
        check().unwrap();
        let before = cores();
        for thread in 0..3 {
            let pinned = Pinned::to_core_of(thread);
            assert_eq!(cores(), [before[thread % before.len()]]);
            drop(pinned);
            assert_eq!(cores(), before);
        }
        let kept = std::thread::spawn(|| {
            keep(1);
            cores()
        });
        assert_eq!(kept.join().unwrap(), [before[1 % before.len()]]);
        assert_eq!(cores(), before);
    }
}
