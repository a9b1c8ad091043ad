//! How a process and its queue stand at one moment: gauges, made when somebody looks.
//!
//! Pure: the figures are arguments. Must not know: who asked for them, how they were got.

use prometheus::core::Collector as _;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, Opts};

use crate::store::{Place, Stats, UnixMillis};

/// What is known at one moment.
#[derive(Clone, Debug)]
pub struct Figures {
    /// When that is.
    pub now: UnixMillis,
    /// What the store said of itself; nothing if it did not, in time.
    pub stats: Option<Stats>,
    /// The places of the store, as this process sees them.
    pub places: Vec<Place>,
    /// Whether the process can do its work.
    pub ready: bool,
    /// Models that are loaded and have run.
    pub warm: usize,
    /// What this process does of the whole.
    pub role: &'static str,
}

impl Figures {
    /// The gauges.
    pub(super) fn families(&self) -> prometheus::Result<Vec<MetricFamily>> {
        let truth = |holds: bool| f64::from(u8::from(holds));
        let mut families = vec![
            labelled(
                "beagle_build_info",
                "Always 1; the labels say what runs.",
                &["version", "role"],
                &[(&[env!("CARGO_PKG_VERSION"), self.role], 1.0)],
            )?,
            gauge(
                "beagle_ready",
                "1 if the process can do its work, as /readyz says.",
                truth(self.ready),
            )?,
            gauge(
                "beagle_models_warm",
                "Models that are loaded and have run; none in a web process.",
                self.warm as f64,
            )?,
            gauge(
                "beagle_store_up",
                "1 if the store gave its figures in time; 0 leaves out those of the queue.",
                truth(self.stats.is_some()),
            )?,
        ];
        if !self.places.is_empty() {
            families.push(self.shards()?);
        }
        if let Some(stats) = &self.stats {
            families.extend(self.queue(stats)?);
        }
        Ok(families)
    }

    fn shards(&self) -> prometheus::Result<MetricFamily> {
        let up = |place: &Place| f64::from(u8::from(place.trouble.is_none()));
        let names: Vec<[&str; 1]> = self.places.iter().map(|place| [&place.name[..]]).collect();
        let values: Vec<(&[&str], f64)> = names
            .iter()
            .zip(&self.places)
            .map(|(name, place)| (&name[..], up(place)))
            .collect();
        labelled(
            "beagle_shard_up",
            "1 if this process reaches the Redis.",
            &["shard"],
            &values,
        )
    }

    fn queue(&self, stats: &Stats) -> prometheus::Result<[MetricFamily; 6]> {
        let age = stats.oldest.map(|oldest| self.now.since(oldest));
        Ok([
            labelled(
                "beagle_queue_jobs",
                "Jobs in the queue: queued is not started, running is with a model.",
                &["state"],
                &[
                    (&["queued"], stats.queued as f64),
                    (&["running"], stats.running as f64),
                ],
            )?,
            gauge(
                "beagle_queue_bytes",
                "Bytes of pixels of the jobs in the queue.",
                stats.bytes as f64,
            )?,
            gauge(
                "beagle_queue_oldest_age_seconds",
                "Age of the oldest job in the queue; 0 if there is none.",
                age.unwrap_or_default().as_secs_f64(),
            )?,
            gauge(
                "beagle_queue_dead_letters",
                "Dead letters that are kept.",
                stats.dead as f64,
            )?,
            gauge(
                "beagle_queue_results",
                "Ended jobs whose outcome is kept, dead letters left out.",
                stats.ended as f64,
            )?,
            gauge(
                "beagle_queue_callbacks_due",
                "Ended jobs whose callback is still to be delivered.",
                stats.due as f64,
            )?,
        ])
    }
}

fn gauge(name: &str, help: &str, value: f64) -> prometheus::Result<MetricFamily> {
    let gauge = Gauge::new(name, help)?;
    gauge.set(value);
    Ok(gauge.collect().swap_remove(0))
}

fn labelled(
    name: &str,
    help: &str,
    labels: &[&str],
    values: &[(&[&str], f64)],
) -> prometheus::Result<MetricFamily> {
    let gauge = GaugeVec::new(Opts::new(name, help), labels)?;
    for (of, value) in values {
        gauge.with_label_values(of).set(*value);
    }
    Ok(gauge.collect().swap_remove(0))
}
