//! Whether a store that is being opened gets on.
//!
//! Migrating a large one may take minutes and tells nothing of how far it is. What can be seen from outside is whether the
//! database works at it: SQLite does so on a thread of ours, which uses the processor, and PostgreSQL shows a backend that
//! is active and waits for no lock. A migration that is stuck shows neither.

use crate::clock::ThreadTime;
use std::{pin::pin, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What one look at an opening says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpeningSign {
    /// The database has worked at it since the look before, or works at it.
    AtWork,
    /// It waits: for a lock, for a disk or a server that does not answer.
    Still,
}

/// Who is told of each look.
pub type NoteOpening<'a> = &'a mut (dyn FnMut(OpeningSign) + Send);

/// The outcome, with a look a second until it is there. A look that is slow to come holds nothing up.
pub(super) async fn watched<T>(
    outcome: impl Future<Output = T>,
    mut look: impl AsyncFnMut() -> OpeningSign,
    note: NoteOpening<'_>,
) -> T {
    let mut outcome = pin!(outcome);
    let mut looks = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next_sign = async {
            looks.tick().await;
            look().await
        };
        tokio::select! {
            outcome = &mut outcome => return outcome,
            sign = next_sign => note(sign),
        }
    }
}

/// Looks at a thread of this process.
#[derive(Debug)]
pub struct ThreadWatch {
    time: ThreadTime,
    used: Option<Duration>,
}

impl ThreadWatch {
    /// `None` where the thread cannot be watched; then it shows no sign.
    pub fn of_this_thread() -> Option<ThreadWatch> {
        let time = ThreadTime::of_this_thread().ok()?;
        let used = time.used();
        Some(ThreadWatch { time, used })
    }

    /// Whether it has used the processor since the look before. Waiting for a lock in short sleeps uses less than a tick.
    pub fn look(&mut self) -> OpeningSign {
        let before = std::mem::replace(&mut self.used, self.time.used());
        if self.used > before { OpeningSign::AtWork } else { OpeningSign::Still }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn looks_go_on_until_the_outcome_is_there() {
        let mut signs = Vec::new();
        let outcome = async {
            tokio::time::sleep(Duration::from_millis(3_500)).await;
            "open"
        };
        let mut looks = [OpeningSign::AtWork, OpeningSign::Still, OpeningSign::AtWork].into_iter();
        let look = async || looks.next().expect("three looks");
        assert_eq!(watched(outcome, look, &mut |sign| signs.push(sign)).await, "open");
        assert_eq!(signs, [OpeningSign::AtWork, OpeningSign::Still, OpeningSign::AtWork]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_without_an_end_is_no_sign_and_holds_nothing_up() {
        let outcome = tokio::time::sleep(Duration::from_secs(600));
        watched(outcome, async || pending().await, &mut |sign| panic!("{sign:?}")).await;
    }
}
