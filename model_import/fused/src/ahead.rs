//! Weights that a thread reads next, to be fetched while it computes.
//!
//! A batch of few images uses each weight of a late layer a few times only, so that it takes as long to
//! arrive from the third-level cache or memory as to be multiplied by. The kernels hint at the weights of
//! the following chunk as they go, a line in a while, and the bytes travel beside the products. Hints change
//! no result. Must not know: layers, kernels.

use std::ops::Range;

use crate::memory::LINE;

/// Some bytes that are read soon. Nothing is read through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) start: *const u8,
    pub(crate) bytes: usize,
}

/// What a thread does after a chunk.
#[derive(Clone, Debug)]
pub(crate) struct Soon {
    /// The thread's chunks of this step, one after the other.
    pub(crate) share: Range<usize>,
    /// The weights that it reads first in the step after.
    pub(crate) next: Ahead,
}

impl Ahead {
    /// Nothing.
    pub(crate) const NONE: Self = Self {
        start: std::ptr::null(),
        bytes: 0,
    };

    /// Part `index` of `parts` equal ones.
    pub(crate) const fn part(self, [index, parts]: [usize; 2]) -> Self {
        let first = self.bytes * index / parts;
        let end = self.bytes * (index + 1) / parts;
        Self {
            start: self.start.wrapping_add(first),
            bytes: end - first,
        }
    }

    /// The first bytes, so many at most.
    pub(crate) fn within(self, most: usize) -> Self {
        Self {
            bytes: self.bytes.min(most),
            ..self
        }
    }

    /// Where to begin and how far to go on after each of `steps` hints: no further than a line. Where there is
    /// nothing to fetch it stays at `near`, which is near already.
    pub(crate) fn walk(self, steps: usize, near: *const u8) -> (*const u8, usize) {
        if self.bytes == 0 {
            return (near, 0);
        }
        (self.start, self.bytes.div_ceil(steps).min(LINE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(bytes: usize) -> Ahead {
        let start = std::ptr::without_provenance(4096);
        Ahead { start, bytes }
    }

    #[test]
    fn parts_follow_each_other_and_are_all() {
        for bytes in [0, 1, 63, 1000, 4096] {
            let whole = ahead(bytes);
            let mut end = whole.start;
            for index in 0..7 {
                let part = whole.part([index, 7]);
                assert_eq!(part.start, end);
                end = part.start.wrapping_add(part.bytes);
            }
            assert_eq!(end, whole.start.wrapping_add(bytes));
        }
    }

    #[test]
    fn hints_pass_all_lines_unless_there_are_too_few() {
        let near = std::ptr::without_provenance(64);
        assert_eq!(ahead(0).walk(10, near), (near, 0));
        assert_eq!(ahead(640).walk(10, near).1, 64);
        assert_eq!(ahead(6400).walk(10, near).1, 64, "no line is left out");
        let (start, step) = ahead(1000).walk(100, near);
        assert_eq!((start, step), (ahead(0).start, 10));
        assert!(
            99 * step + LINE >= 1000,
            "the last hint is of the last line"
        );
    }
}
