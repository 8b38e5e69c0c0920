//! Texts kept in files under tests/golden.

use std::{fmt::Write, fs, path::Path};

/// Compares `text` with the file `name`. With `BHAVD_UPDATE_GOLDEN=1` writes the file instead.
pub fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BHAVD_UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().expect("under tests/golden")).expect("a directory");
        fs::write(&path, text).expect("the file can be written");
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "tests/golden/{name} differs (- the file, + this run):\n{}\nIf this run is right: BHAVD_UPDATE_GOLDEN=1 cargo test --test it",
        difference(&expected, text)
    );
}

/// The lines from the first that differ to the last.
fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<&str>, Vec<&str>) =
        (expected.split('\n').collect(), found.split('\n').collect());
    let shorter = expected.len().min(found.len());
    let head = (0..shorter).take_while(|index| expected[*index] == found[*index]).count();
    let same_end = |back: &usize| expected[expected.len() - back - 1] == found[found.len() - back - 1];
    let tail = (0..shorter - head).take_while(same_end).count();
    let mut text = format!("@ line {}\n", head + 1);
    for line in &expected[head..expected.len() - tail] {
        writeln!(text, "- {line}").expect("a string takes it");
    }
    for line in &found[head..found.len() - tail] {
        writeln!(text, "+ {line}").expect("a string takes it");
    }
    text
}

#[test]
fn a_difference_is_cut_to_the_lines_that_differ() {
    assert_eq!(difference("a\nb\nc\nd\n", "a\nx\nd\n"), "@ line 2\n- b\n- c\n+ x\n");
    assert_eq!(difference("a\na\n", "a\na\na\n"), "@ line 3\n+ a\n");
}
