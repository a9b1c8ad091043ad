//! Which tensor of a record holds a constant of the graph, found by comparing contents.
//!
//! The generator names tensors by a scheme of its own and stores the weights of linear layers
//! transposed; what a tensor holds does not depend on either. Must not know: how a record is
//! stored, what a layer does with its weights.

use fused::{Operation, Plan, WeightLayout};

use super::NoPlan;
use super::constants::Constants;
use crate::onnx;
use crate::record::Tensors;

/// Gives every weight of the plan the name of the record's tensor that holds it.
///
/// # Errors
/// [`NoPlan`] naming the first constant that the record does not hold.
pub(super) fn rename(
    plan: &mut Plan,
    constants: &Constants,
    record: &Tensors,
) -> Result<(), NoPlan> {
    for layer in &mut plan.layers {
        let Operation::Convolution(convolution) = &mut layer.operation else {
            continue;
        };
        let (dims, data) = read(&convolution.weights, constants)?;
        if let Some(name) = alike(&dims, &data, record) {
            name.clone_into(&mut convolution.weights);
        } else if let Some(name) = turned(&dims, &data, record) {
            name.clone_into(&mut convolution.weights);
            convolution.weight_layout = match convolution.weight_layout {
                WeightLayout::Oihw => WeightLayout::Io,
                WeightLayout::Io => WeightLayout::Oihw,
            };
        } else {
            return Err(missing(&convolution.weights));
        }
        if let Some(bias) = &mut convolution.bias {
            let (_, data) = read(bias, constants)?;
            let name = vector(&data, &convolution.weights, record);
            name.ok_or_else(|| missing(bias))?.clone_into(bias);
        }
    }
    Ok(())
}

fn read(name: &str, constants: &Constants) -> Result<(Vec<usize>, Vec<f32>), NoPlan> {
    let tensor = constants.get(name).ok_or_else(|| missing(name))?;
    let data = onnx::floats(tensor).map_err(|error| NoPlan::new(error.to_string()))?;
    Ok((onnx::dims(tensor), data))
}

fn missing(name: &str) -> NoPlan {
    NoPlan::new(format!(
        "the generated network's record does not hold '{name}' as it is"
    ))
}

/// The tensor with these dimensions and elements.
fn alike<'a>(dims: &[usize], data: &[f32], record: &'a Tensors) -> Option<&'a str> {
    let mut candidates = record.iter().filter(|(_, found)| found.shape == dims);
    let found = candidates.find(|(_, found)| same(found.data.iter(), data.iter()));
    found.map(|(name, _)| name)
}

/// The tensor that is this matrix transposed.
fn turned<'a>(dims: &[usize], data: &[f32], record: &'a Tensors) -> Option<&'a str> {
    let [rows, columns] = *dims else {
        return None;
    };
    let cells = || (0..columns).flat_map(|column| data[column..].iter().step_by(columns));
    let shape = [columns, rows];
    let mut candidates = record.iter().filter(|(_, found)| found.shape == shape);
    let found = candidates.find(|(_, found)| same(found.data.iter(), cells()));
    found.map(|(name, _)| name)
}

/// The tensor with these elements, that of the same module as `weights` if several have them.
fn vector<'a>(data: &[f32], weights: &str, record: &'a Tensors) -> Option<&'a str> {
    let holding = || {
        let all = record.iter();
        all.filter(|(_, found)| same(found.data.iter(), data.iter()))
    };
    let module = weights.rsplit_once('.').map(|(module, _)| module);
    let own = |name: &str| module.is_some() && name.rsplit_once('.').map(|(own, _)| own) == module;
    let first = holding().find(|(name, _)| own(name));
    first.or_else(|| holding().next()).map(|(name, _)| name)
}

/// Whether both have the same bits: not a number is the same as itself, and zero has its sign.
fn same<'a>(left: impl Iterator<Item = &'a f32>, right: impl Iterator<Item = &'a f32>) -> bool {
    left.map(|value| value.to_bits())
        .eq(right.map(|value| value.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Stored;

    fn record(tensors: &[(&str, &[usize], &[f32])]) -> Tensors {
        let stored = |(name, shape, data): &(&str, &[usize], &[f32])| {
            let (shape, data) = (shape.to_vec(), data.to_vec());
            ((*name).to_owned(), Stored { shape, data })
        };
        tensors.iter().map(stored).collect()
    }

    #[test]
    fn a_matrix_is_found_as_it_is_and_transposed() {
        let data = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let record = record(&[
            ("as_is", &[2, 3], &data),
            ("flat", &[6], &data),
            ("turned", &[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
        ]);
        assert_eq!(alike(&[2, 3], &data, &record), Some("as_is"));
        assert_eq!(turned(&[2, 3], &data, &record), Some("turned"));
        assert_eq!(alike(&[3, 2], &data, &record), None);
        assert_eq!(turned(&[3, 2], &data, &record), None);
    }

    #[test]
    fn of_equal_vectors_the_one_beside_the_weights_is_taken() {
        let record = record(&[
            ("conv1.bias", &[2], &[0.0, 0.0]),
            ("conv2.bias", &[2], &[0.0, 0.0]),
            ("conv3.bias", &[2], &[-0.0, 0.0]),
        ]);
        let zeros = [0.0, 0.0];
        assert_eq!(vector(&zeros, "conv2.weight", &record), Some("conv2.bias"));
        assert_eq!(vector(&zeros, "constant7", &record), Some("conv1.bias"));
        assert_eq!(vector(&[1.0, 0.0], "conv1.weight", &record), None);
        assert_eq!(
            vector(&[-0.0, 0.0], "conv1.weight", &record),
            Some("conv3.bias")
        );
    }
}
