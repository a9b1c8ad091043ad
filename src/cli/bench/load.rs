//! `beagle bench URL`: what is asked for on the command line, and the steps that follow from it.
//!
//! Must not know: how requests are sent, how figures come about.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use tokio::runtime;
use tokio::time::Instant;

use super::progress::Progress;
use crate::cli::photos;
use crate::cli::{Outcome, terminal};
use crate::decode::Limits;
use crate::load::arrivals::{Arrivals, Spacing};
use crate::load::drive::{self, Bounds};
use crate::load::plot;
use crate::load::report::{Asked, Found, Report};
use crate::load::search::{Search, judge};
use crate::load::send::{Input, Photo, Protocol, Server};
use crate::load::step::Step;
use crate::load::tally::{Loop, Tally, Window};

/// Longest time that makes sense here.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// The photo that is sent if none is named.
const SAMPLE: &[u8] = include_bytes!("../../../assets/samples/cat.jpg");
/// Bytes of photos that are kept, 512 MiB.
const MOST_BYTES: usize = 512 << 20;
/// Numbers of a tensor.
const MOST_NUMBERS: u32 = 4 << 20;
/// Requests of a step below which its percentiles say nothing: a search goes no lower.
const FEWEST: f64 = 20.0;
/// First rate of a search, unless another is named.
const FIRST_RATE: f64 = 10.0;

/// What belongs to a URL.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of a load")]
pub(super) struct Options {
    /// The server: http://HOST:PORT, or where its form is.
    #[arg(value_name = "URL")]
    url: Option<String>,

    /// Photos or folders of them, sent in turn; by default one of the samples.
    #[arg(value_name = "PHOTOS", requires = "url")]
    photos: Vec<PathBuf>,

    /// Requests a second, in an open loop; several are measured one after the other.
    #[arg(long, requires = "url", value_name = "RATES", value_delimiter = ',', value_parser = above_zero)]
    rate: Vec<f64>,

    /// Connections, in a closed loop; several numbers are measured one after the other. This is what is
    /// measured, on 16 connections, if nothing is said.
    #[arg(long, requires = "url", conflicts_with_all = ["rate", "search"], value_name = "NUMBERS", value_delimiter = ',')]
    connections: Vec<NonZeroUsize>,

    /// Find the highest rate that the server keeps up with; --rate is the first that is tried. A rate
    /// passes if every request was answered, 99 % of them within --p99, and the queue did not grow.
    #[arg(long, requires = "url")]
    search: bool,

    /// Longest 99th percentile of a search.
    #[arg(long, default_value = "250ms", value_parser = time)]
    p99: Duration,

    /// A search ends when a rate that failed is no more than this share above one that passed.
    #[arg(long, default_value = "0.05", value_parser = above_zero)]
    within: f64,

    /// How arrivals of an open loop lie in time.
    #[arg(long, default_value = "poisson")]
    arrivals: SpacingName,

    /// Length of a step.
    #[arg(long, default_value = "10s", value_parser = length)]
    duration: Duration,

    /// Load before each step that is not counted.
    #[arg(long, default_value = "2s", value_parser = time)]
    warm_up: Duration,

    /// How long a request may take, from when it was due on.
    #[arg(long, default_value = "30s", value_parser = length)]
    timeout: Duration,

    /// Most requests on their way at once in an open loop. Each has a connection: see ulimit -n. What is
    /// due beyond that waits, and its latency counts the wait.
    #[arg(long, default_value = "512")]
    in_flight: NonZeroUsize,

    /// Decides when Poisson arrivals are due.
    #[arg(long, default_value = "1")]
    seed: u64,

    /// How to ask: as the article does, or by the Open Inference Protocol.
    #[arg(long, default_value = "article")]
    protocol: ProtocolName,

    /// The model to ask by the Open Inference Protocol.
    #[arg(long, required_if_eq("protocol", "oip"))]
    model: Option<String>,

    /// What the model takes: files of photos, or numbers (noise) in the shape --shape.
    #[arg(long, default_value = "bytes")]
    input: InputName,

    /// Shape of the numbers, such as 1,224,224,3.
    #[arg(long, value_delimiter = ',', required_if_eq_any([("input", "u8"), ("input", "f32")]))]
    shape: Vec<u32>,

    /// A header of every request, such as 'X-Api-Key: K'; several may be named.
    #[arg(long, value_name = "NAME:VALUE")]
    header: Vec<String>,

    /// Also draw latency against rate.
    #[arg(long, requires = "url", value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SpacingName {
    Poisson,
    Constant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ProtocolName {
    Article,
    Oip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InputName {
    Bytes,
    U8,
    F32,
}

impl Options {
    pub(super) fn run(self, json: bool) -> anyhow::Result<Outcome> {
        // One thread: most of the machine is the server's, if it runs here.
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let report = runtime.block_on(self.measure())?;
        if json {
            terminal::line(&serde_json::to_string(&report)?);
        } else {
            for line in report.lines() {
                terminal::line(&line);
            }
        }
        if let Some(path) = &self.plot {
            let picture = plot::svg(&report)?;
            fs::write(path, picture).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let done = match report.search {
            Some(found) => found.rate.is_some(),
            None => report.all_answered(),
        };
        Ok(if done {
            Outcome::Done
        } else {
            Outcome::SomeFailed
        })
    }

    async fn measure(&self) -> anyhow::Result<Report> {
        let url = self.url.as_deref().unwrap_or_default();
        let server = Server::find(url, &self.protocol()?, &self.photos()?, &self.header).await?;
        let (requests, bytes) = server.requests();
        let asked = Asked {
            uri: server.uri().to_string(),
            protocol: match self.protocol {
                ProtocolName::Article => "article",
                ProtocolName::Oip => "oip",
            },
            requests,
            bytes: bytes / requests,
        };
        let mut report = Report {
            seed: self.seed,
            warm_up_s: self.warm_up.as_secs_f64(),
            timeout_s: self.timeout.as_secs_f64(),
            ..Report::new(asked, self.in_flight.get())
        };
        if self.search {
            self.search(&server, &mut report).await;
        } else if self.rate.is_empty() {
            let default = [NonZeroUsize::new(16).unwrap_or(NonZeroUsize::MIN)];
            let numbers = if self.connections.is_empty() {
                &default[..]
            } else {
                &self.connections
            };
            for connections in numbers {
                report
                    .steps
                    .push(self.closed(&server, connections.get()).await);
            }
        } else {
            report.arrivals = Some(self.spacing());
            for (number, rate) in (0..).zip(&self.rate) {
                report
                    .steps
                    .push(self.open(&server, *rate, number, None).await);
            }
        }
        Ok(report)
    }

    async fn search(&self, server: &Server, report: &mut Report) {
        report.arrivals = Some(self.spacing());
        let first = self.rate.first().copied().unwrap_or(FIRST_RATE);
        let mut search = Search::new(first, self.within, FEWEST / self.duration.as_secs_f64());
        while let Some(rate) = search.next() {
            let number = report.steps.len() as u64;
            let step = self.open(server, rate, number, Some(self.p99)).await;
            search.tell(
                rate,
                step.judgement
                    .as_ref()
                    .is_some_and(|judgement| judgement.passed),
            );
            report.steps.push(step);
        }
        let (rate, failed) = search.found();
        report.search = Some(Found {
            bound_ms: self.p99.as_secs_f64() * 1e3,
            within: self.within,
            rate,
            failed,
        });
    }

    /// The `number`th step; each has arrivals of its own.
    async fn open(&self, server: &Server, rate: f64, number: u64, bound: Option<Duration>) -> Step {
        let window = Window::new(self.warm_up, self.duration);
        let mut tally = Tally::new(Loop::Open(rate), window);
        let mut progress = Progress::new(format!("{rate:.1}/s"), window.end);
        let arrivals = Arrivals::new(self.spacing(), rate, self.seed.wrapping_add(number));
        let start = Instant::now();
        let due = drive::announce(start, window.end, arrivals);
        let bounds = self.bounds(self.in_flight.get());
        drive::open(server, (start, due), bounds, &mut tally, &mut progress).await;
        let mut step = tally.step();
        step.judgement = bound.map(|bound| judge(&step, bound, tally.longer_than(bound)));
        progress.end(&step);
        step
    }

    async fn closed(&self, server: &Server, connections: usize) -> Step {
        let window = Window::new(self.warm_up, self.duration);
        let mut tally = Tally::new(Loop::Closed(connections), window);
        let mut progress = Progress::new(format!("{connections} conn."), window.end);
        drive::closed(server, self.bounds(connections), &mut tally, &mut progress).await;
        let step = tally.step();
        progress.end(&step);
        step
    }

    fn bounds(&self, in_flight: usize) -> Bounds {
        Bounds {
            in_flight,
            timeout: self.timeout,
        }
    }

    fn spacing(&self) -> Spacing {
        match self.arrivals {
            SpacingName::Poisson => Spacing::Poisson,
            SpacingName::Constant => Spacing::Constant,
        }
    }

    fn protocol(&self) -> anyhow::Result<Protocol> {
        if self.protocol == ProtocolName::Article {
            return Ok(Protocol::Article);
        }
        let input = match self.input {
            InputName::Bytes => Input::Photo,
            InputName::U8 => Input::U8(checked(&self.shape)?),
            InputName::F32 => Input::F32(checked(&self.shape)?),
        };
        Ok(Protocol::Oip {
            model: self.model.clone().unwrap_or_default(),
            input,
        })
    }

    fn photos(&self) -> anyhow::Result<Vec<Arc<Photo>>> {
        if self.photos.is_empty() {
            return Ok(vec![Arc::new(Photo {
                name: "cat.jpg".to_owned(),
                bytes: Bytes::from_static(SAMPLE),
            })]);
        }
        let mut all = 0;
        let mut read = Vec::new();
        for photo in photos::find(&self.photos)? {
            let name = photo.name();
            let bytes = photo.read(&Limits::default());
            let bytes = bytes.with_context(|| format!("cannot read {name}"))?;
            all += bytes.len();
            if all > MOST_BYTES {
                bail!(
                    "the photos are more than {} MiB together: name fewer",
                    MOST_BYTES >> 20
                );
            }
            read.push(Arc::new(Photo {
                name: name.rsplit('/').next().unwrap_or(&name).to_owned(),
                bytes: bytes.into(),
            }));
        }
        Ok(read)
    }
}

fn above_zero(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if number.is_finite() && number > 0.0 {
        Ok(number)
    } else {
        Err("it has to be above 0".to_owned())
    }
}

fn length(text: &str) -> Result<Duration, String> {
    let length = time(text)?;
    if length.is_zero() {
        return Err("it has to be above 0".to_owned());
    }
    Ok(length)
}

/// A time that can be added to others.
fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time > LONGEST {
        return Err("it may be a year at most".to_owned());
    }
    Ok(time)
}

/// The shape, if it is of one to eight dimensions and not of more numbers than can be kept.
fn checked(shape: &[u32]) -> anyhow::Result<Vec<u32>> {
    let count = shape
        .iter()
        .try_fold(1u32, |count, size| count.checked_mul(*size));
    if shape.len() > 8 || !count.is_some_and(|count| (1..=MOST_NUMBERS).contains(&count)) {
        bail!("--shape is one to eight numbers above 0, whose product is at most {MOST_NUMBERS}");
    }
    Ok(shape.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lengths_are_above_zero() {
        assert_eq!(above_zero("2.5"), Ok(2.5));
        for bad in ["0", "-1", "inf", "NaN", "x", ""] {
            assert!(above_zero(bad).is_err(), "{bad}");
        }
        assert_eq!(length("1500ms"), Ok(Duration::from_millis(1500)));
        assert!(length("0s").is_err() && length("10").is_err());
    }

    #[test]
    fn a_shape_is_neither_empty_nor_endless() {
        assert_eq!(checked(&[1, 224, 224, 3]).unwrap(), [1, 224, 224, 3]);
        for bad in [
            &[0][..],
            &[1, 0],
            &[1; 9],
            &[u32::MAX, u32::MAX],
            &[MOST_NUMBERS, 2],
        ] {
            assert!(checked(bad).is_err(), "{bad:?}");
        }
    }
}
