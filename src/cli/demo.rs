//! `bhavd demo` on a terminal: what it says while it plays, and at its end.

use super::{DemoArguments, render::percent};
use crate::{
    node::demo::{self, DemoCoverage, DemoError, DemoOptions, DemoProgress, DemoSummary},
    sim::{LoadReport, MarketSource, SyntheticMarket},
};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
};

/// Plays the demo. The summary goes to `out`, progress to standard error.
///
/// # Errors
/// [`DemoError`]; a summary that cannot be written is none.
pub fn run_demo(arguments: &DemoArguments, out: &mut impl Write) -> Result<(), DemoError> {
    let market = match &arguments.recording {
        Some(path) => MarketSource::Recording { path: path.clone(), strict: arguments.strict },
        None => {
            MarketSource::Synthetic(SyntheticMarket { seed: arguments.seed, ..SyntheticMarket::default() })
        }
    };
    let data_directory = arguments
        .data_dir
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("bhavd-demo-{}", std::process::id())));
    let options = DemoOptions {
        market,
        provider: arguments.provider,
        speed: arguments.speed,
        data_directory,
        store_url: arguments.store.clone(),
        exit_at_close: arguments.exit_at_close,
    };
    let mut progress = Progress::new(arguments.json);
    let begun = || tell_begun(&options, arguments.json);
    let summary = demo::play(&options, tell_skipped, begun, |at| progress.show(at))?;
    progress.finish();
    let text = if arguments.json {
        serde_json::to_string(&summary).expect("a summary has string keys and finite numbers") + "\n"
    } else {
        render_summary(&summary)
    };
    // A reader that went away does not make the recorded day a failure.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}

/// Says on standard error which rows of the recording are left out, and why; `--json` does not silence it.
fn tell_skipped(report: &LoadReport) {
    for row in &report.skipped_rows {
        eprintln!("bhavd: skipped {row}");
    }
    if report.skipped > 0 {
        eprintln!("bhavd: skipped {} of {} rows of the recording", report.skipped, report.rows);
    }
}

fn tell_begun(options: &DemoOptions, is_quiet: bool) {
    if is_quiet {
        return;
    }
    let directory = options.data_directory.display();
    eprintln!("Recording a simulated day from {} at {} x into {directory}", options.provider, options.speed);
    eprintln!("Look at it from another terminal: bhavctl --socket {directory}/control.sock status");
    if !options.exit_at_close {
        eprintln!("Ctrl-C ends the demo.");
    }
}

/// A bar on a terminal, a line every tenth of the day elsewhere, nothing with `--json`.
struct Progress {
    bar: ProgressBar,
    is_quiet: bool,
    told_tenths: i64,
}

impl Progress {
    fn new(is_quiet: bool) -> Progress {
        let is_terminal = io::stderr().is_terminal();
        let target = if is_terminal && !is_quiet {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {msg}").expect("the template is valid");
        bar.set_style(style);
        Progress { bar, is_quiet, told_tenths: 0 }
    }

    fn show(&mut self, at: &DemoProgress) {
        let span_us = at.last_event.us_since(at.first_event).max(1);
        let done_us = at.time.us_since(at.first_event).clamp(0, span_us);
        let text = format!(
            "{}/{} buckets, {} ticks, {} rows",
            at.buckets_closed, at.buckets_of_session, at.observations, at.rows
        );
        let clock = at.time.to_ist().format("%H:%M").to_string();
        let tenths = done_us * 10 / span_us;
        if !self.is_quiet && self.bar.is_hidden() && tenths > self.told_tenths {
            self.told_tenths = tenths;
            eprintln!("{clock} {text}");
        }
        self.bar.set_length(span_us.unsigned_abs());
        self.bar.set_position(done_us.unsigned_abs());
        self.bar.set_prefix(clock);
        self.bar.set_message(text);
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The summary as a table.
pub fn render_summary(summary: &DemoSummary) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let coverage = summary.coverage;
    for (name, value) in [
        ("trading date", summary.date.to_string()),
        ("provider", summary.provider.clone()),
        ("contracts", summary.contracts.to_string()),
        ("buckets", format!("{} of {}", summary.buckets, summary.buckets_of_session)),
        ("contract rows", summary.rows.to_string()),
        ("snapshot rows", summary.snapshots.to_string()),
        ("OI deltas", summary.deltas.to_string()),
        ("candles", summary.candles.to_string()),
        ("coverage", coverage_percent(&coverage)),
        ("  live", coverage.live.to_string()),
        ("  carried", coverage.carried.to_string()),
        ("  backfilled", coverage.backfilled.to_string()),
        ("  missing", coverage.missing.to_string()),
        ("  pending", coverage.pending.to_string()),
        ("ticks", summary.ticks.to_string()),
        ("ticks per second", format!("{:.0}", summary.ticks_per_second)),
        ("elapsed", format!("{:.1} s at {} x", summary.elapsed_s, summary.speed)),
    ] {
        table.add_row([name, &value]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = table.trim_fmt();
    let _ = write!(
        text,
        "\n\nThe record is in {}, the log beside it in {}.\n",
        summary.store,
        summary.data_dir.display()
    );
    if coverage.pending > 0 {
        let _ = writeln!(
            text,
            "{} of the {} rows that the session was to have are pending: the demo ended before they were stated. `bhavd run` \
             over this log and store states them.",
            coverage.pending,
            coverage.total()
        );
    }
    if summary.skipped_recording_rows > 0 {
        let _ = writeln!(text, "{} rows of the recording could not be read.", summary.skipped_recording_rows);
    }
    if summary.malformed > 0 {
        let _ = writeln!(text, "{} frames, bodies or rows could not be decoded.", summary.malformed);
    }
    text
}

/// As `bhavctl coverage` counts; a day without a row is recorded by nothing.
fn coverage_percent(coverage: &DemoCoverage) -> String {
    percent(coverage.known().unsigned_abs(), coverage.total().unsigned_abs().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_is_rounded_down_and_a_day_without_rows_has_none() {
        let shown = |live, missing, pending| {
            coverage_percent(&DemoCoverage { live, missing, pending, ..DemoCoverage::default() })
        };
        assert_eq!(shown(99_996, 4, 0), "99.99 %");
        assert_eq!(shown(85_500, 0, 0), "100.00 %");
        assert_eq!(shown(0, 0, 0), "0.00 %");
        assert_eq!(shown(75_000, 0, 25_000), "75.00 %", "what is not stated is not known");
    }
}
