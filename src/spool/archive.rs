//! Compresses segments that are no longer written.

use super::{SpoolError, reader::COMPRESSED_EXTENSION};
use std::{
    fs::{self, File},
    path::Path,
};

/// Level 3 packs NSE bodies to a twentieth and SnapQuote frames to a quarter at several hundred MB/s.
const LEVEL: i32 = 3;

/// Compresses a segment beside itself and removes the raw file once the compressed one is on disk. Killed anywhere, it
/// leaves the raw file complete or the compressed one.
pub fn compress(raw: &Path) -> Result<(), SpoolError> {
    let compressed = raw.with_added_extension(COMPRESSED_EXTENSION);
    let partial = raw.with_added_extension("partial");
    let mut input = File::open(raw).map_err(SpoolError::io("open", raw))?;
    let output = File::create(&partial).map_err(SpoolError::io("create", &partial))?;
    let pack = || -> std::io::Result<()> {
        let mut encoder = zstd::Encoder::new(output, LEVEL)?;
        encoder.include_checksum(true)?;
        std::io::copy(&mut input, &mut encoder)?;
        encoder.finish()?.sync_all()
    };
    if let Err(error) = pack() {
        // A failed attempt must not keep the space it took.
        let _ = fs::remove_file(&partial);
        return Err(SpoolError::io("compress into", &partial)(error));
    }
    fs::rename(&partial, &compressed).map_err(SpoolError::io("rename to", &compressed))?;
    fs::remove_file(raw).map_err(SpoolError::io("remove", raw))
}
