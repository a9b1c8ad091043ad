//! The one shape every generated network has here: floats in, one row of scores an image out.
//!
//! Must not know: which networks exist, pixels, labels.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_store::{BurnpackStore, ModuleSnapshot};
use thiserror::Error;

/// A network with its weights, on one device.
pub(crate) trait Network: Send {
    /// `input` is N x channels x height x width, or N x height x width x channels where the
    /// ONNX file had it so; the answer is N x classes.
    fn forward(&self, input: Tensor<4>) -> Tensor<2>;
}

/// What burn-onnx writes for every network of one image input and one output.
pub(crate) trait Generated: Module + ModuleSnapshot + 'static {
    /// The network on `device`, its weights not yet set.
    fn new(device: &Device) -> Self;

    /// As [`Network::forward`].
    fn forward(&self, input: Tensor<4>) -> Tensor<2>;
}

impl<G: Generated> Network for G {
    fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        Generated::forward(self, input)
    }
}

/// Why a network cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Weights that do not fit the generated network.
    #[error(
        "{path} does not fit the network compiled in: {reason}; run `beagle model fetch`, or import the model again"
    )]
    Record {
        /// The record.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A way of running it that cannot be had here.
    #[error("the network cannot be run like this: {0}")]
    Options(String),
}

impl LoadError {
    pub(crate) fn record(record: &Path, reason: impl ToString) -> Self {
        Self::Record {
            path: record.display().to_string(),
            reason: reason.to_string(),
        }
    }
}

/// How a registered model is made: device and record in, network out.
pub(crate) type Loader = fn(&Device, &Path) -> Result<Box<dyn Network>, LoadError>;

/// Makes a network on `device` and fills it with a record's weights.
///
/// # Errors
/// [`LoadError`] when a weight is missing, has another shape, or the file cannot be read.
pub(crate) fn load<G: Generated>(
    device: &Device,
    record: &Path,
) -> Result<Box<dyn Network>, LoadError> {
    let mut network = G::new(device);
    let mut store = BurnpackStore::from_file(record);
    let applied = network.load_from(&mut store);
    let applied = applied.map_err(|reason| LoadError::record(record, reason))?;
    if applied.missing.is_empty() && applied.errors.is_empty() && applied.unused.is_empty() {
        Ok(Box::new(network))
    } else {
        let reason = format!(
            "{} weights missing, {} wrong, {} without a place",
            applied.missing.len(),
            applied.errors.len(),
            applied.unused.len()
        );
        Err(LoadError::record(record, reason))
    }
}

/// Declares a generated file and joins its `Model` to [`Generated`].
macro_rules! generated {
    ($($name:ident)*) => {$(
        #[rustfmt::skip]
        mod $name;

        impl $crate::network::Generated for $name::Model {
            fn new(device: &burn::tensor::Device) -> Self {
                Self::new(device)
            }

            fn forward(&self, input: burn::tensor::Tensor<4>) -> burn::tensor::Tensor<2> {
                self.forward(input)
            }
        }
    )*};
}
pub(crate) use generated;
