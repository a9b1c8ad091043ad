//! What the engine does with memory: nothing in a second pass, nothing outside its blocks.

#![expect(unsafe_code, reason = "an allocator that counts and that guards")]

#[expect(dead_code, reason = "the other test binary uses the rest")]
mod naive;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fused::calibrate::POINTS;
use fused::{Crew, Engine, Options, PointFactors, Precision, Ranges};
use naive::{PLAIN, engine_of, network, pixels, ranges, ways};

/// Counts allocations, and puts each block of the engine's, which alone ask for the alignment of a
/// line (those of 2 MiB and more come from the system), right before and right after pages that cannot be touched.
struct Guarding;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
/// Bytes of the engine's blocks that are there now.
static BLOCKS: AtomicUsize = AtomicUsize::new(0);
/// Held by each test: the counters are of all of them.
static ALONE: Mutex<()> = Mutex::new(());
const PAGE: usize = 4096;

/// The pages of a block, the two that guard it included.
const fn pages(layout: Layout) -> usize {
    layout.size().next_multiple_of(PAGE) + 2 * PAGE
}

const fn guarded(layout: Layout) -> bool {
    layout.align() == 64
}

/// How far a block lies behind its first guard: as close to the second as it can be.
const fn shift(layout: Layout) -> usize {
    pages(layout) - PAGE - layout.size()
}

// SAFETY: the system's allocator does the work, or the system's pages that nobody else has.
unsafe impl GlobalAlloc for Guarding {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        if !guarded(layout) {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        }
        BLOCKS.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: new pages, of which the outer two lose all rights.
        unsafe {
            let (rights, kind) = (
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            );
            let start = libc::mmap(std::ptr::null_mut(), pages(layout), rights, kind, -1, 0);
            if start == libc::MAP_FAILED {
                return std::ptr::null_mut();
            }
            let last = start.add(pages(layout) - PAGE);
            for guard in [start, last] {
                if libc::mprotect(guard, PAGE, libc::PROT_NONE) != 0 {
                    return std::ptr::null_mut();
                }
            }
            start.cast::<u8>().add(shift(layout))
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; `alloc` made such a block in this way.
        unsafe {
            if guarded(layout) {
                BLOCKS.fetch_sub(layout.size(), Ordering::Relaxed);
                libc::munmap(pointer.sub(shift(layout)).cast(), pages(layout));
            } else {
                System.dealloc(pointer, layout);
            }
        }
    }
}

#[global_allocator]
static ALLOCATOR: Guarding = Guarding;

/// With all 3x3 convolutions of the network that can take fewer multiplications in bytes doing so.
fn transformed(ranges: Ranges) -> Ranges {
    let points = [3, 6, 9, 12, 15, 18].map(|layer| PointFactors {
        layer,
        factors: vec![0.25; POINTS],
    });
    Ranges {
        points: points.to_vec(),
        ..ranges
    }
}

#[test]
fn a_second_pass_allocates_nothing_and_no_pass_leaves_its_blocks() {
    let _alone = ALONE.lock();
    let (plan, weights) = network();
    let pixels = pixels(7);
    let ranges = transformed(ranges(&plan, &weights, &pixels));
    let precisions = [Precision::F32, Precision::Bf16, Precision::Int8];
    for way in precisions.into_iter().flat_map(ways) {
        for (threads, large) in [(1, 40_000), (2, usize::MAX), (2, 40_000), (3, 0)] {
            let way = Options { large, ..way };
            let mut engine = engine_of(&plan, &weights, &ranges, &way, threads);
            let mut scores = Vec::with_capacity(7 * 10);
            for images in [1, 2, 7] {
                let pixels = &pixels[..images * 33 * 29 * 3];
                engine.run_levels(pixels, &mut scores).unwrap();
                let before = ALLOCATIONS.load(Ordering::Relaxed);
                engine.run_levels(pixels, &mut scores).unwrap();
                let after = ALLOCATIONS.load(Ordering::Relaxed);
                assert_eq!(
                    after - before,
                    0,
                    "{way:?} {threads} threads {images} images"
                );
            }
        }
    }
}

#[test]
fn a_warm_engine_allocates_for_no_batch() {
    let _alone = ALONE.lock();
    let (plan, weights) = network();
    let pixels = pixels(9);
    let ranges = transformed(ranges(&plan, &weights, &pixels));
    let mut scores = Vec::with_capacity(9 * 10);
    for way in ways(Precision::Int8) {
        for threads in 1..5 {
            for largest in [1, 2, 3, 9] {
                let mut engine = engine_of(&plan, &weights, &ranges, &way, threads);
                for images in engine.warm_up(largest) {
                    assert!((1..=largest).contains(&images));
                    let pixels = &pixels[..images * 33 * 29 * 3];
                    engine.run_levels(pixels, &mut scores).unwrap();
                }
                let before = ALLOCATIONS.load(Ordering::Relaxed);
                for images in 1..=largest {
                    let pixels = &pixels[..images * 33 * 29 * 3];
                    engine.run_levels(pixels, &mut scores).unwrap();
                }
                let after = ALLOCATIONS.load(Ordering::Relaxed);
                assert_eq!(
                    after - before,
                    0,
                    "{threads} threads, up to {largest} images"
                );
            }
        }
    }
}

#[test]
fn a_second_engine_of_a_crew_takes_no_memory_for_weights_and_values() {
    let _alone = ALONE.lock();
    let (plan, weights) = network();
    let pixels = pixels(5);
    let ranges = transformed(ranges(&plan, &weights, &pixels));
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        let crew = Crew::new(2);
        let options = Options::new(precision, 2);
        let build = || {
            let mut scores = Vec::new();
            let ranges = Some(&ranges);
            let engine = Engine::with(&crew, &plan, &weights, &PLAIN, ranges, &options);
            let mut engine = engine.unwrap();
            engine.run_levels(&pixels, &mut scores).unwrap();
            (engine, BLOCKS.load(Ordering::Relaxed))
        };
        let (first, one) = build();
        let (second, two) = build();
        assert_eq!(one, two, "{precision:?}");
        drop((first, second));
        let left = BLOCKS.load(Ordering::Relaxed);
        assert!(left < one, "{precision:?}: the weights stay for ever");
    }
}
