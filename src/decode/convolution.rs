//! Antialiased resizing of RGB photos, equal to Pillow's bit for bit.
//!
//! The method is that of Pillow's `Resample.c`: a filter that widens as it shrinks, weights in
//! fixed point, first along the rows, rounded to `u8`, then along the columns. Faster crates
//! round their weights more coarsely and differ from Pillow by up to 5 levels, which moves a
//! network's probabilities by a percent. The sums themselves are in `passes`. Must not know:
//! crops, profiles, file formats.

use std::ops::Range;

use super::passes::{self, CHANNELS, FRACTION, Window};

/// An interpolating kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// Triangle of support 1.
    Bilinear,
    /// Keys' cubic of support 2 with a = -0.5 (Keys 1981, equation 15).
    Bicubic,
}

impl Kernel {
    /// Distance from which on the kernel is 0.
    const fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// One axis of a resize: `source` pixels become `target`, of which `part` is wanted.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) source: u32,
    pub(super) target: u32,
    pub(super) part: Range<u32>,
}

impl Axis {
    fn windows(&self, kernel: Kernel) -> Vec<Window> {
        let scale = f64::from(self.source) / f64::from(self.target);
        let widened = scale.max(1.0);
        let support = kernel.support() * widened;
        let window = |target: u32| {
            let centre = (f64::from(target) + 0.5) * scale;
            // Casts to whole numbers saturate: below 0 is 0.
            let start = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(self.source as usize);
            let at = |x: usize| kernel.at((x as f64 - centre + 0.5) * (1.0 / widened));
            let weights: Vec<f64> = (start..end).map(at).collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: &f64| (weight / sum * f64::from(1 << FRACTION)).round() as i32;
            Window {
                start,
                weights: weights.iter().map(fixed).collect(),
            }
        };
        self.part.clone().map(window).collect()
    }
}

/// Resizes RGB pixels, rows from the top, `x.source * y.source * 3` of them, and gives the part
/// wanted: `x.part` columns by `y.part` rows.
pub(super) fn resize(pixels: &[u8], x: &Axis, y: &Axis, kernel: Kernel) -> Vec<u8> {
    let columns = x.windows(kernel);
    let rows = y.windows(kernel);
    let first = rows.iter().map(|row| row.start).min().unwrap_or(0);
    let last = rows.iter().map(Window::end).max().unwrap_or(0);
    let pitch = x.source as usize * CHANNELS;
    let narrowed = passes::across(&pixels[first * pitch..last * pitch], pitch, &columns);
    passes::down(&narrowed, columns.len() * CHANNELS, &rows, first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(source: u32, target: u32) -> Axis {
        Axis {
            source,
            target,
            part: 0..target,
        }
    }

    #[test]
    fn a_photo_of_the_right_size_stays_as_it_is() {
        let pixels: Vec<u8> = (0..4 * 3 * 3).map(|at| at * 7).collect();
        for kernel in [Kernel::Bilinear, Kernel::Bicubic] {
            assert_eq!(resize(&pixels, &whole(4, 4), &whole(3, 3), kernel), pixels);
        }
    }

    /// By hand: two pixels to one are their mean; one to two stays flat.
    #[test]
    fn means_and_flat_colours_come_out_exact() {
        let pixels = [0, 100, 255, 100, 101, 255];
        assert_eq!(
            resize(&pixels, &whole(2, 1), &whole(1, 1), Kernel::Bilinear),
            [50, 101, 255]
        );
        let flat = resize(&[9, 8, 7], &whole(1, 2), &whole(1, 2), Kernel::Bicubic);
        assert_eq!(flat, [9, 8, 7].repeat(4));
    }

    #[test]
    fn a_part_is_cut_from_the_whole() {
        let pixels: Vec<u8> = (0..40 * 30 * 3).map(|at| (at * 31 % 251) as u8).collect();
        let (x, y) = (whole(40, 17), whole(30, 11));
        let all = resize(&pixels, &x, &y, Kernel::Bicubic);
        let part = resize(
            &pixels,
            &Axis { part: 3..9, ..x },
            &Axis { part: 2..10, ..y },
            Kernel::Bicubic,
        );
        let rows = all.chunks(17 * 3).skip(2).take(8);
        let cut: Vec<u8> = rows.flat_map(|row| &row[9..27]).copied().collect();
        assert_eq!(part, cut);
    }

    #[test]
    fn the_longest_strip_costs_no_more_than_its_crop() {
        let strip = vec![200; 3 * 32_768];
        let x = Axis {
            source: 1,
            target: 256,
            part: 16..240,
        };
        let y = Axis {
            source: 32_768,
            target: 8_388_608,
            part: 4_194_192..4_194_416,
        };
        assert_eq!(
            resize(&strip, &x, &y, Kernel::Bilinear),
            vec![200; 224 * 224 * 3]
        );
    }
}
