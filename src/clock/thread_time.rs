//! What one thread has used of the processor, from /proc: the sign that a long computation goes on, where it tells nothing
//! of itself.

use std::{fs::File, io, os::unix::fs::FileExt, time::Duration};

/// The processor time of the thread that made it, for any thread to read. Steps are those of the kernel's clock ticks,
/// 10 ms as a rule.
#[derive(Debug)]
pub struct ThreadTime {
    /// proc(5): the file goes on showing the thread that opened it.
    stat: File,
}

impl ThreadTime {
    /// # Errors
    /// Where /proc is not there.
    pub fn of_this_thread() -> io::Result<ThreadTime> {
        Ok(ThreadTime { stat: File::open("/proc/thread-self/stat")? })
    }

    /// User and system time so far; `None` once the thread has ended.
    pub fn used(&self) -> Option<Duration> {
        let mut bytes = [0; 1_024];
        let count = self.stat.read_at(&mut bytes, 0).ok()?;
        ticks(std::str::from_utf8(&bytes[..count]).ok()?)
            .map(|ticks| Duration::from_secs(ticks) / rustix::param::clock_ticks_per_second() as u32)
    }
}

/// Fields 14 and 15 of proc(5)'s stat. The name before them, in parentheses, may have spaces.
fn ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{
            atomic::{AtomicBool, Ordering::Relaxed},
            mpsc,
        },
        thread,
    };

    #[test]
    fn the_times_stand_behind_a_name_with_anything_in_it() {
        let stat = "7 (a) b (c) R 1 7 7 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (cut off) R 1 7"), None);
    }

    #[test]
    fn only_the_own_thread_counts_and_only_while_it_lives() {
        let (sent, received) = mpsc::channel();
        let stop = AtomicBool::new(false);
        let (finish, finished) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(|| {
                sent.send(ThreadTime::of_this_thread().expect("/proc")).expect("somebody listens");
                while !stop.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
            let resting = scope.spawn(move || {
                let time = ThreadTime::of_this_thread().expect("/proc");
                let before = time.used();
                let _ = finished.recv();
                (before, time.used())
            });
            let busy = received.recv().expect("a thread");
            let at_first = busy.used().expect("it runs");
            while busy.used().expect("it runs") < at_first + Duration::from_millis(200) {
                thread::yield_now();
            }
            stop.store(true, Relaxed);
            while busy.used().is_some() {
                thread::yield_now();
            }
            drop(finish);
            let (before, after) = resting.join().expect("it ends");
            let used = after.zip(before).map(|(after, before)| after - before).expect("it ran");
            assert!(used < Duration::from_millis(100), "the neighbour's time was counted: {used:?}");
        });
    }
}
