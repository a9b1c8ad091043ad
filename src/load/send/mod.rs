//! The target that speaks HTTP: photos to a server of either protocol.
//!
//! Must not know: schedules, what is counted.

mod article;
mod connections;
mod oip;
mod photo;

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use thiserror::Error;

use super::drive::Target;
use super::ended::Ended;
use connections::{Answer, Connections, Fault};

pub use oip::Input;
pub use photo::Photo;

/// Why a server cannot be measured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The address is none.
    #[error("{0} is not the address of a server: http://HOST:PORT")]
    NotAnAddress(String),
    /// The host has no address.
    #[error("{host} cannot be found: {reason}")]
    UnknownHost {
        /// As it was given.
        host: String,
        /// The system's.
        reason: String,
    },
    /// There is nothing to send.
    #[error("there are no photos to send")]
    NoPhotos,
    /// A header is none.
    #[error("{0:?} is not a header: NAME:VALUE")]
    NotAHeader(String),
    /// The model's metadata did not come.
    #[error("{uri} does not tell what the model takes: {reason}")]
    NoMetadata {
        /// What was asked.
        uri: String,
        /// What came instead.
        reason: String,
    },
    /// The model takes something else.
    #[error("the model has no input of the type {wanted}: it has {found}; see --input and --shape")]
    NoSuchInput {
        /// Open Inference Protocol's name of it.
        wanted: &'static str,
        /// All inputs.
        found: String,
    },
    /// The first request, sent to see whether all is as it should be, failed.
    #[error("the first request to {uri} was not answered: {reason}")]
    FirstFailed {
        /// Where it went.
        uri: String,
        /// How it ended.
        reason: String,
    },
}

/// What is spoken.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// A photo as the field `image` of a form, to `/predict`.
    Article,
    /// `POST /v2/models/NAME/infer`.
    Oip {
        /// The model.
        model: String,
        /// What is sent to it.
        input: Input,
    },
}

/// A server, and requests that are ready to be sent.
#[derive(Debug)]
pub struct Server {
    connections: Connections,
    uri: Uri,
    headers: HeaderMap,
    bodies: Vec<Body>,
    judge: fn(&Answer) -> Ended,
}

/// A request's body and the headers that belong to it.
#[derive(Debug)]
struct Body {
    headers: HeaderMap,
    bytes: Bytes,
}

impl Body {
    fn new(kind: &'static str, bytes: Bytes) -> Self {
        Self::of(HeaderValue::from_static(kind), bytes)
    }

    fn of(kind: HeaderValue, bytes: Bytes) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind)]);
        Self { headers, bytes }
    }
}

impl Server {
    /// Finds the server and makes the requests; `headers` are sent with each.
    ///
    /// # Errors
    /// [`TargetError`], saying what is wrong with what.
    pub async fn find(
        address: &str,
        protocol: &Protocol,
        photos: &[Arc<Photo>],
        headers: &[String],
    ) -> Result<Self, TargetError> {
        let base = base(address)?;
        let connections = Connections::find(&base).await?;
        let mut common = given(headers)?;
        let ours = HeaderValue::from_static(concat!("beagle/", env!("CARGO_PKG_VERSION")));
        common.entry(USER_AGENT).or_insert(ours);
        if let Some(host) = base.authority().and_then(|host| host.as_str().parse().ok()) {
            common.entry(HOST).or_insert(host);
        }
        let mut server = Self {
            connections,
            uri: base,
            headers: common,
            bodies: Vec::new(),
            judge: |answer| Ended::of_status(answer.status),
        };
        match protocol {
            Protocol::Article => {
                server.uri = article::uri(&server.uri);
                server.bodies = photos.iter().map(|photo| article::body(photo)).collect();
                server.judge = article::judge;
            }
            Protocol::Oip { model, input } => {
                let bodies = oip::bodies(&server, model, input, photos).await?;
                (server.uri, server.bodies) = bodies;
            }
        }
        if server.bodies.is_empty() {
            return Err(TargetError::NoPhotos);
        }
        server.first().await?;
        Ok(server)
    }

    /// Where requests go.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Different requests, and the bytes of all their bodies.
    #[must_use]
    pub fn requests(&self) -> (usize, usize) {
        let bytes = self.bodies.iter().map(|body| body.bytes.len()).sum();
        (self.bodies.len(), bytes)
    }

    /// One request that does not count, to see that what is asked is answered. A server that is full
    /// is one that answers.
    async fn first(&self) -> Result<(), TargetError> {
        let reason = match self.post(0).await {
            Err(Fault { reason, .. }) => reason,
            Ok(answer) => match (self.judge)(&answer) {
                Ended::Answered | Ended::Refused(_) => return Ok(()),
                _ => answer.told(),
            },
        };
        Err(TargetError::FirstFailed {
            uri: self.uri.to_string(),
            reason,
        })
    }

    async fn post(&self, number: u64) -> Result<Answer, Fault> {
        let which = usize::try_from(number % self.bodies.len() as u64).unwrap_or_default();
        let body = &self.bodies[which];
        self.exchange(
            Method::POST,
            &self.uri,
            body.headers.clone(),
            body.bytes.clone(),
        )
        .await
    }

    async fn get(&self, uri: &Uri) -> Result<Answer, Fault> {
        self.exchange(Method::GET, uri, HeaderMap::new(), Bytes::new())
            .await
    }

    async fn exchange(
        &self,
        method: Method,
        uri: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Fault> {
        let mut request = Request::new(body.into());
        *request.method_mut() = method;
        // Servers are asked for a path; whose it is says the header.
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().unwrap_or_default();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().extend(headers);
        self.connections.exchange(request).await
    }
}

impl Target for Server {
    async fn send(&self, number: u64) -> Ended {
        match self.post(number).await {
            Ok(answer) => (self.judge)(&answer),
            Err(fault) => fault.ended,
        }
    }
}

/// The address of a server as a URI with a scheme and a host.
fn base(address: &str) -> Result<Uri, TargetError> {
    let wrong = || TargetError::NotAnAddress(address.to_owned());
    let uri: Uri = address.parse().map_err(|_| wrong())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(_)) => Ok(uri),
        _ => Err(wrong()),
    }
}

/// The same server, another path.
fn at(base: &Uri, path: &str) -> Result<Uri, TargetError> {
    let mut parts = base.clone().into_parts();
    let wrong = || TargetError::NotAnAddress(format!("{base} with {path}"));
    parts.path_and_query = Some(path.parse().map_err(|_| wrong())?);
    Uri::from_parts(parts).map_err(|_| wrong())
}

fn given(headers: &[String]) -> Result<HeaderMap, TargetError> {
    let header = |given: &String| {
        let (name, value) = given.split_once(':')?;
        let name: HeaderName = name.trim().parse().ok()?;
        Some((name, value.trim().parse::<HeaderValue>().ok()?))
    };
    let read = |given| header(given).ok_or_else(|| TargetError::NotAHeader(given.clone()));
    headers.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_and_a_host() {
        for good in ["http://127.0.0.1:5000", "http://[::1]:5000/predict?top=1"] {
            assert!(base(good).is_ok(), "{good}");
        }
        for bad in [
            "127.0.0.1:5000",
            "https://a",
            "http://",
            "/predict",
            "",
            "a b",
        ] {
            let error = base(bad).unwrap_err();
            assert!(
                matches!(error, TargetError::NotAnAddress(_)),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn headers_are_names_and_values() {
        let good = given(&["X-Api-Key: k:1".to_owned(), "b:".to_owned()]).unwrap();
        assert_eq!(
            (&good["x-api-key"], &good["b"]),
            (
                &HeaderValue::from_static("k:1"),
                &HeaderValue::from_static("")
            )
        );
        for bad in ["no colon", "a b: c", "a: \u{1}"] {
            assert!(given(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
