//! A sliding window over height and width: its settings, its padding, its output's size.

use onnx_ir::NodeProto;
use serde_json::Value;

use super::layers::{ConvertError, Layer};
use crate::onnx;

/// Zeros put before and after height and width: top, left, bottom, right, as ONNX orders them.
pub(super) type Pads = [i64; 4];

/// A sliding window over height and width.
pub(super) struct Window {
    kernel: Vec<i64>,
    strides: Vec<i64>,
    pub(super) dilations: Vec<i64>,
    pub(super) pads: Pads,
}

impl Window {
    /// The window of `kernel` over a value of height and width `space`, which is zero-padded by
    /// `padded`; the layer says the rest.
    ///
    /// # Errors
    /// [`ConvertError::Layer`] when a setting is missing or the window does not fit.
    pub(super) fn of(
        layer: &Layer,
        kernel: &[i64],
        space: &[i64],
        padded: Pads,
    ) -> Result<Self, ConvertError> {
        let strides = integers(layer, "strides")?;
        let dilations = integers(layer, "dilation_rate").unwrap_or_else(|_| vec![1, 1]);
        if space.len() != 2 || kernel.len() != 2 || strides.len() != 2 || dilations.len() != 2 {
            return Err(layer.error("is not a window over two dimensions"));
        }
        if strides
            .iter()
            .chain(kernel)
            .chain(&dilations)
            .any(|&number| number < 1)
        {
            return Err(layer.error("has a window, stride or dilation below 1"));
        }
        let mut window = Self {
            kernel: kernel.to_vec(),
            strides,
            dilations,
            pads: padded,
        };
        if layer.config["padding"] == "same" {
            for (axis, &size) in space.iter().enumerate() {
                let total = window.same_padding(axis, size);
                window.pads[axis] += total / 2;
                window.pads[axis + 2] += total - total / 2;
            }
        }
        if window.output(space).iter().any(|&size| size < 1) {
            return Err(layer.error("has a window larger than what it reads"));
        }
        Ok(window)
    }

    /// TensorFlow's `SAME`: `max((ceil(n / s) - 1) * s + k - n, 0)`, the odd one at the end.
    fn same_padding(&self, axis: usize, size: i64) -> i64 {
        let size = size + self.pads[axis] + self.pads[axis + 2];
        let steps = (size + self.strides[axis] - 1) / self.strides[axis];
        ((steps - 1) * self.strides[axis] + self.extent(axis) - size).max(0)
    }

    fn extent(&self, axis: usize) -> i64 {
        (self.kernel[axis] - 1) * self.dilations[axis] + 1
    }

    /// Whether the first or the last window may lie in the padding with its whole extent.
    pub(super) fn may_read_padding_only(&self) -> bool {
        (0..2).any(|axis| self.pads[axis].max(self.pads[axis + 2]) >= self.extent(axis))
    }

    /// Height and width of the output.
    pub(super) fn output(&self, space: &[i64]) -> Vec<i64> {
        let size = |axis: usize| {
            let padded = space[axis] + self.pads[axis] + self.pads[axis + 2];
            (padded - self.extent(axis)).div_euclid(self.strides[axis]) + 1
        };
        vec![size(0), size(1)]
    }

    /// Gives an operator the window's attributes.
    pub(super) fn describe(&self, node: NodeProto) -> NodeProto {
        let node = onnx::with_ints(node, "kernel_shape", &self.kernel);
        let node = onnx::with_ints(node, "strides", &self.strides);
        onnx::with_ints(node, "pads", &self.pads)
    }
}

/// The integers of a list setting; nulls (the batch dimension) are left out.
pub(super) fn integers(layer: &Layer, setting: &str) -> Result<Vec<i64>, ConvertError> {
    let values = layer.config[setting].as_array();
    let values = values.ok_or_else(|| layer.error(format!("has no list '{setting}'")))?;
    Ok(values.iter().filter_map(Value::as_i64).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn window(padding: &str, kernel: i64, stride: i64, size: i64, padded: Pads) -> Window {
        let layer = layer(json!({ "padding": padding, "strides": [stride, stride] }));
        Window::of(&layer, &[kernel, kernel], &[size, size], padded).unwrap()
    }

    fn layer(config: Value) -> Layer {
        let layer = json!({ "name": "slider", "class_name": "Conv2D", "config": config });
        serde_json::from_value(layer).unwrap()
    }

    #[test]
    fn same_padding_covers_every_step_and_puts_the_odd_zero_last() {
        for (kernel, stride, size, pads, output) in [
            (3, 1, 5, [1, 1, 1, 1], 5),
            (3, 2, 4, [0, 0, 1, 1], 2),
            (3, 2, 5, [1, 1, 1, 1], 3),
            (7, 2, 224, [2, 2, 3, 3], 112),
            (1, 2, 5, [0, 0, 0, 0], 3),
        ] {
            let window = window("same", kernel, stride, size, [0; 4]);
            assert_eq!(window.pads, pads, "{kernel} {stride} {size}");
            assert_eq!(window.output(&[size, size]), [output, output]);
        }
    }

    #[test]
    fn padding_before_a_valid_window_is_its_padding() {
        let window = window("valid", 7, 2, 224, [3, 3, 3, 3]);
        assert_eq!(window.pads, [3, 3, 3, 3]);
        assert_eq!(window.output(&[224, 224]), [112, 112]);
        assert!(!window.may_read_padding_only());
    }

    #[test]
    fn padding_as_wide_as_the_window_is_noticed() {
        let window = window("valid", 2, 2, 4, [0, 0, 2, 0]);
        assert!(window.may_read_padding_only());
    }

    #[test]
    fn settings_that_make_no_window_are_refused_with_the_layer() {
        for (config, size, reason) in [
            (json!({}), 4, "has no list 'strides'"),
            (json!({ "strides": [1] }), 4, "is not a window over two"),
            (
                json!({ "strides": [0, 1] }),
                4,
                "stride or dilation below 1",
            ),
            (json!({ "strides": [2, 2] }), 1, "has a window larger"),
        ] {
            let layer = layer(config);
            let made = Window::of(&layer, &[2, 2], &[size, size], [0; 4]);
            let error = made.err().unwrap().to_string();
            assert!(
                error.contains("layer 'slider'") && error.contains(reason),
                "{error}"
            );
        }
    }
}
