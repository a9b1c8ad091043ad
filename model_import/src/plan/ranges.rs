//! The range of every value of a plan, from those that a quantized ONNX file had.
//!
//! Must not know: how the file had them, how a value is stored.

use std::collections::HashMap;

use fused::{Operation, Plan, Range, Ranges};

use crate::dequantize::ValueRanges;

/// The range of every value; `None` where the file had none for one that needs it. `values` are the
/// values of the plan that ONNX values are, by name.
pub(super) fn of(
    plan: &Plan,
    values: &HashMap<String, usize>,
    quantized: &ValueRanges,
) -> Option<Ranges> {
    let mut known: Vec<Option<Range>> = vec![None; plan.layers.len() + 1];
    // In the order of their names: a value with two ranges has the same one every time.
    let mut named: Vec<(&String, &usize)> = values.iter().collect();
    named.sort_unstable();
    for (name, &value) in named {
        if let Some(&range) = quantized.get(name) {
            known[value].get_or_insert(range);
        }
    }
    if known.iter().all(Option::is_none) {
        return None;
    }
    // Scores stay floats: their range is not used.
    let last = plan.layers.last();
    let scores = last.filter(|layer| layer.operation == Operation::Softmax);
    let scores = scores.map(|layer| layer.input);
    for (layer, value) in plan.layers.iter().zip(1..) {
        let implied = match layer.operation {
            // No number of theirs is beyond those that they read.
            Operation::MaxPool(_) | Operation::AveragePool(_) => known[layer.input],
            Operation::Softmax => Some(PROBABILITY),
            _ => None,
        };
        let is_score = value == plan.layers.len() || scores == Some(value);
        let score = is_score.then_some(PROBABILITY);
        known[value] = known[value].or(implied).or(score);
    }
    // Pixels are what they are.
    known[0] = known[0].or(Some(PROBABILITY));
    let values = known.into_iter().collect::<Option<_>>()?;
    Some(Ranges {
        values,
        ..Ranges::default()
    })
}

const PROBABILITY: Range = Range {
    low: 0.0,
    high: 1.0,
};
