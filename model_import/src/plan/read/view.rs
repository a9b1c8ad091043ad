//! Operators that compute nothing: they say in which order the numbers of a value are read.

use onnx_ir::NodeProto;

use super::{Axes, Flow, Reader};
use crate::onnx;

impl Reader<'_> {
    pub(super) fn transpose(&self, node: &NodeProto) -> Result<Flow, String> {
        let from = self.flow(node, 0)?;
        let order = onnx::ints(node, "perm").unwrap_or_default();
        let axes = match (from.axes, order) {
            (Axes::Nhwc, [0, 3, 1, 2]) => Axes::Nchw,
            (Axes::Nchw, [0, 2, 3, 1]) => Axes::Nhwc,
            (Axes::Nchw | Axes::Nhwc, [0, 1, 2, 3]) | (Axes::Rows, [0, 1]) => from.axes,
            _ => return Err(format!("orders axes by {order:?}")),
        };
        Ok(Flow { axes, ..from })
    }

    pub(super) fn flatten(&self, node: &NodeProto) -> Result<Flow, String> {
        match onnx::int(node, "axis").unwrap_or(1) {
            1 => self.rows(node),
            axis => Err(format!("is at axis {axis}, not after the images")),
        }
    }

    pub(super) fn reshape(&self, node: &NodeProto) -> Result<Flow, String> {
        let name = node.input.get(1).map_or("", String::as_str);
        let dims = self.constants.integers(name);
        let dims = dims.ok_or("has no constant shape")?;
        let numbers = self.shape(self.plain(node, 0)?).elements();
        let is_all = |dim: i64| usize::try_from(dim) == Ok(numbers);
        match *dims.as_slice() {
            [0, rest] if rest == -1 || is_all(rest) => self.rows(node),
            [-1, rest] if is_all(rest) => self.rows(node),
            _ => Err(format!("to {dims:?} gives other than a row an image")),
        }
    }

    /// Height and width, where both are one, taken away.
    pub(super) fn squeeze(&self, node: &NodeProto) -> Result<Flow, String> {
        let from = self.plain(node, 0)?;
        let axes = self.list(node, "axes", 1).unwrap_or_default();
        let mut places: Vec<i64> = axes.iter().map(|axis| axis.rem_euclid(4)).collect();
        places.sort_unstable();
        match (from.axes, places.as_slice()) {
            (Axes::Nchw, [2, 3]) | (Axes::Nhwc, [1, 2]) => self.rows(node),
            _ => Err(format!("takes away axes {axes:?}, not height and width")),
        }
    }

    fn rows(&self, node: &NodeProto) -> Result<Flow, String> {
        let from = self.plain(node, 0)?;
        let shape = self.shape(from);
        if from.axes == Axes::Nhwc && (shape.height, shape.width) != (1, 1) {
            return Err("makes rows in which the channels come last".to_owned());
        }
        Ok(Flow::new(from.value, Axes::Rows))
    }
}
