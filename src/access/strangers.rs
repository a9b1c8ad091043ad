//! Those who show keys that are none: how many each address may show before it is told to wait.
//!
//! A fixed table of buckets, chosen by a keyed hash of the address: the memory is the same
//! whatever comes, and two addresses share a bucket now and then. A good key is never refused for
//! what others have shown from the same address, which may be a proxy's: 256 random bits need no
//! such protection, and it would let one caller lock out the rest. Must not know: keys.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};

use crate::error::{ErrorCode, Refusal};
use crate::gate::addresses::neighbourhood;

/// Buckets.
const BUCKETS: usize = 4096;
/// Wrong keys at once.
const BURST: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// Wrong keys a second after those.
const EACH_SECOND: NonZeroU32 = NonZeroU32::MIN;

/// What is left to each address.
#[derive(Debug)]
pub struct Strangers {
    hasher: RandomState,
    buckets: Box<[DefaultDirectRateLimiter]>,
}

impl Default for Strangers {
    fn default() -> Self {
        let quota = Quota::per_second(EACH_SECOND).allow_burst(BURST);
        Self {
            hasher: RandomState::new(),
            buckets: (0..BUCKETS)
                .map(|_| DefaultDirectRateLimiter::direct(quota))
                .collect(),
        }
    }
}

impl Strangers {
    /// What one is told whose key is none.
    #[must_use]
    pub fn refuse(&self, from: Option<IpAddr>, why: &str) -> Refusal {
        match self.bucket(from).check() {
            Ok(()) => Refusal::new(
                ErrorCode::Unauthorized,
                format!("{why}: ask who runs this server for one"),
            ),
            Err(later) => Refusal::new(
                ErrorCode::RateLimited,
                format!("{why}, and too many like it came from this address: wait"),
            )
            .with_retry_after(later.wait_time_from(DefaultClock::default().now())),
        }
    }

    fn bucket(&self, from: Option<IpAddr>) -> &DefaultDirectRateLimiter {
        let hash = self.hasher.hash_one(from.map(neighbourhood));
        let at = usize::try_from(hash % BUCKETS as u64).unwrap_or_default();
        &self.buckets[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_guesses_is_told_to_wait_and_others_are_not() {
        let strangers = Strangers::default();
        let guess = |from: &str| strangers.refuse(Some(from.parse().unwrap()), "no");
        let refusals: Vec<Refusal> = (0..200).map(|_| guess("192.0.2.1")).collect();
        assert_eq!(refusals[0].code, ErrorCode::Unauthorized);
        let waiting = refusals
            .iter()
            .find(|refusal| refusal.code == ErrorCode::RateLimited);
        assert!(waiting.unwrap().retry_after.unwrap().as_secs() <= 1);
        // One of these may share the bucket, not all of them.
        let others = (2..40).map(|last| guess(&format!("192.0.2.{last}")));
        assert!(
            others
                .into_iter()
                .any(|refusal| refusal.code == ErrorCode::Unauthorized)
        );
    }
}
