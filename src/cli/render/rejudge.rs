//! What today's rules say of a day otherwise.

use super::{
    Style,
    number::grouped_count,
    table::{Align, Grid},
};
use crate::control::{JudgedBy, RejudgedRows, ReplayRejudgeResponse, RowState};

pub(super) fn rejudged(answer: &ReplayRejudgeResponse, style: Style) -> String {
    let was = match answer.judged_by {
        JudgedBy::Log => "the rules in its log judged it",
        JudgedBy::OtherVersion => "another version's rules judged it",
        JudgedBy::NotKnown => "the log's head is lost, and with it which rules judged it",
    };
    let mut text = format!(
        "{}: by today's rules, {} records replayed; {was}\nnothing was changed in the store\n\n",
        answer.date,
        grouped_count(answer.records),
    );
    match (&answer.rules[..], answer.judged_by) {
        ([], JudgedBy::Log) => text.push_str("today's rules are those of the day\n\n"),
        ([], _) => {}
        (rules, _) => text.push_str(&format!(
            "rules of the day, and those that stood in for them in this replay:\n{}\n",
            lines(rules)
        )),
    }
    let heads = [
        ("rows of buckets", Align::Left),
        ("by today's rules", Align::Left),
        ("rows", Align::Right),
        ("other values", Align::Right),
    ];
    let mut grid = Grid::new(&heads, style);
    for change in &answer.changes {
        grid.bold_row([
            state(change.old_state).to_owned(),
            state(change.new_state).to_owned(),
            grouped_count(change.count),
            grouped_count(change.other_values),
        ]);
    }
    let unchanged = grouped_count(answer.unchanged);
    grid.row(["unchanged".to_owned(), String::new(), unchanged, grouped_count(0)]);
    text.push_str(&grid.finish());
    for change in answer.changes.iter().filter(|change| !change.examples.is_empty()) {
        text.push_str(&format!("\n{}:\n{}", transition(change), lines(&change.examples)));
    }
    let others: Vec<String> = answer
        .rows
        .iter()
        .filter(|row| row.different > 0)
        .map(|row| {
            let (stored, judged) = (grouped_count(row.stored), grouped_count(row.replayed));
            format!(
                "{}: {} differ, of {stored} stored and {judged} now",
                row.what,
                grouped_count(row.different)
            )
        })
        .collect();
    if !others.is_empty() {
        text.push_str(&format!("\nother tables:\n{}", lines(&others)));
    }
    if !answer.damages.is_empty() {
        text.push_str(&format!("\n{}", style.bad(&lines(&answer.damages))));
    }
    text
}

fn lines(texts: &[String]) -> String {
    texts.iter().map(|text| format!("  {text}\n")).collect()
}

fn transition(change: &RejudgedRows) -> String {
    if change.old_state == change.new_state {
        return format!("{} with other values", state(change.old_state));
    }
    format!("{} to {}", state(change.old_state), state(change.new_state))
}

fn state(state: Option<RowState>) -> &'static str {
    match state {
        None => "no row",
        Some(RowState::Live) => "live",
        Some(RowState::Carried) => "carried",
        Some(RowState::Backfilled) => "backfilled",
        Some(RowState::Missing) => "missing",
        Some(RowState::Unlisted) => "unlisted",
    }
}
