//! Latency against rate, as an SVG picture.
//!
//! Pure. Must not know: how anything was measured, where the picture goes.

use std::fmt::Display;

use plotters::prelude::*;
use thiserror::Error;

use super::report::Report;
use super::step::{Spread, Step};

const WIDTH: u32 = 800;
const HEIGHT: u32 = 500;

/// What a curve shows: its name, its colour, its value.
type Curve = (&'static str, RGBColor, fn(&Spread) -> f64);

const CURVES: [Curve; 3] = [
    ("p50", RGBColor(0x2a, 0x9d, 0x8f), |spread| spread.p50_ms),
    ("p90", RGBColor(0xe0, 0x8a, 0x1e), |spread| spread.p90_ms),
    ("p99", RGBColor(0xc0, 0x39, 0x2b), |spread| spread.p99_ms),
];

/// Why there is no picture.
#[derive(Debug, Error)]
pub enum PlotError {
    /// Nothing was answered.
    #[error("nothing was answered, so there is nothing to draw")]
    Nothing,
    /// The drawing failed.
    #[error("the plot cannot be drawn: {0}")]
    Drawing(String),
}

/// Draws the steps of a report by their rates (in a closed loop, answers a second): half, 90 % and
/// 99 % of the requests. A step that failed or whose queue grew is hollow.
///
/// # Errors
/// When nothing was answered.
pub fn svg(report: &Report) -> Result<String, PlotError> {
    let mut steps: Vec<(&Step, &Spread)> = report
        .steps
        .iter()
        .filter_map(|step| Some((step, step.latency.as_ref()?)))
        .collect();
    steps.sort_by(|(one, _), (other, _)| one.place().total_cmp(&other.place()));
    let mut picture = String::new();
    draw(report, &steps, &mut picture)?;
    Ok(picture)
}

fn failed(error: impl Display) -> PlotError {
    PlotError::Drawing(error.to_string())
}

fn draw(report: &Report, steps: &[(&Step, &Spread)], into: &mut String) -> Result<(), PlotError> {
    let fastest = steps.last().ok_or(PlotError::Nothing)?.0.place();
    let bound = report.search.map(|search| search.bound_ms);
    let values = || {
        steps
            .iter()
            .flat_map(|(_, spread)| CURVES.map(|(_, _, value)| value(spread)))
    };
    let least = values().fold(f64::INFINITY, f64::min).max(0.01);
    let most = values().chain(bound).fold(least, f64::max);

    let area = SVGBackend::with_string(into, (WIDTH, HEIGHT)).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(&report.target.uri, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..fastest * 1.05, (least / 1.5..most * 1.5).log_scale())
        .map_err(failed)?;
    let across = match report.arrivals {
        Some(_) => "requests/s offered",
        None => "answers/s",
    };
    chart
        .configure_mesh()
        .x_desc(across)
        .y_desc("latency, ms")
        .y_label_formatter(&|value| format!("{value}"))
        .light_line_style(RGBColor(0xee, 0xee, 0xee))
        .draw()
        .map_err(failed)?;
    for (name, colour, value) in CURVES {
        let points = || {
            steps
                .iter()
                .map(move |(step, spread)| (*step, (step.place(), value(spread))))
        };
        let line = points().map(|(_, point)| point);
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))
            .map_err(failed)?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        let dots = points().map(|(step, point)| Circle::new(point, 4, style(step, colour)));
        chart.draw_series(dots).map_err(failed)?;
    }
    if let Some(bound) = bound {
        let line = [(0.0, bound), (fastest * 1.05, bound)];
        chart
            .draw_series(DashedLineSeries::new(line, 6, 4, BLACK.stroke_width(1)))
            .map_err(failed)?
            .label("bound of p99")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], BLACK.stroke_width(1)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(0xcc, 0xcc, 0xcc))
        .label_font(("sans-serif", 13))
        .draw()
        .map_err(failed)?;
    drop(chart);
    area.present().map_err(failed)
}

fn style(step: &Step, colour: RGBColor) -> ShapeStyle {
    let failed = match &step.judgement {
        Some(judgement) => !judgement.passed,
        None => step.queue_grew() || step.answered < step.requests,
    };
    if failed {
        colour.stroke_width(2)
    } else {
        colour.filled()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::arrivals::Spacing;
    use crate::load::ended::{Ended, Event};
    use crate::load::report::Asked;
    use crate::load::tally::{Loop, Tally, Window};

    fn step(rate: f64, latency: u64, ended: Ended) -> Step {
        let mut tally = Tally::new(
            Loop::Open(rate),
            Window::new(Duration::ZERO, Duration::from_secs(1)),
        );
        tally.add(&Event {
            due: Duration::ZERO,
            sent: Some(Duration::ZERO),
            done: Duration::from_millis(latency),
            late: false,
            ended,
        });
        tally.step()
    }

    fn report(steps: Vec<Step>) -> Report {
        let target = Asked {
            uri: "http://a/predict?x=<1>&y".to_owned(),
            protocol: "article",
            requests: 1,
            bytes: 1,
        };
        Report {
            arrivals: Some(Spacing::Poisson),
            steps,
            ..Report::new(target, 1)
        }
    }

    #[test]
    fn a_picture_has_a_dot_for_each_percentile_of_each_step() {
        let steps = vec![
            step(20.0, 300, Ended::TimedOut),
            step(10.0, 50, Ended::Answered),
        ];
        let picture = svg(&report(steps)).unwrap();
        assert!(picture.starts_with("<svg ") && picture.trim_end().ends_with("</svg>"));
        let dots = picture.matches("<circle").count();
        assert_eq!(dots, 2 * CURVES.len(), "{picture}");
        let hollow = picture
            .split("<circle")
            .skip(1)
            .filter(|dot| dot.contains("fill=\"none\""));
        assert_eq!(hollow.count(), CURVES.len());
        for text in [
            "requests/s offered",
            "latency, ms",
            "p50",
            "p90",
            "p99",
            "&lt;1&gt;&amp;y",
        ] {
            assert!(picture.contains(text), "{text}: {picture}");
        }
    }

    #[test]
    fn without_answers_there_is_no_picture() {
        let error = svg(&report(vec![step(1.0, 1, Ended::NoConnection)])).unwrap_err();
        assert!(matches!(error, PlotError::Nothing));
        assert!(matches!(svg(&report(Vec::new())), Err(PlotError::Nothing)));
    }
}
