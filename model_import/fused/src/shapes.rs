//! The shape of every value of a plan, or what is wrong with the plan.
//!
//! What passes here cannot overflow or index out of range later. Must not know: weights, memory.

use thiserror::Error;

use crate::plan::{Convolution, Operation, Plan, Pool, Shape, WeightLayout};

/// No side, kernel, stride or count of channels is larger than this.
const MAX_SIZE: usize = 1 << 20;
/// No value of one image has more numbers than this.
const MAX_ELEMENTS: usize = 1 << 28;

/// What is wrong with a plan.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// No layer, so no output.
    #[error("the plan has no layers: write it again from the network")]
    Empty,
    /// A side of the input is zero or too large.
    #[error("the plan's input is {height}x{width}x{channels}, not a usable shape")]
    Input {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Numbers a pixel.
        channels: usize,
    },
    /// A layer that cannot be run.
    #[error("layer {layer} ({operation}): {what}")]
    Layer {
        /// The layer's number, from 0.
        layer: usize,
        /// What the layer does.
        operation: &'static str,
        /// What is wrong.
        what: String,
    },
}

impl Plan {
    /// The shape of every value: the input's, then each layer's output.
    ///
    /// # Errors
    /// [`PlanError`] names the layer and what is wrong with it.
    pub fn shapes(&self) -> Result<Vec<Shape>, PlanError> {
        if self.layers.is_empty() {
            return Err(PlanError::Empty);
        }
        let Shape {
            height,
            width,
            channels,
        } = self.input;
        if usable(self.input).is_err() {
            return Err(PlanError::Input {
                height,
                width,
                channels,
            });
        }
        let mut shapes = vec![self.input];
        for (layer, step) in self.layers.iter().enumerate() {
            let output = written(step.input, &shapes)
                .and_then(|input| output(&step.operation, input, &shapes))
                .and_then(usable)
                .map_err(|what| PlanError::Layer {
                    layer,
                    operation: step.operation.name(),
                    what,
                })?;
            shapes.push(output);
        }
        Ok(shapes)
    }
}

/// The shape of value `value`, when a layer before has written it.
fn written(value: usize, shapes: &[Shape]) -> Result<Shape, String> {
    shapes.get(value).copied().ok_or_else(|| {
        let last = shapes.len() - 1;
        format!("it reads value {value}, but only values 0 to {last} are written before it")
    })
}

fn output(operation: &Operation, input: Shape, shapes: &[Shape]) -> Result<Shape, String> {
    match operation {
        Operation::Convolution(convolution) => {
            let output = convolved(convolution, input)?;
            if let Some(residual) = convolution.residual {
                alike(residual, written(residual, shapes)?, output)?;
            }
            Ok(output)
        }
        Operation::MaxPool(pool) | Operation::AveragePool(pool) => pooled(pool, input),
        Operation::Add { other, .. } => {
            alike(*other, written(*other, shapes)?, input)?;
            Ok(input)
        }
        Operation::Activate { .. } => Ok(input),
        Operation::Softmax if input.height == 1 && input.width == 1 => Ok(input),
        Operation::Softmax => Err(format!(
            "it needs a value of one pixel, but reads {}x{}",
            input.height, input.width
        )),
    }
}

fn convolved(convolution: &Convolution, input: Shape) -> Result<Shape, String> {
    let Convolution {
        outputs,
        groups,
        dilation,
        weight_layout,
        ..
    } = *convolution;
    if groups == 0 || !input.channels.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
        return Err(format!(
            "{groups} groups do not divide {} input and {outputs} output channels",
            input.channels
        ));
    }
    if weight_layout == WeightLayout::Io && groups != 1 {
        return Err(format!(
            "weights in `io` layout have one group, not {groups}"
        ));
    }
    let window = Window {
        kernel: convolution.kernel,
        stride: convolution.stride,
        dilation,
        padding: convolution.padding,
    };
    let [height, width] = window.steps(input)?;
    Ok(Shape {
        height,
        width,
        channels: outputs,
    })
}

fn pooled(pool: &Pool, input: Shape) -> Result<Shape, String> {
    let window = Window {
        kernel: pool.kernel,
        stride: pool.stride,
        dilation: [1, 1],
        padding: pool.padding,
    };
    let [height, width] = window.steps(input)?;
    let sides = [
        (height, input.height, pool.padding[0], 0),
        (width, input.width, pool.padding[1], 1),
    ];
    for (steps, size, before, axis) in sides {
        let last = (steps - 1) * pool.stride[axis];
        if before >= pool.kernel[axis] || last >= before + size {
            return Err("a window lies wholly in the padding: make the padding smaller".to_owned());
        }
    }
    Ok(Shape {
        height,
        width,
        channels: input.channels,
    })
}

/// How a kernel walks over a value.
struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: [usize; 4],
}

impl Window {
    /// How many places the kernel has, down and to the right.
    fn steps(&self, input: Shape) -> Result<[usize; 2], String> {
        let positive = [self.kernel, self.stride, self.dilation];
        let sizes = positive.as_flattened().iter();
        if sizes.clone().any(|&size| size == 0) {
            return Err("a kernel side, stride or dilation is 0".to_owned());
        }
        if let Some(size) = sizes.chain(&self.padding).find(|&&size| size > MAX_SIZE) {
            return Err(format!("{size} is too large a kernel, stride or padding"));
        }
        let mut steps = [0; 2];
        for (axis, size) in [input.height, input.width].into_iter().enumerate() {
            let padded = size + self.padding[axis] + self.padding[axis + 2];
            let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            if reach > padded {
                return Err(format!(
                    "its kernel reaches over {reach} pixels, the padded input has {padded}"
                ));
            }
            steps[axis] = (padded - reach) / self.stride[axis] + 1;
        }
        Ok(steps)
    }
}

fn alike(value: usize, found: Shape, expected: Shape) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "it adds value {value} of {}x{}x{} to {}x{}x{}",
        found.height,
        found.width,
        found.channels,
        expected.height,
        expected.width,
        expected.channels
    ))
}

fn usable(shape: Shape) -> Result<Shape, String> {
    let sides = [shape.height, shape.width, shape.channels];
    let elements = sides.iter().try_fold(1_usize, |elements, &side| {
        (side > 0 && side <= MAX_SIZE)
            .then(|| elements.checked_mul(side))
            .flatten()
    });
    match elements {
        Some(elements) if elements <= MAX_ELEMENTS => Ok(shape),
        _ => Err(format!(
            "{}x{}x{} is not a usable shape",
            shape.height, shape.width, shape.channels
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Activation, Layer};

    fn plan(operations: Vec<Operation>) -> Plan {
        let input = Shape {
            height: 9,
            width: 7,
            channels: 4,
        };
        let layers = operations
            .into_iter()
            .enumerate()
            .map(|(input, operation)| Layer { input, operation })
            .collect();
        Plan { input, layers }
    }

    fn convolution() -> Convolution {
        Convolution {
            weights: "w".to_owned(),
            weight_layout: WeightLayout::Oihw,
            bias: None,
            outputs: 8,
            kernel: [3, 3],
            stride: [2, 1],
            dilation: [1, 2],
            padding: [1, 2, 1, 2],
            groups: 2,
            residual: None,
            activation: Activation::None,
        }
    }

    fn pool() -> Pool {
        Pool {
            kernel: [2, 3],
            stride: [2, 2],
            padding: [0, 1, 1, 1],
            count_padding: false,
        }
    }

    fn message(operations: Vec<Operation>) -> String {
        plan(operations).shapes().unwrap_err().to_string()
    }

    #[test]
    fn shapes_follow_from_the_layers() {
        let shapes = plan(vec![
            Operation::Convolution(convolution()),
            Operation::MaxPool(pool()),
            Operation::Activate {
                activation: Activation::Relu,
            },
        ])
        .shapes()
        .unwrap();
        let sides: Vec<_> = shapes
            .iter()
            .map(|s| [s.height, s.width, s.channels])
            .collect();
        assert_eq!(sides, [[9, 7, 4], [5, 7, 8], [3, 4, 8], [3, 4, 8]]);
    }

    #[test]
    fn every_error_names_the_layer() {
        let mut groups = convolution();
        groups.groups = 3;
        let message_groups = message(vec![Operation::Convolution(groups)]);
        assert!(message_groups.starts_with("layer 0 (convolution): 3 groups"));

        let mut residual = convolution();
        residual.residual = Some(0);
        assert!(message(vec![Operation::Convolution(residual)]).contains("adds value 0"));

        let mut large = convolution();
        large.kernel = [50, 1];
        assert!(message(vec![Operation::Convolution(large)]).contains("reaches over 50"));

        let mut huge = convolution();
        huge.outputs = usize::MAX - 1;
        assert!(message(vec![Operation::Convolution(huge)]).contains("usable"));

        let mut still = convolution();
        still.stride = [0, 1];
        assert!(message(vec![Operation::Convolution(still)]).contains("is 0"));

        let mut outside = pool();
        outside.padding = [2, 0, 0, 0];
        assert!(message(vec![Operation::MaxPool(outside)]).contains("wholly in the padding"));

        assert!(message(vec![Operation::Softmax]).contains("one pixel"));
        let add = Operation::Add {
            other: 4,
            activation: Activation::None,
        };
        assert!(message(vec![add]).contains("only values 0 to 0"));
        assert_eq!(plan(vec![]).shapes(), Err(PlanError::Empty));
    }
}
