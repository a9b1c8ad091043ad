//! Integer tensors, and the scales and zero points by which they stand for floats.
//!
//! Must not know: graphs.

use fused::Range;
use onnx_ir::TensorProto;

use crate::onnx;

/// `TensorProto.DataType.UINT8`, which a quantizer without a zero point gives.
pub(super) const UINT8: i32 = 2;
const INT8: i32 = 3;
const UINT16: i32 = 4;
const INT16: i32 = 5;
const INT32: i32 = 6;

/// An integer tensor of at most 32 bits, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Integers {
    /// Its element type, as ONNX numbers them.
    pub(super) kind: i32,
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<i32>,
}

impl Integers {
    /// `None` where the tensor holds something else, or fewer elements than its shape asks for.
    pub(super) fn of(tensor: &TensorProto) -> Option<Self> {
        let raw = &tensor.raw_data;
        let values: Vec<i32> = if raw.is_empty() {
            bounds(tensor.data_type)?;
            tensor.int32_data.clone()
        } else {
            match tensor.data_type {
                UINT8 => raw.iter().copied().map(i32::from).collect(),
                INT8 => raw
                    .iter()
                    .map(|&byte| i32::from(byte.cast_signed()))
                    .collect(),
                UINT16 => words(raw)
                    .map(|pair| u16::from_le_bytes(pair).into())
                    .collect(),
                INT16 => words(raw)
                    .map(|pair| i16::from_le_bytes(pair).into())
                    .collect(),
                INT32 => words(raw).map(i32::from_le_bytes).collect(),
                _ => return None,
            }
        };
        let dims = onnx::dims(tensor);
        (values.len() == dims.iter().product::<usize>()).then_some(Self {
            kind: tensor.data_type,
            dims,
            values,
        })
    }
}

fn words<const N: usize>(raw: &[u8]) -> impl Iterator<Item = [u8; N]> {
    raw.as_chunks().0.iter().copied()
}

/// The least and the largest integer of a type.
const fn bounds(kind: i32) -> Option<(i32, i32)> {
    match kind {
        UINT8 => Some((0, u8::MAX as i32)),
        INT8 => Some((i8::MIN as i32, i8::MAX as i32)),
        UINT16 => Some((0, u16::MAX as i32)),
        INT16 => Some((i16::MIN as i32, i16::MAX as i32)),
        INT32 => Some((i32::MIN, i32::MAX)),
        _ => None,
    }
}

/// What integers stand for: `(integer - zero) * scale`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steps {
    /// One, or one for each index along the axis.
    scales: Vec<f32>,
    /// As many.
    zeros: Vec<i32>,
    axis: i64,
    /// The integers' type.
    kind: i32,
}

impl Steps {
    /// Without zero points they are 0 of type `kind`. `None` where a scale is not above zero, or there
    /// are not as many zero points.
    pub(super) fn new(
        scales: Vec<f32>,
        zeros: Option<Integers>,
        axis: i64,
        kind: i32,
    ) -> Option<Self> {
        let kind = zeros.as_ref().map_or(kind, |zeros| zeros.kind);
        let zeros = zeros.map_or_else(|| vec![0; scales.len()], |zeros| zeros.values);
        let sound = scales.iter().all(|scale| *scale > 0.0 && scale.is_finite());
        (sound && !scales.is_empty() && zeros.len() == scales.len()).then_some(Self {
            axis: if scales.len() == 1 { 0 } else { axis },
            scales,
            zeros,
            kind,
        })
    }

    /// What the least and the largest integer stand for, if there is one scale.
    pub(super) fn range(&self) -> Option<Range> {
        let ([scale], [zero]) = (self.scales.as_slice(), self.zeros.as_slice()) else {
            return None;
        };
        let (least, most) = bounds(self.kind)?;
        let number = |integer: i32| (f64::from(integer) - f64::from(*zero)) * f64::from(*scale);
        Some(Range {
            low: number(least) as f32,
            high: number(most) as f32,
        })
    }

    /// Floats of these dimensions as integers. `None` where the scales do not fit the dimensions.
    pub(super) fn quantize(&self, dims: &[usize], floats: &[f32]) -> Option<Integers> {
        let (least, most) = bounds(self.kind)?;
        let inner = self.inner(dims)?;
        let values = floats.iter().enumerate().map(|(at, float)| {
            let channel = at / inner % self.scales.len();
            let integer = (float / self.scales[channel]).round_ties_even() as i64;
            let integer = integer.saturating_add(self.zeros[channel].into());
            integer.clamp(least.into(), most.into()) as i32
        });
        Some(Integers {
            kind: self.kind,
            dims: dims.to_vec(),
            values: values.collect(),
        })
    }

    /// What integers stand for. `None` where the scales do not fit their dimensions.
    pub(super) fn dequantize(&self, integers: &Integers) -> Option<Vec<f32>> {
        let inner = self.inner(&integers.dims)?;
        let floats = integers.values.iter().enumerate().map(|(at, &integer)| {
            let channel = at / inner % self.scales.len();
            (f64::from(integer) - f64::from(self.zeros[channel])) as f32 * self.scales[channel]
        });
        Some(floats.collect())
    }

    /// Elements that follow each other with one index along the axis.
    fn inner(&self, dims: &[usize]) -> Option<usize> {
        if self.scales.len() == 1 {
            return Some(dims.iter().product::<usize>().max(1));
        }
        let rank = i64::try_from(dims.len()).ok()?;
        let axis = if self.axis < 0 {
            self.axis + rank
        } else {
            self.axis
        };
        let axis = usize::try_from(axis).ok()?;
        (dims.get(axis) == Some(&self.scales.len())).then(|| dims[axis + 1..].iter().product())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(scales: &[f32], zeros: &[i32], axis: i64, kind: i32) -> Steps {
        let zeros = Integers {
            kind,
            dims: vec![zeros.len()],
            values: zeros.to_vec(),
        };
        Steps::new(scales.to_vec(), Some(zeros), axis, kind).unwrap()
    }

    #[test]
    fn bytes_are_read_with_their_sign() {
        let mut tensor = TensorProto::new();
        tensor.dims = vec![3];
        tensor.raw_data = vec![0, 127, 255].into();
        let mut read = |kind| {
            tensor.data_type = kind;
            Integers::of(&tensor).map(|integers| integers.values)
        };
        assert_eq!(read(UINT8).unwrap(), [0, 127, 255]);
        assert_eq!(read(INT8).unwrap(), [0, 127, -1]);
        assert_eq!(read(INT16), None, "three bytes are no three words");
        assert_eq!(read(1), None, "floats are no integers");
    }

    #[test]
    fn a_range_is_what_the_outermost_integers_stand_for() {
        let range = |zero, kind| steps(&[0.5], &[zero], 1, kind).range().unwrap();
        assert_eq!(
            range(0, UINT8),
            Range {
                low: 0.0,
                high: 127.5
            }
        );
        assert_eq!(
            range(-128, INT8),
            Range {
                low: 0.0,
                high: 127.5
            }
        );
        assert_eq!(
            range(100, UINT8),
            Range {
                low: -50.0,
                high: 77.5
            }
        );
        assert_eq!(steps(&[1.0, 2.0], &[0, 0], 0, INT8).range(), None);
    }

    #[test]
    fn each_channel_has_its_scale_along_the_axis() {
        let integers = Integers {
            kind: INT8,
            dims: vec![2, 2],
            values: vec![1, 2, 3, 4],
        };
        let rows = steps(&[1.0, 10.0], &[0, 1], 0, INT8);
        assert_eq!(rows.dequantize(&integers).unwrap(), [1.0, 2.0, 20.0, 30.0]);
        let columns = steps(&[1.0, 10.0], &[0, 1], -1, INT8);
        let floats = columns.dequantize(&integers).unwrap();
        assert_eq!(floats, [1.0, 10.0, 3.0, 30.0]);
        assert_eq!(columns.quantize(&[2, 2], &floats).unwrap(), integers);
        let three = steps(&[1.0; 3], &[0; 3], 0, INT8);
        assert_eq!(three.dequantize(&integers), None);
    }

    #[test]
    fn integers_end_where_their_type_does_and_scales_are_numbers() {
        let byte = steps(&[0.5], &[10], 1, UINT8);
        let far = byte.quantize(&[3], &[-100.0, 0.3, f32::INFINITY]).unwrap();
        assert_eq!(far.values, [0, 11, 255]);
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert_eq!(Steps::new(vec![scale], None, 1, UINT8), None);
        }
    }
}
