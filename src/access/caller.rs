//! Who asks, once it has come in: what it may, what it holds, which jobs are its own.
//!
//! A job belongs to the key that made it, and says so in its name: a part of the name's random
//! bits is a digest of the rest and the key's id. So no store need keep it, every process knows it,
//! and a key whose secret is renewed keeps its jobs. Must not know: HTTP, gRPC, stores.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::file::{Bounds, Entry};
use super::secret::Digest;
use crate::error::{ErrorCode, Refusal};
use crate::store::{JobId, Priority};

/// Bytes at the end of a job's name that say whose it is: one in 2^32 names of others looks like
/// one's own, and nobody can choose the name of another's job.
const TAG: usize = 4;
/// Bytes before them.
const REST: usize = 16 - TAG;
/// What the digests of names begin with, so that they are digests of nothing else.
const PURPOSE: &[u8] = b"beagle job owner\0";

/// A key and what is used of it.
#[derive(Debug)]
pub struct Key {
    entry: Entry,
    used: Arc<Used>,
}

#[derive(Debug)]
struct Used {
    bounds: Bounds,
    requests: DefaultDirectRateLimiter,
    images: Arc<Semaphore>,
}

impl Used {
    fn new(bounds: Bounds) -> Arc<Self> {
        let quota = Quota::per_second(bounds.requests_per_second).allow_burst(bounds.burst);
        Arc::new(Self {
            requests: DefaultDirectRateLimiter::direct(quota),
            images: Arc::new(Semaphore::new(bounds.in_flight.get() as usize)),
            bounds,
        })
    }
}

impl Key {
    /// A key of which nothing is used.
    #[must_use]
    pub fn new(entry: Entry) -> Self {
        Self {
            used: Used::new(entry.bounds),
            entry,
        }
    }

    /// The same key as it is now in the file; what is used stays used if its bounds are the same.
    #[must_use]
    pub fn renewed(&self, entry: Entry) -> Self {
        let same = self.used.bounds == entry.bounds;
        Self {
            used: if same {
                self.used.clone()
            } else {
                Used::new(entry.bounds)
            },
            entry,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.entry.id
    }

    pub(super) fn is_opened_by(&self, given: &Digest) -> bool {
        self.entry.digest.is(given)
    }

    pub(super) fn has_expired(&self, now: SystemTime) -> bool {
        self.entry.expires.is_some_and(|expires| expires <= now)
    }

    pub(super) fn use_once(&self) -> Result<(), Refusal> {
        self.used.requests.check().map_err(|later| {
            let bounds = &self.entry.bounds;
            let message = format!(
                "this key may send {} requests a second, {} at once: wait",
                bounds.requests_per_second, bounds.burst
            );
            Refusal::new(ErrorCode::RateLimited, message)
                .with_retry_after(later.wait_time_from(DefaultClock::default().now()))
        })
    }
}

/// Who asks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller(Option<Arc<Key>>);

/// An image in flight; given back when dropped.
#[derive(Debug)]
pub struct Hold {
    _place: Option<OwnedSemaphorePermit>,
}

impl Caller {
    /// Somebody, where no keys are asked for.
    #[must_use]
    pub const fn anyone() -> Self {
        Self(None)
    }

    pub(super) const fn of(key: Arc<Key>) -> Self {
        Self(Some(key))
    }

    /// The key's id, if there are keys.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.0.as_deref().map(Key::id)
    }

    /// The priority that it gets: what it asks for, or the usual one if it may have that.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`] if it may not: to lower it in silence would leave the caller to
    /// wonder.
    pub fn priority(&self, asked: Option<Priority>) -> Result<Priority, Refusal> {
        let highest = match &self.0 {
            None => return Ok(asked.unwrap_or_default()),
            Some(key) => key.entry.priority,
        };
        match asked {
            // The first goes first: what is greater goes later.
            None => Ok(highest.max(Priority::default())),
            Some(asked) if asked >= highest => Ok(asked),
            Some(asked) => Err(Refusal::new(
                ErrorCode::Forbidden,
                format!(
                    "this key may not ask for priority {}: {} is its highest",
                    asked.name(),
                    highest.name()
                ),
            )),
        }
    }

    /// Room for so many images in flight, all or none.
    ///
    /// # Errors
    /// [`ErrorCode::TooManyInFlight`].
    pub fn hold(&self, images: usize) -> Result<Vec<Hold>, Refusal> {
        let Some(key) = &self.0 else {
            return Ok((0..images).map(|_| Hold { _place: None }).collect());
        };
        let places = &key.used.images;
        let count = u32::try_from(images).unwrap_or(u32::MAX);
        let mut held = places
            .clone()
            .try_acquire_many_owned(count)
            .map_err(|_| too_many(images, key.entry.bounds.in_flight.get()))?;
        Ok((0..images)
            .map(|_| Hold {
                _place: held.split(1),
            })
            .collect())
    }

    /// A caller's own name for a request, so that no two keys share one.
    #[must_use]
    pub fn scoped(&self, name: String) -> String {
        match self.id() {
            // An id has no slash: no two pairs look alike.
            Some(id) => format!("{id}/{name}"),
            None => name,
        }
    }

    /// A name for a new job of this caller's.
    #[must_use]
    pub fn name_job(&self) -> JobId {
        let Some(id) = self.id() else {
            return JobId::new();
        };
        let mut name = *Uuid::now_v7().as_bytes();
        let tag = tag(id, &name);
        name[REST..].copy_from_slice(&tag);
        // A name is a UUID's text: it is always read.
        Uuid::from_bytes(name)
            .to_string()
            .parse()
            .unwrap_or_default()
    }

    /// Whether a job of this name is this caller's, as far as the name says. Where there are no
    /// keys everything is everybody's.
    #[must_use]
    pub fn made(&self, name: &str) -> bool {
        let Some(id) = self.id() else {
            return true;
        };
        let Ok(name) = name.parse::<Uuid>() else {
            return false;
        };
        let name = name.as_bytes();
        tag(id, name).ct_eq(&name[REST..]).into()
    }
}

fn tag(id: &str, name: &[u8; 16]) -> [u8; TAG] {
    let digest = Sha256::new()
        .chain_update(PURPOSE)
        .chain_update(id)
        .chain_update([0])
        .chain_update(&name[..REST])
        .finalize();
    let mut tag = [0; TAG];
    tag.copy_from_slice(&digest[..TAG]);
    tag
}

fn too_many(images: usize, most: u32) -> Refusal {
    if u32::try_from(images).is_ok_and(|images| images <= most) {
        let message = format!("this key has {most} images in flight, or nearly: wait for answers");
        return Refusal::new(ErrorCode::TooManyInFlight, message)
            .with_retry_after(Duration::from_secs(1));
    }
    let message = format!("this key may have {most} images in flight: send fewer at once");
    Refusal::new(ErrorCode::TooManyInFlight, message)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn caller(id: &str, priority: Priority) -> Caller {
        let bounds = Bounds {
            in_flight: 3.try_into().unwrap(),
            ..Bounds::default()
        };
        Caller::of(Arc::new(Key::new(Entry {
            id: id.to_owned(),
            digest: Digest::of(id.as_bytes()),
            bounds,
            priority,
            expires: None,
        })))
    }

    #[test]
    fn a_key_asks_up_to_its_highest_priority() {
        use Priority::{High, Low, Normal};
        for (highest, asked, expected) in [
            (High, None, Some(Normal)),
            (High, Some(High), Some(High)),
            (Normal, None, Some(Normal)),
            (Normal, Some(High), None),
            (Normal, Some(Low), Some(Low)),
            (Low, None, Some(Low)),
            (Low, Some(Normal), None),
        ] {
            let given = caller("a", highest).priority(asked);
            match expected {
                Some(priority) => assert_eq!(given, Ok(priority), "{highest:?} {asked:?}"),
                None => assert_eq!(given.unwrap_err().code, ErrorCode::Forbidden),
            }
        }
    }

    #[test]
    fn images_in_flight_are_bounded_and_come_back() {
        let caller = caller("a", Priority::Normal);
        let mut held = caller.hold(2).unwrap();
        let refused = caller.hold(2).unwrap_err();
        assert_eq!(refused.code, ErrorCode::TooManyInFlight);
        assert!(refused.retry_after.is_some());
        drop(held.pop());
        held.extend(caller.hold(2).unwrap());
        assert_eq!(held.len(), 3);
        drop(held);
        assert!(caller.hold(3).is_ok());
        let never = caller.hold(4).unwrap_err();
        assert_eq!(
            (never.code, never.retry_after),
            (ErrorCode::TooManyInFlight, None)
        );
        assert_eq!(Caller::anyone().hold(1000).unwrap().len(), 1000);
    }

    #[test]
    fn a_jobs_name_says_whose_it_is() {
        let (a, b) = (caller("a", Priority::Normal), caller("b", Priority::Normal));
        let names: HashSet<String> = (0..1000).map(|_| a.name_job().to_string()).collect();
        assert_eq!(names.len(), 1000);
        assert!(
            names
                .iter()
                .all(|name| a.made(name) && Caller::anyone().made(name))
        );
        let foreign = names.iter().filter(|name| b.made(name)).count();
        assert!(foreign < 2, "one in 2^32 looks like another's");
        assert!(!a.made(&b.name_job().to_string()));
        assert!(!a.made("no name") && !a.made(""));
        let version = names.iter().all(|name| name.as_bytes()[14] == b'7');
        assert!(version, "it is still a UUID of version 7");
    }

    #[test]
    fn two_keys_never_share_a_name_for_a_request() {
        let (a, b) = (
            caller("a", Priority::Normal),
            caller("a-b", Priority::Normal),
        );
        assert_ne!(a.scoped("k".to_owned()), b.scoped("k".to_owned()));
        assert_eq!(Caller::anyone().scoped("k".to_owned()), "k");
    }
}
