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

    /// Divides the place of a body among the images in it: each has room for so many of its bytes.
    /// The first takes the body's place over, the others enter; what is left of the bytes is free.
    ///
    /// # Errors
    /// [`ErrorCode::QueueFull`] when there are not so many places.
    pub fn divide(&self, mut body: Place, images: &[usize]) -> Result<Vec<Place>, Refusal> {
        let mut places = Vec::with_capacity(images.len());
        for (number, size) in images.iter().enumerate() {
            let mut place = if number == 0 {
                Place {
                    upload: body.upload.take(),
                    ..Place::default()
                }
            } else {
                self.enter()?
            };
            place.bytes = body.bytes.as_mut().and_then(|bytes| bytes.split(*size));
            if place.bytes.is_none() {
                self.add_bytes(&mut place, *size)?;
            }
            places.push(place);
        }
        Ok(places)
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
    fn a_body_is_divided_among_its_images() {
        let arriving = Arc::new(AtomicUsize::new(0));
        let limits = AdmissionLimits {
            uploads: 2,
            bytes: 10,
        };
        let admission = Admission::new(limits, arriving.clone());
        let body = || {
            let mut place = admission.enter().unwrap();
            admission.add_bytes(&mut place, 10).unwrap();
            place
        };
        let places = admission.divide(body(), &[2, 5]).unwrap();
        assert_eq!(
            arriving.load(Ordering::Relaxed),
            0,
            "they are complete later"
        );
        assert_eq!(admission.enter().unwrap_err().code, ErrorCode::QueueFull);
        let mut other = Place::default();
        admission.add_bytes(&mut other, 4).unwrap_err();
        admission.add_bytes(&mut other, 3).unwrap();
        drop((places, other));
        let refused = admission.divide(body(), &[1, 1, 1]).unwrap_err();
        assert_eq!(refused.code, ErrorCode::QueueFull);
        assert!(admission.divide(body(), &[]).unwrap().is_empty());
        admission.add_bytes(&mut Place::default(), 10).unwrap();
    }

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
