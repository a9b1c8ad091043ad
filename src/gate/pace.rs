//! Whether something moves fast enough: a part of it in every window, the whole by its end.
//!
//! Pure: the time is an argument. Must not know: what moves.

use std::time::{Duration, Instant};

/// How fast something must move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tempo {
    /// Bytes that must move in a window.
    pub part: u64,
    /// The window.
    pub window: Duration,
    /// How long all of it may take; no bound if nothing is said.
    pub whole: Option<Duration>,
}

impl Default for Tempo {
    /// A kibibyte a second over ten, and a minute for all of it.
    fn default() -> Self {
        Self {
            part: 10 << 10,
            window: Duration::from_secs(10),
            whole: Some(Duration::from_secs(60)),
        }
    }
}

/// What has moved of something.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    tempo: Tempo,
    end: Option<Instant>,
    until: Instant,
    moved: u64,
}

impl Pace {
    /// Nothing has moved yet.
    #[must_use]
    pub fn new(tempo: Tempo, now: Instant) -> Self {
        Self {
            tempo,
            end: tempo.whole.map(|whole| now + whole),
            until: now + tempo.window,
            moved: 0,
        }
    }

    /// So much more has.
    pub fn moved(&mut self, bytes: usize, now: Instant) {
        self.moved += bytes as u64;
        if self.moved >= self.tempo.part {
            self.moved = 0;
            self.until = now + self.tempo.window;
        }
    }

    /// When it is too slow, unless more moves.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.end.map_or(self.until, |end| end.min(self.until))
    }

    /// Whether it is too slow.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPO: Tempo = Tempo {
        part: 100,
        window: Duration::from_secs(10),
        whole: Some(Duration::from_secs(60)),
    };

    fn after(begun: Instant, seconds: u64) -> Instant {
        begun + Duration::from_secs(seconds)
    }

    #[test]
    fn what_stands_still_is_over_after_a_window() {
        let now = Instant::now();
        let pace = Pace::new(TEMPO, now);
        assert!(!pace.is_over(after(now, 9)));
        assert!(pace.is_over(after(now, 10)));
    }

    #[test]
    fn trickling_is_no_movement() {
        let now = Instant::now();
        let mut pace = Pace::new(TEMPO, now);
        for second in 0..10 {
            pace.moved(9, after(now, second));
        }
        assert!(pace.is_over(after(now, 10)));
    }

    #[test]
    fn what_moves_has_another_window_but_no_more_than_the_whole() {
        let now = Instant::now();
        let mut pace = Pace::new(TEMPO, now);
        for second in (5..60).step_by(5) {
            assert!(!pace.is_over(after(now, second)));
            pace.moved(100, after(now, second));
        }
        assert!(pace.is_over(after(now, 60)));
        let mut endless = Pace::new(
            Tempo {
                whole: None,
                ..TEMPO
            },
            now,
        );
        endless.moved(100, after(now, 59));
        assert!(!endless.is_over(after(now, 60)));
    }
}
