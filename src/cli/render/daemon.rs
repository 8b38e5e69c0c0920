//! The daemon itself: status, actors, feeds, and the proofs of a day.

use super::{
    Style,
    number::{bytes, count_of, date_and_time, grouped_count, hour_and_minute, percent, span_ms, time_of_day},
    table::{Align, Grid, pairs},
};
use crate::control::{
    CoverageResponse, CoverageRow, FailoverResponse, FeedsResponse, ProviderChoice, ReplayVerifyResponse,
    StatusResponse, WallTime,
};

/// A time of a day, with its date where that is not today's.
fn of_today(instant: WallTime, now: WallTime, form: fn(WallTime) -> String) -> String {
    let date = instant.0.date_ist();
    if date == now.0.date_ist() { form(instant) } else { format!("{date} {}", form(instant)) }
}

fn or_never(instant: Option<WallTime>, form: impl Fn(WallTime) -> String) -> String {
    instant.map_or_else(|| "never".to_owned(), form)
}

pub(super) fn status(status: &StatusResponse, style: Style) -> String {
    let health = if status.healthy { style.good("healthy") } else { style.bad("not healthy") };
    let simulated = if status.simulated { ", simulated" } else { "" };
    let up_ms = (status.time.0.us_since(status.started.0) / 1_000).max(0).unsigned_abs();
    let store = if status.store.up { "" } else { "away, " };
    let mut text = format!("bhavd {} is {health}{simulated}\n", status.version);
    for problem in &status.problems {
        text.push_str(&format!("  {}\n", style.bad(problem)));
    }
    for notice in &status.notices {
        text.push_str(&format!("  notice: {notice}\n"));
    }
    text.push('\n');
    text.push_str(&pairs(&[
        ("time", date_and_time(status.time)),
        ("session", status.session.clone()),
        ("up", format!("{}, process {}, {}", span_ms(up_ms), status.pid, bytes(status.memory_bytes))),
        (
            "watching",
            format!(
                "{} of {}",
                count_of(status.contracts, "contract"),
                count_of(status.underlyings, "underlying")
            ),
        ),
        ("feeds", format!("{} of {} up", status.feeds_up, status.feeds)),
        ("source", source(status)),
        (
            "ticks",
            format!(
                "{}, taken in up to {}",
                grouped_count(status.ticks),
                or_never(status.watermark, |at| of_today(at, status.time, time_of_day))
            ),
        ),
        ("last bucket", or_never(status.last_bucket, |at| of_today(at, status.time, hour_and_minute))),
        (
            "store",
            format!(
                "{store}{}, record {} committed {}, {} rows wait",
                status.store.url,
                grouped_count(status.store.committed_seq),
                match status.store.last_commit {
                    Some(at) => format!("at {}", of_today(at, status.time, time_of_day)),
                    None if status.store.committed_seq > 0 => "before the start".to_owned(),
                    None => "never".to_owned(),
                },
                grouped_count(status.store.pending_rows),
            ),
        ),
        (
            "log",
            format!(
                "{}, record {}, {}, {}{}",
                status.spool.dir,
                grouped_count(status.spool.last_seq),
                match status.spool.files {
                    1 => "1 file".to_owned(),
                    files => format!("{} files", grouped_count(files)),
                },
                bytes(status.spool.bytes),
                match status.spool.unsynced_bytes {
                    0 => String::new(),
                    unsynced => format!(", {} perhaps not on the disk", bytes(unsynced)),
                },
            ),
        ),
        ("live state", status.live.clone()),
    ]));
    text
}

/// Which provider is recorded, and why.
fn choice(choice: &ProviderChoice) -> String {
    choice_or(choice, "none: no chain is covered")
}

/// The same, with why there is none.
fn source(status: &StatusResponse) -> String {
    let none = match status.feeds_up {
        0 => "none, no feed is up",
        _ if status.session.starts_with("opens ") => "none, before the open",
        _ => "none: no chain is covered",
    };
    choice_or(&status.choice, none)
}

fn choice_or(choice: &ProviderChoice, none: &str) -> String {
    match (&choice.active, &choice.forced) {
        (Some(active), None) => format!("{active}, automatic"),
        (Some(active), Some(forced)) if active == forced => format!("{active}, forced"),
        (Some(active), Some(forced)) => {
            format!("{active}: {forced}, which is forced, does not cover most chains")
        }
        (None, None) => none.to_owned(),
        (None, Some(forced)) => format!("{none}; {forced} is forced"),
    }
}

pub(super) fn failover(answer: &FailoverResponse) -> String {
    let waits = if answer.is_applied { "" } else { "; the recorder has not yet come to the order" };
    format!("source: {}{waits}\n", choice(&answer.choice))
}

pub(super) fn feeds(feeds: &FeedsResponse, style: Style) -> String {
    if feeds.feeds.is_empty() {
        return "no feed is enabled\n".to_owned();
    }
    let heads = [
        ("feed", Align::Left),
        ("state", Align::Left),
        ("subscribed", Align::Right),
        ("frames", Align::Right),
        ("requests", Align::Right),
        ("errors", Align::Right),
        ("reconnects", Align::Right),
        ("last frame", Align::Right),
        ("last event", Align::Right),
    ];
    let mut grid = Grid::new(&heads, style);
    for feed in &feeds.feeds {
        let cells = [
            feed.provider.clone(),
            feed.state.clone(),
            grouped_count(feed.subscribed),
            grouped_count(feed.frames),
            grouped_count(feed.requests),
            grouped_count(feed.errors),
            grouped_count(feed.reconnects),
            or_never(feed.last_frame, time_of_day),
            or_never(feed.last_event, time_of_day),
        ];
        if feed.state == "up" { grid.row(cells) } else { grid.bold_row(cells) }
    }
    let mut text = grid.finish();
    text.push_str(&format!("\nsource: {}\n", choice(&feeds.choice)));
    for feed in feeds.feeds.iter().filter(|feed| !feed.last_error.is_empty()) {
        text.push_str(&format!("{}: last error: {}\n", feed.provider, feed.last_error));
    }
    text
}

pub(super) fn coverage(coverage: &CoverageResponse, style: Style) -> String {
    let buckets = if coverage.buckets == 1 { "bucket" } else { "buckets" };
    let date = style.bold(&coverage.date.to_string());
    let mut text = format!("{date}  {} {buckets}\n\n", coverage.buckets);
    if coverage.rows.is_empty() && coverage.never_listed.is_empty() {
        text.push_str("nothing was watched\n");
        return text;
    }
    let mut heads = vec![
        ("underlying", Align::Left),
        ("contracts", Align::Right),
        ("observed", Align::Right),
        ("unchanged", Align::Right),
        ("learned", Align::Right),
        ("not known", Align::Right),
    ];
    let has_pending = coverage.rows.iter().any(|row| row.pending > 0);
    if has_pending {
        heads.push(("pending", Align::Right));
    }
    heads.push(("complete", Align::Right));
    let has_unlisted = coverage.rows.iter().any(|row| row.unlisted > 0);
    if has_unlisted {
        heads.push(("not listed yet", Align::Right));
    }
    let mut grid = Grid::new(&heads, style);
    let all = if coverage.never_listed.is_empty() { "all" } else { "all that is listed" };
    let mut all = CoverageRow { underlying: all.to_owned(), ..CoverageRow::default() };
    for row in &coverage.rows {
        all.contracts += row.contracts;
        all.live += row.live;
        all.carried += row.carried;
        all.backfilled += row.backfilled;
        all.missing += row.missing;
        all.pending += row.pending;
        all.unlisted += row.unlisted;
        grid.row(coverage_cells(row, has_pending, has_unlisted));
    }
    for name in &coverage.never_listed {
        let unknown = std::iter::repeat_n("?".to_owned(), heads.len() - 1);
        grid.row(std::iter::once(name.clone()).chain(unknown));
    }
    grid.bold_row(coverage_cells(&all, has_pending, has_unlisted));
    text.push_str(&grid.finish());
    if !coverage.never_listed.is_empty() {
        let names = coverage.never_listed.join(", ");
        text.push_str(&format!(
            "\n? watched, but no provider listed an option of it, so nothing is recorded: {names}; check the symbol in [[watch]], \
             and that an enabled feed has it\n"
        ));
    }
    if has_pending {
        text.push_str("\npending: over, and without a row yet; its source may still prove it\n");
    }
    if !coverage.gaps.is_empty() {
        text.push_str("\nnot known:\n");
    }
    for gap in &coverage.gaps {
        text.push_str(&format!(
            "  {} to {}  {}, {}\n",
            hour_and_minute(gap.from),
            hour_and_minute(gap.to),
            gap.underlying,
            count_of(gap.contracts, "contract"),
        ));
    }
    text
}

/// What is pending is part of the whole: nothing is known of it yet.
fn coverage_cells(row: &CoverageRow, has_pending: bool, has_unlisted: bool) -> impl Iterator<Item = String> {
    let known = row.live + row.carried + row.backfilled;
    let counts = [
        row.underlying.clone(),
        grouped_count(row.contracts),
        grouped_count(row.live),
        grouped_count(row.carried),
        grouped_count(row.backfilled),
        grouped_count(row.missing),
    ];
    let pending = has_pending.then(|| grouped_count(row.pending));
    let complete = percent(known, known + row.missing + row.pending);
    let unlisted = has_unlisted.then(|| grouped_count(row.unlisted));
    counts.into_iter().chain(pending).chain([complete]).chain(unlisted)
}

pub(super) fn replay(verified: &ReplayVerifyResponse, style: Style) -> String {
    let outcome = if verified.equal {
        style.good("the log gives what the store holds")
    } else if verified.is_incomplete() {
        style.bad("the log lacks a part of this day, so what the store holds cannot be held to it")
    } else if verified.is_of_other_rules() {
        "another version's rules judged this day; this version's, which its log does not have, give other rows".to_owned()
    } else {
        style.bad("the log does not give what the store holds")
    };
    let mut text = format!(
        "{}: {outcome}\n{} records replayed in {}\n\n",
        verified.date,
        grouped_count(verified.records),
        span_ms(verified.took_ms),
    );
    let heads = [
        ("", Align::Left),
        ("stored", Align::Right),
        ("replayed", Align::Right),
        ("different", Align::Right),
    ];
    let mut grid = Grid::new(&heads, style);
    for row in &verified.rows {
        grid.row([
            row.what.clone(),
            grouped_count(row.stored),
            grouped_count(row.replayed),
            grouped_count(row.different),
        ]);
    }
    text.push_str(&grid.finish());
    for (title, lines) in [("lost of the log", &verified.losses), ("set aside", &verified.set_aside)] {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}:\n"));
        }
        text.extend(lines.iter().map(|line| format!("  {line}\n")));
    }
    if !verified.differences.is_empty() {
        text.push_str("\ndifferences:\n");
    }
    for difference in &verified.differences {
        text.push_str(&format!("  {difference}\n"));
    }
    text
}
