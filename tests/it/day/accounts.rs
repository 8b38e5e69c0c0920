//! Faults that were done and lives of children that ended, as the daemon's log tells them, and whether the one explains the
//! other and what `actors` counts.

use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

pub const KINDS: [&str; 4] = ["panic", "error", "hang", "block"];

/// A life of a child: its path and the number of the incarnation.
type Life = (String, u64);

#[derive(Clone, Debug)]
struct End {
    kind: String,
    reason: String,
}

/// What a log tells.
pub struct Accounts {
    /// By life: the kind.
    faults: BTreeMap<Life, String>,
    ends: BTreeMap<Life, End>,
}

/// How many faults a log tells.
pub fn count_faults(log: &str) -> usize {
    log.matches(" chaos: ").count()
}

/// A fact of a line of the log.
fn fact<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = line.split_once(&format!(" {name}="))?;
    match after.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => after.split_whitespace().next(),
    }
}

fn life(line: &str) -> Life {
    let number = fact(line, "incarnation").and_then(|text| text.parse().ok());
    (fact(line, "child").expect("a child").to_owned(), number.expect("an incarnation"))
}

impl Accounts {
    /// # Panics
    /// When a line of the log is lost, or tells twice of what happens once.
    pub fn read(log: &str) -> Accounts {
        assert!(!log.contains("log_records_dropped"), "the log has holes");
        let (mut faults, mut ends) = (BTreeMap::new(), BTreeMap::new());
        for line in log.lines() {
            // "panic in feeds/angel_one incarnation 3"
            if let Some((_, told)) = line.split_once(" chaos: ") {
                let words: Vec<&str> = told.split(' ').collect();
                let number = words[4].parse().expect("an incarnation");
                let life = (words[2].to_owned(), number);
                let before = faults.insert(life.clone(), words[0].to_owned());
                assert_eq!(before, None, "{life:?} went on after a fault");
            } else if line.contains(" bhavd::supervisor: ")
                && let Some(kind) = fact(line, "kind")
            {
                let reason = fact(line, "reason").expect("a reason").to_owned();
                let before = ends.insert(life(line), End { kind: kind.to_owned(), reason });
                assert!(before.is_none(), "it ended twice: {line}");
            }
        }
        Accounts { faults, ends }
    }

    /// Every fault ended the life that it befell, for its reason; every life that ended did so by a fault, or was found
    /// hung or blocked or lost its thread, as may be on a slow machine; and `actors` counts just these.
    pub fn assert_explain(&self, actors: &Json, children: &BTreeSet<String>) {
        let mut overtaken = Vec::new();
        for (life, fault) in &self.faults {
            let end = self.ends.get(life).unwrap_or_else(|| panic!("nobody noticed the {fault} of {life:?}"));
            let fits: &[&str] = match fault.as_str() {
                "panic" => &["panic"],
                "error" => &["error"],
                // A task that is not polled any more may also lose its thread, or take long to be dropped.
                "hang" => &["hung", "blocked", "displaced"],
                "block" => &["blocked"],
                other => panic!("{other} is no fault"),
            };
            if fits.contains(&end.kind.as_str()) {
                let is_ours = end.reason.contains("chaos");
                assert!(
                    is_ours || !matches!(fault.as_str(), "panic" | "error"),
                    "{life:?}: {fault}, {end:?}"
                );
                continue;
            }
            // Given up in the very moment.
            let is_given_up = matches!(end.kind.as_str(), "hung" | "blocked" | "displaced");
            assert!(is_given_up, "{life:?}: {fault}, but {end:?}");
            overtaken.push((life, fault, end));
        }
        println!("{} faults; given up in the very moment: {overtaken:?}", self.faults.len());
        let mut slow = 0;
        for (life, end) in &self.ends {
            if self.faults.contains_key(life) {
                continue;
            }
            match end.kind.as_str() {
                "hung" | "blocked" => slow += 1,
                "displaced" => {
                    let is_named =
                        children.iter().any(|child| end.reason.contains(&format!("which {child} blocked")));
                    assert!(is_named, "{life:?}: {end:?}");
                }
                _ => panic!("no fault explains the end of {life:?}: {end:?}"),
            }
        }
        println!("{slow} lives ended because the machine was slow");
        for child in children {
            let row = row_of(actors, child);
            let count = Count { row, faults: self.faults_of(child) };
            println!("{child}: {count}");
            assert_eq!(row["set_aside"], 0, "no item was to blame: {row:#}");
            assert_eq!(row["state"], "running", "{row:#}");
            for kind in KINDS {
                assert!(count.faults.contains_key(kind), "no {kind} befell {child}");
            }
            self.assert_counted(child, row);
        }
    }

    fn faults_of(&self, child: &str) -> BTreeMap<&str, u64> {
        let mut faults = BTreeMap::new();
        for kind in self.faults.iter().filter(|((of, _), _)| of == child).map(|(_, kind)| kind.as_str()) {
            *faults.entry(kind).or_default() += 1;
        }
        faults
    }

    /// Each life before the current one ended, and is counted once.
    fn assert_counted(&self, child: &str, row: &Json) {
        let told = |field: &str| row[field].as_u64().expect("a count");
        let incarnation = told("incarnation");
        assert_eq!(told("restarts"), incarnation - 1, "{row:#}");
        let ended: Vec<&End> = (1..incarnation)
            .map(|number| {
                let life = (child.to_owned(), number);
                self.ends.get(&life).unwrap_or_else(|| panic!("no word of the end of {life:?}"))
            })
            .collect();
        let counted = |kind: &str| ended.iter().filter(|end| end.kind == kind).count() as u64;
        for (field, kind) in [
            ("panics", "panic"),
            ("errors", "error"),
            ("hangs", "hung"),
            ("blocked", "blocked"),
            ("displaced", "displaced"),
        ] {
            assert_eq!(told(field), counted(kind), "{field} of {row:#}");
        }
    }
}

/// For people.
struct Count<'a> {
    row: &'a Json,
    faults: BTreeMap<&'a str, u64>,
}

impl fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.row;
        write!(
            f,
            "{:?}; {} restarts, {} errors, {} panics, {} hangs, {} blocked, {} displaced",
            self.faults,
            row["restarts"],
            row["errors"],
            row["panics"],
            row["hangs"],
            row["blocked"],
            row["displaced"]
        )
    }
}

pub fn row_of<'a>(actors: &'a Json, child: &str) -> &'a Json {
    let rows = actors["actors"].as_array().expect("rows");
    rows.iter().find(|row| row["path"] == child).unwrap_or_else(|| panic!("no {child}"))
}

/// Those who are no supervisors.
pub fn children_in(actors: &Json) -> BTreeSet<String> {
    let rows = actors["actors"].as_array().expect("rows");
    let text = |row: &Json, field: &str| row[field].as_str().expect("a text").to_owned();
    let parents: BTreeSet<String> = rows.iter().map(|row| text(row, "parent")).collect();
    rows.iter().map(|row| text(row, "path")).filter(|path| !parents.contains(path)).collect()
}
