//! The files of the service: what the unit allows, and that every way to install brings the same.

use flate2::read::GzDecoder;
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
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
        crate::skip::tell!("{program} is not installed (scripts/test.sh installs it)");
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
    let text = fs::read_to_string(unit).expect("readable");
    let has_user_namespace = text.lines().any(|line| line.starts_with("PrivateUsers="));
    assert!(!has_user_namespace, "the control socket could not tell its peers");
}

/// What is installed: every file by its path, with what is in it. A compressed page stands under its plain name.
fn files_below(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut directories) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let (mut name, mut content) =
                (path.strip_prefix(root).expect("below it").to_owned(), fs::read(&path).expect("readable"));
            if name.extension().is_some_and(|extension| extension == "gz") {
                let packed = std::mem::take(&mut content);
                GzDecoder::new(&packed[..]).read_to_end(&mut content).expect("gzip");
                name.set_extension("");
            }
            found.insert(name, content);
        }
    }
    found
}

/// `make VERB` into `staging`, with the programs this test run built.
fn make(verb: &str, staging: &Path, variables: &[&str]) {
    let build = Path::new(env!("CARGO_BIN_EXE_bhavd")).parent().expect("a directory");
    run(Command::new("make")
        .args(["-s", "-C", PROJECT, verb])
        .arg(format!("DESTDIR={}", staging.display()))
        .arg(format!("BUILD={}", build.display()))
        .args(variables));
}

#[test]
fn make_install_and_the_package_bring_the_same_files() {
    if !is_installed("dpkg-deb") || !is_installed("make") {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let staging = home.path().join("staging");
    // Debian's zsh looks elsewhere than zsh as it comes.
    let zsh = "ZSHDIR=/usr/share/zsh/vendor-completions";
    make("install", &staging, &[zsh]);
    let mut staged = files_below(&staging);

    let package = super::package::build(home.path(), "1");
    let unpacked = home.path().join("unpacked");
    run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&unpacked));
    let mut packaged = files_below(&unpacked);
    packaged.remove(Path::new("usr/share/doc/bhavd/copyright"));
    assert!(packaged.keys().eq(staged.keys()), "{:?} and {:?}", packaged.keys(), staged.keys());
    // The package's programs are stripped.
    let is_text = |path: &PathBuf, _: &mut Vec<u8>| !path.starts_with("usr/bin");
    staged.retain(is_text);
    packaged.retain(is_text);
    for (path, content) in staged {
        assert!(packaged[&path] == content, "{} differs", path.display());
    }

    make("uninstall", &staging, &[zsh]);
    let left: Vec<PathBuf> = files_below(&staging).into_keys().collect();
    assert_eq!(left, [Path::new("etc/bhavd/bhavd.toml")], "only what an owner may have changed stays");
}

#[test]
fn the_manual_and_the_completions_are_found() {
    if !is_installed("make") {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    make("install", home.path(), &[]);
    let installed = files_below(home.path());
    let is_there = |path: &str| installed.contains_key(Path::new(path));
    // Every page that was written for the project, and every page a unit names.
    let mut pages = Vec::new();
    for entry in fs::read_dir(Path::new(PROJECT).join("man")).expect("the manual") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let (page, section) = name.rsplit_once('.').expect("a section");
        pages.push((page.to_owned(), section.to_owned()));
    }
    for unit in ["bhavd.service", "bhavd.socket"] {
        let text = fs::read_to_string(Path::new(PROJECT).join("systemd").join(unit)).expect("readable");
        let links = text.lines().filter_map(|line| line.strip_prefix("Documentation="));
        let links: Vec<&str> = links.flat_map(str::split_whitespace).collect();
        assert!(!links.is_empty(), "{unit} names no page");
        for link in links {
            let page = link.strip_prefix("man:").and_then(|link| link.strip_suffix(')')?.split_once('('));
            let (page, section) = page.unwrap_or_else(|| panic!("{unit}: {link} is no page"));
            pages.push((page.to_owned(), section.to_owned()));
        }
    }
    for (page, section) in &pages {
        let path = format!("usr/share/man/man{section}/{page}.{section}");
        assert!(is_there(&path), "no {path}");
    }
    for program in ["bhavctl", "bhavd"] {
        assert!(is_there(&format!("usr/share/bash-completion/completions/{program}")));
        assert!(is_there(&format!("usr/share/zsh/site-functions/_{program}")));
        assert!(is_there(&format!("usr/share/fish/vendor_completions.d/{program}.fish")));
        let script = home.path().join("usr/share/bash-completion/completions").join(program);
        let complete =
            run(Command::new("bash").args(["-c", ". \"$0\"; complete -p \"$1\""]).arg(script).arg(program));
        assert!(String::from_utf8_lossy(&complete.stdout).trim_end().ends_with(program));
    }
    if is_installed("man") {
        for (page, section) in pages {
            let manual = home.path().join("usr/share/man");
            run(Command::new("man").arg("-M").arg(manual).arg("-w").args([section, page]));
        }
    }
}

#[test]
fn another_prefix_reaches_the_unit() {
    if !is_installed("make") {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    make("install", home.path(), &["PREFIX=/opt/bhavd"]);
    let unit = home.path().join("opt/bhavd/lib/systemd/system/bhavd.service");
    let unit = fs::read_to_string(unit).expect("an installed unit");
    assert!(unit.contains("ExecStart=/opt/bhavd/bin/bhavd run"), "{unit}");
    assert!(!unit.contains("=/usr/bin/bhavd"), "{unit}");
    let example = home.path().join("opt/bhavd/share/doc/bhavd/examples/notify-reload.conf");
    let example = fs::read_to_string(example).expect("an installed example");
    assert!(example.contains("ExecReload=/opt/bhavd/bin/bhavd check-config"), "{example}");
}
