//! Who may come in: uploads at once, in number and in bytes, before anything is read or decoded.
//!
//! Must not know: HTTP, what the bytes are.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{ErrorCode, Refusal};
use crate::ticket::{Arriving, Place};

/// Bounds on uploads that are being received or decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Uploads at once.
    pub uploads: usize,
    /// Their bytes together.
    pub bytes: usize,
}

/// The places there are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admission {
    uploads: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    arriving: Arc<AtomicUsize>,
}

impl Admission {
    /// All places free; `arriving` counts the uploads that are on their way.
    #[must_use]
    pub fn new(limits: AdmissionLimits, arriving: Arc<AtomicUsize>) -> Self {
        Self {
            uploads: Arc::new(Semaphore::new(limits.uploads)),
            bytes: Arc::new(Semaphore::new(limits.bytes)),
            arriving,
        }
    }

    /// A place for one upload of no bytes yet.
    ///
    /// # Errors
    /// [`ErrorCode::QueueFull`] when every place is taken.
    pub fn enter(&self) -> Result<Place, Refusal> {
        let upload = self.uploads.clone().try_acquire_owned();
        Ok(Place {
            upload: Some(upload.map_err(|_| full("uploads"))?),
            bytes: None,
            arriving: None,
        })
    }

    /// All of an upload is there: from now on it is on its way to the Batcher. Not before, for a
    /// client that sends slowly would have every other image wait for company.
    pub fn complete(&self, place: &mut Place) {
        place.arriving = Some(Arriving::count(&self.arriving));
    }

    /// Room for more bytes of an upload.
    ///
    /// # Errors
    /// [`ErrorCode::QueueFull`] when there is none.
    pub fn add_bytes(&self, place: &mut Place, bytes: usize) -> Result<(), Refusal> {
        let count = u32::try_from(bytes).map_err(|_| full("bytes of uploads"))?;
        let more: OwnedSemaphorePermit = self
            .bytes
            .clone()
            .try_acquire_many_owned(count)
            .map_err(|_| full("bytes of uploads"))?;
        match &mut place.bytes {
            Some(held) => held.merge(more),
            held => *held = Some(more),
        }
        Ok(())
    }
}

fn full(what: &str) -> Refusal {
    Refusal::new(
        ErrorCode::QueueFull,
        format!("the server has as many {what} as it may at once: ask again"),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn places_and_bytes_are_bounded_and_come_back() {
        let arriving = Arc::new(AtomicUsize::new(0));
        let limits = AdmissionLimits {
            uploads: 2,
            bytes: 10,
        };
        let admission = Admission::new(limits, arriving.clone());
        let mut first = admission.enter().unwrap();
        let mut second = admission.enter().unwrap();
        assert_eq!(admission.enter().unwrap_err().code, ErrorCode::QueueFull);
        assert_eq!(arriving.load(Ordering::Relaxed), 0);
        admission.complete(&mut first);
        assert_eq!(arriving.load(Ordering::Relaxed), 1);
        admission.add_bytes(&mut first, 4).unwrap();
        admission.add_bytes(&mut first, 3).unwrap();
        let refused = admission.add_bytes(&mut second, 4).unwrap_err();
        assert!(refused.message.contains("bytes"), "{}", refused.message);
        drop(first);
        admission.add_bytes(&mut second, 10).unwrap();
        drop(second);
        assert_eq!(arriving.load(Ordering::Relaxed), 0);
        assert!(admission.enter().is_ok());
    }
}
