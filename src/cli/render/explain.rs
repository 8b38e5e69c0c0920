//! Why a row states what it does, in a few lines.

use super::{
    Style,
    chain::meaning,
    number::{grouped, grouped_count, hour_and_minute, or_nothing, price, time_of_day},
    table::pairs,
};
use crate::control::{
    ExplainContradiction, ExplainGap, ExplainProvider, ExplainResponse, ExplainRow, ExplainWitness, JudgedBy,
    LogRecord, RowState, StoreAgreement, WitnessKind,
};

pub(super) fn explanation(answer: &ExplainResponse, style: Style) -> String {
    let mut text = format!(
        "{}  {}  {} to {}\n\n",
        style.bold(&answer.contract),
        answer.date,
        hour_and_minute(answer.bucket),
        hour_and_minute(answer.end),
    );
    let mut lines: Vec<(&str, String)> = Vec::new();
    match answer.statements.last() {
        None if answer.damages.is_empty() => {
            lines.push(("row", "not stated yet: it waits for proof".to_owned()));
        }
        None => lines.push(("row", "not stated by what is left of the log: a part of it is lost".to_owned())),
        Some(last) => {
            lines.push(("row", row(&last.row)));
            lines.push(("stated", record(&last.record)));
        }
    }
    for earlier in answer.statements.iter().rev().skip(1) {
        lines.push(("before", format!("{}; {}", row(&earlier.row), record(&earlier.record))));
    }
    let is_missing = answer.statements.last().is_some_and(|last| last.row.state == RowState::Missing);
    if is_missing {
        let since = match answer.known_until {
            Some(until) if until < answer.end => format!("what happened after {}", time_of_day(until)),
            Some(_) => "which of the values below is the true one".to_owned(),
            None => "anything: no provider had said anything of it".to_owned(),
        };
        lines.push(("not known", since));
    }
    let proofs = answer.proofs();
    lines.extend(proofs.iter().map(|part| proof(part)));
    let is_told = |part: &ExplainProvider| proofs.iter().any(|proof| proof.provider == part.provider);
    lines.extend(
        answer.providers.iter().map(|part| (part.provider.as_str(), provider(part, is_told(part), answer))),
    );
    if answer.providers.is_empty() {
        lines.push(("providers", "none had said anything of it".to_owned()));
    }
    lines.extend(answer.gaps.iter().map(|each| ("gap", gap(each))));
    lines.push(("store", store(answer, style)));
    lines.extend(rules(answer.judged_by).map(|rules| ("rules", rules.to_owned())));
    lines.extend(answer.damages.iter().map(|damage| ("log", style.bad(damage))));
    text.push_str(&pairs(&lines));
    text
}

fn row(row: &ExplainRow) -> String {
    let state = match row.state {
        RowState::Live => "live",
        RowState::Carried => "carried",
        RowState::Backfilled => "backfilled",
        RowState::Missing => "missing",
        RowState::Unlisted => "unlisted",
    };
    let mut text = format!("{state} ({}), revision {}", meaning(row.state), row.revision);
    if let (Some(provider), Some(event_time)) = (&row.provider, row.event_time) {
        let values = values(row.open_interest, row.last_price_e4, row.volume);
        text.push_str(&format!(": {values}, as {provider} said at {}", time_of_day(event_time)));
    }
    text
}

fn values(open_interest: Option<i64>, last_price_e4: Option<i64>, volume: Option<i64>) -> String {
    format!(
        "OI {}, LTP {}, volume {}",
        or_nothing(open_interest, grouped),
        or_nothing(last_price_e4, price),
        or_nothing(volume, grouped),
    )
}

fn record(record: &LogRecord) -> String {
    format!("record {}, received {}", grouped_count(record.seq), time_of_day(record.received_time))
}

/// Who proves the row, and by what. Only what was wholly seen is called proved.
fn proof(part: &ExplainProvider) -> (&'static str, String) {
    let is_bridged = part.witness.as_ref().is_some_and(|witness| witness.by == WitnessKind::NextBody);
    let by = part.witness.as_ref().map(witness).unwrap_or_default();
    let other = if part.proves { "" } else { ", which had said other values" };
    (if is_bridged { "bridged" } else { "proved" }, format!("by {}{other}: {by}", part.provider))
}

/// `is_told`: its witness is, above.
fn provider(part: &ExplainProvider, is_told: bool, answer: &ExplainResponse) -> String {
    let recorded = if part.recorded { "the contract is recorded from it; it " } else { "" };
    let Some(said) = &part.said else {
        return format!("{recorded}said nothing of it before {}", time_of_day(answer.end));
    };
    let said_text = format!(
        "{recorded}said last {}, at {} ({})",
        values(said.open_interest, said.last_price_e4, said.volume),
        time_of_day(said.event_time),
        record(&said.record),
    );
    if let Some(contradiction) = &part.contradicted {
        return format!("{said_text}; {}", contradicted(contradiction));
    }
    match (&part.witness, part.proved_until) {
        (Some(_), _) if is_told => said_text,
        (Some(by), _) => format!("{said_text}; {}", witness(by)),
        (None, Some(until)) => format!("{said_text}; nothing proves it after {}", time_of_day(until)),
        (None, None) => format!("{said_text}; nothing proves it"),
    }
}

fn contradicted(contradiction: &ExplainContradiction) -> String {
    let ExplainContradiction { by, open_interest, since, decided } = contradiction;
    let believed = if *decided { "which is believed" } else { "and nothing decides which is right" };
    let shown = or_nothing(*open_interest, grouped);
    format!("contradicted since {}: {by} shows OI {shown}, {believed}", time_of_day(*since))
}

fn witness(witness: &ExplainWitness) -> String {
    let at = time_of_day(witness.at);
    let by = match witness.by {
        WitnessKind::Packet => format!("the stream's next packet is stamped {at}"),
        WitnessKind::Stream => format!("the stream went on to bring data until {at}"),
        WitnessKind::Body => format!("a body stamped {at} contains it, and nothing was traded between"),
        WitnessKind::NextBody => {
            format!("its next values, of {at} and so within the usual time, are others")
        }
        WitnessKind::Answer => format!("the answer to a request holds as of {at}"),
        WitnessKind::Agreement => {
            let with = witness.with.as_deref().unwrap_or("another provider");
            format!("{with} showed the same as of {at}")
        }
        WitnessKind::Mark => format!("by a mark of the log it holds until {at}"),
    };
    format!("{by} ({})", record(&witness.record))
}

fn gap(gap: &ExplainGap) -> String {
    let provider = gap.provider.as_deref().unwrap_or("every provider");
    let part = if gap.part.is_empty() { String::new() } else { format!(" ({})", gap.part) };
    let span = match gap.to {
        Some(to) => format!("from {} to {}", time_of_day(gap.from), time_of_day(to)),
        None => format!("from {} on, open", time_of_day(gap.from)),
    };
    format!("{provider}{part} {span}: {}", gap.reason)
}

fn rules(judged_by: JudgedBy) -> Option<&'static str> {
    match judged_by {
        JudgedBy::Log => None,
        JudgedBy::OtherVersion => {
            Some("another version's judged this day and are not in its log: this is what today's give")
        }
        JudgedBy::NotKnown => Some("not known, since the log's head is lost: this is what today's give"),
    }
}

fn store(answer: &ExplainResponse, style: Style) -> String {
    let stored = || answer.stored.as_ref().map_or_else(|| "no row".to_owned(), row);
    match (answer.agreement, &answer.stored) {
        (StoreAgreement::Equal, Some(_)) => "has the same row".to_owned(),
        (StoreAgreement::Equal, None) => "has no row yet either".to_owned(),
        (StoreAgreement::Behind, _) => format!("is not as far as the log yet; it has {}", stored()),
        // The log gives less than the store was given.
        (StoreAgreement::Different, Some(_)) if !answer.damages.is_empty() => {
            format!("differs; it has {}; it may come of the lost part of the log", stored())
        }
        (StoreAgreement::Different, _) => style.bad(&format!("differs; it has {}", stored())),
    }
}
