//! What bhavctl prints: tables for people and JSON for programs, kept in files.

use crate::{control_samples as samples, golden};
use bhavd::{
    cli::{Style, render, render_actor_tree, render_update},
    control::{ControlError, INTERFACE_DESCRIPTION, ProviderChoice, Response, Versioned},
};
use serde_json::Value;
use std::collections::BTreeSet;

const PLAIN: Style = Style { colour: false };
const COLOUR: Style = Style { colour: true };

/// `OpenInterest` becomes `open_interest`.
fn file_name(response: &Response) -> String {
    let mut name = String::new();
    for c in response.verb().name().chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

#[test]
fn tables() {
    for response in samples::responses() {
        golden::check(&format!("render/{}.txt", file_name(&response)), &render(&response, PLAIN));
    }
}

#[test]
fn why_there_is_no_source_is_said() {
    let shown = |feeds_up, session: &str| {
        let mut status = samples::status();
        (status.feeds_up, status.session, status.choice) =
            (feeds_up, session.to_owned(), ProviderChoice::default());
        let text = render(&Response::Status(status), PLAIN);
        let line = text.lines().find(|line| line.starts_with("source")).expect("a line").to_owned();
        line.trim_start_matches("source").trim().to_owned()
    };
    assert_eq!(shown(0, "open until 15:30"), "none, no feed is up");
    assert_eq!(shown(1, "opens 09:15"), "none, before the open");
    assert_eq!(shown(1, "open until 15:30"), "none: no chain is covered");
    assert_eq!(shown(1, "closed, opens 2026-02-02 09:15"), "none: no chain is covered");
}

#[test]
fn a_time_that_is_not_of_today_has_its_date() {
    let mut status = samples::status();
    let day_before = |at: &mut Option<bhavd::control::WallTime>| {
        *at = at.map(|at| bhavd::control::WallTime(at.0.plus_seconds(-86_400)));
    };
    day_before(&mut status.watermark);
    day_before(&mut status.last_bucket);
    day_before(&mut status.store.last_commit);
    let text = render(&Response::Status(status), PLAIN);
    for expected in [
        "taken in up to 2026-01-29 11:44:08\n",
        "last bucket  2026-01-29 11:39\n",
        "committed at 2026-01-29 11:44:07,",
    ] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }
}

#[test]
fn tables_of_bad_days() {
    for (name, response) in [
        ("status_unhealthy", Response::Status(samples::unhealthy())),
        ("chain_empty", Response::Chain(samples::empty_chain())),
        ("open_interest_of_two_bases", Response::OpenInterest(samples::open_interest_of_two_bases())),
        ("coverage_of_a_listing", Response::Coverage(samples::coverage_of_a_listing())),
        ("coverage_of_a_running_day", Response::Coverage(samples::coverage_of_a_running_day())),
        (
            "coverage_of_what_was_never_listed",
            Response::Coverage(samples::coverage_of_what_was_never_listed()),
        ),
        ("coverage_of_nothing", Response::Coverage(samples::coverage_of_nothing())),
        ("explain_bridged", Response::Explain(samples::explanation_bridged())),
        ("explain_different", Response::Explain(samples::explanation_of_nothing())),
        ("replay_verify_of_other_rules", Response::ReplayVerify(samples::replay_of_other_rules())),
        ("replay_verify_of_a_lost_head", Response::ReplayVerify(samples::replay_of_a_lost_head())),
        ("replay_verify_different", Response::ReplayVerify(samples::replay(false))),
    ] {
        golden::check(&format!("render/{name}.txt"), &render(&response, PLAIN));
    }
}

#[test]
fn the_tree_of_actors() {
    golden::check("render/actors_tree.txt", &render_actor_tree(&samples::actors(), PLAIN));
}

#[test]
fn watch_lines() {
    let lines: String = samples::updates().iter().map(|update| render_update(update, PLAIN) + "\n").collect();
    golden::check("render/watch.txt", &lines);
}

#[test]
fn colour_adds_only_escape_sequences() {
    let strip = |text: &str| {
        let mut parts = text.split('\u{1b}');
        let mut plain = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            plain.push_str(part.split_once('m').expect("a sequence ends").1);
        }
        plain.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>()
    };
    let mut coloured = 0;
    for response in samples::responses().into_iter().chain([Response::Status(samples::unhealthy())]) {
        let (plain, colour) = (render(&response, PLAIN), render(&response, COLOUR));
        assert!(!plain.contains('\u{1b}'), "{plain}");
        assert_eq!(strip(&colour), plain);
        coloured += usize::from(colour != plain);
    }
    assert!(coloured >= 5, "{coloured}");
}

#[test]
fn json() {
    for response in samples::responses() {
        let json = serde_json::to_string_pretty(&Versioned::new(&response)).expect("JSON");
        golden::check(&format!("json/{}.json", file_name(&response)), &(json + "\n"));
    }
    let lines: Vec<String> = samples::updates()
        .into_iter()
        .map(|update| serde_json::to_string(&Versioned::new(update)).expect("JSON") + "\n")
        .collect();
    golden::check("json/watch.jsonl", &lines.concat());
}

fn field_names(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                names.insert(name.clone());
                field_names(value, names);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| field_names(value, names)),
        _ => {}
    }
}

#[test]
fn every_field_and_error_is_described_in_the_interface() {
    let mut names = BTreeSet::new();
    for response in samples::responses() {
        field_names(&serde_json::to_value(Versioned::new(&response)).expect("JSON"), &mut names);
    }
    for update in samples::updates() {
        field_names(&serde_json::to_value(Versioned::new(&update)).expect("JSON"), &mut names);
    }
    assert!(names.len() > 80, "{names:?}");
    for name in names {
        let described =
            [' ', '('].iter().any(|before| INTERFACE_DESCRIPTION.contains(&format!("{before}{name}: ")));
        assert!(described, "{name} is not described");
    }
    let described = |error: ControlError| {
        let json = serde_json::to_value(&error).expect("JSON");
        let name = json["error"].as_str().expect("a text").rsplit('.').next().expect("a part").to_owned();
        assert!(INTERFACE_DESCRIPTION.contains(&format!("\nerror {name} (")), "{name} is not described");
    };
    described(ControlError::UnknownUnderlying { underlying: String::new(), known: Vec::new() });
    described(ControlError::UnknownExpiry {
        underlying: String::new(),
        expiry: samples::date(30),
        known: Vec::new(),
    });
    described(ControlError::UnknownJob { job: String::new(), known: Vec::new() });
    described(ControlError::UnknownContract { contract: String::new(), hint: String::new() });
    described(ControlError::NoData { reason: String::new() });
    described(ControlError::Unavailable { reason: String::new() });
    described(ControlError::invalid("", ""));
    described(ControlError::TimedOut { after_s: 0 });
    described(ControlError::TooManyConnections { limit: 0 });
    described(ControlError::CallTooLarge { limit_bytes: 0 });
}
