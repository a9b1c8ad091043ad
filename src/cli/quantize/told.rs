//! What a quantization found, for a person or for a program.

use std::path::PathBuf;

use model_import::quantize::{Agreement, Method};
use serde::Serialize;

use crate::cli::terminal;

/// Everything that was found; `--json` is this.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    pub(super) profile: String,
    pub(super) model: String,
    pub(super) photos: usize,
    pub(super) measured: usize,
    pub(super) checked: usize,
    pub(super) methods: Vec<Tried>,
    pub(super) bf16: Agreement,
    pub(super) chosen: Method,
    /// The 3x3 convolutions that take fewer multiplications, if the network is good enough with any.
    pub(super) winograd: Option<Winograd>,
    /// Whether `--precision auto` will choose int8.
    pub(super) good: bool,
    pub(super) file: PathBuf,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) layers: Vec<Layer>,
}

/// How good a method is.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Tried {
    pub(super) method: Method,
    #[serde(flatten)]
    pub(super) agreement: Agreement,
}

/// How good the chosen method is with fewer multiplications.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Winograd {
    /// Layers that take fewer.
    pub(super) layers: usize,
    #[serde(flatten)]
    pub(super) agreement: Agreement,
}

/// How noisy a layer is.
#[derive(Debug, Serialize)]
pub(super) struct Layer {
    pub(super) name: String,
    /// Signal to noise; what is exact has none, `null` in JSON.
    pub(super) decibels: f64,
}

impl Told {
    /// Prints it for a person.
    pub(super) fn show(&self) {
        terminal::line(&format!(
            "{}: measured on {} views of {} photos, checked on {} others",
            self.model, self.measured, self.photos, self.checked
        ));
        terminal::line("                   first class as f32   difference of its probability");
        for Tried { method, agreement } in &self.methods {
            row(&format!("int8 {method}"), agreement);
        }
        if let Some(Winograd { layers, agreement }) = &self.winograd {
            row(&format!("the same, {layers} by Winograd"), agreement);
        }
        row("bf16", &self.bf16);
        for Layer { name, decibels } in &self.layers {
            terminal::line(&format!("{name:<24} {decibels:6.1} dB"));
        }
        let winograd = self.winograd.map_or("", |_| " with Winograd");
        let file = self.file.display();
        terminal::line(&format!("kept {}{winograd} in {file}", self.chosen));
        terminal::line(&if self.good {
            format!(
                "good enough for --precision auto: try beagle classify --precision auto --profile {}",
                self.profile
            )
        } else {
            format!(
                "not good enough for --precision auto ({} % and {}): try --calibrate with other photos",
                Agreement::TOP1 * 100.0,
                Agreement::DIFFERENCE
            )
        });
    }
}

fn row(name: &str, agreement: &Agreement) {
    terminal::line(&format!(
        "{name:<26} {:>8.1} %   {:>20.4}",
        agreement.top1 * 100.0,
        agreement.difference
    ));
}
