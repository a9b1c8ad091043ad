//! A server's configuration: [`layer`] is what people say, [`Config`] what is meant.
//!
//! Parsed and checked once; the parts are handed out in pieces. Must not know: stages, HTTP.

pub mod access;
pub mod connections;
pub mod grpc;
pub mod jobs;
pub mod layer;
pub mod store_url;
pub mod tls;
pub mod traces;
pub mod webhook;

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use model_import::classifier::PrecisionChoice;
use thiserror::Error;

use crate::app::Settings;
use crate::batch::policy::BatchLimits;
use crate::classify::networks::Running;
use crate::decode::Limits;
use crate::edge::admission::AdmissionLimits;
use crate::edge::door::Door;
use crate::edge::{BodyLimits, Times};
use crate::store::StoreLimits;
use crate::tls::Files;
use crate::traces::TraceSettings;
use connections::ConnectionsLayer;
use jobs::JobsLayer;
use layer::{Durability, Layer, Role};
use store_url::StoreUrl;
use webhook::Webhook;

/// A configuration that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a configuration.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Which key, and what is wrong with it.
        reason: String,
    },
    /// A value is out of its range.
    #[error("{name} is {value}: {remedy}")]
    Range {
        /// The setting.
        name: &'static str,
        /// What was said.
        value: String,
        /// What can be said.
        remedy: &'static str,
    },
    /// The layers do not fit together.
    #[error("the configuration cannot be put together: {0}")]
    Layers(#[from] serde_json::Error),
    /// There is no folder to keep jobs in.
    #[error("no data folder is known: say --data FOLDER or --store URL")]
    NoData,
    /// The store's URL is not one.
    #[error("{0}")]
    Store(String),
    /// One of two settings that go together is missing.
    #[error("{0} is missing: TLS needs tls-cert and tls-key, both")]
    Half(&'static str),
    /// The role needs other processes, and the store is this one's alone.
    #[error(
        "a {role} process shares its store with others, and {store} cannot be shared: say --store \
         redis://HOST, or --role all"
    )]
    Alone {
        /// The role.
        role: &'static str,
        /// The store.
        store: String,
    },
}

/// Everything a server needs to know, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub bind: SocketAddr,
    /// Where to speak gRPC, if at all.
    pub grpc: Option<SocketAddr>,
    /// Where jobs are kept.
    pub store: StoreUrl,
    /// The queue's bounds.
    pub limits: StoreLimits,
    /// What accepted jobs must survive.
    pub durability: Durability,
    /// Devices to classify on.
    pub devices: Vec<String>,
    /// How the networks run.
    pub running: Running,
    /// Profiles to serve; empty means all.
    pub profiles: Vec<String>,
    /// Where traces go, if they are wanted.
    pub traces: Option<TraceSettings>,
    /// The file of keys, if one needs a key.
    pub keys: Option<PathBuf>,
    /// The files of TLS, if it is spoken.
    pub tls: Option<Files>,
    /// What the stages are told.
    pub settings: Settings,
    /// The whole as one layer, secrets left out.
    pub shown: Layer,
}

/// What is meant when nothing is said.
fn defaults(cores: usize) -> Layer {
    let image = Limits::default();
    let store = StoreLimits::default();
    Layer {
        role: Some(Role::All),
        bind: Some(SocketAddr::from(([127, 0, 0, 1], 5000))),
        store: None,
        data: None,
        durability: Some(Durability::Process),
        device: Some(vec!["auto".to_owned()]),
        precision: Some(PrecisionChoice::default()),
        threads: Some(cores),
        pin_threads: Some(false),
        profile: None,
        max_batch: Some(32),
        max_delay: Some(Duration::from_millis(5)),
        decoders: Some(cores),
        http_threads: Some(cores),
        max_connections: Some(4096),
        request_timeout: Some(Duration::from_secs(30)),
        keep_for: Some(Duration::from_secs(24 * 3600)),
        header_timeout: Some(Duration::from_secs(5)),
        max_body: Some(ByteSize::mib(64)),
        max_images: Some(64),
        max_image: Some(ByteSize::b(image.max_bytes as u64)),
        max_pixels: Some(image.max_pixels),
        max_uploads: Some(256),
        max_upload_bytes: Some(ByteSize::mib(256)),
        max_jobs: Some(store.max_jobs),
        max_queue_bytes: Some(ByteSize::b(store.max_bytes)),
        max_dead: Some(store.max_dead),
        max_results: Some(store.max_results),
        result_ttl: Some(store.result_ttl),
        key_ttl: Some(store.key_ttl),
        lease: Some(store.lease),
        wedge_timeout: Some(Duration::from_secs(60)),
        drain_delay: Some(Duration::ZERO),
        grace: Some(Duration::from_secs(30)),
        jobs: JobsLayer {
            max_watchers: Some(1024),
        },
        connections: ConnectionsLayer::usual(),
        webhook: Webhook::defaults(),
        ..Layer::default()
    }
}

/// What surrounds the process.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Processor cores it may use.
    pub cores: usize,
    /// `REDIS_URL`, if it is set.
    pub redis_url: Option<String>,
    /// The user's data folder, if there is one.
    pub data: Option<PathBuf>,
}

/// Reads a configuration file.
///
/// # Errors
/// [`ConfigError::Io`] or [`ConfigError::File`], naming the file.
pub fn read(path: &Path) -> Result<Layer, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Io {
        path: path.display().to_string(),
        source,
    })?;
    toml::from_str(&text).map_err(|error: toml::de::Error| ConfigError::File {
        path: path.display().to_string(),
        reason: error.to_string().trim_end().to_owned(),
    })
}

impl Config {
    /// Puts the layers together, the one that was said last on top, and checks the whole.
    ///
    /// # Errors
    /// [`ConfigError`] naming the setting.
    pub fn new(layers: &[&Layer], around: &Surroundings) -> Result<Self, ConfigError> {
        let cores = around.cores.max(1);
        let mut whole = defaults(cores);
        for layer in layers {
            whole = whole.under(layer)?;
        }
        let data = whole.data.clone().or_else(|| around.data.clone());
        let store = match whole.store.as_ref().or(around.redis_url.as_ref()) {
            Some(url) => StoreUrl::parse(url).map_err(ConfigError::Store)?,
            None => StoreUrl::Sqlite(data.clone().ok_or(ConfigError::NoData)?.join("queue.db")),
        };
        let settings = settings(&whole, cores)?;
        let tls = whole.tls.files()?;
        check_role(settings.role, &store)?;
        check_grpc(settings.role, whole.grpc.bind)?;
        let limits = StoreLimits {
            max_jobs: at_least_one("max-jobs", whole.max_jobs)?,
            max_bytes: whole.max_queue_bytes.unwrap_or_default().as_u64(),
            max_dead: whole.max_dead.unwrap_or_default(),
            max_results: whole.max_results.unwrap_or_default(),
            result_ttl: time("result-ttl", whole.result_ttl)?,
            key_ttl: time("key-ttl", whole.key_ttl)?,
            max_callbacks: at_least_one("webhook-max", whole.webhook.max)?,
            callback_ttl: time("webhook-give-up", whole.webhook.give_up)?,
            lease: settings.lease,
            ..StoreLimits::default()
        };
        let traces = whole.otlp.settings()?;
        let shown = Layer {
            store: Some(store.to_string()),
            data,
            ..whole.clone()
        };
        Ok(Self {
            bind: whole
                .bind
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 5000))),
            grpc: whole.grpc.bind,
            store,
            limits,
            durability: whole.durability.unwrap_or(Durability::Process),
            devices: whole.device.unwrap_or_default(),
            running: Running {
                max_batch: settings.batch.max_size,
                precision: whole.precision.unwrap_or_default(),
                threads: NonZeroUsize::new(at_least_one("threads", whole.threads)?),
                pin_threads: whole.pin_threads.unwrap_or_default(),
            },
            profiles: whole.profile.unwrap_or_default(),
            traces,
            keys: whole.access.keys,
            tls,
            settings,
            shown,
        })
    }
}

fn settings(whole: &Layer, cores: usize) -> Result<Settings, ConfigError> {
    let bytes = |size: Option<ByteSize>| {
        usize::try_from(size.unwrap_or_default().as_u64()).unwrap_or(usize::MAX)
    };
    let lease = time("lease", whole.lease)?;
    if lease < Duration::from_secs(1) {
        return Err(ConfigError::Range {
            name: "lease",
            value: humantime::format_duration(lease).to_string(),
            remedy: "say 1s or more, so that a busy process can give its signs of life",
        });
    }
    let header_timeout = time("header-timeout", whole.header_timeout)?;
    let door = Door {
        open_metrics: whole.access.open_metrics.unwrap_or_default(),
        origins: whole.access.origins()?,
        connections: whole.connections.limits(header_timeout)?,
        upload: whole.connections.upload()?,
        ..Door::default()
    };
    Ok(Settings {
        door,
        role: whole.role.unwrap_or(Role::All),
        decoders: at_least_one("decoders", whole.decoders)?,
        image: Limits {
            max_bytes: bytes(whole.max_image),
            max_pixels: at_least_one("max-pixels", whole.max_pixels)?,
            ..Limits::default()
        },
        body: BodyLimits {
            bytes: bytes(whole.max_body),
            images: at_least_one("max-images", whole.max_images)?,
        },
        admission: AdmissionLimits {
            uploads: at_least_one("max-uploads", whole.max_uploads)?,
            bytes: bytes(whole.max_upload_bytes),
        },
        batch: BatchLimits {
            max_size: at_least_one("max-batch", whole.max_batch)?,
            max_delay: whole.max_delay.unwrap_or_default(),
        },
        times: Times {
            request_timeout: time("request-timeout", whole.request_timeout)?,
            keep_for: time("keep-for", whole.keep_for)?,
        },
        watchers: at_least_one("max-watchers", whole.jobs.max_watchers)?,
        lease,
        wedge_timeout: time("wedge-timeout", whole.wedge_timeout)?,
        credits: 1,
        http_threads: whole.http_threads.unwrap_or(cores).max(1),
        connections: at_least_one("max-connections", whole.max_connections)?,
        drain_delay: whole.drain_delay.unwrap_or_default(),
        grace: time("grace", whole.grace)?,
        webhook: whole.webhook.settings()?,
    })
}

fn check_role(role: Role, store: &StoreUrl) -> Result<(), ConfigError> {
    match (role, store) {
        (Role::All, _) | (_, StoreUrl::Redis(_)) => Ok(()),
        (Role::Web | Role::Worker, StoreUrl::Memory | StoreUrl::Sqlite(_)) => {
            Err(ConfigError::Alone {
                role: role.name(),
                store: store.to_string(),
            })
        }
    }
}

fn check_grpc(role: Role, bind: Option<SocketAddr>) -> Result<(), ConfigError> {
    match (role, bind) {
        (Role::Worker, Some(bind)) => Err(ConfigError::Range {
            name: "grpc-bind",
            value: bind.to_string(),
            remedy: "a worker takes no images: leave it out, or say --role web or all",
        }),
        _ => Ok(()),
    }
}

fn at_least_one<N: Default + PartialEq + Copy>(
    name: &'static str,
    value: Option<N>,
) -> Result<N, ConfigError> {
    match value {
        Some(value) if value != N::default() => Ok(value),
        _ => Err(ConfigError::Range {
            name,
            value: "0".to_owned(),
            remedy: "say 1 or more",
        }),
    }
}

fn time(name: &'static str, value: Option<Duration>) -> Result<Duration, ConfigError> {
    match value {
        Some(value) if !value.is_zero() => Ok(value),
        _ => Err(ConfigError::Range {
            name,
            value: "0s".to_owned(),
            remedy: "say a time longer than nothing, with its unit",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around() -> Surroundings {
        Surroundings {
            cores: 3,
            redis_url: None,
            data: Some(PathBuf::from("/data")),
        }
    }

    #[test]
    fn nothing_said_is_a_whole_configuration() {
        let config = Config::new(&[], &around()).unwrap();
        assert_eq!(config.bind.to_string(), "127.0.0.1:5000");
        assert_eq!(config.store.to_string(), "sqlite:/data/queue.db");
        assert_eq!(config.settings.decoders, 3);
        assert_eq!(config.running.threads, NonZeroUsize::new(3));
        assert_eq!(config.running.precision, PrecisionChoice::default());
        assert_eq!(config.limits, StoreLimits::default());
        let shown = toml::to_string(&config.shown).unwrap();
        let again = Config::new(&[&toml::from_str(&shown).unwrap()], &around()).unwrap();
        assert_eq!(
            again.shown, config.shown,
            "what is printed can be read back"
        );
    }

    #[test]
    fn a_redis_in_the_environment_is_used_unless_a_store_is_said() {
        let around = Surroundings {
            redis_url: Some("redis://h:1".to_owned()),
            ..around()
        };
        assert_eq!(
            Config::new(&[], &around).unwrap().store.to_string(),
            "redis://h:1"
        );
        let said = Layer {
            store: Some("memory:".to_owned()),
            ..Layer::default()
        };
        assert_eq!(
            Config::new(&[&said], &around).unwrap().store,
            StoreUrl::Memory
        );
    }

    #[test]
    fn roles_that_need_others_need_a_store_that_is_shared() {
        for role in [Role::Web, Role::Worker] {
            for store in ["memory:", "sqlite:/data/queue.db"] {
                let said = Layer {
                    role: Some(role),
                    store: Some(store.to_owned()),
                    ..Layer::default()
                };
                let error = Config::new(&[&said], &around()).unwrap_err().to_string();
                assert!(
                    error.contains(store) && error.contains("redis://"),
                    "{error}"
                );
            }
            let said = Layer {
                role: Some(role),
                store: Some("redis://h:1".to_owned()),
                ..Layer::default()
            };
            let config = Config::new(&[&said], &around()).unwrap();
            assert_eq!(config.settings.role, role);
        }
        assert_eq!(
            Config::new(&[], &around()).unwrap().settings.role,
            Role::All
        );
    }

    #[test]
    fn grpc_is_spoken_where_it_is_said_and_never_by_a_worker() {
        let file: Layer = toml::from_str("[grpc]\nbind = \"127.0.0.1:5001\"").unwrap();
        let config = Config::new(&[&file], &around()).unwrap();
        assert_eq!(config.grpc.unwrap().port(), 5001);
        assert_eq!(Config::new(&[], &around()).unwrap().grpc, None);
        let worker = Layer {
            role: Some(Role::Worker),
            store: Some("redis://h:1".to_owned()),
            ..Layer::default()
        };
        let error = Config::new(&[&file, &worker], &around()).unwrap_err();
        assert!(error.to_string().contains("grpc-bind"), "{error}");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let said = |layer: Layer| Config::new(&[&layer], &around()).unwrap_err().to_string();
        let batch = said(Layer {
            max_batch: Some(0),
            ..Layer::default()
        });
        assert!(batch.contains("max-batch"), "{batch}");
        let threads = said(Layer {
            threads: Some(0),
            ..Layer::default()
        });
        assert!(threads.contains("threads is 0"), "{threads}");
        let lease = said(Layer {
            lease: Some(Duration::from_millis(10)),
            ..Layer::default()
        });
        assert!(lease.contains("lease is 10ms"), "{lease}");
        let store = said(Layer {
            store: Some("mysql://h".to_owned()),
            ..Layer::default()
        });
        assert!(store.contains("mysql://h"), "{store}");
    }
}
