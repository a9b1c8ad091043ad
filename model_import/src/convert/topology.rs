//! Which of the two published readings of the same weights to build.

use serde_json::Value;

use super::layers::{ConvertError, Layer, LayersModel, layer_error};

/// Which of the two published readings of the same weights to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// As the package's `model.json`: conv1 and pool1 padded on all sides (3 and 1).
    Package,
    /// As the Keras release that printed the article's numbers: conv1 with `SAME` padding (top
    /// and left 2, bottom and right 3), pool1 unpadded.
    Article,
}

impl Topology {
    /// The model's layers, read this way.
    pub(super) fn of(self, model: &LayersModel) -> Result<Vec<Layer>, ConvertError> {
        let mut layers = model.layers.clone();
        if self == Self::Article {
            as_in_the_article(&model.path, &mut layers)?;
        }
        Ok(layers)
    }
}

/// Takes the two padding layers out and lets conv1 pad by itself.
fn as_in_the_article(path: &str, layers: &mut Vec<Layer>) -> Result<(), ConvertError> {
    for padding in ["conv1_pad", "pool1_pad"] {
        let Some(at) = layers.iter().position(|layer| layer.name == padding) else {
            let reason = "is missing, and the article's topology is only known for its ResNet50";
            return Err(layer_error(path, padding, reason));
        };
        let removed = layers.remove(at);
        let source = removed
            .inputs()
            .pop()
            .ok_or_else(|| removed.error("reads nothing"))?;
        for layer in layers.iter_mut() {
            layer.rewire(&removed.name, &source);
        }
    }
    if let Some(conv1) = layers.iter_mut().find(|layer| layer.name == "conv1") {
        conv1.config["padding"] = Value::from("same");
    }
    Ok(())
}
