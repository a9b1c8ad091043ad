//! `beagle serve`: the configuration read, the parts opened, the server run until a signal.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Args;
use model_import::device::{self, DeviceChoice};
use model_import::quantize::Decision;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Outcome, logging, model, opening, reload, terminal};
use crate::app::{App, Doors, Ended, Engines, Settings};
use crate::classify::model::Model;
use crate::classify::networks::Plan;
use crate::config::Config;
use crate::config::layer::{Layer, Role};
use crate::observe::Nobody;
use crate::traces::Traces;

/// Serves POST /predict.
///
/// Needs nothing beside it: jobs are kept in a file. With --store redis://HOST they are kept in
/// Redis, and other processes can share the work. What is accepted is never lost: after a crash
/// it runs when the server is back.
///
/// With Redis the work can be split: any number of processes with --role web, which speak HTTP and
/// need no model, and any number with --role worker, which only classify.
///
/// Examples:
///   beagle serve
///   curl -X POST -F image=@dog.jpg http://127.0.0.1:5000/predict
///   beagle serve --store redis://127.0.0.1:6379 --profile article
///   beagle serve --role web --store redis://10.0.0.5 --bind 0.0.0.0:5000
///   beagle serve --role worker --store redis://10.0.0.5 --bind 0.0.0.0:5001
///   beagle serve --bind 0.0.0.0:5000 --keys keys.toml --tls-cert cert.pem --tls-key key.pem
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Serve {
    /// Read settings from this TOML file; flags and environment lie over it.
    #[arg(long, env = "BEAGLE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print the settings as they would be used, as TOML, and end.
    #[arg(long)]
    print_config: bool,

    #[command(flatten)]
    said: Layer,

    #[command(flatten)]
    source: model::Source,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let config = opening::config(self.config.as_deref(), &self.said)?;
        if self.print_config {
            terminal::line(toml::to_string(&config.shown)?.trim_end());
            return Ok(Outcome::Done);
        }
        logging::start();
        // Errors that a person can mend come before anything that takes long.
        let listener = TcpListener::bind(config.bind)
            .with_context(|| format!("cannot listen on {}: say another --bind", config.bind))?;
        let door = opening::front_door(&config)?;
        let grpc = config.grpc.map(|address| {
            TcpListener::bind(address)
                .with_context(|| format!("cannot listen on {address}: say another --grpc-bind"))
        });
        let doors = Doors {
            http: listener,
            grpc: grpc.transpose()?,
        };
        let plan = Plan::new(&config.profiles)?;
        let catalog = plan.catalog.clone();
        let names: Vec<&str> = catalog.iter().map(|served| &served.name[..]).collect();
        terminal::note(&format!("serves   {}", names.join(", ")));
        let models = match config.settings.role {
            Role::Web => Vec::new(),
            Role::All | Role::Worker => self.load(plan, &config)?,
        };
        let traces = match &config.traces {
            None => Traces::default(),
            Some(settings) => Traces::start(settings, config.settings.role.name())?,
        };
        let last = traces.clone();
        let serve = async {
            let store = opening::serving(&config).await?;
            let place = store.description();
            terminal::note(&format!("store    {}: {}", place.place, place.durability));
            let engines = Engines {
                store,
                catalog,
                models,
                observer: Arc::new(Nobody),
                traces,
            };
            let operators = opening::door(&config, &engines.store)?;
            reload::at_hangup(&door)?;
            let scheme = if door.tls.is_some() { "https" } else { "http" };
            let settings = Settings {
                door,
                ..config.settings.clone()
            };
            let app = App::start(doors, settings, engines)?;
            let page = match config.settings.role {
                Role::All | Role::Web => "predict",
                Role::Worker => "readyz",
            };
            if let Some(address) = app.grpc_addr() {
                terminal::note(&format!("grpc     {address}"));
            }
            terminal::note(&format!("ready    {scheme}://{}/{page}", app.addr()));
            let ended = app.run_until(stop_signal()?).await?;
            drop(operators);
            anyhow::Ok(match ended {
                Ended::InOrder => Outcome::Done,
                Ended::OutOfTime => {
                    let note =
                        "the grace ran out: what was with the model runs again at the next start";
                    terminal::note(note);
                    Outcome::Done
                }
                Ended::Wedged => {
                    terminal::note(
                        "the model hung: its jobs were handed back, start this process again",
                    );
                    Outcome::Wedged
                }
            })
        };
        let outcome = actix::System::new().block_on(serve);
        last.end();
        outcome
    }

    fn load(&self, plan: Plan, config: &Config) -> anyhow::Result<Vec<Box<dyn Model>>> {
        let plan = plan.provide(&self.source.fetcher()?)?;
        let mut models: Vec<Box<dyn Model>> = Vec::new();
        for name in &config.devices {
            let choice: DeviceChoice = name.parse().map_err(|error| anyhow::anyhow!("{error}"))?;
            let found = device::find(choice)?;
            let started = Instant::now();
            let networks = plan.load(&found, &config.running)?;
            terminal::note(&format!(
                "device   {found}: {} network(s) loaded and warm in {:.1} s",
                plan.networks(),
                started.elapsed().as_secs_f64()
            ));
            for (model, decision) in networks.decisions() {
                let Decision { precision, why, .. } = decision;
                terminal::note(&format!("numbers  {model}: {precision}, {why}"));
            }
            models.push(Box::new(networks));
        }
        if models.is_empty() {
            bail!("no device is named: say --device auto");
        }
        Ok(models)
    }
}

/// Ready at the first SIGTERM or SIGINT; a second one ends the process at once.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        either(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping in order; a second signal ends at once");
        actix::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            // What was accepted is in the store.
            std::process::exit(130);
        });
    })
}

async fn either(a: &mut Signal, b: &mut Signal) {
    tokio::select! {
        _ = a.recv() => {}
        _ = b.recv() => {}
    }
}
