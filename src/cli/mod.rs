//! The command line: one file a subcommand, and the exit codes.
//!
//! Exit codes: 0 all went well; 1 some inputs failed, the rest were answered; 2 the command line
//! was wrong (clap's own); 64 the configuration was wrong; 70 the command could not do its work;
//! 75 the model hung and its jobs were handed back: start the server again.

mod serve;
mod predict;
mod queue;
mod keys;
mod reload;
mod classify;
mod devices;
mod model;
mod quantize;
mod bench;
mod running;
mod opening;
mod photos;
mod report;
mod logging;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ConfigError;

/// Names what is in photos: a server that loses none, and a command. Start with: beagle serve
#[derive(Debug, Parser)]
#[command(name = "beagle", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Predict(predict::Predict),
    Queue(queue::Queue),
    Keys(keys::Keys),
    Classify(classify::Classify),
    Devices(devices::Devices),
    Model(model::Model),
    Bench(Box<bench::Bench>),
}

/// How a command ended, when it ended by itself.
pub(crate) enum Outcome {
    /// Everything was done.
    Done,
    /// Some inputs failed and were reported.
    SomeFailed,
    /// A model hung: the process is to be started again.
    Wedged,
}

impl Cli {
    /// Runs the command and says how it ended.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let ended = match self.command {
            Command::Serve(command) => command.run(),
            Command::Predict(command) => command.run(),
            Command::Queue(command) => command.run(),
            Command::Keys(command) => command.run(),
            Command::Classify(command) => command.run(),
            Command::Devices(command) => command.run(),
            Command::Model(command) => command.run(),
            Command::Bench(command) => command.run(),
        };
        match ended {
            Ok(Outcome::Done) => ExitCode::SUCCESS,
            Ok(Outcome::SomeFailed) => ExitCode::from(1),
            Ok(Outcome::Wedged) => ExitCode::from(75),
            Err(error) => {
                terminal::error(&error);
                let wrong = error.downcast_ref::<ConfigError>().is_some();
                ExitCode::from(if wrong { 64 } else { 70 })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
