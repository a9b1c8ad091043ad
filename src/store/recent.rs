//! Pixels that this process enqueued not long ago, so that a claim need not read them back.
//!
//! Only a cache: what is not here is in the store. Must not know: any particular store.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::JobId;

/// Pixels by job, bounded in bytes; the oldest go first.
pub(crate) struct Recent {
    limit: u64,
    bytes: u64,
    next: u64,
    pixels: HashMap<JobId, (u64, Bytes)>,
    order: BTreeMap<u64, JobId>,
}

impl Recent {
    /// Holds at most `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            bytes: 0,
            next: 0,
            pixels: HashMap::new(),
            order: BTreeMap::new(),
        }
    }

    /// Keeps a job's pixels, in place of the oldest if there is no room. Pixels that are larger
    /// than the whole are not kept.
    pub(crate) fn insert(&mut self, id: JobId, pixels: Bytes) {
        self.take(&id);
        let size = pixels.len() as u64;
        if size > self.limit {
            return;
        }
        while self.bytes + size > self.limit {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            if let Some((_, gone)) = self.pixels.remove(&oldest) {
                self.bytes -= gone.len() as u64;
            }
        }
        self.order.insert(self.next, id);
        self.pixels.insert(id, (self.next, pixels));
        self.bytes += size;
        self.next += 1;
    }

    /// Gives a job's pixels away, if they are here.
    pub(crate) fn take(&mut self, id: &JobId) -> Option<Bytes> {
        let (place, pixels) = self.pixels.remove(id)?;
        self.order.remove(&place);
        self.bytes -= pixels.len() as u64;
        Some(pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(size: usize) -> Bytes {
        Bytes::from(vec![7; size])
    }

    #[test]
    fn pixels_are_given_once() {
        let mut recent = Recent::new(10);
        let id = JobId::new();
        recent.insert(id, pixels(4));
        assert_eq!(recent.take(&id), Some(pixels(4)));
        assert_eq!(recent.take(&id), None);
        assert_eq!(recent.bytes, 0);
    }

    #[test]
    fn the_oldest_make_room() {
        let mut recent = Recent::new(10);
        let ids: Vec<JobId> = (0..4).map(|_| JobId::new()).collect();
        for id in &ids {
            recent.insert(*id, pixels(4));
        }
        let kept: Vec<bool> = ids.iter().map(|id| recent.take(id).is_some()).collect();
        assert_eq!(kept, [false, false, true, true]);
        assert_eq!((recent.bytes, recent.order.len()), (0, 0));
    }

    #[test]
    fn what_is_larger_than_everything_is_not_kept_and_pushes_nothing_out() {
        let mut recent = Recent::new(10);
        let (small, large) = (JobId::new(), JobId::new());
        recent.insert(small, pixels(10));
        recent.insert(large, pixels(11));
        assert_eq!(recent.take(&large), None);
        assert_eq!(recent.take(&small), Some(pixels(10)));
    }

    #[test]
    fn the_same_job_again_takes_its_room_once_and_is_young_again() {
        let mut recent = Recent::new(10);
        let (first, second) = (JobId::new(), JobId::new());
        recent.insert(first, pixels(4));
        recent.insert(second, pixels(4));
        recent.insert(first, pixels(5));
        assert_eq!(recent.bytes, 9);
        recent.insert(JobId::new(), pixels(4));
        assert_eq!(recent.take(&second), None);
        assert_eq!(recent.take(&first), Some(pixels(5)));
    }
}
