//! The man pages and completions that are kept are those of the command lines.

use bhavd::cli::pages;
use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn man_pages_and_completions_are_those_of_the_command_lines() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = pages();
    let again = "cargo run --bin bhavctl -- generate . writes them anew";
    for (name, text) in &pages {
        let kept = fs::read(project.join(name)).unwrap_or_default();
        assert!(kept == *text, "{name} is not that of the command line; {again}");
        assert!(!text.is_empty());
    }
    let kept: BTreeSet<String> = ["man", "completions"]
        .into_iter()
        .flat_map(|directory| {
            let entries = fs::read_dir(project.join(directory)).expect("a directory");
            entries.map(move |entry| {
                format!("{directory}/{}", entry.expect("an entry").file_name().to_string_lossy())
            })
        })
        .collect();
    assert_eq!(kept, pages.into_keys().collect(), "no other file is there; {again}");
}

#[test]
fn what_is_not_for_people_is_not_shown_to_them() {
    for (name, text) in pages() {
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(!text.contains("generate"), "{name}");
    }
    let page = String::from_utf8(pages()["man/bhavctl.1"].clone()).expect("UTF-8");
    assert!(page.contains("Exit codes"), "{page}");
}
