//! Where the recordings are that tests read but the project does not hold.

use std::path::PathBuf;

/// A file or directory under `$BHAVD_TEST_DATA` (default `../shared/data` beside the project). Prints why a test that
/// needs it is skipped where there is none.
pub fn find(inside: &str) -> Option<PathBuf> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = std::env::var_os("BHAVD_TEST_DATA").map_or(default, PathBuf::from).join(inside);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: there is no {}; set BHAVD_TEST_DATA to the directory of recordings", path.display());
    None
}

/// The whole trading day of index options that the main job is proved on.
pub fn index_options() -> Option<PathBuf> {
    find("recordings/nse_index_options_2026-01-30.csv.gz")
}
