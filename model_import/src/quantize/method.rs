//! From the counts of a value's numbers to the range that it is given.
//!
//! A range that holds all numbers makes the steps between bytes large; a narrower one cuts off what
//! lies outside. The methods weigh that differently. Must not know: networks, how numbers were
//! counted.

use std::fmt;
use std::str::FromStr;

use fused::Range;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::histogram::{Bin, Histogram};

/// How much of the numbers [`Method::Percentile`] keeps: 99.99 %, the percentile that did best most
/// often in Wu et al. 2020, "Integer Quantization for Deep Learning Inference".
const KEPT: f64 = 0.9999;
/// Steps between bytes.
const STEPS: f64 = 255.0;
/// Ends that [`Method::Mse`] tries, evenly from the largest number down to none.
const TRIED: usize = 128;

/// How a range is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// All numbers.
    Max,
    /// All but the outermost 0.01 %, half of it at each end where there are both signs.
    Percentile,
    /// The range whose bytes are nearest to the numbers, by the mean of the squared differences
    /// (Nagel et al. 2021, "A White Paper on Neural Network Quantization", on setting ranges).
    Mse,
}

/// A text that names no method.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{0}' is not a method: say percentile, mse or max")]
pub struct NotAMethod(String);

impl Method {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::Max, Self::Percentile, Self::Mse];

    /// The method's name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Percentile => "percentile",
            Self::Mse => "mse",
        }
    }

    /// The range for numbers that were counted; zero is always in it. `None` where there are none.
    #[must_use]
    pub fn range(self, numbers: &Histogram) -> Option<Range> {
        let (least, largest) = numbers.bounds()?;
        let (low, high) = match self {
            Self::Max => (least, largest),
            Self::Percentile => percentile(numbers),
            Self::Mse => least_error(numbers, (least, largest)),
        };
        Some(Range {
            low: low.max(least).min(0.0),
            high: high.min(largest).max(0.0),
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Method {
    type Err = NotAMethod;

    fn from_str(text: &str) -> Result<Self, NotAMethod> {
        let named = Self::ALL.into_iter().find(|each| each.name() == text);
        named.ok_or_else(|| NotAMethod(text.to_owned()))
    }
}

/// The ends of the bins that cut off no more than is allowed at either end.
fn percentile(numbers: &Histogram) -> (f32, f32) {
    let all = numbers.count() as f64;
    let two_sided = numbers
        .bounds()
        .is_some_and(|(low, high)| low < 0.0 && high > 0.0);
    let ends = if two_sided { 2.0 } else { 1.0 };
    let most = all * (1.0 - KEPT) / ends;
    let cut = |bins: &mut dyn Iterator<Item = Bin>, end: fn(&Bin) -> f64| {
        let mut outside = 0.0;
        for bin in bins {
            outside += bin.count as f64;
            if outside > most {
                return end(&bin) as f32;
            }
        }
        0.0
    };
    let low = cut(&mut numbers.bins().filter(|bin| bin.high <= 0.0), |bin| {
        bin.low
    });
    let high = cut(
        &mut numbers.bins().rev().filter(|bin| bin.low >= 0.0),
        |bin| bin.high,
    );
    (low, high)
}

/// Tries upper ends, then lower ends for the best of them, then upper ends again.
fn least_error(numbers: &Histogram, (least, largest): (f32, f32)) -> (f32, f32) {
    let bins: Vec<Bin> = numbers.bins().collect();
    let (least, largest) = (f64::from(least).min(0.0), f64::from(largest).max(0.0));
    let best = |of: &dyn Fn(f64) -> (f64, f64)| {
        let tried = (1..=TRIED).map(|step| of(step as f64 / TRIED as f64));
        let errors = tried.map(|range| (error(&bins, range), range));
        // Of equals the last: the widest.
        errors.fold((f64::INFINITY, (least, largest)), |best, next| {
            if next.0 <= best.0 { next } else { best }
        })
    };
    let mut range = (least, largest);
    for _ in 0..2 {
        if largest > 0.0 {
            (_, range) = best(&|part| (range.0, largest * part));
        }
        if least < 0.0 {
            (_, range) = best(&|part| (least * part, range.1));
        }
    }
    (range.0 as f32, range.1 as f32)
}

/// The sum of the squared differences between numbers and the bytes of a range. Zeros are exact in
/// every range. The numbers of a bin count as spread evenly over it.
fn error(bins: &[Bin], (low, high): (f64, f64)) -> f64 {
    let step = (high - low) / STEPS;
    if step <= 0.0 {
        return f64::INFINITY;
    }
    let zero = (-low / step).round_ties_even();
    let stored = |number: f64| ((number / step).round_ties_even() + zero).clamp(0.0, STEPS);
    let of_bin = |bin: &Bin| {
        let (centre, width) = (f64::midpoint(bin.low, bin.high), bin.high - bin.low);
        let difference = (stored(centre) - zero) * step - centre;
        // The mean over the bin where all of it is stored as one byte.
        bin.count as f64 * (difference * difference + width * width / 12.0)
    };
    bins.iter().map(of_bin).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[f32]) -> Histogram {
        let mut histogram = Histogram::default();
        histogram.add(numbers);
        histogram
    }

    #[track_caller]
    fn check(method: Method, numbers: &[f32], low: f32, high: f32) {
        let found = method.range(&of(numbers)).unwrap();
        let near = |found: f32, wanted: f32| (found - wanted).abs() <= 0.01 * wanted.abs();
        assert!(
            near(found.low, low) && near(found.high, high),
            "{method}: {found:?}, not {low} to {high}"
        );
    }

    #[test]
    fn max_is_all_numbers_and_zero() {
        check(Method::Max, &[-1.5, 0.5, 3.0], -1.5, 3.0);
        check(Method::Max, &[2.0, 3.0], 0.0, 3.0);
        check(Method::Max, &[-2.0, -3.0], -3.0, 0.0);
        check(Method::Max, &[0.0], 0.0, 0.0);
        assert_eq!(Method::Max.range(&Histogram::default()), None);
    }

    #[test]
    fn a_percentile_cuts_off_one_number_of_ten_thousand() {
        // Of 30,001 numbers three may go; one is far away.
        let mut numbers: Vec<f32> = (0..10_000_u16).map(|n| f32::from(n % 100)).collect();
        numbers.push(1000.0);
        numbers.extend([50.0; 20_000]);
        check(Method::Percentile, &numbers, 0.0, 99.0);
        // Four are too many.
        numbers.extend([1000.0; 3]);
        check(Method::Percentile, &numbers, 0.0, 1000.0);
    }

    #[test]
    fn a_percentile_of_both_signs_cuts_half_as_much_at_each_end() {
        let mut numbers: Vec<f32> = (0..40_000).map(|n| (n % 201 - 100) as f32).collect();
        numbers.extend([-800.0, 800.0]);
        check(Method::Percentile, &numbers, -100.0, 100.0);
        numbers.extend([-800.0, -800.0]);
        check(Method::Percentile, &numbers, -800.0, 100.0);
    }

    #[test]
    fn the_least_error_keeps_what_is_even_and_cuts_off_what_is_alone() {
        let even: Vec<f32> = (0..50_000_u16).map(|n| f32::from(n) / 50_000.0).collect();
        check(Method::Mse, &even, 0.0, 1.0);
        let both: Vec<f32> = even.iter().map(|number| number * 2.0 - 1.0).collect();
        check(Method::Mse, &both, -1.0, 1.0);
        // One more number at 4: an end h costs 50,000 / 12 * (h / 255)^2 + (4 - h)^2, which is least
        // at h = 3.76.
        let few = [even.as_slice(), &[4.0]].concat();
        check(Method::Mse, &few, 0.0, 3.76);
        // With fifty times as many others it is not worth keeping.
        let many = [even.repeat(50).as_slice(), &[4.0]].concat();
        let range = Method::Mse.range(&of(&many)).unwrap();
        assert!(range.high < 1.1, "{range:?}");
    }

    #[test]
    fn a_relu_starts_at_zero_by_every_method() {
        let numbers: Vec<f32> = (0..30_000)
            .map(|n| ((n % 300) as f32 - 150.0).max(0.0))
            .collect();
        for method in Method::ALL {
            let range = method.range(&of(&numbers)).unwrap();
            assert_eq!(range.low, 0.0, "{method}");
            assert!(range.high > 100.0, "{method}");
        }
    }

    #[test]
    fn a_method_is_read_as_it_is_written() {
        for method in Method::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
        let error = "entropy".parse::<Method>().unwrap_err().to_string();
        assert!(error.contains("'entropy'") && error.contains("mse"));
    }
}
