//! Where the recordings are that unit tests read but the project does not hold.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// A file or directory under `$BHAVD_TEST_DATA` (default `../shared/data` beside the project). Prints why a test that
/// needs it is skipped where there is none.
pub fn find(inside: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = std::env::var_os("BHAVD_TEST_DATA").map_or(default, PathBuf::from).join(inside);
    if path.exists() {
        return Some(path);
    }
    // Past the harness, which shows what tests print only where they fail.
    let _ = writeln!(
        std::io::stderr(),
        "skipped: there is no {}; set BHAVD_TEST_DATA to the directory of recordings",
        path.display()
    );
    None
}
