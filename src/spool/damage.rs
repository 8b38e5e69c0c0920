//! A part of the log that holds no records any more.

use std::{fmt, path::PathBuf};

/// Bytes of a segment that were records once. What is sound before and behind them is read all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub path: PathBuf,
    /// Counted in the uncompressed segment.
    pub from: u64,
    /// Where the next sound record begins or the file ends; `None` where that is not known, and the rest of the segment
    /// is lost.
    pub to: Option<u64>,
    pub reason: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is damaged from byte {}", self.path.display(), self.from)?;
        match self.to {
            Some(to) => write!(f, " to {to}: {}", self.reason),
            None => write!(f, " to its end: {}", self.reason),
        }
    }
}

impl std::error::Error for Damage {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::{Timestamp, TradingDate},
        spool::{
            Frames, NewRecord, Opened, Source, Spool, SpoolError, SpoolReader, codec::BODY_LEN_MAX, pack,
            writer::TornTail,
        },
    };
    use proptest::prelude::*;
    use std::{fs, ops::Range, path::Path};

    fn record(hour: i64, text: &str) -> NewRecord {
        NewRecord {
            source: Source::NSE_CHAIN,
            received_time: Timestamp::from_us(1_769_743_800_000_000).plus_seconds(3_600 * hour),
            context: String::new(),
            frames: Frames::one(text.as_bytes()),
        }
    }

    fn date() -> TradingDate {
        record(0, "").received_time.date_ist()
    }

    /// The segment's path, and where each of its records lies in it.
    fn written(directory: &Path, count: usize) -> (PathBuf, Vec<Range<usize>>) {
        let mut spool = Spool::open(directory).expect("opens").spool;
        let day = directory.join(date().to_string());
        let (mut ranges, mut end) = (Vec::new(), 8);
        for number in 0..count {
            spool.append(&mut record(0, &format!("text {number}"))).expect("appended");
            let path = fs::read_dir(&day).expect("a day").next().expect("a segment").expect("an entry");
            let length = path.metadata().expect("a size").len() as usize;
            ranges.push(end..length);
            end = length;
        }
        drop(spool);
        (fs::read_dir(&day).expect("a day").next().expect("a segment").expect("an entry").path(), ranges)
    }

    fn overwrite(path: &Path, range: Range<usize>) {
        let mut bytes = fs::read(path).expect("readable");
        bytes[range].fill(0xa5);
        fs::write(path, bytes).expect("written");
    }

    fn read(directory: &Path) -> (Vec<u64>, Vec<Damage>) {
        let (mut seqs, mut damages) = (Vec::new(), Vec::new());
        for read in SpoolReader::open(directory, date()).expect("a readable day") {
            match read {
                Ok(record) => seqs.push(record.seq),
                Err(SpoolError::Damaged(damage)) => damages.push(damage),
                Err(error) => panic!("{error}"),
            }
        }
        (seqs, damages)
    }

    fn damage_of(path: &Path, range: Range<usize>) -> (PathBuf, u64, Option<u64>) {
        (path.to_owned(), range.start as u64, Some(range.end as u64))
    }

    fn places(damages: &[Damage]) -> Vec<(PathBuf, u64, Option<u64>)> {
        damages.iter().map(|damage| (damage.path.clone(), damage.from, damage.to)).collect()
    }

    #[test]
    fn a_restart_keeps_what_is_sound_behind_a_damage() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, ranges) = written(directory.path(), 5);
        let length = ranges[4].end as u64;
        // The length too: it says nothing any more of where the next record begins.
        overwrite(&path, ranges[1].clone());
        let Opened { mut spool, torn_tail, damages } = Spool::open(directory.path()).expect("opens");
        assert_eq!((torn_tail, places(&damages)), (None, vec![damage_of(&path, ranges[1].clone())]));
        assert_eq!(fs::metadata(&path).expect("a segment").len(), length);
        assert_eq!(spool.append(&mut record(0, "more")).expect("appended"), 6);
        drop(spool);
        let (seqs, damages) = read(directory.path());
        assert_eq!(seqs, [1, 3, 4, 5, 6]);
        assert_eq!(places(&damages), [damage_of(&path, ranges[1].clone())]);
    }

    #[test]
    fn a_tail_that_is_more_than_a_torn_record_is_kept_beside() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, ranges) = written(directory.path(), 5);
        overwrite(&path, ranges[3].start..ranges[4].end);
        let lost = fs::read(&path).expect("readable")[ranges[3].start..].to_vec();
        let Opened { torn_tail, damages, spool } = Spool::open(directory.path()).expect("opens");
        let beside = path.with_added_extension("damaged");
        let (offset, bytes_cut) = (ranges[3].start as u64, lost.len() as u64);
        let torn = TornTail { path: path.clone(), offset, bytes_cut, kept: Some(beside.clone()) };
        assert_eq!((torn_tail, damages, spool.next_seq()), (Some(torn), vec![], 4));
        assert!(fs::read(&beside).expect("kept") == lost);
        drop(spool);
        assert_eq!(read(directory.path()), (vec![1, 2, 3], vec![]));
    }

    #[test]
    fn a_torn_record_is_not_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, ranges) = written(directory.path(), 2);
        let file = fs::OpenOptions::new().write(true).open(&path).expect("a segment");
        file.set_len(ranges[1].end as u64 - 3).expect("cut");
        let torn = Spool::open(directory.path()).expect("opens").torn_tail.expect("a torn tail");
        assert_eq!((torn.offset, torn.kept), (ranges[1].start as u64, None));
        assert!(!path.with_added_extension("damaged").exists());
    }

    #[test]
    fn a_segment_without_its_header_is_read_and_taken_up() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, _) = written(directory.path(), 3);
        overwrite(&path, 0..8);
        let opened = Spool::open(directory.path()).expect("opens");
        assert_eq!((places(&opened.damages), opened.spool.next_seq()), (vec![damage_of(&path, 0..8)], 4));
        assert_eq!(read(directory.path()).0, [1, 2, 3]);
    }

    #[test]
    fn a_compressed_segment_that_breaks_off_loses_its_rest_only() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, _) = written(directory.path(), 3);
        let mut spool = Spool::open(directory.path()).expect("opens").spool;
        spool.append(&mut record(1, "the next hour")).expect("appended");
        let size = spool.size();
        drop(spool);
        let packed = pack(&path, || true).expect("packed").expect("not stopped");
        packed.put_in_place(&size, || true).expect("in place");
        let compressed = path.with_added_extension("zst");
        let bytes = fs::read(&compressed).expect("compressed");
        fs::write(&compressed, &bytes[..bytes.len() / 2]).expect("written");
        let (seqs, damages) = read(directory.path());
        assert_eq!(seqs.last(), Some(&4));
        assert_eq!((damages.len(), damages[0].to), (1, None));
        let told = damages[0].to_string();
        let begun = format!("{} is damaged from byte ", compressed.display());
        assert!(
            told.starts_with(&begun) && told.contains(" to its end: it cannot be decompressed any further ("),
            "{told}"
        );
        assert!(told.ends_with("put the copy in its place, start bhavd again"), "{told}");
        assert_eq!(Spool::open(directory.path()).expect("opens").spool.next_seq(), 5);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        /// Whatever is overwritten, all records that it does not touch are read, and survive a restart.
        #[test]
        fn damage_costs_what_it_touches(from in 8_usize..400, bytes in prop::collection::vec(any::<u8>(), 1..60)) {
            let directory = tempfile::tempdir().expect("a directory");
            let (path, ranges) = written(directory.path(), 8);
            let end = ranges[7].start;
            let range = from.min(end - 1)..(from + bytes.len()).min(end);
            let mut content = fs::read(&path).expect("readable");
            let before = content.clone();
            content[range.clone()].copy_from_slice(&bytes[..range.len()]);
            fs::write(&path, &content).expect("written");
            let untouched = |place: &Range<usize>| content[place.clone()] == before[place.clone()];
            let expected: Vec<u64> =
                (1..).zip(&ranges).filter(|(_, place)| untouched(place)).map(|(seq, _)| seq).collect();
            prop_assert_eq!(&read(directory.path()).0, &expected);
            let Opened { spool, torn_tail, .. } = Spool::open(directory.path()).expect("opens");
            prop_assert_eq!((torn_tail, spool.next_seq()), (None, 9));
            drop(spool);
            prop_assert_eq!(&read(directory.path()).0, &expected);
        }
    }

    #[test]
    fn a_length_that_asks_for_too_much_is_no_length() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, ranges) = written(directory.path(), 3);
        for length in [BODY_LEN_MAX as u32, u32::MAX, 0] {
            let mut bytes = fs::read(&path).expect("readable");
            bytes[ranges[1].start..][..4].copy_from_slice(&length.to_le_bytes());
            fs::write(&path, bytes).expect("written");
            assert_eq!(read(directory.path()).0, [1, 3]);
        }
    }
}
