//! The configuration: what runs, what the file says otherwise, what came of a reload; and a feed with its part of it.

use super::{
    Style,
    number::{NOTHING, grouped_count, time_of_day},
    table::{Align, Grid, pairs},
};
use crate::control::{
    ConfigurationResponse, ConfigurationRow, FeedResponse, KeyEffect, LogFilterResponse, ReloadOutcome,
    ReloadResponse, WallTime,
};

fn value(value: Option<&String>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), String::clone)
}

fn effect(effect: KeyEffect) -> String {
    match effect {
        KeyEffect::Live => "at once",
        KeyEffect::RestartChild => "restarts its part",
        KeyEffect::RestartDaemon => "needs a restart",
    }
    .to_owned()
}

fn rows(rows: &[ConfigurationRow], style: Style) -> String {
    let heads = [("key", Align::Left), ("value", Align::Left), ("a change", Align::Left)];
    let mut grid = Grid::new(&heads, style);
    for row in rows {
        let cells = [row.key.clone(), value(row.value.as_ref()), effect(row.effect)];
        if row.is_default { grid.row(cells) } else { grid.bold_row(cells) }
    }
    grid.finish()
}

pub(super) fn running(answer: &ConfigurationResponse, style: Style) -> String {
    let file = answer.file.as_deref().unwrap_or("no file");
    let notices: String = answer.notices.iter().map(|notice| format!("  notice: {notice}\n")).collect();
    format!("{}\n{notices}\n{}", style.bold(file), rows(&answer.rows, style))
}

pub(super) fn reload(answer: &ReloadResponse, style: Style) -> String {
    // A daemon that was started without one, as the demo is.
    let file = if answer.file.is_empty() { "the configuration" } else { &*answer.file };
    let waiting = answer.changes.iter().filter(|change| !change.is_applied).count();
    let mut text = match answer.outcome {
        ReloadOutcome::Unchanged => format!("{file} says what runs\n"),
        ReloadOutcome::Compared if answer.changes.is_empty() => format!("{file} says what runs\n"),
        ReloadOutcome::Compared => format!("{file} is valid and differs from what runs\n"),
        ReloadOutcome::Applied if waiting == 0 => style.good(&format!("{file} was applied")) + "\n",
        ReloadOutcome::Applied => {
            style.bad(&format!("{file} was read; {waiting} of its changes need a restart of the daemon"))
                + "\n"
        }
        ReloadOutcome::Refused => style.bad(&format!("{file} is refused; what runs stays as it is")) + "\n",
        ReloadOutcome::Restored => {
            style.bad(&format!("{file} could not be applied; what ran before runs again")) + "\n"
        }
    };
    for problem in &answer.problems {
        text.push_str(&format!("  {problem}\n"));
    }
    for notice in &answer.notices {
        text.push_str(&format!("  notice: {notice}\n"));
    }
    if answer.changes.is_empty() {
        return text;
    }
    let heads =
        [("key", Align::Left), ("runs", Align::Left), ("file", Align::Left), ("a change", Align::Left)];
    let mut grid = Grid::new(&heads, style);
    for change in &answer.changes {
        let effect = if change.is_applied { "applied".to_owned() } else { effect(change.effect) };
        grid.row([change.key.clone(), value(change.running.as_ref()), value(change.file.as_ref()), effect]);
    }
    format!("{text}\n{}", grid.finish())
}

pub(super) fn log_filter(answer: &LogFilterResponse) -> String {
    if answer.filter == answer.configured {
        return format!("{}\n", answer.filter);
    }
    format!("{} (the configuration says {})\n", answer.filter, answer.configured)
}

pub(super) fn feed(answer: &FeedResponse, style: Style) -> String {
    let feed = &answer.feed;
    let state = if feed.state == "up" { style.good(&feed.state) } else { style.bad(&feed.state) };
    let when = |instant: Option<WallTime>| instant.map_or_else(|| "never".to_owned(), time_of_day);
    let mut lines = vec![
        ("subscribed", grouped_count(feed.subscribed)),
        ("frames", format!("{}, last at {}", grouped_count(feed.frames), when(feed.last_frame))),
        ("last event", when(feed.last_event)),
        ("requests", grouped_count(feed.requests)),
        ("errors", grouped_count(feed.errors)),
        ("reconnects", grouped_count(feed.reconnects)),
    ];
    if !feed.last_error.is_empty() {
        lines.push(("last error", feed.last_error.clone()));
    }
    if let Some(actor) = &answer.actor {
        lines.push(("actor", format!("{}, {} restarts", actor.state, actor.restarts)));
        if !actor.last_exit.is_empty() {
            lines.push(("last exit", actor.last_exit.clone()));
        }
    }
    format!(
        "{} is {state}\n\n{}\n{}",
        style.bold(&feed.provider),
        pairs(&lines),
        rows(&answer.settings, style)
    )
}
