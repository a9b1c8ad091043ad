//! The Open Inference Protocol: what the model takes, and requests of it.
//!
//! Where the server knows binary data, it gets binary data; else JSON alone. Must not know:
//! connections.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connections::{Answer, Fault};
use super::photo::Photo;
use super::{Body, Server, TargetError, at};

/// Where binary data begins.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");
/// The extension by that the server says that it reads binary data.
const BINARY: &str = "binary_tensor_data";
/// Different tensors.
const TENSORS: u64 = 8;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A photo's file, as an element of type BYTES.
    Photo,
    /// Noise of that shape, from 0 to 255, of type UINT8.
    U8(Vec<u32>),
    /// The same numbers, of type FP32.
    F32(Vec<u32>),
}

impl Input {
    const fn datatype(&self) -> &'static str {
        match self {
            Self::Photo => "BYTES",
            Self::U8(_) => "UINT8",
            Self::F32(_) => "FP32",
        }
    }
}

/// A model's metadata, of which only its inputs count.
#[derive(Deserialize)]
struct Model {
    inputs: Vec<Described>,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    datatype: String,
    #[serde(default)]
    shape: Vec<i64>,
}

#[derive(Default, Deserialize)]
struct About {
    #[serde(default)]
    extensions: Vec<String>,
}

/// Where requests go, and the requests.
pub(super) async fn bodies(
    server: &Server,
    model: &str,
    input: &Input,
    photos: &[Arc<Photo>],
) -> Result<(Uri, Vec<Body>), TargetError> {
    let about: About = ask(server, "/v2").await.unwrap_or_default();
    let binary = about.extensions.iter().any(|known| known == BINARY);
    let known: Model = ask(server, &format!("/v2/models/{model}")).await?;
    let described = choose(&known.inputs, input.datatype())?;
    let bodies = match input {
        Input::Photo => {
            // As many dimensions as it has, each of one.
            let shape = vec![1; described.shape.len().max(1)];
            let files = photos.iter().map(|photo| Content::File(&photo.bytes));
            let requests = files.map(|file| request(described, &shape, &file, binary));
            requests.collect()
        }
        Input::U8(shape) | Input::F32(shape) => {
            let count = shape.iter().map(|size| *size as usize).product();
            let request = |seed| {
                let levels = noise(count, seed);
                let content = match input {
                    Input::F32(_) => Content::Floats(levels.into_iter().map(f32::from).collect()),
                    _ => Content::Levels(levels),
                };
                request(described, shape, &content, binary)
            };
            (0..TENSORS).map(request).collect()
        }
    };
    let uri = at(&server.uri, &format!("/v2/models/{model}/infer"))?;
    Ok((uri, bodies))
}

async fn ask<T: serde::de::DeserializeOwned>(
    server: &Server,
    path: &str,
) -> Result<T, TargetError> {
    let uri = at(&server.uri, path)?;
    let missing = |reason| TargetError::NoMetadata {
        uri: uri.to_string(),
        reason,
    };
    let answer: Result<Answer, Fault> = server.get(&uri).await;
    let answer = answer.map_err(|fault| missing(fault.reason))?;
    if answer.status != 200 {
        return Err(missing(answer.told()));
    }
    serde_json::from_slice(&answer.body).map_err(|error| missing(error.to_string()))
}

/// The first input of the type.
fn choose<'a>(inputs: &'a [Described], wanted: &'static str) -> Result<&'a Described, TargetError> {
    let found = inputs.iter().find(|input| input.datatype == wanted);
    found.ok_or_else(|| {
        let found = inputs
            .iter()
            .map(|input| format!("{} ({})", input.name, input.datatype));
        TargetError::NoSuchInput {
            wanted,
            found: found.collect::<Vec<_>>().join(", "),
        }
    })
}

/// What an input holds.
enum Content<'a> {
    File(&'a [u8]),
    Levels(Vec<u8>),
    Floats(Vec<f32>),
}

/// Levels from a seed: the same on every machine.
fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut levels = vec![0; count];
    fastrand::Rng::with_seed(seed).fill(&mut levels);
    levels
}

fn request(described: &Described, shape: &[u32], content: &Content<'_>, binary: bool) -> Body {
    let mut tensor = json!({
        "name": described.name,
        "datatype": described.datatype,
        "shape": shape,
    });
    if binary {
        let raw = content.raw();
        tensor["parameters"] = json!({ "binary_data_size": raw.len() });
        let head = json!({ "inputs": [tensor] }).to_string();
        let length = HeaderValue::from(head.len());
        let mut all = BytesMut::from(head.as_bytes());
        all.extend_from_slice(&raw);
        let mut body = Body::new("application/octet-stream", all.freeze());
        body.headers.insert(JSON_LENGTH, length);
        return body;
    }
    tensor["data"] = content.data();
    let json = json!({ "inputs": [tensor] }).to_string();
    Body::new("application/json", json.into())
}

impl Content<'_> {
    /// As binary data: an element of BYTES has its length before it, numbers are little-endian.
    fn raw(&self) -> Bytes {
        match self {
            Self::File(file) => {
                let mut raw = BytesMut::with_capacity(file.len() + 4);
                raw.put_u32_le(u32::try_from(file.len()).unwrap_or(u32::MAX));
                raw.extend_from_slice(file);
                raw.freeze()
            }
            Self::Levels(levels) => Bytes::copy_from_slice(levels),
            Self::Floats(floats) => floats
                .iter()
                .flat_map(|float| float.to_le_bytes())
                .collect(),
        }
    }

    /// As JSON: a file in base64, numbers one after the other.
    fn data(&self) -> Value {
        match self {
            Self::File(file) => json!([STANDARD.encode(file)]),
            Self::Levels(levels) => json!(levels),
            Self::Floats(floats) => json!(floats),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(datatype: &str) -> Described {
        Described {
            name: "x".to_owned(),
            datatype: datatype.to_owned(),
            shape: vec![-1],
        }
    }

    #[test]
    fn a_photo_is_one_element_with_its_length_or_in_base64() {
        let file = Content::File(b"abc");
        let body = request(&described("BYTES"), &[1], &file, true);
        let head = br#"{"inputs":[{"datatype":"BYTES","name":"x","parameters":{"binary_data_size":7},"shape":[1]}]}"#;
        assert_eq!(body.bytes, [&head[..], b"\x03\0\0\0abc"].concat());
        assert_eq!(body.headers[JSON_LENGTH], head.len().to_string());
        let body = request(&described("BYTES"), &[1], &file, false);
        let told: Value = serde_json::from_slice(&body.bytes).unwrap();
        assert_eq!(told["inputs"][0]["data"], json!(["YWJj"]));
        assert!(!body.headers.contains_key(JSON_LENGTH));
    }

    #[test]
    fn numbers_are_little_endian_or_json() {
        let levels = Content::Levels(vec![0, 255]);
        assert_eq!(
            (&levels.raw()[..], levels.data()),
            (&[0, 255][..], json!([0, 255]))
        );
        let floats = Content::Floats(vec![0.0, 255.0]);
        assert_eq!(floats.raw()[..], [0, 0, 0, 0, 0, 0, 0x7f, 0x43]);
        assert_eq!(floats.data(), json!([0.0, 255.0]));
        assert_eq!(noise(100, 1), noise(100, 1));
        assert_ne!(noise(100, 1), noise(100, 2));
    }

    #[test]
    fn an_input_is_chosen_by_its_type_and_what_there_is_is_told() {
        let inputs = [described("FP32"), described("BYTES")];
        assert_eq!(choose(&inputs, "BYTES").unwrap().datatype, "BYTES");
        let error = choose(&inputs, "UINT8").err().unwrap().to_string();
        assert!(error.contains("x (FP32), x (BYTES)"), "{error}");
    }
}
