//! The JSON of the protocol's answers: its types, and with each what the document says of it.
//!
//! Must not know: how an answer comes about, statuses.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema, Type};

/// What is wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct InferenceError<'a> {
    /// For people: what is wrong and what to do.
    pub(super) error: &'a str,
}

/// What the server is.
#[derive(Serialize, ToSchema)]
pub(super) struct ServerMetadata {
    #[schema(example = "beagle")]
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// Triton's that are here.
    #[schema(value_type = Vec<String>)]
    pub(super) extensions: &'static [&'static str],
}

/// That the process runs.
#[derive(Serialize, ToSchema)]
pub(super) struct ServerLive {
    /// Always true.
    pub(super) live: bool,
}

/// Whether the server can do its work. The specification calls the field `live`, its name
/// `ready`: both are there.
#[derive(Serialize, ToSchema)]
pub(super) struct ServerReady {
    pub(super) live: bool,
    pub(super) ready: bool,
}

/// Whether a model can be used.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelReady<'a> {
    pub(super) name: &'a str,
    pub(super) ready: bool,
}

/// What a model takes and gives.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelMetadata<'a> {
    #[schema(example = "imagenet")]
    pub(super) name: &'a str,
    #[schema(value_type = Vec<String>)]
    pub(super) versions: [&'static str; 1],
    pub(super) platform: &'static str,
    /// An inference has exactly one of them.
    #[schema(value_type = Vec<TensorMetadata>)]
    pub(super) inputs: [TensorMetadata; 3],
    #[schema(value_type = Vec<TensorMetadata>)]
    pub(super) outputs: [TensorMetadata; 3],
    pub(super) properties: ModelProperties,
}

/// A tensor.
#[derive(Serialize, ToSchema)]
pub(super) struct TensorMetadata {
    pub(super) name: &'static str,
    #[schema(example = "BYTES")]
    pub(super) datatype: &'static str,
    /// -1 is any number.
    #[schema(example = json!([-1]))]
    pub(super) shape: Vec<i64>,
}

/// What else there is of a model.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelProperties {
    /// The names of its classes in the network's order, a line each.
    pub(super) labels: String,
}

/// A model as Triton's model configuration has it.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelConfig<'a> {
    #[schema(example = "imagenet")]
    pub(super) name: &'a str,
    pub(super) platform: &'static str,
    pub(super) backend: &'static str,
    /// 0: shapes have their first dimension, for which it stands.
    pub(super) max_batch_size: u32,
    #[schema(value_type = Vec<TensorConfig>)]
    pub(super) input: [TensorConfig; 3],
    #[schema(value_type = Vec<TensorConfig>)]
    pub(super) output: [TensorConfig; 3],
    pub(super) parameters: ConfigParameters,
}

/// A tensor as Triton's model configuration has it.
#[derive(Serialize, ToSchema)]
pub(super) struct TensorConfig {
    pub(super) name: &'static str,
    #[schema(example = "TYPE_STRING")]
    pub(super) data_type: &'static str,
    /// -1 is any number.
    #[schema(example = json!([-1]))]
    pub(super) dims: Vec<i64>,
}

/// What else there is of a model, as Triton's model configuration has it.
#[derive(Serialize, ToSchema)]
pub(super) struct ConfigParameters {
    pub(super) labels: ConfigText,
}

/// A text, as Triton's model configuration has it.
#[derive(Serialize, ToSchema)]
pub(super) struct ConfigText {
    pub(super) string_value: String,
}

/// A model as Triton's model repository shows it.
#[derive(Serialize, ToSchema)]
pub(super) struct IndexedModel<'a> {
    #[schema(example = "imagenet")]
    pub(super) name: &'a str,
    pub(super) version: &'static str,
    /// READY or UNAVAILABLE.
    #[schema(example = "READY")]
    pub(super) state: &'static str,
    pub(super) reason: &'static str,
}

/// What came of an inference.
#[derive(Serialize, ToSchema)]
pub(super) struct InferenceResponse<'a> {
    #[schema(example = "imagenet")]
    pub(super) model_name: &'a str,
    pub(super) model_version: &'a str,
    /// Your name for it, if you gave one.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    pub(super) outputs: Vec<OutputTensor<'a>>,
}

/// The same, and the binary data behind it.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it describes what is put together by hand")]
pub(super) struct WithBinaryData(Vec<u8>);

/// An output.
#[derive(Serialize, ToSchema)]
pub(super) struct OutputTensor<'a> {
    #[schema(example = "label")]
    pub(super) name: &'a str,
    #[schema(example = "BYTES")]
    pub(super) datatype: &'a str,
    /// Rows, and how much there is of each.
    #[schema(value_type = Vec<u64>, min_items = 2, max_items = 2, example = json!([1, 5]))]
    pub(super) shape: [usize; 2],
    /// Of binary data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameters: Option<BinaryData>,
    /// Row by row; not there if it is binary.
    #[schema(schema_with = data, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Data<'a>>,
}

/// How much of the binary data is an output's.
#[derive(Serialize, ToSchema)]
pub(super) struct BinaryData {
    pub(super) binary_data_size: usize,
}

/// An output's data.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Data<'a> {
    Strings(&'a [String]),
    Floats(&'a [f32]),
}

fn data() -> Schema {
    let list = |kind| ArrayBuilder::new().items(ObjectBuilder::new().schema_type(kind));
    AnyOfBuilder::new()
        .item(list(Type::String))
        .item(list(Type::Number))
        .into()
}
