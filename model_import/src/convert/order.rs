//! Weights in another order of axes: Keras' to ONNX's.
//!
//! Must not know: layers, files.

/// A convolution's kernel from height x width x inputs x outputs to outputs x inputs x height x
/// width.
pub(super) fn hwio_to_oihw(data: &[f32], [height, width, inputs, outputs]: [usize; 4]) -> Vec<f32> {
    let mut oihw = Vec::with_capacity(data.len());
    for output in 0..outputs {
        for input in 0..inputs {
            for pixel in 0..height * width {
                oihw.push(data[(pixel * inputs + input) * outputs + output]);
            }
        }
    }
    oihw
}

/// A matrix of rows x columns to columns x rows.
pub(super) fn transpose(data: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let cells = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
    cells.map(|cell| data[cell]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each element says where it was: row, column, input and output as decimal digits.
    #[test]
    fn a_kernel_keeps_its_pixels_and_changes_places_of_channels() {
        let digits = |at: usize| {
            let (output, input) = (at % 2, at / 2 % 3);
            let (column, row) = (at / 6 % 2, at / 12);
            (row * 1000 + column * 100 + input * 10 + output) as f32
        };
        let hwio: Vec<f32> = (0..24).map(digits).collect();
        let oihw = hwio_to_oihw(&hwio, [2, 2, 3, 2]);
        assert_eq!(oihw[..5], [0.0, 100.0, 1000.0, 1100.0, 10.0]);
        assert_eq!(oihw[12..17], [1.0, 101.0, 1001.0, 1101.0, 11.0]);
        assert_eq!(oihw[23], 1121.0);
    }

    #[test]
    fn a_matrix_is_transposed() {
        let matrix = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(transpose(&matrix, 2, 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
