//! From an ONNX graph to the layers that the processor runs fused, or why that cannot be.
//!
//! `constants` are what the graph fixes, `read` turns operators into layers one by one, sliding
//! ones by `window`, `fuse` joins layers, `weights` finds the names of the weights in the record, `ranges` gives values the
//! ranges that a quantized file had for them.
//! Must not know: files, profiles, how a plan is run.

mod constants;
mod fuse;
mod ranges;
mod read;
mod weights;
mod window;

use std::collections::HashMap;

use fused::{Plan, Ranges};
use onnx_ir::ModelProto;
use thiserror::Error;

use crate::dequantize::ValueRanges;
use crate::record::Tensors;
use constants::Constants;
use read::Read;

/// Why a model cannot run fused; it names the operator that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct NoPlan {
    /// What stands in the way.
    pub reason: String,
}

impl NoPlan {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

/// The plan of a classifier whose weights are in `record`: from N images to N rows of scores. With it,
/// the ranges of its values if `quantized` has enough of them, which are of ONNX values by name.
///
/// # Errors
/// [`NoPlan`] when an operator, or the way in which it is used, has no fused form.
pub fn of(
    model: &ModelProto,
    record: &Tensors,
    quantized: &ValueRanges,
) -> Result<(Plan, Option<Ranges>), NoPlan> {
    let constants = Constants::of(&model.graph);
    let (mut plan, values) = layers(model, &constants)?;
    weights::rename(&mut plan, &constants, record)?;
    let ranges = ranges::of(&plan, &values, quantized);
    Ok((plan, ranges))
}

/// The plan with the weights under the names that ONNX has for them, and the value that each ONNX
/// value is.
fn layers(
    model: &ModelProto,
    constants: &Constants,
) -> Result<(Plan, HashMap<String, usize>), NoPlan> {
    let Read {
        plan,
        output,
        mut values,
    } = read::read(model, constants)?;
    let (plan, numbers) = fuse::fuse(plan, output);
    values.retain(|_, value| numbers[*value].inspect(|number| *value = *number).is_some());
    let shapes = plan
        .shapes()
        .map_err(|error| NoPlan::new(error.to_string()))?;
    match shapes.last() {
        Some(shape) if shape.height == 1 && shape.width == 1 => Ok((plan, values)),
        _ => Err(NoPlan::new("the network gives more than one pixel")),
    }
}

#[cfg(test)]
mod tests;
