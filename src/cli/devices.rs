//! `beagle devices`: what is compiled in, and what is found.

use clap::Args;
use model_import::device::{self, Backend, Found};
use serde_json::json;

use super::{Outcome, terminal};

/// Lists the backends of this build and the devices they find.
///
/// Examples:
///   beagle devices
///   beagle devices --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Devices {
    /// One JSON object a device, for programs.
    #[arg(long)]
    json: bool,
}

impl Devices {
    #[expect(clippy::unnecessary_wraps, reason = "every command ends alike")]
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let found = device::all();
        let chosen = device::find(device::DeviceChoice::Auto).ok();
        let is_chosen = |device: &Found| {
            chosen
                .as_ref()
                .is_some_and(|best| (best.backend, best.index) == (device.backend, device.index))
        };
        if self.json {
            for device in &found {
                terminal::line(
                    &json!({
                        "device": format!("{}:{}", device.backend, device.index),
                        "description": device.description,
                        "software": device.software,
                        "auto": is_chosen(device),
                    })
                    .to_string(),
                );
            }
            return Ok(Outcome::Done);
        }
        for device in &found {
            let mark = if is_chosen(device) { "  (auto)" } else { "" };
            let name = format!("{}:{}", device.backend, device.index);
            terminal::line(&format!("{name:<10} {}{mark}", device.description));
        }
        for backend in Backend::ALL {
            if !backend.is_compiled_in() {
                terminal::line(&format!(
                    "{backend:<10} not in this build: cargo build --release --features {backend}"
                ));
            } else if found.iter().all(|device| device.backend != backend) {
                terminal::line(&format!(
                    "{backend:<10} compiled in, but no device or driver was found"
                ));
            }
        }
        Ok(Outcome::Done)
    }
}
