//! Images in a JSON body: `{"images": [{"data": "<base64>", "id": "yours"}]}`.
//!
//! Pure. Base64 becomes bytes as it is read, so that no text is kept beside the body; an image
//! whose base64 is wrong costs itself alone. Must not know: HTTP, requests, who pays for the bytes.

use std::cell::Cell;
use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use utoipa::ToSchema;

use crate::error::{ErrorCode, Refusal};

/// The usual alphabet, padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Longest name that a caller may give an image, in characters.
const LONGEST_ID: usize = 200;

/// Images, each a job of its own.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "it describes what is read by hand, image by image"
)]
pub(super) struct Images {
    /// At least one.
    #[schema(min_items = 1)]
    images: Vec<Listed>,
}

/// An image of a JSON body.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    /// The file, as base64 of the usual alphabet, padded or not.
    #[schema(value_type = String, content_encoding = "base64", example = json!(super::document::PIXEL))]
    pub(super) data: Data,
    /// Your name for it, which is in its result.
    #[schema(max_length = 200, example = "holiday-17", nullable = false)]
    #[serde(default, deserialize_with = "name")]
    pub(super) id: Option<String>,
}

/// Bytes that were base64, or what is wrong with it.
#[derive(Debug)]
pub(super) struct Data(pub(super) Result<Bytes, Refusal>);

/// Reads a body that may carry so many images.
///
/// # Errors
/// [`ErrorCode::BadRequest`], naming the field that is wrong, or [`ErrorCode::TooManyImages`].
pub(super) fn read(body: &[u8], most: usize) -> Result<Vec<Listed>, Refusal> {
    let over = Cell::new(false);
    let mut json = serde_json::Deserializer::from_slice(body);
    let seed = Limited { most, over: &over };
    let read = seed
        .deserialize(&mut json)
        .and_then(|images| json.end().map(|()| images));
    if over.get() {
        return Err(too_many(most));
    }
    let images = read.map_err(|error| {
        let message = format!(
            "the JSON body cannot be read ({error}): send {{\"images\": [{{\"data\": \"<base64>\"}}]}}"
        );
        Refusal::new(ErrorCode::BadRequest, message)
    })?;
    if images.is_empty() {
        let message = "the JSON body has no images: send one or more in the array images";
        return Err(Refusal::new(ErrorCode::BadRequest, message));
    }
    Ok(images)
}

/// That a request carries more images than it may.
pub(super) fn too_many(most: usize) -> Refusal {
    let message = format!("a request may carry {most} images");
    Refusal::new(ErrorCode::TooManyImages, message)
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.chars().count() > LONGEST_ID {
        let message = format!("an id may have {LONGEST_ID} characters");
        return Err(D::Error::custom(message));
    }
    Ok(Some(name))
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

/// Turns base64 into bytes where it lies.
struct Text;

impl Visitor<'_> for Text {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an image as base64")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Data, E> {
        let bytes = BASE64.decode(text).map(Bytes::from).map_err(|error| {
            let message = format!("the image is not base64 ({error}): send the whole file encoded");
            Refusal::new(ErrorCode::MalformedBase64, message)
        });
        Ok(Data(bytes))
    }
}

/// The body; no more images are read of it than it may have.
struct Limited<'a> {
    most: usize,
    over: &'a Cell<bool>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Images,
}

impl<'de> DeserializeSeed<'de> for Limited<'_> {
    type Value = Vec<Listed>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Limited<'_> {
    type Value = Vec<Listed>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the array images")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut images = None;
        while let Some(Field::Images) = map.next_key()? {
            if images.is_some() {
                return Err(A::Error::duplicate_field("images"));
            }
            images = Some(map.next_value_seed(List(&self))?);
        }
        images.ok_or_else(|| A::Error::missing_field("images"))
    }
}

struct List<'a>(&'a Limited<'a>);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = Vec<Listed>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = Vec<Listed>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of images")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut images = Vec::new();
        while images.len() < self.0.most
            && let Some(image) = list.next_element()?
        {
            images.push(image);
        }
        if images.len() == self.0.most && list.next_element::<IgnoredAny>()?.is_some() {
            self.0.over.set(true);
            return Err(A::Error::custom("too many images"));
        }
        Ok(images)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> String {
        let refusal = read(body.as_bytes(), 9).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::BadRequest, "{body}");
        refusal.message
    }

    #[test]
    fn an_image_with_wrong_base64_costs_itself_alone() {
        let body = r#"{"images": [
            {"data": "AAEC", "id": "first"}, {"data": "A!EC"}, {"data": "AAECAw=="},
            {"id": "", "data": "AAECAw"}, {"data": ""}, {"data": "\u0041A\/+"}]}"#;
        let images = read(body.as_bytes(), 6).unwrap();
        let bytes: Vec<Option<&[u8]>> = images
            .iter()
            .map(|image| image.data.0.as_deref().ok())
            .collect();
        let wanted: [Option<&[u8]>; 6] = [
            Some(&[0, 1, 2]),
            None,
            Some(&[0, 1, 2, 3]),
            Some(&[0, 1, 2, 3]),
            Some(&[]),
            Some(&[0, 15, 254]),
        ];
        assert_eq!(bytes, wanted);
        let ids: Vec<Option<&str>> = images.iter().map(|image| image.id.as_deref()).collect();
        assert_eq!(ids, [Some("first"), None, None, Some(""), None, None]);
        let refusal = images[1].data.0.as_ref().unwrap_err();
        assert_eq!(refusal.code, ErrorCode::MalformedBase64);
        assert!(refusal.message.contains("33"), "{}", refusal.message);
    }

    #[test]
    fn what_is_wrong_with_the_body_is_named() {
        for (body, named) in [
            (r#"{"images": [{"data": "AA", "name": "x"}]}"#, "`name`"),
            (r#"{"images": [{"data": "AA"}], "top": 3}"#, "`top`"),
            (r#"{"images": [{"id": "x"}]}"#, "`data`"),
            (r#"{"images": [{"data": 5}]}"#, "base64"),
            (r#"{"images": [{"data": "AA", "id": 5}]}"#, "string"),
            (r#"{"images": [{"data": "AA", "id": null}]}"#, "null"),
            (r#"{"images": [{"data": "AA", "data": "AA"}]}"#, "`data`"),
            (r#"{"images": [], "images": []}"#, "`images`"),
            (r#"{"images": "AA"}"#, "an array of images"),
            (r#"{"images": []}"#, "no images"),
            ("{}", "`images`"),
            ("[]", "an object"),
            ("", "EOF"),
            (r#"{"images": [{"data": "AA"}]} {}"#, "trailing"),
        ] {
            let message = message(body);
            assert!(message.contains(named), "{body}: {message}");
        }
        let long = "x".repeat(LONGEST_ID + 1);
        let body = |id: &str| format!(r#"{{"images": [{{"data": "AA", "id": "{id}"}}]}}"#);
        assert!(message(&body(&long)).contains("200 characters"));
        assert!(read(body(&long[1..]).as_bytes(), 9).is_ok());
    }

    #[test]
    fn no_more_images_are_read_than_may_be() {
        let body = |images: usize| {
            let list = vec![r#"{"data": "AA"}"#; images].join(",");
            format!(r#"{{"images": [{list}]}}"#)
        };
        assert_eq!(read(body(3).as_bytes(), 3).unwrap().len(), 3);
        let refusal = read(body(4).as_bytes(), 3).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::TooManyImages);
        assert!(refusal.message.contains('3'), "{}", refusal.message);
    }
}
