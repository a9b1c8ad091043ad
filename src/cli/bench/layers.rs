//! `beagle bench --layers`: the layers of a network and their times, as a table for a person and as JSON
//! for a program.
//!
//! Must not know: how they were measured.

use std::num::NonZeroUsize;

use clap::Args;
use model_import::classifier::{LayerTime, LayerTimes, Precision};
use model_import::{device, registry};
use serde::Serialize;

use crate::cli::running::Running;
use crate::cli::{Outcome, model, terminal};

/// Characters of the longest bar.
const BAR: usize = 24;

/// What belongs to `--layers`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of --layers")]
pub(super) struct Options {
    /// The profile whose network is measured; `beagle model list` names them.
    #[arg(long, default_value = "imagenet", env = "BEAGLE_PROFILE")]
    profile: String,

    /// Images in a batch.
    #[arg(long, default_value = "8")]
    batch: NonZeroUsize,

    /// Batches that are measured; a layer's time is the median.
    #[arg(long, default_value = "10")]
    rounds: NonZeroUsize,

    #[command(flatten)]
    running: Running,

    #[command(flatten)]
    source: model::Source,
}

impl Options {
    pub(super) fn run(&self, json: bool) -> anyhow::Result<Outcome> {
        let profile = registry::profile(&self.profile)?;
        let found = device::find("flex".parse()?)?;
        let (classifier, precision) = self.running.load(&profile, &found, &self.source)?;
        let batch = self.batch.get();
        let levels = (0..classifier.image_bytes() * batch).map(|at| (at * 31 % 251) as u8);
        let times = classifier.layers(&levels.collect::<Vec<_>>(), self.rounds.get())?;
        let layers = Layers::new((&profile.model, precision), batch, &times);
        if json {
            terminal::line(&serde_json::to_string(&layers)?);
        } else {
            for line in layers.table(terminal::is_seen()) {
                terminal::line(&line);
            }
        }
        Ok(Outcome::Done)
    }
}

/// Everything that is told; `--json` is this.
#[derive(Debug, Serialize)]
struct Layers {
    model: String,
    precision: Precision,
    batch: usize,
    /// Of all layers together.
    images_per_second: f64,
    /// Register-only peak of all threads.
    peak_gops: f64,
    layers: Vec<Layer>,
}

/// One layer. What it has not is `null`.
#[derive(Debug, Serialize)]
struct Layer {
    kind: &'static str,
    /// Height, width and channels.
    input: [usize; 3],
    output: [usize; 3],
    kernel: Option<[usize; 2]>,
    stride: Option<[usize; 2]>,
    groups: Option<usize>,
    /// Whether a second value is added.
    adds: bool,
    /// Milliseconds an image.
    ms: f64,
    /// 10^9 operations an image.
    gop: Option<f64>,
    /// 10^9 operations a second.
    gops: Option<f64>,
    /// Of the peak.
    share: Option<f64>,
}

impl Layers {
    fn new((model, precision): (&str, Precision), batch: usize, times: &LayerTimes) -> Self {
        let seconds: f64 = times
            .layers
            .iter()
            .map(|layer| layer.time.as_secs_f64())
            .sum();
        let layers = times
            .layers
            .iter()
            .map(|layer| Layer::new(layer, times.peak));
        Self {
            model: model.to_owned(),
            precision,
            batch,
            images_per_second: 1.0 / seconds,
            peak_gops: times.peak / 1e9,
            layers: layers.collect(),
        }
    }

    /// A head and a line a layer, with a bar as long as the layer's time if `bars` are wanted.
    fn table(&self, bars: bool) -> Vec<String> {
        let mut lines = vec![
            format!(
                "{} {}, batch {}: {:.1} images/s in the layers; peak {:.0} GOP/s",
                self.model, self.precision, self.batch, self.images_per_second, self.peak_gops
            ),
            format!(
                "{:>3}  {:<12}  {:<28}  {:<8}  {:>7}  {:>8}  {:>6}",
                "", "layer", "shape", "kernel", "ms", "GOP/s", "peak"
            ),
        ];
        let longest = self.layers.iter().map(|layer| layer.ms).fold(0.0, f64::max);
        for (index, layer) in self.layers.iter().enumerate() {
            let mut line = layer.row(index);
            if bars {
                line.push_str("  ");
                line.push_str(&bar(layer.ms / longest));
            }
            lines.push(line.trim_end().to_owned());
        }
        let ms: f64 = self.layers.iter().map(|layer| layer.ms).sum();
        let gop: f64 = self.layers.iter().filter_map(|layer| layer.gop).sum();
        let gops = gop / ms * 1e3;
        let share = gops / self.peak_gops * 100.0;
        lines.push(format!(
            "{:>3}  {:<12}  {:<28}  {:<8}  {ms:7.3}  {gops:8.1}  {share:4.0} %",
            "", "all", "", ""
        ));
        lines
    }
}

impl Layer {
    fn new(layer: &LayerTime, peak: f64) -> Self {
        let rate = layer
            .operations
            .map(|operations| operations as f64 / layer.time.as_secs_f64());
        Self {
            kind: layer.kind,
            input: layer.input,
            output: layer.output,
            kernel: layer.window.map(|window| window.kernel),
            stride: layer.window.map(|window| window.stride),
            groups: layer.window.map(|window| window.groups),
            adds: layer.adds,
            ms: layer.time.as_secs_f64() * 1e3,
            gop: layer.operations.map(|operations| operations as f64 / 1e9),
            gops: rate.map(|rate| rate / 1e9),
            share: rate.map(|rate| rate / peak),
        }
    }

    fn row(&self, index: usize) -> String {
        let shape = |[height, width, channels]: [usize; 3]| format!("{height}x{width}x{channels}");
        let shapes = format!("{} -> {}", shape(self.input), shape(self.output));
        let number = |value: Option<f64>, digits: usize| {
            value.map_or_else(String::new, |value| format!("{value:.digits$}"))
        };
        let share = self.share.map(|share| format!("{:.0} %", share * 100.0));
        format!(
            "{index:>3}  {:<12}  {shapes:<28}  {:<8}  {:7.3}  {:>8}  {:>6}",
            self.kind,
            self.window(),
            self.ms,
            number(self.gops, 1),
            share.unwrap_or_default(),
        )
    }

    /// Its kernel and, if it is not 1, its stride; a plus where a second value is added.
    fn window(&self) -> String {
        let mut text = match (self.kernel, self.stride) {
            (Some([height, width]), Some([1, 1])) => format!("{height}x{width}"),
            (Some([height, width]), Some([down, _])) => format!("{height}x{width} /{down}"),
            _ => String::new(),
        };
        if self.adds {
            text.push_str(if text.is_empty() { "+" } else { " +" });
        }
        text
    }
}

/// A bar of a share of the longest, to an eighth of a character.
fn bar(share: f64) -> String {
    let eighths = (share * (BAR * 8) as f64).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    bar.push_str(["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]);
    bar
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model_import::classifier::LayerWindow;

    use super::*;

    fn layers() -> Layers {
        let convolution = LayerTime {
            kind: "convolution",
            input: [8, 8, 16],
            output: [4, 4, 32],
            window: Some(LayerWindow {
                kernel: [3, 3],
                stride: [2, 2],
                groups: 1,
            }),
            adds: true,
            operations: Some(3_000_000),
            time: Duration::from_millis(2),
        };
        let softmax = LayerTime {
            kind: "softmax",
            input: [1, 1, 10],
            output: [1, 1, 10],
            window: None,
            adds: false,
            operations: None,
            time: Duration::from_millis(1),
        };
        let times = LayerTimes {
            peak: 3e9,
            layers: vec![convolution, softmax],
        };
        Layers::new(("net", Precision::Bf16), 4, &times)
    }

    #[test]
    fn columns_stand_under_each_other_and_the_bar_comes_last() {
        let plain = layers().table(false);
        let expected = [
            "net bf16, batch 4: 333.3 images/s in the layers; peak 3 GOP/s",
            "     layer         shape                         kernel         ms     GOP/s    peak",
            "  0  convolution   8x8x16 -> 4x4x32              3x3 /2 +    2.000       1.5    50 %",
            "  1  softmax       1x1x10 -> 1x1x10                          1.000",
            "     all                                                     3.000       1.0    33 %",
        ];
        assert_eq!(plain, expected);
        let barred = layers().table(true);
        assert_eq!(barred[2], format!("{}  {}", plain[2], "█".repeat(BAR)));
        assert!(barred[3].ends_with(&format!("  {}", "█".repeat(BAR / 2))));
        let at = |line: &str| line.chars().position(|letter| letter == '█');
        assert_eq!(at(&barred[2]), at(&barred[3]));
        assert_eq!((&barred[0], &barred[1]), (&plain[0], &plain[1]));
    }

    #[test]
    fn json_has_the_numbers_and_null_for_what_a_layer_has_not() {
        let told = serde_json::to_value(layers()).unwrap();
        assert_eq!(told["precision"], "bf16");
        assert_eq!(told["peak_gops"], 3.0);
        let [convolution, softmax] = [&told["layers"][0], &told["layers"][1]];
        assert_eq!(convolution["ms"], 2.0);
        assert_eq!(convolution["gops"], 1.5);
        assert_eq!(convolution["share"], 0.5);
        assert_eq!(convolution["kernel"], serde_json::json!([3, 3]));
        assert!(softmax["gops"].is_null() && softmax["kernel"].is_null());
    }

    #[test]
    fn bars_are_drawn_to_an_eighth() {
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(1.0 / BAR as f64), "█");
        assert_eq!(bar(1.5 / BAR as f64), "█▌");
        assert_eq!(bar(1.0).chars().count(), BAR);
    }
}
