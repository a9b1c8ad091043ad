//! A look at an inference request's bytes before they become messages.
//!
//! An empty message takes two bytes on the wire and hundreds in memory, so 64 MiB of them would take
//! gigabytes. Fields are counted first, and lists that no input needs are not unpacked. Pure. Must
//! not know: what the fields mean beyond that.

use bytes::Buf as _;

use crate::oip::error::OipError;

/// Fields of a request beside one for each image.
const MOST_FIELDS: usize = 1024;
/// Bytes of a list of numbers that no input is made of, a shape for one.
const LONGEST_LIST: usize = 256;

/// A kind of message, by what may be below it.
#[derive(Clone, Copy)]
enum Kind {
    Request,
    Input,
    Output,
    Contents,
    Parameter,
    /// A text, an image, a parameter's value, or floats, which take what they take on the wire.
    Leaf,
    /// Whole numbers that an input may be made of, packed.
    Numbers,
    /// Other numbers, packed.
    OtherNumbers,
}

impl Kind {
    /// What a field of this kind's messages holds.
    const fn below(self, field: u64) -> Self {
        match (self, field) {
            (Self::Request, 5) => Self::Input,
            (Self::Request, 6) => Self::Output,
            (Self::Request | Self::Input, 4) | (Self::Output, 2) => Self::Parameter,
            (Self::Input, 3) | (Self::Contents, 1 | 2 | 3 | 5 | 7) => Self::OtherNumbers,
            (Self::Input, 5) => Self::Contents,
            (Self::Contents, 4) => Self::Numbers,
            _ => Self::Leaf,
        }
    }

    const fn is_message(self) -> bool {
        matches!(
            self,
            Self::Request | Self::Input | Self::Output | Self::Contents | Self::Parameter
        )
    }
}

/// What is found in a request's bytes.
struct Found {
    /// Fields that there may still be.
    left: usize,
    /// See [`check`].
    grown: usize,
}

/// Checks a request's bytes; gives how many more they may be in memory, where a number of one byte
/// takes four.
///
/// # Errors
/// [`OipError::Unreadable`] if it has too many fields or is cut off.
pub(super) fn check(message: &[u8], images: usize) -> Result<usize, OipError> {
    let mut found = Found {
        left: MOST_FIELDS.saturating_add(images),
        grown: 0,
    };
    match walk(message, Kind::Request, &mut found) {
        Ok(()) => Ok(found.grown),
        Err(reason) => Err(OipError::Unreadable(reason.to_owned())),
    }
}

fn walk(mut message: &[u8], kind: Kind, found: &mut Found) -> Result<(), &'static str> {
    const CUT: &str = "the message is damaged or cut off";
    while !message.is_empty() {
        found.left = found
            .left
            .checked_sub(1)
            .ok_or("the message has too many fields")?;
        let tag = varint(&mut message).ok_or(CUT)?;
        let skipped = match tag & 7 {
            0 => varint(&mut message).map(|_| 0).ok_or(CUT)?,
            1 => 8,
            5 => 4,
            2 => {
                let length = varint(&mut message).ok_or(CUT)?;
                let length = usize::try_from(length).map_err(|_| CUT)?;
                let inner = message.get(..length).ok_or(CUT)?;
                let below = kind.below(tag >> 3);
                if below.is_message() {
                    walk(inner, below, found)?;
                }
                if matches!(below, Kind::Numbers) {
                    found.grown += length * (size_of::<u32>() - 1);
                }
                if matches!(below, Kind::OtherNumbers) && length > LONGEST_LIST {
                    return Err("a shape, or a list of numbers that no input takes, is too long");
                }
                length
            }
            _ => return Err(CUT),
        };
        message = message.get(skipped..).ok_or(CUT)?;
    }
    Ok(())
}

/// A number of seven bits a byte, at most ten bytes.
fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for at in 0..10 {
        let byte = message.try_get_u8().ok()?;
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::grpc::proto::model_infer_request::InferInputTensor;
    use crate::grpc::proto::{InferParameter, InferTensorContents, ModelInferRequest};

    fn says(request: &ModelInferRequest, images: usize) -> String {
        match check(&request.encode_to_vec(), images) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_honest_request_passes_with_as_many_images_as_there_may_be() {
        let contents = InferTensorContents {
            uint_contents: vec![255; 100_000],
            fp32_contents: vec![255.0; 100_000],
            bytes_contents: vec![bytes::Bytes::from_static(b"image"); 2000],
            ..InferTensorContents::default()
        };
        let input = InferInputTensor {
            name: "image".to_owned(),
            shape: vec![2000, 224, 224, 3],
            parameters: [("a".to_owned(), InferParameter::default())].into(),
            contents: Some(contents),
            ..InferInputTensor::default()
        };
        let request = ModelInferRequest {
            inputs: vec![input],
            ..ModelInferRequest::default()
        };
        assert_eq!(says(&request, 2000), "");
        // 255 is two bytes.
        let grown = check(&request.encode_to_vec(), 2000);
        assert_eq!(grown, Ok(600_000));
        assert!(says(&request, 64).contains("too many fields"));
    }

    #[test]
    fn what_takes_little_on_the_wire_and_much_in_memory_is_refused() {
        let empty = InferInputTensor::default();
        let many = ModelInferRequest {
            inputs: vec![empty.clone(); 5000],
            ..ModelInferRequest::default()
        };
        assert!(says(&many, 64).contains("too many fields"));
        let long = InferInputTensor {
            shape: vec![1; 300],
            ..empty
        };
        let long = ModelInferRequest {
            inputs: vec![long],
            ..ModelInferRequest::default()
        };
        assert!(says(&long, 64).contains("too long"));
    }

    #[test]
    fn a_damaged_message_is_refused() {
        for damaged in [&[0x0a][..], &[0x0a, 5, 1], &[0xff; 11], &[0x0b], &[0x0d, 1]] {
            assert!(check(damaged, 64).is_err(), "{damaged:?}");
        }
    }
}
