//! The article's form: a photo as the field `image` of `multipart/form-data`, and an answer that says
//! whether it is one.
//!
//! Pure. Must not know: connections.

use hyper::Uri;
use hyper::header::HeaderValue;
use serde::Deserialize;

use super::connections::Answer;
use super::photo::Photo;
use super::{Body, at};
use crate::load::ended::Ended;

/// What is sent to if the address has no path.
const PATH: &str = "/predict";

/// Of the answer only whether it is one.
#[derive(Deserialize)]
struct Said {
    success: bool,
}

/// Where photos go: the address, or `/predict` of a server.
pub(super) fn uri(base: &Uri) -> Uri {
    if base.path() == "/" && base.query().is_none() {
        at(base, PATH).unwrap_or_else(|_| base.clone())
    } else {
        base.clone()
    }
}

/// The form with the photo.
pub(super) fn body(photo: &Photo) -> Body {
    let boundary = boundary(&photo.bytes);
    // A name in a header has no quotes and no lines.
    let name: String = photo
        .name
        .chars()
        .map(|letter| {
            if letter.is_ascii_graphic() && letter != '"' && letter != '\\' {
                letter
            } else {
                '_'
            }
        })
        .collect();
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{name}\"\r\n\
         Content-Type: {}\r\n\r\n",
        photo.media_type()
    );
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&photo.bytes);
    bytes.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let kind = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"));
    Body::of(
        kind.unwrap_or_else(|_| HeaderValue::from_static("multipart/form-data")),
        bytes.into(),
    )
}

/// A line that does not occur in the photo, the same for the same photo.
fn boundary(photo: &[u8]) -> String {
    let occurs = |text: &str| {
        let text = text.as_bytes();
        photo.windows(text.len()).any(|part| part == text)
    };
    (0u32..)
        .map(|number| format!("beagle-bench-{number}"))
        .find(|line| !occurs(line))
        .unwrap_or_default()
}

/// A status of success is a success if the body says so too: the article's server says 200 to a
/// request that it did not understand.
pub(super) fn judge(answer: &Answer) -> Ended {
    let ended = Ended::of_status(answer.status);
    if ended != Ended::Answered {
        return ended;
    }
    match serde_json::from_slice(&answer.body) {
        Ok(Said { success: true }) => Ended::Answered,
        _ => Ended::NotSuccess,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    #[test]
    fn a_success_says_so_twice() {
        let good = r#"{"success": true, "predictions": []}"#;
        assert_eq!(judge(&answer(200, good)), Ended::Answered);
        for bad in [r#"{"success": false}"#, "", "[]", r#"{"predictions": []}"#] {
            assert_eq!(judge(&answer(200, bad)), Ended::NotSuccess, "{bad}");
        }
        assert_eq!(judge(&answer(503, good)), Ended::Refused(503));
        assert_eq!(judge(&answer(500, good)), Ended::Status(500));
    }

    #[test]
    fn the_form_holds_the_photo_as_it_is() {
        let photo = Photo {
            name: "a \"cat\".gif".to_owned(),
            bytes: Bytes::from_static(b"GIF89a\r\n--beagle-bench-0\r\n"),
        };
        let body = body(&photo);
        assert_eq!(
            body.headers["content-type"],
            "multipart/form-data; boundary=beagle-bench-1"
        );
        let text = String::from_utf8(body.bytes.to_vec()).unwrap();
        let expected = "--beagle-bench-1\r\nContent-Disposition: form-data; name=\"image\"; \
                        filename=\"a__cat_.gif\"\r\nContent-Type: image/gif\r\n\r\n\
                        GIF89a\r\n--beagle-bench-0\r\n\r\n--beagle-bench-1--\r\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_server_is_asked_at_predict_and_a_page_where_it_is() {
        let of = |address: &str| uri(&address.parse().unwrap()).to_string();
        assert_eq!(of("http://a:1"), "http://a:1/predict");
        assert_eq!(of("http://a:1/"), "http://a:1/predict");
        assert_eq!(of("http://a:1/other?top=1"), "http://a:1/other?top=1");
    }
}
