//! Takes records out of the log whose receive times lie ahead of the time that it is.
//!
//! Receive times never go back in the log. A machine whose clock ran ahead for a while and was then set right would have to
//! wait until its clock is as far again. So what was received "later than now" is put aside as a log of its own, in
//! `clock-ahead-N` beside the days (N: its first record's number). Nothing of it is deleted; [`super::SpoolReader`] reads it.
//! Whether the log or the clock is wrong is the caller's decision.
//!
//! Invariant: each step leaves a readable log. Killed in the middle, fewer segments are ahead at the next start.

use super::{
    Record, SpoolError,
    reader::{self, COMPRESSED_EXTENSION, Found, PARTIAL_EXTENSION, RAW_EXTENSION, SegmentReader},
    writer::Spool,
};
use crate::market::Timestamp;
use std::{
    fs::{self, File},
    io::{self, Read},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// What was put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    pub directory: PathBuf,
    pub records: u64,
    pub first_seq: u64,
    pub first_received: Timestamp,
    pub last_received: Timestamp,
}

/// A segment with records that are ahead.
struct Ahead {
    path: PathBuf,
    records: u64,
    first_seq: u64,
    first_received: Timestamp,
    /// Where its first record that is ahead begins, in the uncompressed segment; `None` if all of them are.
    cut: Option<u64>,
}

impl Spool {
    /// Shows the records that were received after `now`, those of the newest segment first, until `look` breaks off.
    ///
    /// # Errors
    /// When a directory cannot be listed or a segment not be opened.
    pub fn look_ahead(
        &self,
        now: Timestamp,
        mut look: impl FnMut(&Record) -> ControlFlow<()>,
    ) -> Result<(), SpoolError> {
        for path in self.segments_newest_first()? {
            let mut segment = SegmentReader::open(&path, 0)?;
            let mut is_ahead = false;
            while let Some(found) = segment.next_readable() {
                if let Found::Record(record) = found
                    && record.received_time > now
                {
                    is_ahead = true;
                    if look(&record).is_break() {
                        return Ok(());
                    }
                }
            }
            if !is_ahead {
                break;
            }
        }
        Ok(())
    }

    /// Puts aside what was received after `now`. The log goes on behind what was received until then, with numbers above all
    /// that were ever given. `None` if nothing is ahead.
    ///
    /// # Errors
    /// What the operating system reports; the log is readable then, and it can be tried again.
    pub fn set_aside_after(&mut self, now: Timestamp) -> Result<Option<SetAside>, SpoolError> {
        let mut ahead = Vec::new();
        for path in self.segments_newest_first()? {
            let Some(found) = find_ahead(&path, now)? else { break };
            ahead.push(found);
        }
        let Some(first) = ahead.last() else { return Ok(None) };
        let set_aside = SetAside {
            directory: self.directory().join(format!("clock-ahead-{}", first.first_seq)),
            records: ahead.iter().map(|segment| segment.records).sum(),
            first_seq: first.first_seq,
            first_received: first.first_received,
            last_received: self.last_received(),
        };
        for segment in &ahead {
            put_aside(segment, self.directory(), &set_aside.directory)?;
        }
        sync(self.directory())?;
        self.take_up_again()?;
        Ok(Some(set_aside))
    }

    fn segments_newest_first(&self) -> Result<Vec<PathBuf>, SpoolError> {
        let mut paths = Vec::new();
        for date in reader::days(self.directory())? {
            paths.extend(reader::segments(self.directory(), date)?);
        }
        paths.reverse();
        Ok(paths)
    }
}

/// `None` if nothing in it is ahead. A segment without a record is, if a later one is: it says nothing of before.
fn find_ahead(path: &Path, now: Timestamp) -> Result<Option<Ahead>, SpoolError> {
    let mut segment = SegmentReader::open(path, 0)?;
    let (mut before, mut has_earlier, mut ahead) = (0, false, None::<Ahead>);
    while let Some(found) = segment.next_readable() {
        let Found::Record(record) = found else { continue };
        match &mut ahead {
            Some(ahead) => ahead.records += 1,
            None if record.received_time > now => {
                ahead = Some(Ahead {
                    path: path.to_owned(),
                    records: 1,
                    first_seq: record.seq,
                    first_received: record.received_time,
                    cut: has_earlier.then_some(before),
                });
            }
            None => {
                has_earlier = true;
                before = segment.sound_end();
            }
        }
    }
    Ok(ahead)
}

fn put_aside(segment: &Ahead, log: &Path, aside: &Path) -> Result<(), SpoolError> {
    let path = &segment.path;
    let day = path.parent().unwrap_or(log);
    let inside = path.strip_prefix(log).unwrap_or(path);
    let target = aside.join(inside);
    let target_day = target.parent().unwrap_or(aside);
    fs::create_dir_all(target_day).map_err(SpoolError::io("create", target_day))?;
    match segment.cut {
        None => {
            fs::rename(path, &target).map_err(SpoolError::io("rename", path))?;
            // What a start has cut off it, if anything.
            for beside in reader::list(day)?.into_iter().filter(|beside| is_beside(beside, path)) {
                let name = beside.file_name().unwrap_or_default();
                fs::rename(&beside, target_day.join(name)).map_err(SpoolError::io("rename", &beside))?;
            }
        }
        Some(cut) => {
            fs::copy(path, &target).map_err(SpoolError::io("copy", path))?;
            sync(&target)?;
            shorten(path, cut)?;
        }
    }
    sync(target_day)?;
    // It stays where something else is in it.
    let _ = fs::remove_dir(day);
    Ok(())
}

fn is_beside(path: &Path, segment: &Path) -> bool {
    let hour = |path: &Path| path.file_name().and_then(|name| name.to_str()?.get(..2).map(str::to_owned));
    hour(path).is_some() && hour(path) == hour(segment)
}

/// An hour that was compressed while the clock was ahead is written on as a plain segment: beside one of those the compressed
/// one counts for nothing.
pub(super) fn take_up_packed(raw: &Path, packed: &Path) -> Result<(), SpoolError> {
    if packed.exists() && !raw.exists() { unpack(packed, u64::MAX) } else { Ok(()) }
}

/// Leaves the first `length` uncompressed bytes of a segment; one that is compressed is a plain one afterwards, since it is
/// written on.
fn shorten(path: &Path, length: u64) -> Result<(), SpoolError> {
    if path.extension().is_none_or(|extension| extension != COMPRESSED_EXTENSION) {
        let file = File::options().write(true).open(path).map_err(SpoolError::io("open", path))?;
        file.set_len(length).and_then(|()| file.sync_all()).map_err(SpoolError::io("cut", path))?;
        return Ok(());
    }
    unpack(path, length)
}

/// Makes a plain segment of a compressed one, of its first `length` bytes.
fn unpack(path: &Path, length: u64) -> Result<(), SpoolError> {
    let raw = path.with_extension("");
    debug_assert!(raw.extension().is_some_and(|extension| extension == RAW_EXTENSION), "{}", raw.display());
    let partial = raw.with_added_extension(PARTIAL_EXTENSION);
    let packed = File::open(path).map_err(SpoolError::io("open", path))?;
    let whole = zstd::Decoder::new(packed).map_err(SpoolError::io("decompress", path))?;
    let mut file = File::create(&partial).map_err(SpoolError::io("create", &partial))?;
    io::copy(&mut whole.take(length), &mut file)
        .and_then(|_| file.sync_all())
        .map_err(SpoolError::io("write", &partial))?;
    // Where both forms of an hour are there, the plain one counts.
    fs::rename(&partial, &raw).map_err(SpoolError::io("rename", &partial))?;
    fs::remove_file(path).map_err(SpoolError::io("remove", path))
}

/// Gets a file or a directory onto the disk.
fn sync(path: &Path) -> Result<(), SpoolError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(SpoolError::io("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::TradingDate,
        spool::{Frames, NewRecord, Source, SpoolReader, archive, days},
    };

    /// 09:00 IST of a Thursday, and so many seconds.
    fn at(second: i64) -> Timestamp {
        let date = TradingDate::from_ymd_opt(2026, 1, 29).expect("a date");
        Timestamp::on(date, chrono::NaiveTime::MIN).plus_seconds(9 * 3_600 + second)
    }

    const DAY: i64 = 86_400;

    fn append(spool: &mut Spool, second: i64) -> u64 {
        let frames = Frames::one(b"text");
        let context = String::new();
        let (source, received_time) = (Source::NSE_CHAIN, at(second));
        spool.append(&mut NewRecord { source, received_time, context, frames }).expect("appended")
    }

    fn numbers(directory: &Path, second: i64) -> Vec<(u64, Timestamp)> {
        let records = SpoolReader::open(directory, at(second).date_ist()).expect("readable");
        records
            .map(|record| record.expect("sound"))
            .map(|record| (record.seq, record.received_time))
            .collect()
    }

    fn open(directory: &Path) -> Spool {
        let opened = Spool::open(directory).expect("opens");
        assert_eq!((opened.damages, opened.torn_tail), (Vec::new(), None));
        opened.spool
    }

    #[test]
    fn a_day_ahead_is_put_aside_and_today_goes_on() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let mut spool = open(path);
        append(&mut spool, 0);
        append(&mut spool, DAY + 60);
        append(&mut spool, DAY + 3_700);
        let set_aside = spool.set_aside_after(at(100)).expect("done").expect("two are ahead");
        assert_eq!((set_aside.records, set_aside.first_seq), (2, 2));
        assert_eq!((set_aside.first_received, set_aside.last_received), (at(DAY + 60), at(DAY + 3_700)));
        assert_eq!(days(path).expect("listed"), [at(0).date_ist()]);
        assert_eq!(append(&mut spool, 100), 4, "no number is given twice");
        assert_eq!(append(&mut spool, DAY + 10), 5, "tomorrow begins anew");
        assert_eq!(numbers(path, 0), [(1, at(0)), (4, at(100))]);
        assert_eq!(numbers(path, DAY), [(5, at(DAY + 10))]);
        assert_eq!(numbers(&set_aside.directory, DAY), [(2, at(DAY + 60)), (3, at(DAY + 3_700))]);
        assert_eq!(spool.set_aside_after(at(DAY + 10)).expect("done"), None);
        drop(spool);
        assert_eq!(open(path).next_seq(), 6);
    }

    #[test]
    fn an_hour_is_cut_where_it_is_ahead_plain_or_compressed() {
        for is_packed in [false, true] {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path();
            let mut spool = open(path);
            for second in [0, 600, 1_200, 3_600] {
                append(&mut spool, second);
            }
            if is_packed {
                let raw = path.join("2026-01-29/09.spool");
                let packed = archive::pack(&raw, || true).expect("packed").expect("not stopped");
                assert!(packed.put_in_place(&spool.size(), || true).expect("in place").is_some());
            }
            let set_aside = spool.set_aside_after(at(700)).expect("done").expect("two are ahead");
            assert_eq!((set_aside.records, set_aside.first_seq), (2, 3));
            assert_eq!(append(&mut spool, 710), 5);
            let expected = [(1, at(0)), (2, at(600)), (5, at(710))];
            assert_eq!(numbers(path, 0), expected);
            let aside = numbers(&set_aside.directory, 0);
            assert_eq!(aside.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 2, 3, 4], "{is_packed}");
            drop(spool);
            let spool = open(path);
            assert_eq!((spool.next_seq(), spool.last_received()), (6, at(710)));
            assert_eq!(numbers(path, 0), expected);
        }
    }

    #[test]
    fn an_hour_that_was_compressed_meanwhile_is_written_on() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let mut spool = open(path);
        append(&mut spool, 0);
        append(&mut spool, DAY);
        let raw = path.join("2026-01-29/09.spool");
        let packed = archive::pack(&raw, || true).expect("packed").expect("not stopped");
        assert!(packed.put_in_place(&spool.size(), || true).expect("in place").is_some());
        assert!(!raw.exists());
        spool.set_aside_after(at(100)).expect("done").expect("one is ahead");
        append(&mut spool, 100);
        assert_eq!(numbers(path, 0), [(1, at(0)), (3, at(100))]);
        let size = spool.size();
        assert_eq!((size.files(), size.bytes()), (1, fs::metadata(&raw).expect("a file").len()));
    }

    #[test]
    fn what_is_ahead_is_shown_newest_hour_first() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut spool = open(directory.path());
        for second in [0, 600, 3_600, 3_700] {
            append(&mut spool, second);
        }
        let mut shown = Vec::new();
        let look = |record: &Record| {
            shown.push(record.seq);
            ControlFlow::Continue(())
        };
        spool.look_ahead(at(500), look).expect("read");
        assert_eq!(shown, [3, 4, 2]);
    }
}
