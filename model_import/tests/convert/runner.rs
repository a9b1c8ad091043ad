//! An ONNX model run by tract.

use onnx_ir::ModelProto;
use tract_onnx::prelude::*;

/// A model, ready to run batches of any size.
pub(crate) struct Runner(TypedRunnableModel<TypedModel>);

impl Runner {
    /// The whole model.
    pub(crate) fn new(model: &ModelProto) -> Self {
        Self(
            read(model)
                .into_optimized()
                .unwrap()
                .into_runnable()
                .unwrap(),
        )
    }

    /// The model up to the value of that name.
    pub(crate) fn until(model: &ModelProto, value: &str) -> Self {
        let cut = read(model).with_output_names([value]).unwrap();
        Self(cut.into_optimized().unwrap().into_runnable().unwrap())
    }

    /// Runs one batch: N x channels x height x width in, everything that comes out in a row.
    pub(crate) fn run(&self, shape: [usize; 4], input: &[f32]) -> Vec<f32> {
        let input = Tensor::from_shape(&shape, input).unwrap();
        let outputs = self.0.run(tvec!(input.into())).unwrap();
        outputs[0].as_slice::<f32>().unwrap().to_vec()
    }
}

fn read(model: &ModelProto) -> InferenceModel {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    model_import::onnx::write(model, &path).unwrap();
    tract_onnx::onnx().model_for_path(&path).unwrap()
}

/// The largest difference between two rows of numbers.
#[track_caller]
pub(crate) fn furthest(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    let differences = left
        .iter()
        .zip(right)
        .map(|(left, right)| (left - right).abs());
    differences.fold(0.0, |most, each| {
        if each > most || each.is_nan() {
            each
        } else {
            most
        }
    })
}
