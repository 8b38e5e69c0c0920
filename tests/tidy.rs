//! Keeps the layers: a module may use only modules below it.

use std::{fs, path::Path};

/// From the lowest layer up. Modules of one line do not use each other, except where `SIBLINGS` says so.
const LAYERS: &[&[&str]] = &[
    &["market"],
    &["clock", "calendar", "wire", "engine", "logging"],
    &["actor", "spool", "store", "live"],
    &["pipeline", "feed"],
    &["config", "control", "dbus", "sim"],
    &["node", "cli"],
];

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

/// The modules named after `crate::` in a file, with the line they stand on.
fn used_modules(text: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for rest in code.split("crate::").skip(1) {
            let names = match rest.strip_prefix('{') {
                Some(group) => group.trim_end_matches(['}', ';', ' ']).split(',').map(str::trim).collect(),
                None => vec![rest],
            };
            for name in names {
                let module: String =
                    name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                used.push((number + 1, module));
            }
        }
    }
    used
}

#[test]
fn no_module_uses_a_higher_layer() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    assert!(files.len() > 10, "found only {} files under {}", files.len(), source.display());
    let mut wrong = Vec::new();
    for path in files {
        let inside = path.strip_prefix(&source).expect("under src");
        let module = inside.iter().next().and_then(|part| part.to_str()).expect("a UTF-8 path");
        let Some(own_layer) = layer_of(module) else { continue };
        let text = fs::read_to_string(&path).expect("a readable file");
        for (line, used) in used_modules(&text) {
            let Some(used_layer) = layer_of(&used) else { continue };
            if used != module
                && (used_layer > own_layer || used_layer == own_layer && !sibling(module, &used))
            {
                wrong.push(format!("{}:{line}: {module} uses {used}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "upward uses:\n{}", wrong.join("\n"));
}

/// Uses within a layer that are meant.
fn sibling(user: &str, used: &str) -> bool {
    const SIBLINGS: &[(&str, &str)] = &[
        ("calendar", "clock"),
        ("logging", "clock"),
        ("pipeline", "feed"),
        ("dbus", "control"),
        ("cli", "node"),
    ];
    SIBLINGS.contains(&(user, used))
}
