//! Which values an engine of fewer bits stores as what, from what its documentation says.

use fused::{Layer, Operation, Plan};

/// Whether an engine of fewer bits stores a value as floats nevertheless: the output, and what is read
/// only to make such values by a softmax, by an average or by the last linear layer.
pub(crate) fn is_real(plan: &Plan, value: usize) -> bool {
    let last = plan.layers.len();
    if value == 0 || value == last {
        return value == last;
    }
    let shape = plan.shapes().unwrap()[value];
    let reads = |layer: &&(usize, &Layer)| layer.1.reads().any(|read| read == value);
    let layers: Vec<(usize, &Layer)> = plan.layers.iter().enumerate().collect();
    let mut readers = layers.iter().filter(reads).peekable();
    readers.peek().is_some()
        && readers.all(|(index, layer)| {
            let rest = &plan.layers[index + 1..];
            let is_last = rest
                .iter()
                .all(|layer| layer.operation == Operation::Softmax);
            let is_kind = match &layer.operation {
                Operation::Softmax | Operation::AveragePool(_) => true,
                Operation::Convolution(convolution) => {
                    is_last && convolution.residual.is_none() && shape.height * shape.width == 1
                }
                _ => false,
            };
            is_kind && is_real(plan, index + 1)
        })
}
