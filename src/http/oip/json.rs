//! An inference request as JSON, alone or with binary data behind it.
//!
//! What JSON can make many of from few bytes is counted while it is read: data becomes levels and
//! files at once, and lists that are short in any honest request may not be long. Must not know:
//! what tensors there are.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, Bytes};
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::oip::error::OipError;
use crate::oip::parameter::{Parameters, Value};
use crate::oip::plan;
use crate::oip::tensor::{Content, Input, Levels, Requested};

/// Most items of a list of inputs, outputs or dimensions, and most parameters of one thing.
pub(super) const FEW: usize = 32;
/// Most strings in the data of all inputs.
const MOST_STRINGS: usize = 4096;

#[derive(Deserialize)]
struct Request {
    id: Option<String>,
    #[serde(default)]
    parameters: Said,
    inputs: Few<RequestInput>,
    outputs: Option<Few<RequestOutput>>,
}

#[derive(Deserialize)]
struct RequestInput {
    name: String,
    datatype: String,
    shape: Few<Dimension>,
    #[serde(default)]
    parameters: Said,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct RequestOutput {
    name: String,
    #[serde(default)]
    parameters: Said,
}

/// Reads a request: `json_length` bytes of JSON and binary data, or JSON alone.
///
/// # Errors
/// [`OipError`], saying what cannot be read.
pub(super) fn read(body: &Bytes, json_length: Option<usize>) -> Result<plan::Request, OipError> {
    let length = json_length.unwrap_or(body.len());
    if length > body.len() {
        let reason = format!(
            "Inference-Header-Content-Length is {length} and the body {} bytes",
            body.len()
        );
        return Err(OipError::Unreadable(reason));
    }
    let request: Request = serde_json::from_slice(&body[..length])
        .map_err(|error| OipError::Unreadable(error.to_string()))?;
    let mut binary = body.slice(length..);
    let inputs = request.inputs.0.into_iter();
    let inputs: Vec<Input> = inputs
        .map(|input| input.with_binary(&mut binary))
        .collect::<Result<_, _>>()?;
    if !binary.is_empty() {
        let reason = format!(
            "{} bytes of binary data belong to no input: say binary_data_size",
            binary.len()
        );
        return Err(OipError::Unreadable(reason));
    }
    let outputs = request.outputs.map(|outputs| outputs.0).unwrap_or_default();
    Ok(plan::Request {
        id: request.id,
        parameters: request.parameters.0,
        inputs,
        outputs: outputs
            .into_iter()
            .map(|output| Requested {
                name: output.name,
                parameters: output.parameters.0,
            })
            .collect(),
    })
}

impl RequestInput {
    /// The input, its binary data taken from what is left of all.
    fn with_binary(self, binary: &mut Bytes) -> Result<Input, OipError> {
        let most = i128::try_from(binary.len()).unwrap_or(i128::MAX);
        let size = self.parameters.0.whole("binary_data_size", 0..=most)?;
        let size = size.and_then(|size| usize::try_from(size).ok());
        let content = match (size, self.data) {
            (Some(size), None) => Content::Raw(binary.split_to(size)),
            (None, Some(data)) => data.content(),
            (None, None) => Content::None("no data"),
            (Some(size), Some(_)) => {
                binary.advance(size);
                Content::None("data and binary data")
            }
        };
        Ok(Input {
            name: self.name,
            datatype: self.datatype,
            shape: self
                .shape
                .0
                .into_iter()
                .map(|Dimension(size)| size)
                .collect(),
            parameters: self.parameters.0,
            content,
        })
    }
}

/// A list that is not long.
struct Few<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = Few<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {FEW}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Few<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    if items.len() == FEW {
                        return Err(A::Error::custom(format!("a list of more than {FEW}")));
                    }
                    items.push(item);
                }
                Ok(Few(items))
            }
        }

        deserializer.deserialize_seq(Items(PhantomData))
    }
}

/// Parameters.
#[derive(Default)]
struct Said(Parameters);

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Said;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object of at most {FEW} parameters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, Scalar(value))) = map.next_entry::<String, Scalar>()? {
                    if pairs.len() == FEW {
                        return Err(A::Error::custom(format!("more than {FEW} parameters")));
                    }
                    pairs.push((name, value));
                }
                Ok(Said(Parameters(pairs)))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

/// A parameter's value.
struct Scalar(Value);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;

        impl Visitor<'_> for One {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false")
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Scalar, E> {
                Ok(Scalar(Value::Truth(truth)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(Value::Whole(number.into())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(Value::Whole(number.into())))
            }

            /// JSON has one kind of numbers: 2.0 is as whole as 2.
            fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
                let whole = number as i128;
                let is_whole = number.fract() == 0.0 && whole as f64 == number;
                Ok(Scalar(if is_whole {
                    Value::Whole(whole)
                } else {
                    Value::Real(number)
                }))
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(Value::Text(text.to_owned())))
            }
        }

        deserializer.deserialize_any(One)
    }
}

/// A dimension of a shape.
struct Dimension(i64);

impl<'de> Deserialize<'de> for Dimension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Scalar(value) = Scalar::deserialize(deserializer)?;
        let size = match value {
            Value::Whole(size) => i64::try_from(size).ok(),
            _ => None,
        };
        size.map(Self).ok_or_else(|| {
            D::Error::custom(format!("shape says {value}: dimensions are whole numbers"))
        })
    }
}

/// The data of an input, however it is nested.
#[derive(Default)]
struct Data {
    levels: Levels,
    files: Vec<Bytes>,
    not_base64: Option<usize>,
}

impl Data {
    fn content(self) -> Content {
        if let Some(row) = self.not_base64 {
            return Content::NotBase64(row);
        }
        match (self.levels.count(), self.files.len()) {
            (0, 0) => Content::None("no data"),
            (_, 0) => Content::Numbers(self.levels),
            (0, _) => Content::Strings(self.files),
            (..) => Content::None("numbers and strings"),
        }
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut data = Self::default();
        deserializer.deserialize_seq(Filling(&mut data))?;
        Ok(data)
    }
}

/// Fills data with an element, or with a list of them.
struct Filling<'a>(&'a mut Data);

impl<'de> DeserializeSeed<'de> for Filling<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Filling<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers, strings or lists of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Filling(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.0.levels.push(number as f64);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.0.levels.push(number as f64);
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.0.levels.push(number);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let data = self.0;
        if data.files.len() == MOST_STRINGS {
            return Err(E::custom(format!("more than {MOST_STRINGS} strings")));
        }
        match STANDARD.decode(text) {
            Ok(file) => data.files.push(Bytes::from(file)),
            Err(_) => data.not_base64 = data.not_base64.or(Some(data.files.len())),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(top: &str, size: &str) -> Result<plan::Request, OipError> {
        let tensor =
            format!(r#""name":"image","datatype":"BYTES","shape":[{size}],"data":["aGk="]"#);
        let text = format!(r#"{{"parameters":{{"top":{top}}},"inputs":[{{{tensor}}}]}}"#);
        read(&Bytes::from(text), None)
    }

    #[test]
    fn a_number_is_whole_however_it_is_written() {
        for (top, size) in [("2", "1"), ("2.0", "1.0"), ("2e0", "10e-1")] {
            let request = request(top, size).unwrap();
            assert_eq!(request.parameters.get("top"), Some(&Value::Whole(2)));
            assert_eq!(request.inputs[0].shape, [1]);
        }
        for (top, value) in [("2.5", 2.5), ("-0.1", -0.1), ("1e300", 1e300)] {
            let request = request(top, "1").unwrap();
            assert_eq!(request.parameters.get("top"), Some(&Value::Real(value)));
        }
        for size in ["1.5", "1e300", "true", "\"1\""] {
            let error = request("2", size).unwrap_err().to_string();
            assert!(error.contains("dimensions are whole numbers"), "{error}");
        }
    }
}
