//! The files of the service: what the unit allows, and that every way to install brings the same.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}{said}", String::from_utf8_lossy(&output.stdout));
    output
}

fn is_installed(program: &str) -> bool {
    let is_there = Command::new("sh").args(["-c", "command -v \"$0\" >/dev/null", program]).status();
    let is_there = is_there.expect("a shell").success();
    if !is_there {
        println!("skipped: {program} is not installed (scripts/test.sh installs it)");
    }
    is_there
}

#[test]
fn the_unit_is_hardened() {
    if !is_installed("systemd-analyze") {
        return;
    }
    let unit = Path::new(PROJECT).join("systemd/bhavd.service");
    // In tenths: at most 1.3.
    run(Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=13"]).arg(&unit));
    let text = std::fs::read_to_string(unit).expect("readable");
    let has_user_namespace = text.lines().any(|line| line.starts_with("PrivateUsers="));
    assert!(!has_user_namespace, "the control socket could not tell its peers");
}

fn files_below(root: &Path, directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(root, &path, found);
        } else {
            found.insert(path.strip_prefix(root).expect("below it").to_owned());
        }
    }
}

#[test]
fn make_install_and_the_package_bring_the_same_files() {
    if !is_installed("dpkg-deb") || !is_installed("make") {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let staging = home.path().join("staging");
    let build = Path::new(env!("CARGO_BIN_EXE_bhavd")).parent().expect("a directory");
    run(Command::new("make")
        .args(["-s", "-C", PROJECT, "install"])
        .arg(format!("DESTDIR={}", staging.display()))
        .arg(format!("BUILD={}", build.display())));
    let mut staged = BTreeSet::new();
    files_below(&staging, &staging, &mut staged);

    let package = super::package::build(home.path(), "1");
    let unpacked = home.path().join("unpacked");
    run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&unpacked));
    let mut packaged = BTreeSet::new();
    files_below(&unpacked, &unpacked, &mut packaged);
    packaged.remove(Path::new("usr/share/doc/bhavd/copyright"));
    assert_eq!(staged, packaged);
    for path in staged.iter().filter(|path| !path.starts_with("usr/bin")) {
        let read = |root: &Path| std::fs::read(root.join(path)).expect("readable");
        assert_eq!(read(&staging), read(&unpacked), "{}", path.display());
    }
}

#[test]
fn another_prefix_reaches_the_unit() {
    if !is_installed("make") {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let build = Path::new(env!("CARGO_BIN_EXE_bhavd")).parent().expect("a directory");
    run(Command::new("make")
        .args(["-s", "-C", PROJECT, "install", "PREFIX=/opt/bhavd"])
        .arg(format!("DESTDIR={}", home.path().display()))
        .arg(format!("BUILD={}", build.display())));
    let unit = home.path().join("opt/bhavd/lib/systemd/system/bhavd.service");
    let unit = std::fs::read_to_string(unit).expect("an installed unit");
    assert!(unit.contains("ExecStart=/opt/bhavd/bin/bhavd run"), "{unit}");
    assert!(!unit.contains("=/usr/bin/bhavd"), "{unit}");
}
