//! `beagle predict`: photos to a running server, with patience where it asks for it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use ureq::Agent;
use ureq::http::{HeaderMap, StatusCode};
use uuid::Uuid;

use super::Outcome;
use super::photos::{self, Photo};
use super::report::{Failure, Report};
use crate::classify::top::Prediction;
use crate::decode::{Limits, format};

/// Names what is in photos, by a server.
///
/// Each photo has an idempotency key of its own, so asking again after a broken connection never
/// does the work twice. While the server is full, this waits as long as it says.
///
/// Examples:
///   beagle predict holiday/ --server http://127.0.0.1:5000
///   beagle predict --json --top 1 *.jpg
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Predict {
    /// Photos, folders of photos, or - for standard input.
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,

    /// The server.
    #[arg(
        long,
        default_value = "http://127.0.0.1:5000",
        env = "BEAGLE_SERVER",
        value_name = "URL"
    )]
    server: String,

    /// A key, where the server asks for one; on the command line others can see it.
    #[arg(
        long,
        env = "BEAGLE_KEY",
        value_name = "SECRET",
        hide_env_values = true
    )]
    key: Option<String>,

    /// How many labels a photo.
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u16).range(1..=1000))]
    top: u16,

    /// The profile to ask for; by default the server's.
    #[arg(long)]
    profile: Option<String>,

    /// Photos on their way at once.
    #[arg(long, default_value = "8")]
    parallel: NonZeroUsize,

    /// How often to ask again when the server is full or does not answer.
    #[arg(long, default_value = "5")]
    retries: u32,

    /// Longest wait for one reply.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,

    /// One JSON object a photo, one a line.
    #[arg(long)]
    json: bool,
}

/// What a server says.
#[derive(Debug, Deserialize)]
struct Said {
    #[serde(default)]
    predictions: Vec<Prediction>,
    error: Option<SaidError>,
}

#[derive(Debug, Deserialize)]
struct SaidError {
    code: String,
    message: String,
}

impl Predict {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let photos = photos::find(&self.files)?;
        let mut report = Report::new(photos.len(), self.json);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(self.timeout))
            .user_agent(concat!("beagle/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent: Agent = config.into();
        let photos = Arc::new(Mutex::new(photos.into_iter()));
        let (tell, told) = sync_channel(self.parallel.get());
        thread::scope(|scope| {
            for _ in 0..self.parallel.get() {
                let (agent, photos, tell, this) =
                    (agent.clone(), photos.clone(), tell.clone(), &self);
                scope.spawn(move || {
                    loop {
                        let next = photos.lock().ok().and_then(|mut photos| photos.next());
                        let Some(photo) = next else { break };
                        let answer = this.ask(&agent, &photo);
                        if tell.send((photo, answer)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(tell);
            for (photo, answer) in told {
                report.add(&photo, answer);
            }
        });
        Ok(report.finish())
    }

    fn ask(&self, agent: &Agent, photo: &Photo) -> Result<Vec<Prediction>, Failure> {
        let bytes = photo
            .read(&Limits::default())
            .map_err(|error| Failure::new("unreadable_file", error))?;
        let kind =
            format::sniff(&bytes).map_or("application/octet-stream", format::Format::media_type);
        let mut url = format!(
            "{}/predict?top={}",
            self.server.trim_end_matches('/'),
            self.top
        );
        if let Some(profile) = &self.profile {
            url.push_str("&profile=");
            url.push_str(profile);
        }
        let key = Uuid::now_v7().to_string();
        let mut left = self.retries;
        loop {
            let mut request = agent.post(&url).header("Content-Type", kind);
            if let Some(secret) = &self.key {
                request = request.header("Authorization", format!("Bearer {secret}"));
            }
            let sent = request.header("Idempotency-Key", &key).send(&bytes[..]);
            let wait = match sent {
                Ok(mut response) => {
                    let status = response.status();
                    let wait = retry_after(status, response.headers());
                    if wait.is_none() || left == 0 {
                        let text = response.body_mut().read_to_string();
                        return read(status, &text.unwrap_or_default());
                    }
                    wait.unwrap_or_default()
                }
                Err(error) if left == 0 => {
                    return Err(Failure::new(
                        "no_answer",
                        format!("{}: {error}", self.server),
                    ));
                }
                Err(_) => Duration::from_secs(1),
            };
            left -= 1;
            thread::park_timeout(wait);
        }
    }
}

/// How long a server wants us to wait before we ask again, if asking again makes sense.
fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    if status != StatusCode::SERVICE_UNAVAILABLE && status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let seconds = headers
        .get("Retry-After")
        .and_then(|value| value.to_str().ok()?.parse().ok());
    Some(Duration::from_secs(seconds.unwrap_or(1)))
}

fn read(status: StatusCode, text: &str) -> Result<Vec<Prediction>, Failure> {
    match serde_json::from_str::<Said>(text) {
        Ok(Said {
            error: Some(error), ..
        }) => Err(Failure::told(error.code, error.message)),
        Ok(said) if status.is_success() => Ok(said.predictions),
        _ => Err(Failure::new(
            "no_answer",
            format!("the server said {status}"),
        )),
    }
}
