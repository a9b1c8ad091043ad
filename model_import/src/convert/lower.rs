//! Each Keras layer to ONNX operators: NHWC to NCHW, HWIO kernels to OIHW, padding into `pads`.
//!
//! Must not know: files, burn.

use std::collections::HashMap;

use onnx_ir::{GraphProto, ModelProto};

use super::layers::{ConvertError, Layer, LayersModel, layer_error};
use super::order::{hwio_to_oihw, transpose};
use super::support;
use super::topology::Topology;
use super::window::{Pads, Window, integers};
use crate::onnx;

/// Builds the ONNX model: float32 input `N x channels x height x width`, one output.
///
/// # Errors
/// [`ConvertError::Unsupported`] with every layer that has no translation, or
/// [`ConvertError::Layer`] naming the layer whose settings or weights do not fit.
pub fn to_onnx(model: &LayersModel, topology: Topology) -> Result<ModelProto, ConvertError> {
    let layers = topology.of(model)?;
    support::refuse_unsupported(&model.path, &layers)?;
    let mut lowering = Lowering::new(model);
    for layer in &layers {
        lowering.lower(layer)?;
    }
    Ok(onnx::model(lowering.finish(&model.output)?))
}

/// What is known of a layer's output while lowering.
#[derive(Clone, Debug)]
struct Flow {
    /// Name of the ONNX value.
    value: String,
    /// Channels, or features after pooling.
    channels: usize,
    /// Height and width; empty after global pooling.
    space: Vec<i64>,
    /// Zero padding that the next convolution or pool takes over.
    pads: Pads,
    /// All elements are known to be at least zero, so padding with zeros cannot win a maximum.
    non_negative: bool,
}

struct Lowering<'a> {
    model: &'a LayersModel,
    graph: GraphProto,
    flows: HashMap<String, Flow>,
}

impl<'a> Lowering<'a> {
    fn new(model: &'a LayersModel) -> Self {
        let mut graph = GraphProto::new();
        graph.name = "layers_model".to_owned();
        Self {
            model,
            graph,
            flows: HashMap::new(),
        }
    }

    fn lower(&mut self, layer: &Layer) -> Result<(), ConvertError> {
        let flow = match layer.class_name.as_str() {
            "InputLayer" => self.input(layer)?,
            "ZeroPadding2D" => self.zero_padding(layer)?,
            "Conv2D" => self.convolution(layer)?,
            "BatchNormalization" => self.batch_norm(layer)?,
            "Activation" => self.read(layer)?,
            "Add" => self.add(layer)?,
            "MaxPooling2D" => self.max_pool(layer)?,
            "GlobalAveragePooling2D" => self.global_average(layer)?,
            _ => self.dense(layer)?,
        };
        let flow = self.activate(layer, flow);
        self.flows.insert(layer.name.clone(), flow);
        Ok(())
    }

    fn finish(mut self, output: &str) -> Result<GraphProto, ConvertError> {
        let error = |reason| layer_error(&self.model.path, output, reason);
        let missing = "is named as the output, but there is no such layer";
        let flow = self.flows.get(output).ok_or_else(|| error(missing))?;
        if !flow.space.is_empty() {
            return Err(error(
                "is the output, but gives more than one row of scores",
            ));
        }
        let features = Some(flow.channels as i64);
        let given = onnx::value(&flow.value, &[None, features]);
        self.graph.output.push(given);
        Ok(self.graph)
    }

    // === one method a layer ===

    fn input(&mut self, layer: &Layer) -> Result<Flow, ConvertError> {
        let shape = integers(layer, "batch_input_shape")?;
        let &[height, width, channels] = shape.as_slice() else {
            return Err(layer.error("is not an input of height x width x channels"));
        };
        let dims = [None, Some(channels), Some(height), Some(width)];
        self.graph.input.push(onnx::value(&layer.name, &dims));
        Ok(Flow {
            value: layer.name.clone(),
            channels: channels as usize,
            space: vec![height, width],
            pads: [0; 4],
            non_negative: false,
        })
    }

    /// Emits nothing: the padding is handed to the operator that reads it.
    fn zero_padding(&mut self, layer: &Layer) -> Result<Flow, ConvertError> {
        let mut flow = self.read(layer)?;
        let padding = &layer.config["padding"];
        let side = |axis: usize, end: usize| padding[axis][end].as_i64();
        let pads = [side(0, 0), side(1, 0), side(0, 1), side(1, 1)];
        for (total, pad) in flow.pads.iter_mut().zip(pads) {
            *total += pad.ok_or_else(|| layer.error("has no padding [[t, b], [l, r]]"))?;
        }
        Ok(flow)
    }

    fn convolution(&mut self, layer: &Layer) -> Result<Flow, ConvertError> {
        let from = self.read_padded(layer)?;
        let kernel = self.weight(layer, "kernel", 4)?;
        let (shape, data) = (kernel.shape.clone(), kernel.data.clone());
        let [height, width, inputs, outputs] = [shape[0], shape[1], shape[2], shape[3]];
        if inputs != from.channels {
            return Err(layer.error(format!(
                "reads {} channels, its kernel {inputs}",
                from.channels
            )));
        }
        let window = Window::of(
            layer,
            &[height as i64, width as i64],
            &from.space,
            from.pads,
        )?;
        let mut names = vec![from.value.clone(), format!("{}/kernel", layer.name)];
        let oihw = hwio_to_oihw(&data, [height, width, inputs, outputs]);
        self.push_tensor(&names[1], &[outputs, inputs, height, width], &oihw);
        if layer.config["use_bias"].as_bool().unwrap_or(true) {
            names.push(self.copy_vector(layer, "bias", outputs)?);
        }
        let reads: Vec<&str> = names.iter().map(String::as_str).collect();
        let node = window.describe(onnx::node("Conv", &layer.name, &reads, &layer.name));
        let node = onnx::with_ints(node, "dilations", &window.dilations);
        self.graph.node.push(onnx::with_int(node, "group", 1));
        Ok(Flow {
            value: layer.name.clone(),
            channels: outputs,
            space: window.output(&from.space),
            pads: [0; 4],
            non_negative: false,
        })
    }

    fn batch_norm(&mut self, layer: &Layer) -> Result<Flow, ConvertError> {
        let from = self.read(layer)?;
        // Keras' own default, `BatchNormalization(epsilon=0.001)`, when the file leaves it out.
        let epsilon = layer.config["epsilon"].as_f64().unwrap_or(1e-3) as f32;
        let mut names = vec![from.value.clone()];
        for part in ["gamma", "beta", "moving_mean", "moving_variance"] {
            names.push(self.copy_vector(layer, part, from.channels)?);
        }
        let reads: Vec<&str> = names.iter().map(String::as_str).collect();
        let node = onnx::node("BatchNormalization", &layer.name, &reads, &layer.name);
        self.graph
            .node
            .push(onnx::with_float(node, "epsilon", epsilon));
        Ok(Flow {
            value: layer.name.clone(),
            non_negative: false,
            ..from
        })
    }

    fn add(&mut self, layer: &Layer) -> Result<Flow, ConvertError> {
        let names = layer.inputs();
        let read = |name: &String| self.unpadded(layer, self.flow(layer, name)?);
        let flows: Vec<Flow> = names.iter().map(read).collect::<Result<_, _>>()?;
        let [left, right] = flows.as_slice() else {
            return Err(layer.error("adds other than two values"));
        };
        if left.channels != right.channels || left.space != right.space {
            return Err(layer.error("adds values of different shapes"));
        }
        let node = onnx::node(
            "Add",
            &layer.name,
            &[&left.value, &right.value],
            &layer.name,
        );
        self.graph.node.push(node);
        Ok(Flow {
            value: layer.name.clone(),
            non_negative: left.non_negative && right.non_negative,
            ..left.clone()
        })
    }

    /// ONNX pads a maximum with minus infinity, Keras padded with zero: the same only where no
    /// element is negative, and every window reads at least one element.
    fn max_pool(&mut self, layer: &Layer) -> Result<Flow, ConvertError> {
        let from = self.read_padded(layer)?;
        if from.pads != [0; 4] && !from.non_negative {
            return Err(layer.error("pools a zero-padded value that may be negative"));
        }
        let kernel = integers(layer, "pool_size")?;
        let window = Window::of(layer, &kernel, &from.space, from.pads)?;
        if window.may_read_padding_only() {
            return Err(layer.error("pools padding as wide as its window"));
        }
        let node = onnx::node("MaxPool", &layer.name, &[&from.value], &layer.name);
        self.graph.node.push(window.describe(node));
        Ok(Flow {
            value: layer.name.clone(),
            space: window.output(&from.space),
            pads: [0; 4],
            ..from
        })
    }

    fn global_average(&mut self, layer: &Layer) -> Result<Flow, ConvertError> {
        let from = self.read(layer)?;
        if from.space.is_empty() {
            return Err(layer.error("reads a value without height and width"));
        }
        let pooled = format!("{}/pooled", layer.name);
        self.graph.node.push(onnx::node(
            "GlobalAveragePool",
            &layer.name,
            &[&from.value],
            &pooled,
        ));
        let flat = onnx::node(
            "Flatten",
            &format!("{}/flatten", layer.name),
            &[&pooled],
            &layer.name,
        );
        self.graph.node.push(onnx::with_int(flat, "axis", 1));
        Ok(Flow {
            value: layer.name.clone(),
            space: Vec::new(),
            ..from
        })
    }

    fn dense(&mut self, layer: &Layer) -> Result<Flow, ConvertError> {
        let from = self.read(layer)?;
        let kernel = self.weight(layer, "kernel", 2)?;
        let (inputs, outputs) = (kernel.shape[0], kernel.shape[1]);
        if !from.space.is_empty() {
            return Err(layer.error("reads a value that still has height and width"));
        }
        if inputs != from.channels {
            return Err(layer.error(format!(
                "reads {} features, its kernel {inputs}",
                from.channels
            )));
        }
        let transposed = transpose(&kernel.data, inputs, outputs);
        let weight = format!("{}/kernel", layer.name);
        self.push_tensor(&weight, &[outputs, inputs], &transposed);
        let mut names = vec![from.value.clone(), weight];
        if layer.config["use_bias"].as_bool().unwrap_or(true) {
            names.push(self.copy_vector(layer, "bias", outputs)?);
        }
        let value = format!("{}/linear", layer.name);
        let reads: Vec<&str> = names.iter().map(String::as_str).collect();
        let node = onnx::node("Gemm", &layer.name, &reads, &value);
        // The factors are ONNX's defaults; written out, burn-onnx reads a linear layer.
        let scaled = onnx::with_float(onnx::with_float(node, "alpha", 1.0), "beta", 1.0);
        self.graph.node.push(onnx::with_int(scaled, "transB", 1));
        Ok(Flow {
            value,
            channels: outputs,
            non_negative: false,
            ..from
        })
    }

    /// Applies the activation that a layer's configuration names, if any.
    fn activate(&mut self, layer: &Layer, flow: Flow) -> Flow {
        let value = format!(
            "{}/{}",
            layer.name,
            layer.config["activation"].as_str().unwrap_or("linear")
        );
        match layer.config["activation"].as_str() {
            Some("relu") => {
                self.graph
                    .node
                    .push(onnx::node("Relu", &value, &[&flow.value], &value))
            }
            Some("softmax") => {
                let node = onnx::node("Softmax", &value, &[&flow.value], &value);
                self.graph.node.push(onnx::with_int(node, "axis", 1));
            }
            _ => return flow,
        }
        Flow {
            value,
            non_negative: true,
            ..flow
        }
    }

    // === reading ===

    fn flow(&self, layer: &Layer, name: &str) -> Result<Flow, ConvertError> {
        let flow = self.flows.get(name).cloned();
        flow.ok_or_else(|| layer.error(format!("reads '{name}', which does not come before it")))
    }

    /// The only input, padding included.
    fn read_padded(&self, layer: &Layer) -> Result<Flow, ConvertError> {
        let names = layer.inputs();
        let [name] = names.as_slice() else {
            return Err(layer.error("reads other than one value"));
        };
        self.flow(layer, name)
    }

    /// The only input of a layer that cannot take padding over.
    fn read(&self, layer: &Layer) -> Result<Flow, ConvertError> {
        self.unpadded(layer, self.read_padded(layer)?)
    }

    fn unpadded(&self, layer: &Layer, flow: Flow) -> Result<Flow, ConvertError> {
        if flow.pads != [0; 4] && layer.class_name != "ZeroPadding2D" {
            return Err(layer.error("reads a zero-padded value; only convolutions and pools may"));
        }
        Ok(flow)
    }

    fn weight(
        &self,
        layer: &Layer,
        part: &str,
        rank: usize,
    ) -> Result<&'a super::layers::Weight, ConvertError> {
        let name = format!("{}/{part}", layer.name);
        let weight = self.model.weights.get(&name);
        let weight =
            weight.ok_or_else(|| layer.error(format!("has no weight '{name}' in the shards")))?;
        if weight.shape.len() != rank {
            return Err(layer.error(format!(
                "has a weight '{name}' of {} dimensions, not {rank}",
                weight.shape.len()
            )));
        }
        Ok(weight)
    }

    fn copy_vector(
        &mut self,
        layer: &Layer,
        part: &str,
        length: usize,
    ) -> Result<String, ConvertError> {
        let weight = self.weight(layer, part, 1)?;
        let name = format!("{}/{part}", layer.name);
        if weight.shape != [length] {
            return Err(layer.error(format!(
                "has a weight '{name}' of {} elements, not {length}",
                weight.shape[0]
            )));
        }
        self.push_tensor(&name, &[length], &weight.data);
        Ok(name)
    }

    fn push_tensor(&mut self, name: &str, dims: &[usize], data: &[f32]) {
        self.graph.initializer.push(onnx::tensor(name, dims, data));
    }
}
