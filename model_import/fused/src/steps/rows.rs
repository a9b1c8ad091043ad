//! The layers whose chunk is one output row: pooling, sums, activations, grouped convolutions; and
//! softmax, whose chunk is an image.
//!
//! Must not know: other layers, threads.

use super::{Images, Parts, Step, Value};
use crate::ahead::Soon;
use crate::convolution::Walk;
use crate::element::{Format, Rule};
use crate::kernel::{self, Channels, Elementwise, Image, Kernels, PoolRow};
use crate::layout::CHANNELS;
use crate::plan::Pool;

/// Which image and row a chunk is.
const fn row(value: &Value, chunk: usize) -> (usize, usize) {
    let height = value.layout.shape.height;
    (chunk / height, chunk % height)
}

/// A pooling layer.
pub(crate) struct Pooling {
    pub(crate) pool: Pool,
    pub(crate) input: Value,
    pub(crate) output: Value,
    pub(crate) kernel: unsafe fn(&PoolRow),
}

impl Step for Pooling {
    fn chunks(&self, images: usize) -> usize {
        images * self.output.layout.shape.height
    }

    unsafe fn run(&self, chunk: usize, images: Images, memory: *mut u8, _: *mut u8, _: &Soon) {
        let (image, y) = row(&self.output, chunk);
        let Pool {
            kernel,
            stride,
            padding,
            count_padding,
        } = self.pool;
        let input = self.input.layout;
        let top = (y * stride[0]).saturating_sub(padding[0]);
        let bottom = input
            .shape
            .height
            .min(y * stride[0] + kernel[0] - padding[0]);
        // SAFETY: the caller's promise; the row is one of the output's, and a window is cut at the
        // edges of the input.
        unsafe {
            (self.kernel)(&PoolRow {
                input: self.input.image(memory, (images, image), [0, 0]),
                output: self.output.image(memory, (images, image), [y, 0]),
                width: self.output.layout.shape.width,
                input_width: input.shape.width,
                rows: (top, bottom),
                kernel: kernel[1],
                stride: stride[1],
                before: padding[1],
                divisor: count_padding.then_some(kernel[0] * kernel[1]),
            });
        }
    }
}

/// An activation alone, or a sum of two values and an activation.
pub(crate) struct Elements {
    pub(crate) input: Value,
    pub(crate) other: Option<Value>,
    pub(crate) output: Value,
    pub(crate) rule: Rule,
    pub(crate) kernels: &'static Kernels,
}

impl Step for Elements {
    fn chunks(&self, images: usize) -> usize {
        images * self.output.layout.shape.height
    }

    unsafe fn run(&self, chunk: usize, images: Images, memory: *mut u8, _: *mut u8, _: &Soon) {
        let (image, y) = row(&self.output, chunk);
        // SAFETY: the caller's promise; the row is one of each value's.
        unsafe {
            let image = |value: &Value| value.image(memory, (images, image), [y, 0]);
            (self.kernels.elementwise)(&Elementwise {
                input: image(&self.input),
                other: self.other.as_ref().map(image),
                output: image(&self.output),
                width: self.output.layout.shape.width,
                rule: self.rule,
            });
        }
    }
}

/// Softmax over the channels of a value of one pixel.
pub(crate) struct Softmax {
    pub(crate) input: Value,
    pub(crate) output: Value,
    pub(crate) kernels: &'static Kernels,
}

impl Step for Softmax {
    fn chunks(&self, images: usize) -> usize {
        images
    }

    unsafe fn run(&self, chunk: usize, images: Images, memory: *mut u8, _: *mut u8, _: &Soon) {
        // SAFETY: the caller's promise; both values have these channels.
        unsafe {
            (self.kernels.softmax)(&Channels {
                input: self.input.image(memory, (images, chunk), [0, 0]),
                output: self.output.image(memory, (images, chunk), [0, 0]),
                channels: self.output.layout.shape.channels,
            });
        }
    }
}

/// A convolution of several groups, depthwise ones on a faster way.
pub(crate) struct Grouped {
    input: Value,
    output: Value,
    residual: Option<Value>,
    walk: Walk,
    groups: usize,
    /// Input and output channels of a group.
    inputs: usize,
    outputs: usize,
    /// The kernel's pixels: their offsets in bytes.
    taps: Vec<usize>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    rule: Rule,
    kernels: &'static Kernels,
}

impl Grouped {
    pub(crate) fn new(parts: Parts<'_>) -> Self {
        let walk = Walk::new(parts.convolution);
        let groups = parts.convolution.groups;
        let (inputs, outputs) = (parts.kernel.inputs, parts.kernel.outputs / groups);
        let [height, width] = walk.kernel;
        let layout = parts.input.layout;
        let [down, right] = [
            walk.dilation[0] * layout.row(),
            walk.dilation[1] * layout.pixel(),
        ];
        let places: Vec<[usize; 2]> = (0..height * width)
            .map(|tap| [tap / width, tap % width])
            .collect();
        let taps = places.iter().map(|[y, x]| y * down + x * right).collect();
        let mut weights = Vec::new();
        if inputs == 1 && outputs == 1 {
            let padded = groups.next_multiple_of(CHANNELS);
            for &place in &places {
                weights.extend((0..groups).map(|channel| parts.kernel.at(channel, 0, place)));
                weights.resize(weights.len().next_multiple_of(padded), 0.0);
            }
        } else {
            for group in 0..groups {
                for first in (0..outputs).step_by(CHANNELS) {
                    let count = CHANNELS.min(outputs - first);
                    for &place in &places {
                        for input in 0..inputs {
                            let channels =
                                (0..count).map(|output| group * outputs + first + output);
                            weights.extend(channels.map(|o| parts.kernel.at(o, input, place)));
                            weights.resize(weights.len().next_multiple_of(CHANNELS), 0.0);
                        }
                    }
                }
            }
        }
        let mut bias = parts.bias;
        if parts.input.format == Format::U8 {
            // The kernels multiply stored numbers: their scale goes into the weights, their zero into
            // the bias. The weights stay floats, for nothing is won by rounding them.
            let scale = f64::from(parts.input.quantum.scale);
            let zero = f64::from(parts.input.quantum.zero);
            for (output, bias) in bias.iter_mut().enumerate() {
                let sum: f64 = parts.kernel.of(output).map(f64::from).sum();
                *bias = (f64::from(*bias) - scale * zero * sum) as f32;
            }
            for weight in &mut weights {
                *weight = (f64::from(*weight) * scale) as f32;
            }
        }
        bias.resize(bias.len().next_multiple_of(CHANNELS), 0.0);
        Self {
            input: parts.input,
            output: parts.output,
            residual: parts.residual,
            walk,
            groups,
            inputs,
            outputs,
            taps,
            weights,
            bias,
            rule: parts.rule,
            kernels: parts.kernels,
        }
    }
}

impl Step for Grouped {
    fn chunks(&self, images: usize) -> usize {
        images * self.output.layout.shape.height
    }

    unsafe fn run(&self, chunk: usize, images: Images, memory: *mut u8, _: *mut u8, _: &Soon) {
        let (image, y) = row(&self.output, chunk);
        let layout = self.input.layout;
        let first = layout.at(y * self.walk.stride[0], 0, self.walk.before);
        let input = Image {
            start: memory.wrapping_add(self.input.offset(images, image) + first),
            pixel: layout.pixel(),
            row: layout.row(),
            depth: layout.depth,
            quantum: self.input.quantum,
        };
        // SAFETY: the caller's promise. The row is one of the output's; its taps are in the input
        // or in the border, which is as wide as the padding.
        unsafe {
            let image = |value: &Value| value.image(memory, (images, image), [y, 0]);
            let (output, residual) = (image(&self.output), self.residual.as_ref().map(image));
            let (width, step) = (
                self.output.layout.shape.width,
                self.walk.stride[1] * layout.pixel(),
            );
            if self.inputs == 1 && self.outputs == 1 {
                (self.kernels.depthwise)(&kernel::Depthwise {
                    input,
                    output,
                    residual,
                    width,
                    step,
                    taps: &self.taps,
                    weights: &self.weights,
                    bias: &self.bias,
                    rule: self.rule,
                });
            } else {
                (self.kernels.grouped)(&kernel::Grouped {
                    input,
                    output,
                    residual,
                    width,
                    groups: self.groups,
                    inputs: self.inputs,
                    outputs: self.outputs,
                    step,
                    taps: &self.taps,
                    weights: &self.weights,
                    bias: &self.bias,
                    rule: self.rule,
                });
            }
        }
    }
}
