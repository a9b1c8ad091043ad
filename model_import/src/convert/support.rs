//! Which Keras layers can be translated, and what stands in the way of the others.
//!
//! Must not know: ONNX, weights.

use super::layers::{ConvertError, Layer};

/// Keras' layer classes that `lower` knows.
const CLASSES: [&str; 9] = [
    "InputLayer",
    "ZeroPadding2D",
    "Conv2D",
    "BatchNormalization",
    "Activation",
    "Add",
    "MaxPooling2D",
    "GlobalAveragePooling2D",
    "Dense",
];

/// Refuses a model with layers that have no translation, naming all of them at once.
///
/// # Errors
/// [`ConvertError::Unsupported`].
pub(super) fn refuse_unsupported(path: &str, layers: &[Layer]) -> Result<(), ConvertError> {
    let unsupported: Vec<String> = layers.iter().filter_map(Layer::unsupported).collect();
    if unsupported.is_empty() {
        return Ok(());
    }
    Err(ConvertError::Unsupported {
        path: path.to_owned(),
        layers: unsupported,
    })
}

impl Layer {
    /// What of this layer has no translation, if anything.
    fn unsupported(&self) -> Option<String> {
        let activation = &self.config["activation"];
        let format = &self.config["data_format"];
        let calls = self.calls();
        let what = if !CLASSES.contains(&self.class_name.as_str()) {
            String::new()
        } else if !(activation.is_null()
            || ["linear", "relu", "softmax"]
                .iter()
                .any(|known| activation == known))
        {
            format!(" with activation {activation}")
        } else if !(format.is_null() || format == "channels_last") {
            format!(" with data_format {format}")
        } else if calls > 1 {
            format!(" applied {calls} times")
        } else {
            return None;
        };
        Some(format!("{} '{}'{what}", self.class_name, self.name))
    }
}
