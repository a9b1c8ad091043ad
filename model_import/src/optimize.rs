//! ONNX to ONNX: the same function with fewer operators.
//!
//! One pass so far: BatchNorm folded into the convolution before it. Must not know: burn, files,
//! which network it is.

use std::collections::HashMap;

use onnx_ir::{GraphProto, ModelProto, NodeProto, TensorProto};

use crate::onnx::{self, OnnxError};

/// Epsilon of ONNX `BatchNormalization` when the attribute is absent (ONNX operator reference).
const DEFAULT_EPSILON: f32 = 1e-5;

/// Folds every BatchNorm that alone reads a convolution with constant weights into it, and
/// returns how many were folded. Others are left as they are.
///
/// In inference `y = gamma * (w * x + b - mean) / sqrt(variance + epsilon) + beta`
/// (Ioffe and Szegedy 2015, algorithm 1 with population statistics), which is a convolution with
/// weights `w * s` and bias `(b - mean) * s + beta`, `s = gamma / sqrt(variance + epsilon)`
/// for each output channel. Computed in float64 and rounded to float32 once.
///
/// # Errors
/// [`OnnxError`] naming the first weight that is not plain float32 of the expected size.
pub fn fold_batch_norm(model: &mut ModelProto) -> Result<usize, OnnxError> {
    let graph = model.graph.mut_or_insert_default();
    let uses = onnx::uses(graph);
    let mut folded = Vec::new();
    for index in 0..graph.node.len() {
        if let Some(pair) = Pair::find(graph, &uses, index) {
            pair.fold(graph)?;
            folded.push(pair.norm);
        }
    }
    for &index in folded.iter().rev() {
        graph.node.remove(index);
    }
    drop_unread(graph);
    Ok(folded.len())
}

/// Positions of a BatchNorm and of the convolution that only it reads.
struct Pair {
    norm: usize,
    convolution: usize,
}

impl Pair {
    fn find(graph: &GraphProto, uses: &HashMap<String, usize>, norm: usize) -> Option<Self> {
        let node = &graph.node[norm];
        if node.op_type != "BatchNormalization" || node.input.len() != 5 {
            return None;
        }
        if onnx::int(node, "training_mode").unwrap_or(0) != 0 || node.output.len() != 1 {
            return None;
        }
        let source = &node.input[0];
        let convolution = graph
            .node
            .iter()
            .position(|other| other.output.contains(source))?;
        let weights = &graph.node[convolution].input;
        let constant = |name: &String| graph.initializer.iter().any(|weight| weight.name == *name);
        let alone = |name: &String| uses.get(name) == Some(&1);
        let foldable = graph.node[convolution].op_type == "Conv"
            && alone(source)
            && weights[1..]
                .iter()
                .all(|name| constant(name) && alone(name))
            && node.input[1..].iter().all(constant);
        foldable.then_some(Self { norm, convolution })
    }

    fn fold(&self, graph: &mut GraphProto) -> Result<(), OnnxError> {
        let norm = graph.node[self.norm].clone();
        let weights = graph.node[self.convolution].input.clone();
        let kernel = weight(graph, &weights[1])?;
        let channels = onnx::dims(kernel).first().copied().unwrap_or(0);
        let bias = match weights.get(2) {
            Some(name) => sized(weight(graph, name)?, channels)?,
            None => vec![0.0; channels],
        };
        let scales = Scales::of(graph, &norm, channels)?;
        let kernel = scales.kernel(&onnx::floats(kernel)?);
        let bias = scales.bias(&bias);

        replace(graph, &weights[1], &kernel);
        match weights.get(2) {
            Some(name) => replace(graph, name, &bias),
            None => {
                let name = format!("{}/folded_bias", graph.node[self.convolution].name);
                graph
                    .initializer
                    .push(onnx::tensor(&name, &[channels], &bias));
                graph.node[self.convolution].input.push(name);
            }
        }
        graph.node[self.convolution].output[0].clone_from(&norm.output[0]);
        Ok(())
    }
}

/// The BatchNorm's four vectors, one element a channel, in float64.
struct Scales {
    /// `gamma / sqrt(variance + epsilon)`.
    scale: Vec<f64>,
    mean: Vec<f64>,
    beta: Vec<f64>,
}

impl Scales {
    fn of(graph: &GraphProto, norm: &NodeProto, channels: usize) -> Result<Self, OnnxError> {
        let vector = |input: usize| -> Result<Vec<f64>, OnnxError> {
            let values = sized(weight(graph, &norm.input[input])?, channels)?;
            Ok(values.into_iter().map(f64::from).collect())
        };
        let [gamma, beta, mean, variance] = [vector(1)?, vector(2)?, vector(3)?, vector(4)?];
        let epsilon = f64::from(onnx::float(norm, "epsilon").unwrap_or(DEFAULT_EPSILON));
        let scale = gamma
            .iter()
            .zip(&variance)
            .map(|(gamma, variance)| gamma / (variance + epsilon).sqrt())
            .collect();
        Ok(Self { scale, mean, beta })
    }

    fn kernel(&self, kernel: &[f32]) -> Vec<f32> {
        let a_channel = kernel.len() / self.scale.len().max(1);
        kernel
            .chunks(a_channel.max(1))
            .zip(&self.scale)
            .flat_map(|(weights, scale)| {
                weights
                    .iter()
                    .map(move |&weight| (f64::from(weight) * scale) as f32)
            })
            .collect()
    }

    fn bias(&self, bias: &[f32]) -> Vec<f32> {
        let channels = self.scale.iter().zip(&self.mean).zip(&self.beta);
        bias.iter()
            .zip(channels)
            .map(|(&bias, ((scale, mean), beta))| ((f64::from(bias) - mean) * scale + beta) as f32)
            .collect()
    }
}

fn weight<'a>(graph: &'a GraphProto, name: &str) -> Result<&'a TensorProto, OnnxError> {
    let found = graph.initializer.iter().find(|weight| weight.name == name);
    found.ok_or_else(|| OnnxError::NotFloat {
        tensor: name.to_owned(),
        expected: 0,
    })
}

fn sized(tensor: &TensorProto, expected: usize) -> Result<Vec<f32>, OnnxError> {
    let values = onnx::floats(tensor)?;
    if values.len() == expected {
        Ok(values)
    } else {
        Err(OnnxError::NotFloat {
            tensor: tensor.name.clone(),
            expected,
        })
    }
}

fn replace(graph: &mut GraphProto, name: &str, data: &[f32]) {
    if let Some(weight) = graph
        .initializer
        .iter_mut()
        .find(|weight| weight.name == name)
    {
        onnx::set_floats(weight, data);
    }
}

/// Removes weights that no operator reads any more.
fn drop_unread(graph: &mut GraphProto) {
    let uses = onnx::uses(graph);
    graph
        .initializer
        .retain(|weight| uses.contains_key(&weight.name));
    let read = |name: &str| uses.contains_key(name);
    graph.input.retain(|input| read(&input.name));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 1x1 convolution over two channels, then a BatchNorm whose numbers can be checked by hand.
    fn conv_then_norm(read_twice: bool) -> ModelProto {
        let mut graph = GraphProto::new();
        graph
            .input
            .push(onnx::value("x", &[None, Some(1), Some(1), Some(1)]));
        graph
            .output
            .push(onnx::value("y", &[None, Some(2), Some(1), Some(1)]));
        let weights: [(&str, &[usize], &[f32]); 6] = [
            ("w", &[2, 1, 1, 1], &[3.0, 5.0]),
            ("gamma", &[2], &[2.0, 1.0]),
            ("beta", &[2], &[10.0, 20.0]),
            ("mean", &[2], &[1.0, 4.0]),
            ("variance", &[2], &[3.0, 0.25]),
            ("b", &[2], &[7.0, 8.0]),
        ];
        for (name, dims, data) in weights {
            graph.initializer.push(onnx::tensor(name, dims, data));
        }
        graph
            .node
            .push(onnx::node("Conv", "conv", &["x", "w", "b"], "c"));
        let reads = ["c", "gamma", "beta", "mean", "variance"];
        let norm = onnx::node("BatchNormalization", "norm", &reads, "y");
        graph.node.push(onnx::with_float(norm, "epsilon", 1.0));
        if read_twice {
            graph
                .output
                .push(onnx::value("c", &[None, Some(2), Some(1), Some(1)]));
        }
        onnx::model(graph)
    }

    #[test]
    fn a_norm_becomes_weights_and_bias() {
        let mut model = conv_then_norm(false);
        assert_eq!(fold_batch_norm(&mut model).unwrap(), 1);
        assert_eq!(model.graph.node.len(), 1);
        assert_eq!(model.graph.node[0].output, ["y"]);
        let names: Vec<&str> = model
            .graph
            .initializer
            .iter()
            .map(|w| w.name.as_str())
            .collect();
        assert_eq!(names, ["w", "b"]);
        // s = gamma / sqrt(variance + 1) = [1, 1 / sqrt(1.25)].
        let s = 1.0 / 1.25_f64.sqrt();
        let kernel = onnx::floats(&model.graph.initializer[0]).unwrap();
        assert_eq!(kernel, [3.0, (5.0 * s) as f32]);
        let bias = onnx::floats(&model.graph.initializer[1]).unwrap();
        assert_eq!(bias, [16.0, ((8.0 - 4.0) * s + 20.0) as f32]);
    }

    #[test]
    fn a_convolution_read_elsewhere_keeps_its_norm() {
        let mut model = conv_then_norm(true);
        assert_eq!(fold_batch_norm(&mut model).unwrap(), 0);
        assert_eq!(model.graph.node.len(), 2);
    }

    #[test]
    fn a_norm_of_the_wrong_length_is_named() {
        let mut model = conv_then_norm(false);
        model.graph.mut_or_insert_default().initializer[1] = onnx::tensor("gamma", &[3], &[1.0; 3]);
        let error = fold_batch_norm(&mut model).unwrap_err().to_string();
        assert!(error.contains("'gamma'"), "{error}");
    }
}
