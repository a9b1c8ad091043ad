//! Weights rounded to bytes so that their errors cancel where inputs go together.
//!
//! The error of a sum of weighted inputs is the errors of the weights times the inputs, and inputs go
//! together: neighbouring pixels, channels that answer to the same thing. Rounding each weight to the
//! nearest step ignores that; here each one also makes up for the errors of those that were rounded before
//! it. That is GPTQ (E. Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative
//! Pre-trained Transformers", 2022, arXiv 2210.17323) in the form of Babai's nearest plane, which needs a
//! Cholesky decomposition and no inverse (J. Chen et al., "The Geometry of LLM Quantization: GPTQ as
//! Babai's Nearest Plane Algorithm", 2025, arXiv 2507.18553). Must not know: layers, images, how bytes are
//! stored.

use nalgebra::{Cholesky, DMatrix, Dyn};

/// The largest whole number that a weight becomes.
const MOST: f64 = 127.0;
/// What is added to every input's mean square, as a part of the mean of them all: few pictures were seen,
/// so nothing counts as never going together with anything.
const DAMPING: f64 = 0.03;

/// The sums of the products of every two inputs of one weighted sum.
pub(super) struct Moments {
    sums: DMatrix<f32>,
}

impl Moments {
    /// Of `inputs` inputs of which nothing has been seen.
    pub(super) fn new(inputs: usize) -> Self {
        Self {
            sums: DMatrix::zeros(inputs, inputs),
        }
    }

    /// Takes inputs into account that were seen together: whole rows of them, one after the other.
    pub(super) fn add(&mut self, rows: &[f32]) {
        let inputs = self.sums.nrows();
        let seen = DMatrix::from_column_slice(inputs, rows.len() / inputs, rows);
        self.sums.gemm(1.0, &seen, &seen.transpose(), 1.0);
    }

    /// How to round weights for these inputs; `None` if all that was seen is zeros.
    pub(super) fn rounding(&self) -> Option<Rounding> {
        let inputs = self.sums.nrows();
        let mean = self.sums.diagonal().map(f64::from).mean();
        // What matters most is rounded first, which is from the last on: the others make up for it.
        let mut order: Vec<usize> = (0..inputs).collect();
        order.sort_by(|&a, &b| self.sums[(a, a)].total_cmp(&self.sums[(b, b)]));
        let damped = DMatrix::from_fn(inputs, inputs, |row, column| {
            let sum = f64::from(self.sums[(order[row], order[column])]);
            if row == column {
                sum + DAMPING * mean
            } else {
                sum
            }
        });
        let root = (mean > 0.0).then(|| Cholesky::new(damped)).flatten()?;
        Some(Rounding { order, root })
    }
}

/// How to round the weights of sums over the same inputs.
pub(super) struct Rounding {
    order: Vec<usize>,
    root: Cholesky<f64, Dyn>,
}

impl Rounding {
    /// Makes the weights of one sum whole multiples of their step, which is a 127th of the largest one: that
    /// one stays as it is, so that the step is still seen in what is left.
    pub(super) fn round(&self, weights: &mut [f32]) {
        let largest = weights
            .iter()
            .map(|weight| weight.abs())
            .fold(0.0, f32::max);
        let step = f64::from(largest) / MOST;
        if !(step as f32).is_normal() {
            return;
        }
        let root = self.root.l_dirty();
        let mut errors = vec![0.0; weights.len()];
        for (place, &input) in self.order.iter().enumerate().rev() {
            let column = root.column(place);
            let column = column.as_slice();
            let later = column[place + 1..].iter().zip(&errors[place + 1..]);
            let owed: f64 = later.map(|(root, error)| root * error).sum();
            let weight = f64::from(weights[input]);
            let wanted = weight + owed / column[place];
            let whole = if weights[input].abs() == largest {
                weight / step
            } else {
                wanted / step
            };
            let rounded = whole.round_ties_even().clamp(-MOST, MOST) * step;
            errors[place] = weight - rounded;
            weights[input] = rounded as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: usize = 24;

    /// Rows of inputs that go together: each follows the one before it.
    fn seen(random: &mut fastrand::Rng, rows: usize) -> Vec<f32> {
        let mut all = Vec::new();
        for _ in 0..rows {
            let mut number = random.f32();
            for _ in 0..INPUTS {
                number = 0.9 * number + 0.1 * random.f32();
                all.push(number);
            }
        }
        all
    }

    fn weights(random: &mut fastrand::Rng) -> Vec<f32> {
        (0..INPUTS).map(|_| random.f32() * 2.0 - 1.0).collect()
    }

    fn nearest(weights: &[f32]) -> Vec<f32> {
        let step = weights
            .iter()
            .map(|weight| weight.abs())
            .fold(0.0, f32::max)
            / 127.0;
        weights
            .iter()
            .map(|weight| (weight / step).round() * step)
            .collect()
    }

    /// The sum of the squares of what is wrong with the sums.
    fn error(rows: &[f32], weights: &[f32], rounded: &[f32]) -> f32 {
        let wrong = rows.chunks(INPUTS).map(|row| {
            let parts = row.iter().zip(weights.iter().zip(rounded));
            parts
                .map(|(input, (weight, rounded))| input * (weight - rounded))
                .sum::<f32>()
        });
        wrong.map(|wrong| wrong * wrong).sum()
    }

    #[test]
    fn errors_cancel_where_inputs_go_together_also_for_others_than_those_seen() {
        let random = &mut fastrand::Rng::with_seed(1);
        let mut moments = Moments::new(INPUTS);
        moments.add(&seen(random, 300));
        moments.add(&seen(random, 200));
        let rounding = moments.rounding().expect("something was seen");
        let others = seen(random, 300);
        let (mut better, mut usual) = (0.0, 0.0);
        for _ in 0..20 {
            let weights = weights(random);
            let mut rounded = weights.clone();
            rounding.round(&mut rounded);
            better += error(&others, &weights, &rounded);
            usual += error(&others, &weights, &nearest(&weights));
        }
        assert!(better < usual / 8.0, "{better} beside {usual}");
    }

    #[test]
    fn what_is_left_are_whole_steps_and_the_largest_shows_which() {
        let random = &mut fastrand::Rng::with_seed(2);
        let mut moments = Moments::new(INPUTS);
        moments.add(&seen(random, 100));
        let rounding = moments.rounding().expect("something was seen");
        for _ in 0..20 {
            let before = weights(random);
            let mut after = before.clone();
            rounding.round(&mut after);
            let largest = |weights: &[f32]| weights.iter().fold(0.0, |a: f32, b| a.max(b.abs()));
            assert_eq!(largest(&before), largest(&after));
            let again = nearest(&after);
            let apart = after.iter().zip(&again).map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f32::max) < 1e-6);
        }
    }

    #[test]
    fn inputs_that_do_not_go_together_are_rounded_to_the_nearest() {
        let mut moments = Moments::new(INPUTS);
        for input in 0..INPUTS {
            let mut row = [0.0; INPUTS];
            row[input] = 1.0 + input as f32;
            moments.add(&row);
        }
        let rounding = moments.rounding().expect("something was seen");
        let weights = weights(&mut fastrand::Rng::with_seed(3));
        let mut rounded = weights.clone();
        rounding.round(&mut rounded);
        let apart = rounded
            .iter()
            .zip(nearest(&weights))
            .map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) < 1e-6);
    }

    #[test]
    fn nothing_seen_and_no_weights_change_nothing() {
        let mut moments = Moments::new(3);
        moments.add(&[0.0; 6]);
        assert!(moments.rounding().is_none());
        moments.add(&[1.0, 2.0, 0.0]);
        let mut weights = [0.0; 3];
        moments
            .rounding()
            .expect("something was seen")
            .round(&mut weights);
        assert_eq!(weights, [0.0; 3]);
    }
}
