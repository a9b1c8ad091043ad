//! The messages of gRPC to the protocol's own terms and back.
//!
//! Pure. Must not know: how an answer came about.

use crate::grpc::proto;
use crate::grpc::proto::infer_parameter::ParameterChoice;
use crate::grpc::proto::model_infer_request::InferInputTensor;
use crate::grpc::proto::model_infer_response::InferOutputTensor;
use crate::oip::error::OipError;
use crate::oip::infer::Inferred;
use crate::oip::model::VERSION;
use crate::oip::parameter::{Parameters, Value};
use crate::oip::plan::{Plan, Request};
use crate::oip::tensor::{Content, Input, Requested, Values};

/// A request, but for the model's name; and whether its data is binary.
///
/// # Errors
/// [`OipError`] if the binary data does not fit its inputs.
pub(super) fn request(message: proto::ModelInferRequest) -> Result<(Request, bool), OipError> {
    let mut raw = message.raw_input_contents.into_iter();
    let is_raw = raw.len() > 0;
    if is_raw && raw.len() != message.inputs.len() {
        let reason = format!(
            "there are {} raw_input_contents for {} inputs: give one for each, in their order",
            raw.len(),
            message.inputs.len()
        );
        return Err(OipError::Unreadable(reason));
    }
    let inputs = message.inputs.into_iter();
    let inputs = inputs.map(|mut input| {
        let content = match (raw.next(), input.contents.take()) {
            (Some(raw), None) => Content::Raw(raw),
            (Some(_), Some(_)) => Content::None("contents and raw_input_contents"),
            (None, contents) => typed(&input, contents.unwrap_or_default()),
        };
        Input {
            name: input.name,
            datatype: input.datatype,
            shape: input.shape,
            parameters: parameters(input.parameters),
            content,
        }
    });
    let request = Request {
        id: Some(message.id).filter(|id| !id.is_empty()),
        parameters: parameters(message.parameters),
        inputs: inputs.collect(),
        outputs: message
            .outputs
            .into_iter()
            .map(|output| Requested {
                name: output.name,
                parameters: parameters(output.parameters),
            })
            .collect(),
    };
    Ok((request, is_raw))
}

/// Contents in the list of the input's type.
fn typed(input: &InferInputTensor, contents: proto::InferTensorContents) -> Content {
    let proto::InferTensorContents {
        uint_contents,
        fp32_contents,
        bytes_contents,
        ..
    } = contents;
    match input.datatype.as_str() {
        "UINT8" if !uint_contents.is_empty() => {
            Content::Numbers(uint_contents.into_iter().map(f64::from).collect())
        }
        "FP32" if !fp32_contents.is_empty() => {
            Content::Numbers(fp32_contents.into_iter().map(f64::from).collect())
        }
        "BYTES" if !bytes_contents.is_empty() => Content::Strings(bytes_contents),
        _ => Content::None("nothing in the contents of its type"),
    }
}

fn parameters(named: std::collections::HashMap<String, proto::InferParameter>) -> Parameters {
    let value = |parameter: proto::InferParameter| {
        Some(match parameter.parameter_choice? {
            ParameterChoice::BoolParam(truth) => Value::Truth(truth),
            ParameterChoice::Int64Param(number) => Value::Whole(number.into()),
            ParameterChoice::Uint64Param(number) => Value::Whole(number.into()),
            ParameterChoice::DoubleParam(number) => Value::Real(number),
            ParameterChoice::StringParam(text) => Value::Text(text),
        })
    };
    // One without a value says nothing.
    let pairs = named
        .into_iter()
        .filter_map(|(name, parameter)| Some((name, value(parameter)?)));
    Parameters(pairs.collect())
}

/// An answer; its data is binary if the request's was.
pub(super) fn response(plan: &Plan, inferred: Inferred, raw: bool) -> proto::ModelInferResponse {
    let mut raw_contents = Vec::new();
    let outputs = inferred.outputs.into_iter().map(|output| {
        let datatype = output.values.datatype().name().to_owned();
        let contents = if raw {
            raw_contents.push(output.values.raw());
            None
        } else {
            Some(contents(output.values))
        };
        InferOutputTensor {
            name: output.name.to_owned(),
            datatype,
            shape: output.shape.map(|side| side as i64).to_vec(),
            contents,
            ..InferOutputTensor::default()
        }
    });
    proto::ModelInferResponse {
        outputs: outputs.collect(),
        raw_output_contents: raw_contents,
        model_name: plan.model.name.clone(),
        model_version: VERSION.to_owned(),
        id: plan.id.clone().unwrap_or_default(),
        ..proto::ModelInferResponse::default()
    }
}

fn contents(values: Values) -> proto::InferTensorContents {
    match values {
        Values::Strings(strings) => proto::InferTensorContents {
            bytes_contents: strings.into_iter().map(Into::into).collect(),
            ..proto::InferTensorContents::default()
        },
        Values::Floats(fp32_contents) => proto::InferTensorContents {
            fp32_contents,
            ..proto::InferTensorContents::default()
        },
    }
}
