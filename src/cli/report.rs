//! Answers as people read them, or as programs do.

use std::borrow::Cow;
use std::fmt;

use console::style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::photos::Photo;
use super::{Outcome, terminal};
use crate::classify::top::Prediction;

/// Photos from which on a progress bar is worth its line.
const LONG: usize = 9;
/// Width of the bar beside a probability of 1.
const BAR: f32 = 20.0;

/// Why a photo has no answer.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    code: Cow<'static, str>,
    message: String,
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl ToString) -> Self {
        Self {
            code: Cow::Borrowed(code),
            message: message.to_string(),
        }
    }

    /// As a server told it.
    pub(crate) fn told(code: String, message: String) -> Self {
        Self {
            code: Cow::Owned(code),
            message,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    predictions: Option<&'a [Prediction]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
}

/// Prints answers as they come and remembers whether any failed.
pub(crate) struct Report {
    json: bool,
    failed: usize,
    progress: ProgressBar,
}

impl Report {
    /// A report on `photos` photos.
    pub(crate) fn new(photos: usize, json: bool) -> Self {
        let progress = if photos < LONG {
            ProgressBar::hidden()
        } else {
            // indicatif draws on standard error, and only if that is a terminal.
            ProgressBar::with_draw_target(Some(photos as u64), ProgressDrawTarget::stderr())
        };
        let style =
            ProgressStyle::with_template("{bar:30} {pos}/{len} photos, {per_sec}, {eta} left");
        Self {
            json,
            failed: 0,
            progress: progress.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
        }
    }

    /// Prints one photo's answer.
    pub(crate) fn add(&mut self, photo: &Photo, answer: Result<Vec<Prediction>, Failure>) {
        self.failed += usize::from(answer.is_err());
        self.progress.suspend(|| {
            if self.json {
                print_line(photo, &answer);
            } else {
                print_table(photo, &answer);
            }
        });
        self.progress.inc(1);
    }

    /// Says how it went.
    pub(crate) fn finish(self) -> Outcome {
        self.progress.finish_and_clear();
        if self.failed == 0 {
            return Outcome::Done;
        }
        if !self.json {
            terminal::note(&format!("{} of the photos could not be named", self.failed));
        }
        Outcome::SomeFailed
    }
}

fn print_line(photo: &Photo, answer: &Result<Vec<Prediction>, Failure>) {
    let line = Line {
        file: photo.name(),
        predictions: answer.as_deref().ok(),
        error: answer.as_ref().err(),
    };
    // Strings and finite floats always serialise; what is not a number becomes null.
    terminal::line(&serde_json::to_string(&line).unwrap_or_default());
}

fn print_table(photo: &Photo, answer: &Result<Vec<Prediction>, Failure>) {
    terminal::line(&style(photo.name()).bold().to_string());
    match answer {
        Err(failure) => terminal::line(&format!(
            "  {} {}",
            style(&failure.code).red(),
            failure.message
        )),
        Ok(predictions) => {
            for Prediction {
                label, probability, ..
            } in predictions
            {
                let bar = "█".repeat((probability * BAR).round() as usize);
                terminal::line(&format!(
                    "  {:6.2} %  {label:<30} {}",
                    probability * 100.0,
                    style(bar).green()
                ));
            }
        }
    }
}
