//! As what each value is stored, and what its stored numbers mean.
//!
//! Values are stored in the format of the engine's precision, but for those that little is gained
//! by rounding: the output, and what only a pooling, a softmax or the last linear layer reads that
//! itself writes floats. In a usual network that is all from the last block on: a hundredth of the
//! work, where an error reaches the scores undiminished. Must not know: layouts, kernels.

use crate::element::{Format, Quantum};
use crate::error::EngineError;
use crate::options::Precision;
use crate::plan::{Activation, Layer, Operation, Plan, Shape};
use crate::ranges::{Range, Ranges};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub(crate) format: Format,
    pub(crate) quantum: Quantum,
}

/// How each value of `plan` is stored. `table` holds the numbers that the levels of pixels become.
pub(crate) fn storage(
    plan: &Plan,
    shapes: &[Shape],
    precision: Precision,
    ranges: Option<&Ranges>,
    table: &[Vec<f32>; 3],
) -> Result<Vec<Stored>, EngineError> {
    let format = precision.format();
    let formats = formats(plan, shapes, format);
    let ranges = match format {
        Format::U8 => checked(ranges, shapes.len())?,
        Format::F32 | Format::Bf16 => &[],
    };
    let mut stored: Vec<Stored> = Vec::new();
    for (value, format) in formats.into_iter().enumerate() {
        let layer = value.checked_sub(1).map(|layer| &plan.layers[layer]);
        let quantum = match (format, layer) {
            (Format::F32 | Format::Bf16, _) => Quantum::ONE,
            // Pixels are all that there can be.
            (Format::U8, None) if shapes[0].channels == 3 => {
                let numbers = table.iter().flatten().copied();
                let (low, high) = numbers.fold((0.0, 0.0), |(low, high): (f32, f32), number| {
                    (low.min(number), high.max(number))
                });
                Quantum::of_range(low, high)
            }
            // The largest of some bytes is one of them.
            (Format::U8, Some(layer)) if matches!(layer.operation, Operation::MaxPool(_)) => {
                stored[layer.input].quantum
            }
            (Format::U8, layer) => {
                let Range { low, high } = within(ranges[value], layer);
                Quantum::of_range(low, high)
            }
        };
        stored.push(Stored { format, quantum });
    }
    Ok(stored)
}

/// The format of each value, where most have `format`.
pub(crate) fn formats(plan: &Plan, shapes: &[Shape], format: Format) -> Vec<Format> {
    let last = plan.layers.len();
    let mut formats = vec![format; last + 1];
    formats[last] = Format::F32;
    for value in (1..last).rev() {
        let mut readers = plan
            .layers
            .iter()
            .enumerate()
            .filter(|(_, layer)| layer.reads().any(|read| read == value));
        let is_real = |(index, layer): (usize, &Layer)| {
            let is_small = match &layer.operation {
                Operation::Softmax | Operation::AveragePool(_) => true,
                Operation::Convolution(convolution) => {
                    let is_pixel = (shapes[value].height, shapes[value].width) == (1, 1);
                    is_pixel && convolution.residual.is_none() && is_scores(plan, index + 1)
                }
                _ => false,
            };
            is_small && formats[index + 1] == Format::F32
        };
        if readers.clone().next().is_some() && readers.all(is_real) {
            formats[value] = Format::F32;
        }
    }
    formats
}

/// Whether a value is the output, but for a softmax.
fn is_scores(plan: &Plan, value: usize) -> bool {
    let rest = &plan.layers[value..];
    rest.iter()
        .all(|layer| layer.operation == Operation::Softmax)
}

/// The ranges, one for each of `values` values.
fn checked(ranges: Option<&Ranges>, values: usize) -> Result<&[Range], EngineError> {
    let ranges = ranges.ok_or(EngineError::Precision {
        precision: "int8",
        why: "it needs the range of every value: measure them on sample images with an f32 engine",
    })?;
    let found = ranges.values.len();
    if found != values {
        return Err(EngineError::RangeCount {
            found,
            expected: values,
        });
    }
    for (value, &Range { low, high }) in ranges.values.iter().enumerate() {
        if !(low.is_finite() && high.is_finite() && low <= high) {
            return Err(EngineError::Range {
                value,
                range: format!("{low} to {high}"),
            });
        }
    }
    Ok(&ranges.values)
}

/// What of a range the activation of the layer that writes it leaves.
fn within(range: Range, layer: Option<&Layer>) -> Range {
    let activation = match layer.map(|layer| &layer.operation) {
        Some(Operation::Convolution(convolution)) => convolution.activation,
        Some(Operation::Add { activation, .. } | Operation::Activate { activation }) => *activation,
        _ => Activation::None,
    };
    let (least, most) = match activation {
        Activation::None | Activation::Silu => (f32::NEG_INFINITY, f32::INFINITY),
        Activation::Relu => (0.0, f32::INFINITY),
        Activation::Clip { low, high } => (low, high),
    };
    Range {
        low: range.low.max(least).min(most),
        high: range.high.min(most).max(least),
    }
}
