//! The memory of a forward pass: where each value lies, and the bytes themselves.
//!
//! Values whose lifetimes do not overlap share bytes. Must not know: what values hold.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Every value and packed weight starts at a multiple of this: one cache line.
pub(crate) const LINE: usize = 64;
/// Blocks start at a multiple of this, so that the system can back them by huge pages.
const HUGE: usize = 2 << 20;

/// When a value is needed: from the step that writes it to the last that reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    pub(crate) bytes: usize,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

/// Where each value starts, and how many bytes there are in all. The largest choose first.
pub(crate) fn place(lifetimes: &[Lifetime]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..lifetimes.len()).collect();
    order.sort_by_key(|&value| std::cmp::Reverse(lifetimes[value].bytes));
    let mut starts = vec![0; lifetimes.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut total = 0;
    for value in order {
        let wanted = lifetimes[value];
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&other| {
                let other = lifetimes[other];
                other.first <= wanted.last && wanted.first <= other.last
            })
            .map(|&other| (starts[other], starts[other] + lifetimes[other].bytes))
            .collect();
        taken.sort_unstable();
        let mut start = 0;
        for (from, to) in taken {
            if start + wanted.bytes <= from {
                break;
            }
            start = start.max(to.next_multiple_of(LINE));
        }
        starts[value] = start;
        total = total.max(start + wanted.bytes);
        placed.push(value);
    }
    (starts, total.next_multiple_of(LINE))
}

/// A block of bytes that starts as zeros.
pub(crate) struct Block {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a block owns its bytes as a boxed slice does; who writes through a shared block says at
// that place why no two threads touch the same bytes.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    /// `bytes` zeros.
    pub(crate) fn new(bytes: usize) -> Self {
        let align = if bytes < HUGE { LINE } else { HUGE };
        let bytes = bytes.max(1).next_multiple_of(align);
        let layout = Layout::from_size_align(bytes, align).expect("a block's size fits memory");
        // SAFETY: the layout has at least one byte.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        let block = Self { start, layout };
        block.advise();
        block
    }

    /// Asks for huge pages. A refusal changes only speed.
    fn advise(&self) {
        #[cfg(target_os = "linux")]
        if self.layout.align() == HUGE {
            unsafe extern "C" {
                fn madvise(start: *mut u8, length: usize, advice: i32) -> i32;
            }
            const HUGE_PAGES: i32 = 14;
            // SAFETY: the range is the block's own, whole pages, and the advice keeps its content.
            unsafe { madvise(self.start.as_ptr(), self.layout.size(), HUGE_PAGES) };
        }
    }

    /// Where the bytes start.
    pub(crate) const fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// How many bytes there are.
    pub(crate) const fn len(&self) -> usize {
        self.layout.size()
    }

    /// The bytes as elements, to fill them.
    pub(crate) fn elements_mut<T: Plain>(&mut self) -> &mut [T] {
        let count = self.layout.size() / size_of::<T>();
        // SAFETY: the block owns these initialised bytes, is borrowed alone and aligned to a line, and
        // any bits make a `Plain`.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), count) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// A number that any bits make.
///
/// # Safety
/// Every bit pattern is valid, there is no padding, and the alignment is at most a line.
pub(crate) unsafe trait Plain: Copy + 'static {}

// SAFETY: a plain number.
unsafe impl Plain for f32 {}
// SAFETY: a plain number.
unsafe impl Plain for u16 {}
// SAFETY: a plain number.
unsafe impl Plain for i8 {}
// SAFETY: a plain number.
unsafe impl Plain for u8 {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_live_together_do_not_overlap() {
        let mut random = fastrand::Rng::with_seed(1);
        let lifetimes: Vec<Lifetime> = (0..60)
            .map(|first| Lifetime {
                bytes: random.usize(1..5000),
                first,
                last: first + random.usize(1..6),
            })
            .collect();
        let (starts, total) = place(&lifetimes);
        for (i, a) in lifetimes.iter().enumerate() {
            assert!(starts[i].is_multiple_of(LINE) && starts[i] + a.bytes <= total);
            for (j, b) in lifetimes.iter().enumerate().skip(i + 1) {
                let together = a.first <= b.last && b.first <= a.last;
                let apart = starts[i] + a.bytes <= starts[j] || starts[j] + b.bytes <= starts[i];
                assert!(!together || apart, "{i} and {j}");
            }
        }
        let sum: usize = lifetimes.iter().map(|lifetime| lifetime.bytes).sum();
        assert!(total < sum / 3, "{total} of {sum}");
    }
}
