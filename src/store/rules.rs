//! Decisions that every store takes alike, as functions of their arguments.
//!
//! Must not know: any particular store, the clock.

use std::time::Duration;

use super::{Priority, StoreError, StoreLimits, UnixMillis};

/// Of so many jobs that are claimed one is of low priority, if one waits.
const LOW: u64 = 16;
/// Of so many one is of normal or low priority, if one waits.
const NORMAL: u64 = 4;

/// In which order a claim takes from the priorities, and from each how many at most, when
/// `claimed` jobs were claimed before it: the shares that are due to the lower ones, then
/// everything by its priority. The same is in `claim.lua`.
pub(crate) fn turns(claimed: u64, room: usize) -> [(Priority, usize); 5] {
    let due = |every: u64| {
        let due = (claimed + room as u64) / every - claimed / every;
        usize::try_from(due).unwrap_or(room)
    };
    let low = due(LOW);
    [
        (Priority::Low, low),
        (Priority::Normal, due(NORMAL) - low),
        (Priority::High, room),
        (Priority::Normal, room),
        (Priority::Low, room),
    ]
}

/// Whether a job of so many bytes may join `jobs` others that have `bytes`.
pub(crate) fn admit(
    limits: &StoreLimits,
    jobs: u64,
    bytes: u64,
    more: u64,
) -> Result<(), StoreError> {
    if jobs >= limits.max_jobs {
        let limit = limits.max_jobs;
        return Err(StoreError::TooManyJobs { jobs, limit });
    }
    if bytes.saturating_add(more) > limits.max_bytes {
        let limit = limits.max_bytes;
        return Err(StoreError::TooManyBytes { bytes, limit });
    }
    Ok(())
}

/// Whether one more job with a callback may join `callbacks` others that have not ended.
pub(crate) fn admit_callback(limits: &StoreLimits, callbacks: u64) -> Result<(), StoreError> {
    if callbacks >= limits.max_callbacks {
        let limit = limits.max_callbacks;
        return Err(StoreError::TooManyCallbacks { callbacks, limit });
    }
    Ok(())
}

/// When a delivery is tried again that failed now, of a job that ended then: not after the time
/// at which it is given up.
pub(crate) fn try_again(
    limits: &StoreLimits,
    now: UnixMillis,
    after: Duration,
    finished: UnixMillis,
) -> UnixMillis {
    now.after(after).min(finished.after(limits.callback_ttl))
}

/// Until when the outcome of a job is kept that ended now, and whose key lives until `key`.
pub(crate) fn keep_until(
    limits: &StoreLimits,
    now: UnixMillis,
    key: Option<UnixMillis>,
) -> UnixMillis {
    let result = now.after(limits.result_ttl);
    key.map_or(result, |key| key.max(result))
}

/// Why a job is a dead letter whose runner died, or lost its lease, each time.
pub(crate) fn died_each_time(attempts: u32) -> String {
    format!("whoever ran it died or lost its lease, at each of {attempts} attempts")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> StoreLimits {
        StoreLimits {
            max_jobs: 2,
            max_bytes: 10,
            result_ttl: Duration::from_millis(100),
            ..StoreLimits::default()
        }
    }

    #[test]
    fn bounds_are_reached_and_not_passed() {
        assert_eq!(admit(&limits(), 1, 4, 6), Ok(()));
        let jobs = StoreError::TooManyJobs { jobs: 2, limit: 2 };
        assert_eq!(admit(&limits(), 2, 0, 0), Err(jobs));
        let bytes = StoreError::TooManyBytes {
            bytes: 4,
            limit: 10,
        };
        assert_eq!(admit(&limits(), 1, 4, 7), Err(bytes.clone()));
        assert_eq!(admit(&limits(), 1, 4, u64::MAX), Err(bytes));
    }

    #[test]
    fn of_sixteen_one_is_low_and_three_more_are_normal_however_they_are_claimed() {
        for rooms in [vec![1; 16], vec![16], vec![3, 5, 1, 7], vec![15, 1]] {
            let (mut claimed, mut low, mut normal) = (32, 0, 0);
            for room in rooms {
                let turns = turns(claimed, room);
                claimed += room as u64;
                low += turns[0].1;
                normal += turns[1].1;
            }
            assert_eq!((claimed, low, normal), (48, 1, 3));
        }
    }

    #[test]
    fn a_callback_more_than_the_bound_is_too_many() {
        let limits = StoreLimits {
            max_callbacks: 2,
            ..limits()
        };
        assert_eq!(admit_callback(&limits, 1), Ok(()));
        let full = StoreError::TooManyCallbacks {
            callbacks: 2,
            limit: 2,
        };
        assert_eq!(admit_callback(&limits, 2), Err(full));
    }

    #[test]
    fn a_try_is_never_later_than_the_end_of_all_tries() {
        let limits = StoreLimits {
            callback_ttl: Duration::from_millis(500),
            ..limits()
        };
        let again = |after| {
            let after = Duration::from_millis(after);
            try_again(&limits, UnixMillis(1_200), after, UnixMillis(1_000))
        };
        assert_eq!(again(299), UnixMillis(1_499));
        assert_eq!(again(301), UnixMillis(1_500));
        assert_eq!(again(u64::MAX), UnixMillis(1_500));
    }

    #[test]
    fn an_outcome_lives_as_long_as_its_key_and_at_least_its_own_time() {
        let now = UnixMillis(1_000);
        assert_eq!(keep_until(&limits(), now, None), UnixMillis(1_100));
        let key = |until| keep_until(&limits(), now, Some(UnixMillis(until)));
        assert_eq!(key(5_000), UnixMillis(5_000));
        assert_eq!(key(1_050), UnixMillis(1_100));
    }
}
