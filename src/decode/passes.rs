//! The two passes of a resize: weighted sums along rows, then along columns, rounded to `u8`.
//!
//! Sums are exact in 32 bits, so the order of adding and the width of the registers change
//! nothing: the AVX2 path (through pulp, which checks the processor and keeps the intrinsics safe)
//! and the plain one give the same bytes. Must not know: kernels, how weights are made.

/// Fractional bits of a weight: 8 of the sample and 2 for overshoot are left free in 32.
pub(super) const FRACTION: u32 = 32 - 8 - 2;
/// Levels of a pixel: red, green, blue.
pub(super) const CHANNELS: usize = 3;
/// Half a level, so that cutting the fraction off rounds.
const HALF: i32 = 1 << (FRACTION - 1);

/// What one target position takes from the source: weights from `start` on, in fixed point.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) start: usize,
    pub(super) weights: Vec<i32>,
}

impl Window {
    pub(super) const fn end(&self) -> usize {
        self.start + self.weights.len()
    }
}

/// Rows of `pitch` bytes to rows of one pixel a column.
pub(super) fn across(rows: &[u8], pitch: usize, columns: &[Window]) -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return avx2::across(simd, rows, pitch, columns);
    }
    across_plain(rows, pitch, columns)
}

fn across_plain(rows: &[u8], pitch: usize, columns: &[Window]) -> Vec<u8> {
    let row = |row| {
        columns
            .iter()
            .flat_map(move |column| one_across(row, column))
    };
    rows.chunks_exact(pitch).flat_map(row).collect()
}

/// One pixel from a row.
fn one_across(row: &[u8], window: &Window) -> [u8; CHANNELS] {
    let mut sums = [HALF; CHANNELS];
    let source = row[window.start * CHANNELS..].chunks_exact(CHANNELS);
    for (pixel, weight) in source.zip(&window.weights) {
        for (sum, sample) in sums.iter_mut().zip(pixel) {
            *sum += i32::from(*sample) * weight;
        }
    }
    sums.map(level)
}

/// Rows of `width` bytes, the first of them row number `first`, to one row a target row.
pub(super) fn down(rows: &[u8], width: usize, targets: &[Window], first: usize) -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return avx2::down(simd, rows, width, targets, first);
    }
    down_plain(rows, width, targets, first)
}

#[inline(always)]
fn down_plain(rows: &[u8], width: usize, targets: &[Window], first: usize) -> Vec<u8> {
    let mut levels = vec![0; targets.len() * width];
    let mut sums = vec![0; width];
    for (target, levels) in targets.iter().zip(levels.chunks_exact_mut(width)) {
        sums.fill(HALF);
        let source = rows[(target.start - first) * width..].chunks_exact(width);
        for (row, weight) in source.zip(&target.weights) {
            for (sum, sample) in sums.iter_mut().zip(row) {
                *sum += i32::from(*sample) * weight;
            }
        }
        for (to, sum) in levels.iter_mut().zip(&sums) {
            *to = level(*sum);
        }
    }
    levels
}

#[inline(always)]
fn level(sum: i32) -> u8 {
    (sum >> FRACTION).clamp(0, 255) as u8
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    //! `vpmaddwd` multiplies 16-bit numbers, so each weight goes in two parts: `high * 2^11 + low`.

    use std::arch::x86_64::{__m128i, __m256i};

    use pulp::NullaryFnOnce;
    use pulp::x86::V3;

    use super::{CHANNELS, FRACTION, HALF, Window, down_plain, one_across};

    /// Bits of a weight's low part; the high part then fits 16 bits with its sign.
    const LOW: i32 = 11;
    /// Source pixels that are multiplied at once, and the bytes read for them.
    const TAPS: usize = 4;
    const READ: usize = 16;

    /// Four weights as the multiplier wants them: pairs of taps, once a channel.
    #[derive(Clone, Copy)]
    struct Group {
        high: [i16; 16],
        low: [i16; 16],
    }

    impl Group {
        fn new(weights: &[i32]) -> Self {
            let weight = |at: usize| {
                let tap = at / 8 * 2 + at % 2;
                weights.get(tap).copied().unwrap_or(0)
            };
            Self {
                high: std::array::from_fn(|at| (weight(at) >> LOW) as i16),
                low: std::array::from_fn(|at| (weight(at) & ((1 << LOW) - 1)) as i16),
            }
        }
    }

    /// Byte `tap * 3 + channel` of four pixels to the 16-bit lane that [`Group`] has its weight in.
    const LANES: [u8; 32] = {
        // An index with its top bit set gives 0.
        let mut lanes = [0x80; 32];
        let mut tap = 0;
        while tap < TAPS {
            let mut channel = 0;
            while channel < CHANNELS {
                lanes[tap / 2 * 16 + channel * 4 + tap % 2 * 2] = (tap * CHANNELS + channel) as u8;
                channel += 1;
            }
            tap += 1;
        }
        lanes
    };

    pub(super) fn across(simd: V3, rows: &[u8], pitch: usize, columns: &[Window]) -> Vec<u8> {
        let mut groups = Vec::new();
        let mut ends = Vec::with_capacity(columns.len());
        for column in columns {
            groups.extend(column.weights.chunks(TAPS).map(Group::new));
            ends.push(groups.len());
        }
        simd.vectorize(Across {
            simd,
            rows,
            pitch,
            columns,
            groups: &groups,
            ends: &ends,
        })
    }

    struct Across<'a> {
        simd: V3,
        rows: &'a [u8],
        pitch: usize,
        columns: &'a [Window],
        /// Of all columns, one after the other.
        groups: &'a [Group],
        /// Where each column's groups end.
        ends: &'a [usize],
    }

    impl NullaryFnOnce for Across<'_> {
        type Output = Vec<u8>;

        #[inline(always)]
        fn call(self) -> Vec<u8> {
            let width = self.columns.len() * CHANNELS;
            // Each pixel is stored as four bytes, of which the next one overwrites the last.
            let mut narrowed = vec![0; self.rows.len() / self.pitch * width + 1];
            let mut at = 0;
            for row in (0..self.rows.len()).step_by(self.pitch) {
                let mut begin = 0;
                for (column, &end) in self.columns.iter().zip(self.ends) {
                    let groups = &self.groups[begin..end];
                    let source = &self.rows[row + column.start * CHANNELS..];
                    // Past the window it reads neighbours, with weight 0; past the photo it cannot.
                    if source.len() >= groups.len() * TAPS * CHANNELS + READ {
                        let pixel = self.pixel(source, groups);
                        narrowed[at..at + 4].copy_from_slice(&pixel.to_le_bytes());
                    } else {
                        let pixel = one_across(&self.rows[row..row + self.pitch], column);
                        narrowed[at..at + CHANNELS].copy_from_slice(&pixel);
                    }
                    at += CHANNELS;
                    begin = end;
                }
            }
            narrowed.truncate(at);
            narrowed
        }
    }

    impl Across<'_> {
        /// One pixel, red in the lowest byte.
        #[inline(always)]
        fn pixel(&self, source: &[u8], groups: &[Group]) -> i32 {
            let V3 {
                sse2, avx, avx2, ..
            } = self.simd;
            let lanes: __m256i = pulp::cast(LANES);
            let mut high = avx._mm256_setzero_si256();
            let mut low = avx._mm256_setzero_si256();
            for (group, bytes) in groups
                .iter()
                .zip(source.windows(READ).step_by(TAPS * CHANNELS))
            {
                let mut four = [0; READ];
                four.copy_from_slice(bytes);
                let four: __m128i = pulp::cast(four);
                let four = avx2._mm256_shuffle_epi8(avx2._mm256_broadcastsi128_si256(four), lanes);
                let part = |weights: [i16; 16]| avx2._mm256_madd_epi16(four, pulp::cast(weights));
                high = avx2._mm256_add_epi32(high, part(group.high));
                low = avx2._mm256_add_epi32(low, part(group.low));
            }
            let sums = avx2._mm256_add_epi32(avx2._mm256_slli_epi32::<LOW>(high), low);
            let (pairs, others) = (
                avx._mm256_castsi256_si128(sums),
                avx2._mm256_extracti128_si256::<1>(sums),
            );
            let sums =
                sse2._mm_add_epi32(sse2._mm_add_epi32(pairs, others), sse2._mm_set1_epi32(HALF));
            let levels = sse2._mm_srai_epi32::<{ FRACTION as i32 }>(sums);
            // Both packings saturate: levels below 0 and above 255 are cut.
            let words = sse2._mm_packs_epi32(levels, levels);
            sse2._mm_cvtsi128_si32(sse2._mm_packus_epi16(words, words))
        }
    }

    /// The plain sums, compiled for 256-bit registers.
    pub(super) fn down(
        simd: V3,
        rows: &[u8],
        width: usize,
        targets: &[Window],
        first: usize,
    ) -> Vec<u8> {
        simd.vectorize(Down {
            rows,
            width,
            targets,
            first,
        })
    }

    struct Down<'a> {
        rows: &'a [u8],
        width: usize,
        targets: &'a [Window],
        first: usize,
    }

    impl NullaryFnOnce for Down<'_> {
        type Output = Vec<u8>;

        #[inline(always)]
        fn call(self) -> Vec<u8> {
            down_plain(self.rows, self.width, self.targets, self.first)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights of any sign and size that a kernel can give, at every place of a row.
    fn windows(random: &mut fastrand::Rng, source: usize, count: usize) -> Vec<Window> {
        let window = |_| {
            let start = random.usize(..source);
            let taps = random.usize(1..=(source - start).min(40));
            // Together less than two in size, or the sums would not fit.
            let most = (1 << FRACTION) / taps as i32;
            let weights = (0..taps)
                .map(|_| random.i32(-most / 2..=most * 3 / 2))
                .collect();
            Window { start, weights }
        };
        (0..count).map(window).collect()
    }

    #[test]
    fn every_path_gives_the_same_bytes() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..300 {
            let (width, height) = (random.usize(1..90), random.usize(1..9));
            let pixels: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
                .take(width * height * CHANNELS)
                .collect();
            let columns = windows(&mut random, width, 11);
            let narrowed = across(&pixels, width * CHANNELS, &columns);
            assert_eq!(narrowed, across_plain(&pixels, width * CHANNELS, &columns));
            let rows = windows(&mut random, height, 5);
            let width = columns.len() * CHANNELS;
            let first = rows.iter().map(|row| row.start).min().unwrap_or(0);
            let given = &narrowed[first * width..];
            assert_eq!(
                down(given, width, &rows, first),
                down_plain(given, width, &rows, first)
            );
        }
    }
}
