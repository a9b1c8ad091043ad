//! `beagle keys`: keys for callers, made and checked.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::{Outcome, terminal};
use crate::access::file::{self, Bounds, Entry};
use crate::access::secret::Secret;
use crate::store::Priority;

/// Longest time that a key may be said to last.
const LONGEST: Duration = Duration::from_secs(1000 * 365 * 24 * 3600);

/// Makes and checks the keys that a server asks for.
///
/// A server with --keys FILE answers those who show a key of that file. The file holds no secrets,
/// only their digests, and is read again on SIGHUP.
///
/// Examples:
///   beagle keys new --id shop --keys keys.toml
///   beagle keys new --id lab --requests-per-second 5 --in-flight 32 --priority low
///   beagle keys check --keys keys.toml
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Keys {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Makes a key: its secret is printed, once, and its table added to the file.
    New(New),
    /// Says what is in a file, or what is wrong with it.
    Check {
        /// The file of keys.
        #[arg(long, env = "BEAGLE_KEYS", value_name = "FILE")]
        keys: PathBuf,
    },
}

#[derive(Debug, Args)]
struct New {
    /// Name of the key; no secret.
    #[arg(long)]
    id: String,

    /// The file of keys; without one the table is printed behind the secret.
    #[arg(long, env = "BEAGLE_KEYS", value_name = "FILE")]
    keys: Option<PathBuf>,

    /// Requests a second, in the long run.
    #[arg(long, value_name = "COUNT", default_value_t = Bounds::default().requests_per_second)]
    requests_per_second: NonZeroU32,

    /// Requests at once, after a rest [default: those of a second]
    #[arg(long, value_name = "COUNT")]
    burst: Option<NonZeroU32>,

    /// Images whose requests are not answered yet.
    #[arg(long, value_name = "COUNT", default_value_t = Bounds::default().in_flight)]
    in_flight: NonZeroU32,

    /// The highest priority that it may ask for: high, normal or low.
    #[arg(long, default_value = "normal", value_parser = priority)]
    priority: Priority,

    /// How long it lasts [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
}

impl Keys {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        match self.what {
            What::New(new) => new.run(),
            What::Check { keys } => check(&keys),
        }
    }
}

impl New {
    fn run(self) -> anyhow::Result<Outcome> {
        file::check_id(&self.id).map_err(anyhow::Error::msg)?;
        let secret = Secret::new().context("the system has no random numbers")?;
        let table = file::table(&Entry {
            id: self.id.clone(),
            digest: secret.digest(),
            bounds: Bounds {
                requests_per_second: self.requests_per_second,
                burst: self.burst.unwrap_or(self.requests_per_second),
                in_flight: self.in_flight,
            },
            priority: self.priority,
            expires: self.expires_in.map(ends).transpose()?,
        })?;
        let Some(path) = &self.keys else {
            terminal::line(secret.as_str());
            terminal::line(&format!("\n{}", table.trim_end()));
            return Ok(Outcome::Done);
        };
        add(path, &self.id, &table)?;
        terminal::note(&format!(
            "the secret of {}, shown once; send it as Authorization: Bearer SECRET",
            self.id
        ));
        terminal::line(secret.as_str());
        Ok(Outcome::Done)
    }
}

/// The end of what lasts so long from now, to the second.
fn ends(time: Duration) -> anyhow::Result<SystemTime> {
    if time > LONGEST {
        bail!("--expires-in is longer than a thousand years: leave it out");
    }
    let end = (SystemTime::now() + time).duration_since(UNIX_EPOCH)?;
    Ok(UNIX_EPOCH + Duration::from_secs(end.as_secs()))
}

/// Adds a table to a file that is in order, or begins one.
fn add(path: &Path, id: &str, table: &str) -> anyhow::Result<()> {
    let begun = path
        .try_exists()
        .with_context(|| path.display().to_string())?;
    if begun && file::read(path)?.iter().any(|entry| entry.id == id) {
        bail!("{} has a key '{id}': say another --id", path.display());
    }
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path);
    let gap = if begun { "\n" } else { "" };
    // One write: a server that reads at this moment has all of it or nothing.
    let written = file.and_then(|mut file| file.write_all(format!("{gap}{table}").as_bytes()));
    written.with_context(|| path.display().to_string())
}

fn check(path: &Path) -> anyhow::Result<Outcome> {
    let now = SystemTime::now();
    let mut outcome = Outcome::Done;
    for entry in file::read(path)? {
        let Bounds {
            requests_per_second,
            burst,
            in_flight,
        } = entry.bounds;
        let ends = match entry.expires {
            None => "never expires".to_owned(),
            Some(time) => {
                let said = if time <= now { "EXPIRED" } else { "expires" };
                if time <= now {
                    outcome = Outcome::SomeFailed;
                }
                format!("{said} {}", humantime::format_rfc3339_seconds(time))
            }
        };
        terminal::line(&format!(
            "{:<16} {requests_per_second}/s, {burst} at once, {in_flight} images in flight, up to {}, {ends}",
            entry.id,
            entry.priority.name()
        ));
    }
    Ok(outcome)
}

fn priority(text: &str) -> Result<Priority, String> {
    let found = Priority::ALL.into_iter().find(|known| known.name() == text);
    found.ok_or_else(|| format!("'{text}' is no priority: say high, normal or low"))
}
