//! Contracts of a chain that were traded minute after minute and all at once are not, while the rest of the chain is.
//!
//! Example: half of a chain comes from a copy of an hour ago, under stamps of now, or half of the tokens repeat what they were
//! at the last connection. No field of such a contract contradicts another one.
//!
//! Those that stop one after the other may be natural, where the market has moved away; those that stop in one minute are not.
//!
//! Invariant: it says nothing of a contract that was never lively, nor of a chain that is quiet as a whole. A finding changes no
//! row.

use crate::market::{Provider, Timestamp};

/// A contract is lively that volume was added to in so many looks in a row.
const LIVELY_LOOKS: u16 = 40;
/// The same of those that stop together, which must then be still at as many looks: traded by chance at half of its looks, one
/// contract in a million does both.
const LIVELY_TOGETHER_LOOKS: u16 = 10;
/// They are so many, and no smaller part of those that are lively.
const TOGETHER_MIN: usize = 5;
const TOGETHER_PART: usize = 5;
/// So many have stopped, and more than this part of all that are lively.
const STOPPED_MIN: u32 = 5;
const STOPPED_PART: u32 = 4;

/// Looks at one contract's volume.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trading {
    /// Looks in a row, up to the last one that found volume added.
    looks: u16,
    /// Minute of the session of that one.
    minute: u16,
}

/// Of a chain's contracts at one look.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stopped {
    pub lively: u32,
    pub stopped: u32,
    /// By when the last of them had stopped.
    pub minute: u16,
    /// Those that may have stopped together.
    candidates: u32,
    /// Those that stopped in one minute, and that.
    together: Option<(u32, u16)>,
}

/// Contracts of a chain that have stopped while the others go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoppedContracts {
    pub chain: u32,
    pub provider: Provider,
    pub contracts: u32,
    /// By when the last of them had.
    pub since: Timestamp,
    /// All of them did in one minute.
    pub is_together: bool,
}

impl Trading {
    /// Takes down a look, `turn` minutes after the one before.
    pub fn note(&mut self, is_traded: bool, minute: u16, turn: u16) {
        if is_traded {
            let is_in_row = minute.saturating_sub(self.minute) <= turn;
            self.looks = if is_in_row { self.looks.saturating_add(1) } else { 1 };
            self.minute = minute;
        }
    }
}

impl Stopped {
    pub const NONE: Stopped = Stopped { lively: 0, stopped: 0, minute: 0, candidates: 0, together: None };

    /// `is_still`: whether a field has stood still long enough that last moved in a minute.
    pub fn count(&mut self, trading: Trading, is_still: impl Fn(u16) -> bool) {
        if trading.looks < LIVELY_TOGETHER_LOOKS {
            return;
        }
        let is_still = is_still(trading.minute);
        self.candidates += u32::from(is_still);
        if trading.looks < LIVELY_LOOKS {
            return;
        }
        self.lively += 1;
        if is_still {
            self.stopped += 1;
            self.minute = self.minute.max(trading.minute);
        }
    }

    /// Looks, each `turn` minutes, for contracts of a chain that have stopped in one minute, once all of them are counted.
    pub fn count_together(
        &mut self,
        trading: impl Iterator<Item = Trading> + Clone,
        (minute, turn): (u16, u16),
        is_still: impl Fn(u16) -> bool,
    ) {
        if (self.candidates as usize) < TOGETHER_MIN {
            return;
        }
        let still_looks = |trading: &Trading| minute.saturating_sub(trading.minute) / turn;
        let lively = trading.filter(|trading| trading.looks >= LIVELY_TOGETHER_LOOKS);
        let is_stopped =
            |trading: &Trading| is_still(trading.minute) && still_looks(trading) >= LIVELY_TOGETHER_LOOKS;
        let stopped = lively.clone().filter(is_stopped);
        let mut minutes: Vec<u16> = stopped.map(|trading| trading.minute).collect();
        minutes.sort_unstable();
        let most = minutes.chunk_by(|a, b| a == b).max_by_key(|of_one| of_one.len());
        let (lively, together) = (lively.count(), most.map_or(0, <[u16]>::len));
        let others = lively - minutes.len();
        if together >= TOGETHER_MIN && together * TOGETHER_PART >= lively && others >= TOGETHER_MIN {
            self.together = most.map(|of_one| (together as u32, of_one[0]));
        }
    }

    /// How many have stopped while the others go on, by which minute, and whether together.
    pub fn found(&self) -> Option<(u32, u16, bool)> {
        if let Some((contracts, minute)) = self.together {
            return Some((contracts, minute, true));
        }
        let is_part = self.stopped >= STOPPED_MIN && self.stopped * STOPPED_PART > self.lively;
        let others_go_on = self.lively - self.stopped >= STOPPED_MIN;
        (is_part && others_go_on).then_some((self.stopped, self.minute, false))
    }
}
