//! What a person may say about a server, wherever they say it: flags, environment, file.
//!
//! One struct for all three, everything optional, so that a layer can lie over another: flags
//! over environment over file over defaults. Must not know: what is done with it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use model_import::classifier::PrecisionChoice;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::access::AccessLayer;
use super::connections::ConnectionsLayer;
use super::grpc::Grpc;
use super::jobs::JobsLayer;
use super::tls::TlsLayer;
use super::traces::TraceLayer;
use super::webhook::Webhook;

/// What an accepted job must survive for the server to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Nothing: warnings are enough.
    None,
    /// The death of any process, the store's too.
    Process,
    /// The loss of power as well.
    Power,
}

/// What a process does of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything.
    All,
    /// HTTP and decoding; no model.
    Web,
    /// The model; HTTP for its health alone.
    Worker,
}

impl Role {
    /// Its name, as people say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Web => "web",
            Self::Worker => "worker",
        }
    }
}

/// One layer of settings.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Layer {
    /// What this process does: all, web (HTTP and decoding, no model) or worker (the model); web
    /// and worker need a store that processes share [default: all]
    #[arg(long, env = "BEAGLE_ROLE", value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,

    /// Address and port to listen on [default: 127.0.0.1:5000]
    #[arg(long, env = "BEAGLE_BIND", value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<SocketAddr>,

    /// Where jobs are kept: sqlite:PATH, redis://HOST, rediss://HOST, unix:///SOCKET or memory:
    /// [default: $REDIS_URL, else sqlite in the data folder]
    #[arg(long, env = "BEAGLE_STORE", value_name = "URL", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,

    /// Folder of the embedded store [default: the user's data folder]
    #[arg(long, env = "BEAGLE_DATA", value_name = "FOLDER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,

    /// What accepted jobs must survive, or the server does not start [default: process]
    #[arg(long, env = "BEAGLE_DURABILITY", value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,

    /// Devices that classify, as `beagle devices` lists them [default: auto]
    #[arg(
        long,
        env = "BEAGLE_DEVICE",
        value_name = "DEVICE",
        value_delimiter = ','
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Vec<String>>,

    /// What the processor computes with: auto, f32, bf16 or int8; auto is the fastest that
    /// `beagle model quantize` has found to be good enough [default: f32]
    #[arg(long, env = "BEAGLE_PRECISION", value_name = "PRECISION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<PrecisionChoice>,

    /// Threads that compute on the processor [default: one a core]
    #[arg(long, env = "BEAGLE_THREADS", value_name = "THREADS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,

    /// Keep each of these threads to a core of its own (Linux) [default: false]
    #[arg(long, env = "BEAGLE_PIN_THREADS", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin_threads: Option<bool>,

    /// Profiles that are served, the default first [default: all of the build]
    #[arg(
        long,
        env = "BEAGLE_PROFILE",
        value_name = "NAME",
        value_delimiter = ','
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Vec<String>>,

    /// Most images in a batch [default: 32]
    #[arg(long, env = "BEAGLE_MAX_BATCH", value_name = "IMAGES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batch: Option<usize>,

    /// Longest wait for company while a device is free and more is arriving [default: 5ms]
    #[arg(long, env = "BEAGLE_MAX_DELAY", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub max_delay: Option<Duration>,

    /// Threads that decode images [default: one a core]
    #[arg(long, env = "BEAGLE_DECODERS", value_name = "THREADS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoders: Option<usize>,

    /// Threads that speak HTTP [default: one a core]
    #[arg(long, env = "BEAGLE_HTTP_THREADS", value_name = "THREADS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_threads: Option<usize>,

    /// Connections at once [default: 4096]
    #[arg(long, env = "BEAGLE_MAX_CONNECTIONS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<usize>,

    /// Longest wait for an answer; a caller may ask for less [default: 30s]
    #[arg(long, env = "BEAGLE_REQUEST_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub request_timeout: Option<Duration>,

    /// How long a job that its caller wants kept may wait for its turn [default: 1day]
    #[arg(long, env = "BEAGLE_KEEP_FOR", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub keep_for: Option<Duration>,

    /// How long the head of a request may take to arrive [default: 5s]
    #[arg(long, env = "BEAGLE_HEADER_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub header_timeout: Option<Duration>,

    /// Largest body of a request [default: 64MiB]
    #[arg(long, env = "BEAGLE_MAX_BODY", value_name = "SIZE", value_parser = size)]
    #[serde(
        deserialize_with = "size_of",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub max_body: Option<ByteSize>,

    /// Most images in a request [default: 64]
    #[arg(long, env = "BEAGLE_MAX_IMAGES", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_images: Option<usize>,

    /// Largest image file [default: 32MiB]
    #[arg(long, env = "BEAGLE_MAX_IMAGE", value_name = "SIZE", value_parser = size)]
    #[serde(
        deserialize_with = "size_of",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub max_image: Option<ByteSize>,

    /// Most pixels of an image [default: 52428800]
    #[arg(long, env = "BEAGLE_MAX_PIXELS", value_name = "PIXELS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pixels: Option<u64>,

    /// Uploads that are received and decoded at once [default: 256]
    #[arg(long, env = "BEAGLE_MAX_UPLOADS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_uploads: Option<usize>,

    /// Their bytes together [default: 256MiB]
    #[arg(long, env = "BEAGLE_MAX_UPLOAD_BYTES", value_name = "SIZE", value_parser = size)]
    #[serde(
        deserialize_with = "size_of",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub max_upload_bytes: Option<ByteSize>,

    /// Jobs in the queue [default: 20000]
    #[arg(long, env = "BEAGLE_MAX_JOBS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_jobs: Option<u64>,

    /// Bytes of pixels in the queue [default: 4GiB]
    #[arg(long, env = "BEAGLE_MAX_QUEUE_BYTES", value_name = "SIZE", value_parser = size)]
    #[serde(
        deserialize_with = "size_of",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub max_queue_bytes: Option<ByteSize>,

    /// Dead letters kept [default: 1000]
    #[arg(long, env = "BEAGLE_MAX_DEAD", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_dead: Option<u64>,

    /// Outcomes kept [default: 100000]
    #[arg(long, env = "BEAGLE_MAX_RESULTS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_results: Option<u64>,

    /// How long an outcome is kept [default: 1h]
    #[arg(long, env = "BEAGLE_RESULT_TTL", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub result_ttl: Option<Duration>,

    /// How long an idempotency key is kept [default: 1day]
    #[arg(long, env = "BEAGLE_KEY_TTL", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub key_ttl: Option<Duration>,

    /// How long a job stays with a process that gives no sign of life [default: 30s]
    #[arg(long, env = "BEAGLE_LEASE", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub lease: Option<Duration>,

    /// How long a batch may be with a model before the process hands its jobs back and ends, for
    /// its supervisor to start it again [default: 1m]
    #[arg(long, env = "BEAGLE_WEDGE_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub wedge_timeout: Option<Duration>,

    /// How long to stay open after SIGTERM, for load balancers to notice [default: 0s]
    #[arg(long, env = "BEAGLE_DRAIN_DELAY", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub drain_delay: Option<Duration>,

    /// How long the end may take after that [default: 30s]
    #[arg(long, env = "BEAGLE_GRACE", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub grace: Option<Duration>,

    /// Traces.
    #[command(flatten)]
    #[serde(default)]
    pub otlp: TraceLayer,
    /// See [`JobsLayer`].
    #[command(flatten)]
    #[serde(default)]
    pub jobs: JobsLayer,
    /// Who may ask.
    #[command(flatten)]
    #[serde(default)]
    pub access: AccessLayer,

    /// The files of TLS.
    #[command(flatten)]
    #[serde(default)]
    pub tls: TlsLayer,

    /// Bounds on connections.
    #[command(flatten)]
    #[serde(default)]
    pub connections: ConnectionsLayer,
    /// See [`Grpc`].
    #[command(flatten)]
    #[serde(default)]
    pub grpc: Grpc,
    /// See [`Webhook`].
    #[command(flatten)]
    #[serde(default)]
    pub webhook: Webhook,
}

impl Layer {
    /// This layer, with `over` lying over it.
    ///
    /// # Errors
    /// Never in practice: both were read before.
    pub fn under(self, over: &Self) -> Result<Self, serde_json::Error> {
        let mut under = serde_json::to_value(self)?;
        cover(&mut under, serde_json::to_value(over)?);
        serde_json::from_value(under)
    }
}

/// Lays `over` over `under`, tables key by key.
fn cover(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                cover(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// A size with a unit: a bare number is a mistake waiting to happen.
pub(super) fn size(text: &str) -> Result<ByteSize, String> {
    if text
        .trim_end()
        .ends_with(|last: char| last.is_ascii_digit())
    {
        return Err(format!("'{text}' has no unit: say 64MiB, 500KB or 10B"));
    }
    text.parse()
}

pub(super) fn size_of<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ByteSize>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| size(&text).map_err(serde::de::Error::custom))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_covers_the_one_below_it_where_it_says_something() {
        let file: Layer = toml::from_str(
            "bind = \"0.0.0.0:80\"\nmax-delay = \"7ms\"\nmax-body = \"1MiB\"\nprofile = [\"keras\"]",
        )
        .unwrap();
        let flags = Layer {
            max_delay: Some(Duration::from_millis(9)),
            ..Layer::default()
        };
        let both = file.clone().under(&flags).unwrap();
        assert_eq!(both.max_delay, flags.max_delay);
        assert_eq!(both.bind, file.bind);
        assert_eq!(both.max_body, Some(ByteSize::mib(1)));
        assert_eq!(both.grace, None);
    }

    #[test]
    fn a_table_covers_another_key_by_key() {
        let mut under = serde_json::json!({"a": 1, "table": {"b": 2, "c": [3]}});
        cover(&mut under, serde_json::json!({"table": {"c": [4], "d": 5}}));
        assert_eq!(
            under,
            serde_json::json!({"a": 1, "table": {"b": 2, "c": [4], "d": 5}})
        );
    }

    #[test]
    fn a_layer_survives_a_file() {
        let layer = Layer {
            request_timeout: Some(Duration::from_millis(1500)),
            max_image: Some(ByteSize::kib(3)),
            durability: Some(Durability::Power),
            precision: Some(PrecisionChoice::Auto),
            threads: Some(3),
            pin_threads: Some(true),
            ..Layer::default()
        };
        let text = toml::to_string(&layer).unwrap();
        assert_eq!(toml::from_str::<Layer>(&text).unwrap(), layer, "{text}");
    }

    #[test]
    fn unknown_keys_and_missing_units_are_errors_that_name_them() {
        for (text, name) in [
            ("max-dealy = \"5ms\"", "max-dealy"),
            ("max-delay = 5", "5"),
            ("max-delay = \"5\"", "5"),
            ("precision = \"half\"", "auto, f32, bf16 or int8"),
            ("max-body = 1000", "1000"),
            ("max-body = \"1000\"", "1000"),
        ] {
            let error = toml::from_str::<Layer>(text).unwrap_err().to_string();
            assert!(error.contains(name), "{text}: {error}");
        }
    }
}
