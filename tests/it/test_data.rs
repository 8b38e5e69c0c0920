//! Where the recordings are that tests read but the project does not hold.

use flate2::read::GzDecoder;
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

#[path = "../../src/test_data.rs"]
mod of_unit_tests;

pub use of_unit_tests::find;

/// The whole trading day of index options that the main job is proved on.
pub fn index_options() -> Option<PathBuf> {
    find("recordings/nse_index_options_2026-01-30.csv.gz")
}

/// The whole of a gzip file.
pub fn unzip(path: &Path) -> Vec<u8> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    GzDecoder::new(file).read_to_end(&mut bytes).expect("a whole gzip file");
    bytes
}
