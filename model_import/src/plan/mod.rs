//! From an ONNX graph to the layers that the processor runs fused, or why that cannot be.
//!
//! `constants` are what the graph fixes, `read` turns operators into layers one by one, sliding
//! ones by `window`, `fuse` joins layers, `weights` finds the names of the weights in the record.
//! Must not know: files, profiles, how a plan is run.

mod constants;
mod fuse;
mod read;
mod weights;
mod window;

use fused::Plan;
use onnx_ir::ModelProto;
use thiserror::Error;

use crate::record::Tensors;
use constants::Constants;

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

/// The plan of a classifier whose weights are in `record`: from N images to N rows of scores.
///
/// # Errors
/// [`NoPlan`] when an operator, or the way in which it is used, has no fused form.
pub fn of(model: &ModelProto, record: &Tensors) -> Result<Plan, NoPlan> {
    let constants = Constants::of(&model.graph);
    let mut plan = layers(model, &constants)?;
    weights::rename(&mut plan, &constants, record)?;
    Ok(plan)
}

/// The same with the weights under the names that ONNX has for them.
fn layers(model: &ModelProto, constants: &Constants) -> Result<Plan, NoPlan> {
    let (plan, output) = read::read(model, constants)?;
    let plan = fuse::fuse(plan, output);
    let shapes = plan
        .shapes()
        .map_err(|error| NoPlan::new(error.to_string()))?;
    match shapes.last() {
        Some(shape) if shape.height == 1 && shape.width == 1 => Ok(plan),
        _ => Err(NoPlan::new("the network gives more than one pixel")),
    }
}

#[cfg(test)]
mod tests;
