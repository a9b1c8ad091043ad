//! How often which numbers occur, in little memory and without knowing their range beforehand.
//!
//! Bins are of one width, a power of two, so that a number's bin is exact. When a number lies
//! outside, the width doubles and neighbours become one. Must not know: networks, what the counts
//! are for.

/// Bins, of which at least half are in use once the numbers differ.
const BINS: usize = 4096;
/// The narrowest width: 2 to this power.
const NARROWEST: i32 = -100;

/// Counts of numbers.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// The bins have this power of two as their width.
    power: i32,
    /// Bin 0 holds numbers from `first * width` on.
    first: i64,
    counts: Vec<u64>,
    bounds: Option<(f32, f32)>,
    zeros: u64,
    broken: bool,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            power: NARROWEST,
            first: 0,
            counts: vec![0; BINS],
            bounds: None,
            zeros: 0,
            broken: false,
        }
    }
}

/// Some numbers that lie together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bin {
    /// The least number that may be in it.
    pub(super) low: f64,
    /// The least number above it.
    pub(super) high: f64,
    /// How many there are; exact zeros are not among them.
    pub(super) count: u64,
}

impl Histogram {
    /// Counts numbers. Infinite ones and those that are none are remembered, not counted.
    pub fn add(&mut self, numbers: &[f32]) {
        let bounds = numbers.iter().fold(
            (f32::INFINITY, f32::NEG_INFINITY),
            |(low, high), &number| (low.min(number), high.max(number)),
        );
        // Infinities and NaN make this sum of products NaN: one test for all numbers.
        let finite = numbers.iter().map(|number| number * 0.0).sum::<f32>() == 0.0;
        if numbers.is_empty() {
            return;
        }
        if !finite {
            self.broken = true;
            return;
        }
        let (low, high) = self.bounds.unwrap_or(bounds);
        let (low, high) = (low.min(bounds.0), high.max(bounds.1));
        self.bounds = Some((low, high));
        self.widen(low, high);
        let inverse = power_of_two(-self.power);
        let mut zeros = 0;
        for &number in numbers {
            if number == 0.0 {
                zeros += 1;
            } else {
                self.counts[(bin(number, inverse) - self.first) as usize] += 1;
            }
        }
        self.zeros += zeros;
    }

    /// The least and the largest number, if there is any.
    #[must_use]
    pub const fn bounds(&self) -> Option<(f32, f32)> {
        self.bounds
    }

    /// How many numbers were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.zeros + self.counts.iter().sum::<u64>()
    }

    /// Whether a number was infinite or none.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// The bins with numbers in them, the least first.
    pub(super) fn bins(&self) -> impl DoubleEndedIterator<Item = Bin> {
        let width = power_of_two(self.power);
        let used = self.counts.iter().enumerate();
        used.filter(|(_, count)| **count > 0)
            .map(move |(bin, &count)| {
                let low = (self.first + bin as i64) as f64 * width;
                Bin {
                    low,
                    high: low + width,
                    count,
                }
            })
    }

    /// Doubles the width until all numbers from `low` to `high` have a bin.
    fn widen(&mut self, low: f32, high: f32) {
        let bin = |number: f32, power: i32| bin(number, power_of_two(-power));
        let mut power = self.power;
        // Wide enough for whole numbers of 64 bits first, and then for the bins.
        let largest = low.abs().max(high.abs());
        while f64::from(largest) * power_of_two(-power) > f64::from(1 << 30)
            || bin(high, power) - bin(low, power) >= BINS as i64
        {
            power += 1;
        }
        let (first, end) = (bin(low, power), bin(high, power));
        let old = self.first..self.first + BINS as i64;
        if power == self.power && old.contains(&first) && old.contains(&end) {
            return;
        }
        // All that was counted lies between the bounds too, so it has its bin.
        let mut counts = vec![0; BINS];
        for (bin, &count) in self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            let shift = (power - self.power).min(63);
            let bin = ((self.first + bin as i64) >> shift) - first;
            counts[bin as usize] += count;
        }
        (self.power, self.first, self.counts) = (power, first, counts);
    }
}

/// The whole number of widths below a number; the product with a power of two is exact. Rounding down
/// by hand: without newer instructions the library's is a call.
#[inline]
fn bin(number: f32, inverse: f64) -> i64 {
    let widths = f64::from(number) * inverse;
    let bin = widths as i64;
    bin - i64::from(bin as f64 > widths)
}

fn power_of_two(power: i32) -> f64 {
    f64::from(power).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(groups: &[&[f32]]) -> Histogram {
        let mut histogram = Histogram::default();
        for group in groups {
            histogram.add(group);
        }
        histogram
    }

    fn inside(histogram: &Histogram, number: f32) -> u64 {
        let number = f64::from(number);
        let found = histogram
            .bins()
            .find(|bin| bin.low <= number && number < bin.high);
        found.map_or(0, |bin| bin.count)
    }

    #[test]
    fn numbers_are_counted_where_they_lie() {
        let histogram = of(&[&[0.0, 1.0, 1.0, -2.0], &[0.0, 4.0]]);
        assert_eq!(histogram.bounds(), Some((-2.0, 4.0)));
        assert_eq!(histogram.count(), 6);
        for (number, count) in [(1.0, 2), (-2.0, 1), (4.0, 1), (3.0, 0)] {
            assert_eq!(inside(&histogram, number), count, "{number}");
        }
        assert_eq!(histogram.bins().count(), 3, "zeros have no bin");
    }

    #[test]
    fn a_range_that_grows_loses_nothing_and_stays_fine() {
        let mut histogram = Histogram::default();
        let numbers: Vec<f32> = (1..=1000).map(|n| n as f32 / 1000.0).collect();
        for scale in [1e-20, 1.0, -3.0, 500.0, -1e6] {
            let scaled: Vec<f32> = numbers.iter().map(|number| number * scale).collect();
            histogram.add(&scaled);
        }
        assert_eq!(histogram.count(), 5000);
        assert_eq!(histogram.bins().map(|bin| bin.count).sum::<u64>(), 5000);
        assert_eq!(histogram.bounds(), Some((-1e6, 500.0)));
        let width = histogram
            .bins()
            .map(|bin| bin.high - bin.low)
            .fold(0.0, f64::max);
        assert!(width <= 2.0 * 1e6 / 2048.0, "{width}");
    }

    #[test]
    fn one_number_only_and_the_largest_ones_have_a_bin() {
        for number in [0.0, 1e-40, -7.5, f32::MAX, f32::MIN] {
            let histogram = of(&[&[number; 3]]);
            assert_eq!(histogram.count(), 3, "{number}");
            assert_eq!(histogram.bounds(), Some((number, number)));
        }
        assert_eq!(of(&[&[f32::MIN, f32::MAX]]).count(), 2);
    }

    #[test]
    fn what_is_no_number_is_remembered() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let histogram = of(&[&[1.0], &[1.0, bad]]);
            assert!(histogram.is_broken());
            assert_eq!(histogram.bounds(), Some((1.0, 1.0)));
        }
        assert_eq!(of(&[&[]]).bounds(), None);
    }
}
