//! What an inference request may say, for the document: the types that read it are bound to be
//! fast, not to be shown.
//!
//! Must not know: how a request is read.

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};

use super::json::FEW;
use crate::edge::{LABELS, MOST_LABELS};
use crate::oip::model::{IMAGE, LABEL, PIXELS, PIXELS_F32, PROBABILITIES, PROBABILITY};
use crate::oip::tensor::Datatype;
use crate::store::Priority;

/// Base64 of the usual alphabet, padded, of nothing but whole bytes.
const BASE64: &str =
    "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";
/// Tensors are in the request itself.
const NOT_ELSEWHERE: &str = "^(?!shared_memory)";
/// The same, and they are JSON.
const NOT_BINARY: &str = "^(?!shared_memory|binary_data_size$)";

/// A request of any number of rows.
pub(super) struct InferenceRequest;

impl PartialSchema for InferenceRequest {
    fn schema() -> RefOr<Schema> {
        request(usize::MAX).into()
    }
}

impl ToSchema for InferenceRequest {}

/// A request of so many rows at most.
pub(in crate::http) fn request(most: usize) -> Schema {
    let inputs = OneOfBuilder::new()
        .item(image(most))
        .item(pixels(PIXELS, Datatype::Uint8, most))
        .item(pixels(PIXELS_F32, Datatype::Fp32, most));
    let inputs = ArrayBuilder::new()
        .items(inputs)
        .min_items(Some(1))
        .max_items(Some(1))
        .description(Some("Exactly one, each row an image and a job of its own"));
    let outputs = OneOfBuilder::new()
        .item(output(&[LABEL, PROBABILITY], 0))
        .item(output(&[PROBABILITIES], u16::MAX));
    let outputs = ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(outputs)
        .max_items(Some(3))
        .description(Some(
            "Each once at most; label and probability if none is named",
        ));
    let id = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("Your name for it, which is in its answer"));
    ObjectBuilder::new()
        .property("id", id)
        .property("parameters", parameters())
        .property("inputs", inputs)
        .required("inputs")
        .property("outputs", outputs)
        .description(Some("An inference request"))
        .into()
}

/// An example of one.
pub(super) fn example() -> Value {
    json!({
        "id": "holiday-17",
        "inputs": [{
            "name": IMAGE,
            "datatype": Datatype::Bytes.name(),
            "shape": [1],
            "data": [crate::http::document::PIXEL],
        }],
    })
}

fn parameters() -> ObjectBuilder {
    let top = whole(1, usize::from(MOST_LABELS))
        .default(Some(json!(LABELS)))
        .description(Some("Labels in label and probability"));
    let priority = OneOfBuilder::new()
        .item(whole(0, 3))
        .item(one_of(&Priority::ALL.map(Priority::name)))
        .description(Some(
            "Which goes first: 1 or high, 2 or normal (as 0 and nothing are), 3 or low",
        ));
    let timeout = whole(0, usize::MAX).description(Some(
        "No answer is wanted after so many microseconds; 0 is as if nothing were said",
    ));
    ObjectBuilder::new()
        .property("top", top)
        .property("priority", priority)
        .property("timeout", timeout)
        .property("binary_data_output", truth())
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn image(most: usize) -> ObjectBuilder {
    let file = ObjectBuilder::new()
        .schema_type(Type::String)
        .content_encoding("base64")
        .pattern(Some(BASE64));
    let data = list(file, most).description(Some("Image files as base64, as many as shape says"));
    let shape = list(whole(1, most), 1);
    input(IMAGE, Datatype::Bytes, shape, data).description(Some("Image files"))
}

fn pixels(name: &str, datatype: Datatype, most: usize) -> ObjectBuilder {
    let data = ArrayBuilder::new()
        .items(whole(0, usize::from(u8::MAX)))
        .min_items(Some(1))
        .description(Some("Levels, as many as shape makes; nested or not"));
    let shape = list(whole(1, usize::MAX >> 1), 4)
        .min_items(Some(4))
        .description(Some(format!(
            "Rows, {most} at most, then height, width and 3, as GET /v2/models/{{name}} has them"
        )));
    input(name, datatype, shape, data).description(Some("Pixels, red, green, blue"))
}

fn input(name: &str, datatype: Datatype, shape: ArrayBuilder, data: ArrayBuilder) -> ObjectBuilder {
    ObjectBuilder::new()
        .property("name", one_of(&[name]))
        .required("name")
        .property("datatype", one_of(&[datatype.name()]))
        .required("datatype")
        .property("shape", shape)
        .required("shape")
        .property("parameters", scalars(NOT_BINARY))
        .property("data", data)
        .required("data")
}

fn output(names: &[&str], most_classes: u16) -> ObjectBuilder {
    let classes = whole(0, usize::from(most_classes)).description(Some(
        "Of probabilities: so many of the best classes as texts, value:index:label; 0 is none",
    ));
    let parameters = scalars(NOT_ELSEWHERE)
        .property("classification", classes)
        .property("binary_data", truth());
    ObjectBuilder::new()
        .property("name", one_of(names))
        .required("name")
        .property("parameters", parameters)
}

/// Parameters with such names; those that are not known are passed over.
fn scalars(names: &str) -> ObjectBuilder {
    let value = SchemaType::from_iter([Type::String, Type::Number, Type::Boolean]);
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(ObjectBuilder::new().schema_type(value)))
        .property_names(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .pattern(Some(names)),
        ))
        .max_properties(Some(FEW))
}

fn list(item: ObjectBuilder, most: usize) -> ArrayBuilder {
    ArrayBuilder::new()
        .items(item)
        .min_items(Some(1))
        .max_items(Some(most))
}

fn whole(least: usize, most: usize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(least))
        .maximum(Some(most))
}

fn one_of(texts: &[&str]) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(texts.iter().copied()))
}

fn truth() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean)
}
