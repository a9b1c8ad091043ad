//! The loop that the time goes into: a tile of output pixels times a panel of channels, for any
//! [`Arithmetic`].
//!
//! Must not know: levels, precisions, what is convolved.

use super::{Arithmetic, Tile};

/// Repeats a block for each index below a constant, at most 2 or 7. The compiler keeps sums in
/// registers only where every index is a constant, and it does not unroll long loops by itself.
macro_rules! each {
    ($index:ident < $count:ident of 2 $body:block) => {
        each!(@ $index $count $body 0 1)
    };
    ($index:ident < $count:ident of 7 $body:block) => {
        each!(@ $index $count $body 0 1 2 3 4 5 6)
    };
    ($index:ident < $count:ident of 7 halved $body:block) => {{
        let pairs = $count.div_ceil(2);
        each!($index < pairs of 7 $body)
    }};
    (@ $index:ident $count:ident $body:block $($number:literal)*) => {{
        $(if $number < $count {
            let $index = $number;
            $body
        })*
    }};
}

/// The tile kernel, see [`Tile`].
///
/// # Safety
/// As [`TileKernel`](super::TileKernel); to be inlined into a function that has the level's instructions.
#[inline(always)]
pub(super) unsafe fn tile<
    A: Arithmetic,
    const STRIPS: usize,
    const PIXELS: usize,
    const VECTORS: usize,
>(
    tile: &Tile,
) {
    // SAFETY: the caller's promise covers every address; only hints go beyond it.
    unsafe {
        let has_residual = !tile.residual[0].is_null();
        let sums = reduce::<A, STRIPS, PIXELS, VECTORS>(tile);
        if A::WHOLE && !tile.requantize.shift.is_null() {
            let count = STRIPS * PIXELS;
            macro_rules! store {
                ($residual:literal) => {
                    each!(pair < count of 7 halved {
                        // The last of an odd number is written twice.
                        let places = [2 * pair, (2 * pair + 1).min(count - 1)];
                        let [a, b] = places.map(|place| (place / PIXELS, place % PIXELS));
                        let residual = |(strip, pixel): (usize, usize)| {
                            tile.residual[strip].wrapping_add(pixel * tile.residual_step)
                        };
                        let output = |(strip, pixel): (usize, usize)| {
                            tile.output[strip].wrapping_add(pixel * tile.output_step)
                        };
                        A::requantize::<VECTORS, $residual>(
                            [sums[a.0][a.1], sums[b.0][b.1]],
                            [residual(a), residual(b)],
                            [output(a), output(b)],
                            &tile.requantize,
                        );
                    })
                };
            }
            if has_residual {
                store!(true);
            } else {
                store!(false);
            }
            return;
        }
        // One value at a time from sum to memory, and no choice within: what is held, spills.
        macro_rules! store {
            ($value:ident $(, $residual:ident)? $(; $silu:block)?) => {
                each!(vector < VECTORS of 2 {
                    let channel = vector * A::LANES;
                    let (scale, bias) = (tile.scale.add(channel), tile.bias.add(channel));
                    each!(strip < STRIPS of 2 { each!(pixel < PIXELS of 7 {
                        let $value = A::real(sums[strip][pixel][vector], scale, bias);
                        $(let at = pixel * tile.residual_step + channel * A::SIZE;
                        let $residual = tile.residual[strip].add(at);
                        let $value = A::add_residual($value, $residual, tile.residual_scale);)?
                        $(let $value = $silu;)?
                        let at = pixel * tile.output_step + channel * A::OUTPUT;
                        A::write(A::clamp($value, &tile.rule), tile.output[strip].add(at));
                    }) });
                })
            };
        }
        match (has_residual, tile.rule.silu) {
            (false, false) => store!(value),
            (true, false) => store!(value, residual),
            (false, true) => store!(value; { A::silu(value, &tile.rule) }),
            (true, true) => store!(value, residual; { A::silu(value, &tile.rule) }),
        }
    }
}

/// Groups of a reduction between hints. 1, 4 and 8 are as quick on a Zen 4; on an Emerald Rapids a loop around the
/// groups once took time, so they are not few.
const PAUSE: usize = 4;

/// The sums of a tile.
///
/// The lines that the next tile's stores need come from far: hints at them are spread over the groups, a
/// pixel or some at a time. All at once, they would take every place there is for lines on their way, and the
/// weights, which come from near, would wait behind them.
///
/// # Safety
/// As [`tile()`].
#[inline(always)]
unsafe fn reduce<A: Arithmetic, const STRIPS: usize, const PIXELS: usize, const VECTORS: usize>(
    tile: &Tile,
) -> [[[A::Sum; VECTORS]; PIXELS]; STRIPS] {
    // SAFETY: the caller's promise covers every address; only hints go beyond it.
    unsafe {
        let mut first = [A::zero(); VECTORS];
        each!(vector < VECTORS of 2 {
            first[vector] = A::start(tile.requantize.start.wrapping_add(vector * A::LANES));
        });
        let mut sums = [[first; PIXELS]; STRIPS];
        let step = tile.input_step;
        let (mut weights, mut ahead) = (tile.weights, tile.ahead);
        let (mut until_hints, mut hinted) = (PAUSE, 0);
        let pauses = (tile.segments * tile.run / PAUSE).max(1);
        let at_once = (STRIPS * PIXELS).div_ceil(pauses);
        for segment in 0..tile.segments {
            let offset = *tile.offsets.add(segment);
            let mut input = tile.input.map(|start| start.wrapping_add(offset));
            let mut left = tile.run;
            while left > 0 {
                let groups = left.min(until_hints);
                for _ in 0..groups {
                    let mut columns = [A::weights(weights); VECTORS];
                    each!(vector < VECTORS of 2 {
                        columns[vector] = A::weights(weights.add(vector * A::LANES * A::WEIGHT));
                    });
                    each!(strip < STRIPS of 2 { each!(pixel < PIXELS of 7 {
                        let number = A::broadcast(input[strip].wrapping_add(pixel * step));
                        each!(vector < VECTORS of 2 {
                            let sum = &mut sums[strip][pixel][vector];
                            *sum = A::multiply_add(*sum, number, columns[vector]);
                        });
                    }) });
                    weights = weights.wrapping_add(VECTORS * A::LANES * A::WEIGHT);
                    input = input.map(|input| input.wrapping_add(4));
                    A::read_later(ahead);
                    ahead = ahead.wrapping_add(tile.ahead_step);
                }
                left -= groups;
                until_hints -= groups;
                if until_hints == 0 {
                    until_hints = PAUSE;
                    let end = (hinted + at_once).min(STRIPS * PIXELS);
                    while hinted < end {
                        hint::<A, PIXELS, VECTORS>(tile, hinted);
                        hinted += 1;
                    }
                }
            }
        }
        sums
    }
}

/// Hints at what the next tile writes and adds at a pixel.
#[inline(always)]
fn hint<A: Arithmetic, const PIXELS: usize, const VECTORS: usize>(tile: &Tile, pixel: usize) {
    let (strip, pixel) = (pixel / PIXELS, pixel % PIXELS);
    let output = tile.next.output[strip].wrapping_add(pixel * tile.output_step);
    lines(output, VECTORS * A::LANES * A::OUTPUT, A::write_soon);
    if !tile.residual[0].is_null() {
        let residual = tile.next.residual[strip].wrapping_add(pixel * tile.residual_step);
        lines(residual, VECTORS * A::LANES * A::SIZE, A::read_soon);
    }
}

/// Multiplies and adds numbers that are at hand, in the order of a tile; returns the operations done.
///
/// # Safety
/// To be inlined into a function that has the level's instructions.
#[inline(always)]
pub(super) unsafe fn peak<
    A: Arithmetic,
    const STRIPS: usize,
    const PIXELS: usize,
    const VECTORS: usize,
>(
    rounds: usize,
) -> usize {
    let numbers = [1_u8; 128];
    // SAFETY: the caller's promise; 64 bytes are as many as any vector takes, and no tile has more than 14
    // pixels.
    unsafe {
        // Nobody knows where they are, so nobody knows that they are the same. Sums and weights are held in
        // registers only if their own places are nobody's business.
        let start = std::hint::black_box(numbers.as_ptr());
        let mut weights = [A::weights(start); VECTORS];
        each!(vector < VECTORS of 2 {
            weights[vector] = A::weights(start.wrapping_add(vector * 64));
        });
        let mut sums = [[[A::zero(); VECTORS]; PIXELS]; STRIPS];
        for _ in 0..rounds {
            // Read anew: of products that stay the same only the sums would be left to do.
            let inputs = std::hint::black_box(numbers.as_ptr());
            each!(strip < STRIPS of 2 { each!(pixel < PIXELS of 7 {
                let number = A::broadcast(inputs.wrapping_add((strip * PIXELS + pixel) * 4));
                each!(vector < VECTORS of 2 {
                    let sum = &mut sums[strip][pixel][vector];
                    *sum = A::multiply_add(*sum, number, weights[vector]);
                });
            }) });
        }
        std::hint::black_box(sums);
    }
    rounds * STRIPS * PIXELS * VECTORS * A::LANES * (4 / A::SIZE) * 2
}

/// Calls `hint` for each cache line of `bytes` bytes.
#[inline(always)]
fn lines(start: *const u8, bytes: usize, hint: fn(*const u8)) {
    for line in 0..bytes.div_ceil(64) {
        hint(start.wrapping_add(line * 64));
    }
}
