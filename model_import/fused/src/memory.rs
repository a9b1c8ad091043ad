//! The memory of a forward pass: where each value lies, and the bytes themselves.
//!
//! Values whose lifetimes do not overlap share bytes. Must not know: what values hold.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use memmap2::MmapMut;

/// Every value and packed weight starts at a multiple of this: one cache line.
pub(crate) const LINE: usize = 64;
/// Blocks of at least so much start at a multiple of it, so that the system can back them by huge
/// pages.
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
///
/// A large one is mapped from the system and goes back to it when it is dropped; an allocator would
/// keep it, and round it up to more huge pages than it fills.
pub(crate) struct Block {
    start: NonNull<u8>,
    bytes: usize,
    held: Held,
}

/// Whose memory a block is.
enum Held {
    Allocated(Layout),
    Mapped(#[expect(dead_code, reason = "it is held until the block is dropped")] MmapMut),
}

// SAFETY: a block owns its bytes as a boxed slice does; who writes through a shared block says at
// that place why no two threads touch the same bytes.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    /// `bytes` zeros.
    pub(crate) fn new(bytes: usize) -> Self {
        let bytes = bytes.max(1).next_multiple_of(LINE);
        let align = if bytes < HUGE { LINE } else { HUGE };
        let layout = Layout::from_size_align(bytes, align).expect("a block's size fits memory");
        if bytes < HUGE {
            Self::allocated(layout)
        } else {
            Self::mapped(layout)
        }
    }

    fn allocated(layout: Layout) -> Self {
        // SAFETY: the layout has at least one byte.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        Self {
            start,
            bytes: layout.size(),
            held: Held::Allocated(layout),
        }
    }

    fn mapped(layout: Layout) -> Self {
        // What is mapped and never touched takes no memory.
        let Ok(mut map) = MmapMut::map_anon(layout.size() + layout.align()) else {
            handle_alloc_error(layout)
        };
        let skipped = map.as_ptr().addr().wrapping_neg() % layout.align();
        advise(&map, skipped, layout.size());
        Self {
            start: NonNull::from(&mut map[skipped..]).cast(),
            bytes: layout.size(),
            held: Held::Mapped(map),
        }
    }

    /// Where the bytes start.
    pub(crate) const fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// How many bytes there are.
    pub(crate) const fn len(&self) -> usize {
        self.bytes
    }

    /// The bytes as elements, to fill them.
    pub(crate) fn elements_mut<T: Plain>(&mut self) -> &mut [T] {
        let count = self.bytes / size_of::<T>();
        // SAFETY: the block owns these initialised bytes, is borrowed alone and aligned to a line, and
        // any bits make a `Plain`.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), count) }
    }
}

/// Asks for huge pages as far as the block fills them. A refusal changes only speed.
fn advise(map: &MmapMut, start: usize, bytes: usize) {
    #[cfg(target_os = "linux")]
    let _ = map.advise_range(memmap2::Advice::HugePage, start, bytes / HUGE * HUGE);
    #[cfg(not(target_os = "linux"))]
    let _ = (map, start, bytes);
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        // SAFETY: a block owns its initialised bytes; who writes through a shared block lets nobody
        // compare it.
        let [own, other] = [self, other]
            .map(|block| unsafe { std::slice::from_raw_parts(block.start(), block.len()) });
        own == other
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Held::Allocated(layout) = self.held {
            // SAFETY: allocated in `allocated` with this layout.
            unsafe { dealloc(self.start.as_ptr(), layout) };
        }
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

    #[test]
    fn blocks_of_every_size_are_zeros_at_their_alignment() {
        for bytes in [
            0,
            1,
            LINE,
            HUGE - LINE,
            HUGE - 1,
            HUGE,
            HUGE + 1,
            5 * HUGE / 2,
        ] {
            let mut block = Block::new(bytes);
            let align = if bytes + LINE <= HUGE { LINE } else { HUGE };
            assert!(block.start().addr().is_multiple_of(align), "{bytes}");
            assert!((bytes..bytes + 2 * LINE).contains(&block.len()), "{bytes}");
            let numbers = block.elements_mut::<u8>();
            assert!(numbers.iter().all(|&number| number == 0), "{bytes}");
            numbers.fill(1);
        }
    }
}
