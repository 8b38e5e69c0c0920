//! Paths of a file that cannot be what their keys need, by a look at the disk.
//!
//! Only what is certain is a problem: where this user may not look, the daemon's start will say.

use super::{Config, error::Problem};
use crate::{calendar::Calendar, store::Address};
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::{
        fs::{FileTypeExt, MetadataExt},
        net::SocketAddr,
    },
    path::{Path, PathBuf},
};
use toml::de::DeTable;

/// Every path of the file that cannot be used. `running` is what runs in this process, whose store is open.
pub(super) fn check(text: &str, config: &Config, running: Option<&Config>) -> Vec<Problem> {
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
    } else if let Some((way, reason)) = closed_way(directory) {
        let complaint = format!(
            "found \"{}\", but {} {reason}, allowed is a directory that can be made: give another path",
            directory.display(),
            way.display()
        );
        complain(("spool", "dir"), complaint);
    }
    // The directory of the store that counts without the key is made by the service manager.
    if line(text, "store", "url").is_some()
        && let Some((reason, step)) = fault_of_store(config, running)
    {
        let complaint = format!(
            "found \"{}\", {reason}, allowed is a file in a directory that is there: {step}",
            config.store.url
        );
        complain(("store", "url"), complaint);
    }
    let socket = &config.control.socket;
    if SocketAddr::from_pathname(socket).is_err() {
        let complaint = format!(
            "found \"{}\", {} bytes long, allowed is a path that a socket can have, of at most 107 bytes; set a shorter [control] \
             socket",
            socket.display(),
            socket.as_os_str().len()
        );
        complain(("control", "socket"), complaint);
    } else if fs::symlink_metadata(socket).is_ok_and(|found| !found.file_type().is_socket()) {
        let complaint = format!(
            "found \"{}\", which is not a stream socket; remove it or set another [control] socket",
            socket.display()
        );
        complain(("control", "socket"), complaint);
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

/// Why a store's file cannot be made there, and what to do. The start makes the log's directory first, with what leads to it.
fn fault_of_store(config: &Config, running: Option<&Config>) -> Option<(String, &'static str)> {
    let path = &store_file(config)?;
    let is_open = running.and_then(store_file).is_some_and(|open| is_same_file(path, &open));
    if fs::metadata(path).is_ok_and(|found| found.is_dir()) {
        return Some(("which is a directory".to_owned(), "give the path of a file in it"));
    }
    if !is_open && is_other_file(path) {
        return Some((
            "which is a file, but no SQLite database".to_owned(),
            "give another path, or move the file away",
        ));
    }
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty())?;
    if let Some(file) = file_on_the_way(directory) {
        return Some((
            format!("but {} is a file", file.display()),
            "give another path, or move the file away",
        ));
    }
    if path.starts_with("~") && !directory.exists() {
        let reason = "in which ~ is no home directory, but a name like any other".to_owned();
        return Some((reason, "write the home directory out"));
    }
    let is_absent = fs::metadata(directory).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let is_made = config.spool.dir.starts_with(directory);
    (is_absent && !is_made).then(|| {
        let reason = format!("but there is no directory {}", directory.display());
        (reason, "make the directory, or give another path")
    })
}

fn store_file(config: &Config) -> Option<PathBuf> {
    match Address::parse(&config.store.url) {
        Ok(Address::SqliteFile { path }) => Some(path.into()),
        _ => None,
    }
}

/// Also under two names. Nothing is opened for it.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    one == other || identity(one).is_some_and(|found| identity(other) == Some(found))
}

/// Whether a file is there that is no SQLite database. SQLite takes an empty one for a new database; what cannot be read is
/// for SQLite to say. Not for a file that this process has open in SQLite, which would lose its locks when this closes it.
fn is_other_file(path: &Path) -> bool {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let mut head = Vec::new();
    // Nothing is read of a pipe or a device, which may never answer.
    let read = fs::metadata(path).is_ok_and(|found| found.is_file())
        && File::open(path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head)).is_ok();
    read && !head.is_empty() && head != MAGIC
}

/// The first part of a path that is there and is no directory.
fn file_on_the_way(directory: &Path) -> Option<PathBuf> {
    let ways: Vec<&Path> = directory.ancestors().collect();
    let is_file = |way: &&&Path| fs::metadata(way).is_ok_and(|found| !found.is_dir());
    ways.iter().rev().find(is_file).map(|way| way.to_path_buf())
}

/// Where a directory is still to be made, and nothing can be: the last part of its path that is there, and why.
fn closed_way(directory: &Path) -> Option<(&Path, &'static str)> {
    /// statfs(2): what the kernel shows as files.
    const KERNELS_OWN: [i64; 2] = [0x9fa0, 0x6265_6572];
    if directory.exists() {
        return None;
    }
    let way = directory.ancestors().find(|way| way.exists())?;
    if rustix::fs::statfs(way).is_ok_and(|found| KERNELS_OWN.contains(&found.f_type)) {
        return Some((way, "is the kernel's own, in which no directory can be made"));
    }
    let flags = rustix::fs::statvfs(way).ok()?.f_flag;
    flags.contains(rustix::fs::StatVfsMountFlags::RDONLY).then_some((way, "can only be read"))
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
        let found = check(text, config, None).into_iter();
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
    fn what_the_start_would_refuse_is_found() {
        let home = tempfile::tempdir().expect("a directory");
        let mut config = Config::default();
        config.spool.dir = home.path().join("spool");
        config.control.socket = home.path().join("x".repeat(100));
        let found = problems(&config, "");
        let [(_, key, text)] = &found[..] else { panic!("one: {found:?}") };
        assert!(key == "control.socket" && text.contains("at most 107 bytes"), "{text}");
        config.control.socket = home.path().join("control.sock");
        config.spool.dir = "/proc/bhavd-test/spool".into();
        let found = problems(&config, "");
        let [(_, key, text)] = &found[..] else { panic!("one: {found:?}") };
        assert!(key == "spool.dir" && text.contains("but /proc is the kernel's own"), "{text}");
        config.spool.dir = home.path().join("spool");
        let notes = home.path().join("notes.txt");
        fs::write(&notes, "no database").expect("written");
        config.store.url = format!("sqlite:{}", notes.display());
        let found = problems(&config, "[store]\nurl = \"x\"\n");
        let [(_, key, text)] = &found[..] else { panic!("one: {found:?}") };
        assert!(key == "store.url" && text.contains("no SQLite database"), "{text}");
    }

    #[test]
    fn only_a_file_that_begins_otherwise_is_another_one() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("file");
        assert!(!is_other_file(&path) && !is_other_file(home.path()), "nothing to read");
        let texts = [
            ("", false),
            ("short", true),
            ("SQLite format 3, and so on", true),
            ("SQLite format 3\0...", false),
        ];
        for (text, is_other) in texts {
            fs::write(&path, text).expect("written");
            assert_eq!(is_other_file(&path), is_other, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_look_at_the_running_store_leaves_its_locks() {
        let home = tempfile::tempdir().expect("a directory");
        let (path, alias) = (home.path().join("bhavd.sqlite"), home.path().join("alias"));
        let mut running = Config::default();
        running.spool.dir = home.path().join("spool");
        running.store.url = format!("sqlite:{}", path.display());
        let store = crate::store::open(&running.store.url, crate::store::Birth::Real).await;
        let _store = store.expect("opens");
        std::os::unix::fs::symlink(&path, &alias).expect("linked");
        let is_locked = || crate::store::is_locked_here(&path);
        assert!(is_locked(), "SQLite holds its file");
        for name in [&path, &alias] {
            let mut next = running.clone();
            next.store.url = format!("sqlite:{}", name.display());
            assert_eq!(check("[store]\nurl = \"x\"\n", &next, Some(&running)).len(), 0);
            assert!(is_locked(), "{}", name.display());
        }
        let other = home.path().join("notes.txt");
        fs::write(&other, "no database").expect("written");
        let mut next = running.clone();
        next.store.url = format!("sqlite:{}", other.display());
        assert_eq!(check("[store]\nurl = \"x\"\n", &next, Some(&running)).len(), 1, "another file is read");
    }

    #[test]
    fn a_store_that_is_a_directory_or_begins_with_a_tilde_is_told_so() {
        let home = tempfile::tempdir().expect("a directory");
        let mut config = Config::default();
        for (path, reason, step) in [
            (home.path().display().to_string(), "which is a directory", "a file in it"),
            ("~/bhavd/x.sqlite".to_owned(), "~ is no home directory", "write the home directory out"),
        ] {
            config.store.url = format!("sqlite:{path}");
            let found = problems(&config, "[store]\nurl = \"x\"\n");
            let [(_, key, text)] = &found[..] else { panic!("one: {found:?}") };
            assert!(key == "store.url" && text.contains(reason) && text.contains(step), "{text}");
            assert!(!text.contains("make the directory"), "{text}");
        }
    }

    #[test]
    fn a_store_needs_a_directory_and_a_socket_a_place() {
        let home = tempfile::tempdir().expect("a directory");
        let mut config = Config::default();
        config.spool.dir = home.path().join("spool");
        let mut told = |store: &str, socket: &str| {
            config.store.url = format!("sqlite:{}", home.path().join(store).display());
            config.control.socket = home.path().join(socket);
            problems(&config, "[store]\nurl = \"x\"\n")
                .into_iter()
                .map(|(_, key, text)| format!("{key}: {text}"))
                .collect::<Vec<_>>()
        };
        fs::write(home.path().join("file"), "").expect("written");
        std::os::unix::net::UnixListener::bind(home.path().join("old")).expect("bound");
        assert_eq!(told("bhavd.sqlite", "run/new"), [""; 0]);
        assert_eq!(told("spool/bhavd.sqlite", "old"), [""; 0], "the start makes the log's directory");
        let is_said = |texts: Vec<String>, begin: &str, what: &str| {
            assert!(texts.len() == 1 && texts[0].starts_with(begin) && texts[0].contains(what), "{texts:?}");
        };
        is_said(told("absent/bhavd.sqlite", "new"), "store.url: ", "but there is no directory /");
        is_said(told("file/bhavd.sqlite", "new"), "store.url: ", "/file is a file");
        is_said(told("", "new"), "store.url: ", "which is a directory");
        is_said(told("bhavd.sqlite", "file"), "control.socket: ", "is not a stream socket");
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
