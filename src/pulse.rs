//! How a Classifier is doing: since when it has its batch, and how long an image takes it.
//!
//! Written by the Classifier, read by the Batcher; time is an argument. Must not know: jobs, stages.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// One Classifier's signs of life.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    since: Option<Instant>,
    image: Option<Duration>,
}

impl Pulse {
    /// A batch goes into the model.
    pub fn begin(&self, now: Instant) {
        self.state().since = Some(now);
    }

    /// The batch has come out; `images` were classified, which is none where it failed.
    pub fn end(&self, now: Instant, images: usize) {
        let mut state = self.state();
        let Some(since) = state.since.take() else {
            return;
        };
        if let Ok(images @ 1..) = u32::try_from(images) {
            let last = now.saturating_duration_since(since) / images;
            // Half of what is known is the last batch: what slows down is noticed soon.
            state.image = Some(state.image.map_or(last, |known| (known + last) / 2));
        }
    }

    /// How long the present batch has been in the model; `None` if there is none.
    #[must_use]
    pub fn busy_for(&self, now: Instant) -> Option<Duration> {
        let since = self.state().since;
        since.map(|since| now.saturating_duration_since(since))
    }

    /// How long an image takes, in batches as they come; `None` before the first has run.
    #[must_use]
    pub fn image(&self) -> Option<Duration> {
        self.state().image
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_batch_is_timed_from_its_beginning_and_shared_among_its_images() {
        let pulse = Pulse::default();
        let zero = Instant::now();
        assert_eq!((pulse.busy_for(zero), pulse.image()), (None, None));
        pulse.begin(zero);
        assert_eq!(pulse.busy_for(zero + ms(7)), Some(ms(7)));
        pulse.end(zero + ms(40), 4);
        assert_eq!((pulse.busy_for(zero), pulse.image()), (None, Some(ms(10))));
        pulse.begin(zero);
        pulse.end(zero + ms(30), 1);
        assert_eq!(pulse.image(), Some(ms(20)));
    }

    #[test]
    fn a_failed_batch_says_nothing_about_speed() {
        let pulse = Pulse::default();
        let zero = Instant::now();
        pulse.begin(zero);
        pulse.end(zero + ms(1), 0);
        assert_eq!((pulse.busy_for(zero + ms(9)), pulse.image()), (None, None));
    }
}
