//! The actors: a table of what matters every day, and the tree with everything.

use super::{
    Style,
    number::{NOTHING, grouped_count, span_ms},
    table::{Align, Grid},
};
use crate::control::{ActorRow, ActorsResponse};

pub(super) fn table(actors: &ActorsResponse, style: Style) -> String {
    let heads = [
        ("actor", Align::Left),
        ("state", Align::Left),
        ("restarts", Align::Right),
        ("pulse", Align::Right),
        ("queue", Align::Right),
        ("paused", Align::Right),
        ("rejected", Align::Right),
        ("dropped", Align::Right),
        ("last exit", Align::Left),
    ];
    let mut grid = Grid::new(&heads, style);
    for actor in &actors.actors {
        let cells = [
            format!("{}{}", actor.path, critical(actor)),
            state(actor),
            actor.restarts.to_string(),
            actor.pulse_age_ms.map_or_else(nothing, span_ms),
            queue(actor),
            actor.queue_pauses.map_or_else(nothing, grouped_count),
            lost(actor, actor.rejected),
            lost(actor, actor.dropped),
            actor.last_exit.clone(),
        ];
        if actor.state == "running" { grid.row(cells) } else { grid.bold_row(cells) }
    }
    format!("{}{}", grid.finish(), notes(actors))
}

pub(super) fn tree(actors: &ActorsResponse, style: Style) -> String {
    let heads = [
        ("actor", Align::Left),
        ("state", Align::Left),
        ("life", Align::Right),
        ("ended by", Align::Left),
        ("worked", Align::Right),
        ("pulse", Align::Right),
        ("p50", Align::Right),
        ("p99", Align::Right),
        ("queue", Align::Right),
        ("highest", Align::Right),
        ("oldest", Align::Right),
        ("accepted", Align::Right),
        ("paused", Align::Right),
        ("rejected", Align::Right),
        ("dropped", Align::Right),
        ("set aside", Align::Right),
        ("last exit", Align::Left),
    ];
    let mut grid = Grid::new(&heads, style);
    for (prefix, actor) in drawn(actors) {
        let name = actor.path.rsplit('/').next().unwrap_or_default();
        let ago = |age: Option<u64>| age.map_or_else(nothing, span_ms);
        let cells = [
            format!("{prefix}{name}{}", critical(actor)),
            state(actor),
            actor.incarnation.to_string(),
            ends(actor),
            ago(actor.progress_age_ms),
            ago(actor.pulse_age_ms),
            actor.handler_p50_us.map_or_else(nothing, span_us),
            actor.handler_p99_us.map_or_else(nothing, span_us),
            queue(actor),
            actor.queue_high_water.map_or_else(nothing, grouped_count),
            ago(actor.queue_oldest_ms),
            actor.queue_accepted.map_or_else(nothing, grouped_count),
            actor.queue_pauses.map_or_else(nothing, grouped_count),
            lost(actor, actor.rejected),
            lost(actor, actor.dropped),
            grouped_count(actor.set_aside),
            actor.last_exit.clone(),
        ];
        if actor.state == "running" { grid.row(cells) } else { grid.bold_row(cells) }
    }
    format!("{}{}", grid.finish(), notes(actors))
}

/// Each actor with the branches before it, parents first. Actors whose parent is not among them stand alone.
fn drawn(actors: &ActorsResponse) -> Vec<(String, &ActorRow)> {
    fn draw<'a>(
        all: &'a [ActorRow],
        parent: &'a ActorRow,
        indent: &str,
        drawn: &mut Vec<(String, &'a ActorRow)>,
    ) {
        let children: Vec<&ActorRow> = all.iter().filter(|actor| actor.parent == parent.path).collect();
        for (index, child) in children.iter().enumerate() {
            let is_last = index + 1 == children.len();
            drawn.push((format!("{indent}{}", if is_last { "└─ " } else { "├─ " }), child));
            // A path that names itself as its parent would draw for ever.
            if child.path != parent.path {
                draw(all, child, &format!("{indent}{}", if is_last { "   " } else { "│  " }), drawn);
            }
        }
    }
    let all = &actors.actors;
    let mut lines = Vec::new();
    for top in all.iter().filter(|actor| !all.iter().any(|other| other.path == actor.parent)) {
        lines.push((String::new(), top));
        draw(all, top, "", &mut lines);
    }
    lines
}

fn nothing() -> String {
    NOTHING.to_owned()
}

fn critical(actor: &ActorRow) -> &'static str {
    if actor.critical { " !" } else { "" }
}

fn state(actor: &ActorRow) -> String {
    match actor.waiting && actor.state == "running" {
        true => "waiting".to_owned(),
        false => actor.state.clone(),
    }
}

/// `2 panics, 1 hang`; lives that ended in order are not worth a word.
fn ends(actor: &ActorRow) -> String {
    let counts = [
        (actor.errors, "error"),
        (actor.panics, "panic"),
        (actor.hangs, "hang"),
        (actor.blocked, "block"),
        (actor.displaced, "displacement"),
    ];
    let words = counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() { nothing() } else { words.join(", ") }
}

fn span_us(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        _ => span_ms(us / 1_000),
    }
}

fn queue(actor: &ActorRow) -> String {
    match (actor.queue, actor.queue_max) {
        (Some(queue), Some(queue_max)) => format!("{queue}/{queue_max}"),
        (Some(queue), None) => queue.to_string(),
        (None, _) => NOTHING.to_owned(),
    }
}

/// What a queue did not keep; nothing where there is no queue.
fn lost(actor: &ActorRow, count: u64) -> String {
    actor.queue.map_or_else(nothing, |_| grouped_count(count))
}

fn notes(actors: &ActorsResponse) -> String {
    let mut notes = String::new();
    if actors.actors.iter().any(|actor| actor.critical) {
        notes.push_str("! critical: the daemon is not well without it\n");
    }
    match (actors.zombies, actors.zombies_total) {
        (_, 0) => {}
        (0, total) => notes.push_str(&format!("{total} threads were given up and have come back since\n")),
        (zombies, total) => {
            notes.push_str(&format!("{zombies} of {total} threads that were given up have not come back\n"));
        }
    }
    notes
}
