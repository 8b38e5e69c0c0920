//! Paths of a file that cannot be what their keys need, by a look at the disk.
//!
//! Only what is certain is a problem: where this user may not look, the daemon's start will say.

use super::{Config, error::Problem};
use crate::calendar::Calendar;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use toml::de::DeTable;

/// Every path of the file that cannot be used.
pub(super) fn check(text: &str, config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut complain = |(table, key): (&str, &str), complaint: String| {
        let path = format!("{table}.{key}");
        problems.push(match line(text, table, key) {
            Some(line) => Problem::at(line, path, complaint),
            None => Problem::absent(path, complaint),
        });
    };
    if let Some(path) = &config.calendar.file
        && let Some(reason) = fault_of_calendar(path)
    {
        let path = path.display();
        complain(
            ("calendar", "file"),
            format!(
                "found \"{path}\", {reason}, allowed is a calendar file; without the key the built-in one counts"
            ),
        );
    }
    let directory = &config.spool.dir;
    if let Some(file) = file_on_the_way(directory) {
        let place = if file == *directory { "it".to_owned() } else { file.display().to_string() };
        let complaint = format!(
            "found \"{}\", but {place} is a file, allowed is a directory: give another path, or move the file away",
            directory.display()
        );
        complain(("spool", "dir"), complaint);
    }
    problems
}

/// Why it is no calendar.
fn fault_of_calendar(path: &Path) -> Option<String> {
    match fs::read_to_string(path) {
        Ok(text) => Calendar::load(&text).err().map(|error| format!("which is wrong: {error}")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        Err(error) => Some(format!("which cannot be read: {error}")),
    }
}

/// The first part of a path that is there and is no directory.
fn file_on_the_way(directory: &Path) -> Option<PathBuf> {
    let ways: Vec<&Path> = directory.ancestors().collect();
    let is_file = |way: &&&Path| fs::metadata(way).is_ok_and(|found| !found.is_dir());
    ways.iter().rev().find(is_file).map(|way| way.to_path_buf())
}

fn line(text: &str, table: &str, key: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let value = root.get_ref().get(table)?.get_ref().get(key)?;
    Some(super::check::line_of(text, value.span().start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &Config, text: &str) -> Vec<(Option<usize>, String, String)> {
        let found = check(text, config).into_iter();
        found.map(|problem| (problem.line, problem.key, problem.text)).collect()
    }

    #[test]
    fn a_directory_that_is_a_file_is_found_and_one_that_can_be_made_is_not() {
        let home = tempfile::tempdir().expect("a directory");
        let mut config = Config::default();
        config.spool.dir = home.path().join("a/b");
        assert_eq!(problems(&config, ""), []);
        fs::write(home.path().join("a"), "").expect("written");
        let text = "[spool]\ndir = \"x\"\n";
        let [(line, key, text)] = &problems(&config, text)[..] else { panic!("one") };
        assert_eq!((*line, key.as_str()), (Some(2), "spool.dir"));
        assert!(text.contains("a/b\", but /") && text.contains("/a is a file"), "{text}");
        config.spool.dir = home.path().join("a");
        assert!(problems(&config, "")[0].2.contains("but it is a file"));
    }

    #[test]
    fn a_calendar_that_is_not_there_or_none_is_found() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("calendar.toml");
        let mut config = Config::default();
        config.spool.dir = home.path().join("spool");
        config.calendar.file = Some(path.clone());
        let told = || problems(&config, "").into_iter().map(|(_, _, text)| text).collect::<Vec<_>>();
        let [text] = &told()[..] else { panic!("one") };
        assert!(text.contains("cannot be read: No such file"), "{text}");
        fs::write(&path, "nonsense").expect("written");
        assert!(told()[0].contains("which is wrong"), "{:?}", told());
        fs::write(&path, include_str!("../../config/calendar/nse.toml")).expect("written");
        assert_eq!(told(), [""; 0]);
    }
}
