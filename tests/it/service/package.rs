//! The Debian package of this checkout, with the programs this test run built.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Packages what is built, as Debian revision `revision`, into `directory`.
pub fn build(directory: &Path, revision: &str) -> PathBuf {
    let programs = Path::new(env!("CARGO_BIN_EXE_bhavd")).parent().expect("a directory");
    let profile = match programs.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let file = directory.join(format!("bhavd-{revision}.deb"));
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/package.sh"))
        .args(["--no-build", "--fast", "--profile", profile])
        .arg(format!("--deb-revision={revision}"))
        .arg("--output")
        .arg(&file)
        .env("CARGO_TARGET_DIR", programs.parent().expect("a directory"))
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && file.exists(), "no package: {said}");
    file
}
