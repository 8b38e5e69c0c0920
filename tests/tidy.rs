//! Keeps the layers: a module uses only lower ones, and of its own layer those that [`SIBLINGS`] names.

use std::{collections::BTreeSet, fs, path::Path};

/// From the lowest layer up. Modules of one line do not use each other, except where `SIBLINGS` says so.
const LAYERS: &[&[&str]] = &[
    &["market", "prefetch"],
    &["clock", "calendar", "wire", "engine", "logging"],
    &["actor", "spool", "store", "live"],
    &["pipeline", "feed"],
    &["config", "control", "dbus", "jobs", "sim"],
    &["node", "cli"],
];

/// Uses within a layer that are meant: who uses whom.
const SIBLINGS: &[(&str, &str)] = &[("logging", "clock"), ("dbus", "control"), ("cli", "node")];

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn rust_files(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).expect("src is readable") {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code in as many lines, without comments. A `//` within a string ends its line too, which may hide what the rest
/// of it names.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        code.push_str(line.split("//").next().unwrap_or_default());
        code.push('\n');
    }
    code
}

/// What stands between the brace that `text` begins with and the one that closes it.
fn braced(text: &str) -> &str {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[1..at];
        }
    }
    panic!("a group without an end: {text:.80}");
}

/// The parts of a group between its own commas; those of groups within it separate nothing. With each the offset.
fn parts(group: &str) -> Vec<(usize, &str)> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push((start, &group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push((start, &group[start..]));
    found
}

/// The modules named after `crate::` in a file, with the line they stand on.
fn used_modules(text: &str) -> Vec<(usize, String)> {
    let code = without_comments(text);
    let mut used = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        let start = at + path.len();
        let rest = &code[start..];
        let names = match rest.starts_with('{') {
            true => {
                parts(braced(rest)).into_iter().map(|(offset, part)| (start + 1 + offset, part)).collect()
            }
            false => vec![(start, rest)],
        };
        for (offset, name) in names {
            let offset = offset + name.len() - name.trim_start().len();
            let name = name.trim_start();
            let module: String =
                name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if !module.is_empty() {
                used.push((code[..offset].matches('\n').count() + 1, module));
            }
        }
    }
    used
}

#[test]
fn groups_are_read_to_their_ends() {
    let text = "\
use crate::{
    // crate::sim is only spoken of, and so is {
    market::{
        Price, feed,
        contract::{Strike, node},
    }, clock,
    engine,
};
use std::fs; use crate::{wire};
fn at() -> crate::store::Batch {}
pub(in crate::spool) fn seal() {}
";
    let expected = [(3, "market"), (6, "clock"), (7, "engine"), (9, "wire"), (10, "store"), (11, "spool")];
    let expected: Vec<(usize, String)> =
        expected.into_iter().map(|(line, module)| (line, module.to_owned())).collect();
    assert_eq!(used_modules(text), expected);
}

#[test]
fn no_module_uses_a_higher_layer() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    assert!(files.len() > 10, "found only {} files under {}", files.len(), source.display());
    let (mut wrong, mut meant) = (Vec::new(), BTreeSet::new());
    for path in files {
        let inside = path.strip_prefix(&source).expect("under src");
        let module = inside.iter().next().and_then(|part| part.to_str()).expect("a UTF-8 path");
        let Some(own_layer) = layer_of(module) else { continue };
        let text = fs::read_to_string(&path).expect("a readable file");
        for (line, used) in used_modules(&text) {
            let Some(used_layer) = layer_of(&used) else { continue };
            let pair = SIBLINGS.iter().find(|(user, sibling)| *user == module && *sibling == used);
            match pair {
                Some(pair) => {
                    meant.insert(pair);
                }
                None if used == module || used_layer < own_layer => {}
                None => wrong.push(format!("{}:{line}: {module} uses {used}", inside.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "uses of higher or equal layers:\n{}", wrong.join("\n"));
    let idle: Vec<_> = SIBLINGS.iter().filter(|pair| !meant.contains(pair)).collect();
    assert!(idle.is_empty(), "nobody makes use of these exceptions: {idle:?}");
}

/// Where a provider may be named: its own folders and files, and the table of all.
fn is_of_a_provider(inside: &Path) -> bool {
    inside == Path::new("market/provider.rs")
        || inside
            .iter()
            .filter_map(|part| part.to_str())
            .any(|part| matches!(part.trim_end_matches(".rs"), "angel_one" | "nse"))
}

/// The code before a file's tests, without comments.
fn code_of(text: &str) -> String {
    let code = without_comments(text);
    let tests = ["#[cfg(test)]\nmod tests", "#[cfg(test)]\npub mod tests"]
        .iter()
        .filter_map(|tests| code.find(tests))
        .min();
    code[..tests.unwrap_or(code.len())].to_owned()
}

#[test]
fn no_code_outside_its_folders_names_a_provider() {
    const NAMES: [&str; 4] = ["Provider::AngelOne", "Provider::Nse", "Source::ANGEL_ONE", "Source::NSE"];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut wrong = Vec::new();
    for path in files {
        let inside = path.strip_prefix(&source).expect("under src");
        let is_test = inside.iter().filter_map(|part| part.to_str()).any(|part| part.contains("test"));
        if is_test || is_of_a_provider(inside) {
            continue;
        }
        let code = code_of(&fs::read_to_string(&path).expect("a readable file"));
        for (number, line) in code.lines().enumerate() {
            if NAMES.iter().any(|name| line.contains(name)) {
                wrong.push(format!("{}:{}: {}", inside.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "what differs by provider is declared by it:\n{}", wrong.join("\n"));
}

#[test]
fn only_the_prefetch_is_unsafe() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let is_unsafe = |path: &&std::path::PathBuf| {
        without_comments(&fs::read_to_string(path).expect("a readable file")).contains("unsafe ")
    };
    let found: Vec<_> =
        files.iter().filter(is_unsafe).map(|path| path.strip_prefix(&source).expect("under src")).collect();
    assert_eq!(found, [Path::new("prefetch.rs")]);
}
