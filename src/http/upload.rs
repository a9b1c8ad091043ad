//! A request's body to images: multipart field `image`, one or several, or the bare file.
//!
//! Every byte is paid for before it is kept. Must not know: what an image is, stages.

use actix_multipart::{Multipart, MultipartError};
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt as _};

use crate::edge::admission::Admission;
use crate::edge::{BodyLimits, Image};
use crate::error::{ErrorCode, Refusal};
use crate::ticket::Place;

/// Name of the multipart field, the article's.
const FIELD: &str = "image";
/// Multipart fields that are passed over before a request is refused.
const OTHER_FIELDS: usize = 16;

/// Reads the images of a body, at least one.
///
/// # Errors
/// What is wrong with the body, or that there is no room for it.
pub(super) async fn read(
    headers: &HeaderMap,
    payload: Payload,
    limits: &BodyLimits,
    admission: &Admission,
) -> Result<Vec<Image>, Refusal> {
    let (reader, _) = Reader::new(headers, limits, admission)?;
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let essence = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if essence.eq_ignore_ascii_case("multipart/form-data") {
        return reader.multipart(Multipart::new(headers, payload)).await;
    }
    let is_image = essence
        .get(..6)
        .is_some_and(|start| start.eq_ignore_ascii_case("image/"));
    if is_image || essence.eq_ignore_ascii_case("application/octet-stream") {
        return Ok(vec![body(headers, payload, limits, admission).await?]);
    }
    let found = if essence.is_empty() {
        "nothing"
    } else {
        essence
    };
    Err(Refusal::new(
        ErrorCode::UnsupportedMediaType,
        format!(
            "the Content-Type says {found}: send multipart/form-data with a field named {FIELD}, \
             or the image itself as image/jpeg, image/png, ..."
        ),
    ))
}

/// Reads a body whole, whatever it is.
///
/// # Errors
/// That it is too large or cut off, or that there is no room for it.
pub(super) async fn body(
    headers: &HeaderMap,
    payload: Payload,
    limits: &BodyLimits,
    admission: &Admission,
) -> Result<Image, Refusal> {
    let (mut reader, declared) = Reader::new(headers, limits, admission)?;
    let mut place = admission.enter()?;
    let bytes = reader
        .whole(payload, &mut place, declared, body_error)
        .await?;
    Ok(Image { bytes, place })
}

struct Reader<'a> {
    limits: &'a BodyLimits,
    admission: &'a Admission,
    read: usize,
}

impl<'a> Reader<'a> {
    /// A reader, and how long the body says that it is: one that is too long is refused before it
    /// is read.
    fn new(
        headers: &HeaderMap,
        limits: &'a BodyLimits,
        admission: &'a Admission,
    ) -> Result<(Self, Option<usize>), Refusal> {
        let reader = Self {
            limits,
            admission,
            read: 0,
        };
        let declared = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        reader.check(declared.unwrap_or(0))?;
        Ok((reader, declared))
    }

    fn check(&self, bytes: usize) -> Result<(), Refusal> {
        if bytes <= self.limits.bytes {
            return Ok(());
        }
        let message = format!(
            "the body has more than {} bytes: send a smaller image or fewer of them",
            self.limits.bytes
        );
        Err(Refusal::new(ErrorCode::BodyTooLarge, message))
    }

    /// Reads a stream to its end.
    async fn whole<E>(
        &mut self,
        stream: impl Stream<Item = Result<Bytes, E>>,
        place: &mut Place,
        expected: Option<usize>,
        error: fn(&E) -> Refusal,
    ) -> Result<Bytes, Refusal> {
        let mut stream = std::pin::pin!(stream);
        let mut body = BytesMut::with_capacity(expected.unwrap_or(0).min(self.limits.bytes));
        while let Some(chunk) = stream.try_next().await.map_err(|failed| error(&failed))? {
            self.read += chunk.len();
            self.check(self.read)?;
            self.admission.add_bytes(place, chunk.len())?;
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    async fn multipart(mut self, mut parts: Multipart) -> Result<Vec<Image>, Refusal> {
        let mut images = Vec::new();
        let mut others = 0;
        while let Some(mut field) = parts.try_next().await.map_err(|error| part_error(&error))? {
            if field.name() == Some(FIELD) {
                if images.len() == self.limits.images {
                    let message = format!("a request may carry {} images", self.limits.images);
                    return Err(Refusal::new(ErrorCode::TooManyImages, message));
                }
                let mut place = self.admission.enter()?;
                let bytes = self.whole(&mut field, &mut place, None, part_error).await?;
                images.push(Image { bytes, place });
                continue;
            }
            others += 1;
            if others > OTHER_FIELDS {
                let message = format!("the body has too many fields that are not named {FIELD}");
                return Err(Refusal::new(ErrorCode::BadRequest, message));
            }
            while let Some(chunk) = field.try_next().await.map_err(|error| part_error(&error))? {
                self.read += chunk.len();
                self.check(self.read)?;
            }
        }
        if images.is_empty() {
            let message = format!(
                "the body has no field named {FIELD}: send the image as that field, as in \
                 curl -F {FIELD}=@photo.jpg"
            );
            return Err(Refusal::new(ErrorCode::BadRequest, message));
        }
        Ok(images)
    }
}

fn part_error(error: &MultipartError) -> Refusal {
    Refusal::new(
        ErrorCode::BadRequest,
        format!("the multipart body cannot be read ({error}): check that it is complete"),
    )
}

fn body_error(error: &PayloadError) -> Refusal {
    Refusal::new(
        ErrorCode::BadRequest,
        format!("the body cannot be read ({error}): check that it is complete"),
    )
}
