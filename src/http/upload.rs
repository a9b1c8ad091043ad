//! A request's body to images: multipart field `image`, one or several, JSON, or the bare file.
//!
//! Every byte is paid for before it is kept. Must not know: what an image is, stages.

use actix_multipart::{Multipart, MultipartError};
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web::{self, Payload};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt as _};

use super::arriving;
use super::fed::Fed;
use super::listed::{self, Listed};
use crate::edge::admission::Admission;
use crate::edge::{BodyLimits, Image};
use crate::error::{ErrorCode, Refusal};
use crate::ticket::Place;

/// Name of the multipart field, the article's.
const FIELD: &str = "image";
/// Most bytes for which there is room before they have come: most photos have less, and who says
/// more than it sends has not paid for it.
const RESERVED: usize = 256 << 10;
/// Multipart fields that are passed over before a request is refused.
pub(super) const OTHER_FIELDS: usize = 16;

/// What a body carries.
pub(super) struct Body {
    /// At least one; for what is not an image, why.
    pub(super) images: Vec<Result<Image, Refusal>>,
    /// The caller's own names for them, as many.
    pub(super) ids: Vec<Option<String>>,
    /// Whether the answer is a list, also of one.
    pub(super) is_list: bool,
}

impl Body {
    /// Images without names.
    fn of(images: Vec<Image>) -> Self {
        Self {
            ids: vec![None; images.len()],
            is_list: images.len() > 1,
            images: images.into_iter().map(Ok).collect(),
        }
    }
}

/// Reads the images of a body.
///
/// # Errors
/// What is wrong with the body, or that there is no room for it.
pub(super) async fn read(
    headers: &HeaderMap,
    payload: Payload,
    limits: &BodyLimits,
    admission: &Admission,
) -> Result<Body, Refusal> {
    let (reader, declared) = Reader::new(headers, limits, admission)?;
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
        let fed = Fed::default();
        let parts = Multipart::new(headers, fed.count(payload));
        return Ok(Body::of(reader.multipart(parts, &fed).await?));
    }
    if essence.eq_ignore_ascii_case("application/json") {
        return reader.listed(payload, declared).await;
    }
    let is_image = essence
        .get(..6)
        .is_some_and(|start| start.eq_ignore_ascii_case("image/"));
    if is_image || essence.eq_ignore_ascii_case("application/octet-stream") {
        let image = body(headers, payload, limits, admission).await?;
        return Ok(Body::of(vec![image]));
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
             the image itself as image/jpeg, image/png, ..., or application/json"
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
        .whole(payload, &mut place, declared, arriving::refuse)
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
        let mut body = BytesMut::with_capacity(expected.unwrap_or(0).min(RESERVED));
        while let Some(chunk) = stream.try_next().await.map_err(|failed| error(&failed))? {
            self.read += chunk.len();
            self.check(self.read)?;
            self.admission.add_bytes(place, chunk.len())?;
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Reads images of a JSON body. What is decoded of it is paid for before it is, as many bytes
    /// as the body has, and more than it can be.
    async fn listed(mut self, payload: Payload, declared: Option<usize>) -> Result<Body, Refusal> {
        let mut place = self.admission.enter()?;
        let body = self
            .whole(payload, &mut place, declared, arriving::refuse)
            .await?;
        self.admission.add_bytes(&mut place, body.len())?;
        let most = self.limits.images;
        // Tens of megabytes take longer than others should wait for this thread.
        let read = web::block(move || (listed::read(&body, most), place)).await;
        let (images, place) = read.map_err(|_| {
            let message = "the server is about to stop: ask another one, or this one later";
            Refusal::new(ErrorCode::ShuttingDown, message)
        })?;
        let images = images?;
        let sizes: Vec<usize> = images
            .iter()
            .filter_map(|image| image.data.0.as_ref().ok().map(Bytes::len))
            .collect();
        let mut places = self.admission.divide(place, &sizes)?.into_iter();
        let (images, ids) = images
            .into_iter()
            .map(|Listed { data, id }| {
                let place = data.0.is_ok().then(|| places.next()).flatten();
                let place = place.unwrap_or_default();
                (data.0.map(|bytes| Image { bytes, place }), id)
            })
            .unzip();
        Ok(Body {
            images,
            ids,
            is_list: true,
        })
    }

    async fn multipart(mut self, mut parts: Multipart, fed: &Fed) -> Result<Vec<Image>, Refusal> {
        let mut images = Vec::new();
        let mut others = 0;
        while let Some(mut field) = parts.try_next().await.map_err(|error| part_error(&error))? {
            fed.given();
            if field.name() == Some(FIELD) {
                if images.len() == self.limits.images {
                    return Err(listed::too_many(self.limits.images));
                }
                let mut place = self.admission.enter()?;
                let given = (&mut field).inspect_ok(|_| fed.given());
                let bytes = self.whole(given, &mut place, None, part_error).await?;
                images.push(Image { bytes, place });
                continue;
            }
            others += 1;
            if others > OTHER_FIELDS {
                let message = format!("the body has too many fields that are not named {FIELD}");
                return Err(Refusal::new(ErrorCode::BadRequest, message));
            }
            while let Some(chunk) = field.try_next().await.map_err(|error| part_error(&error))? {
                fed.given();
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
    if let MultipartError::Payload(error) = error {
        return arriving::refuse(error);
    }
    Refusal::new(
        ErrorCode::BadRequest,
        format!("the multipart body cannot be read ({error}): check that it is complete"),
    )
}
