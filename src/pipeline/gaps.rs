//! Spans of a session in which a provider was not watched.

use crate::{
    engine::SessionHours,
    market::{Provider, Timestamp},
    store::GapRow,
};

/// Who has been down since when, and why.
#[derive(Clone, Debug, Default)]
pub struct GapTracker {
    down: [Option<(Timestamp, String)>; Provider::ALL.len()],
    is_up: [bool; Provider::ALL.len()],
}

impl GapTracker {
    fn index(provider: Provider) -> usize {
        usize::from(provider.code()) - 1
    }

    pub fn note_down(&mut self, provider: Provider, since: Timestamp, reason: &str) {
        let index = Self::index(provider);
        if self.is_up[index] {
            self.down[index] = Some((since, reason.to_owned()));
        }
        self.is_up[index] = false;
    }

    /// The daemon was away since `last_record`: whoever was up then was not watched.
    pub fn note_restart(&mut self, last_record: Timestamp) {
        for provider in Provider::ALL {
            self.note_down(provider, last_record, "the daemon was not running");
        }
    }

    /// The gap that ends with `provider` up again, as far as it lies within the session.
    pub fn note_up(
        &mut self,
        provider: Provider,
        now: Timestamp,
        hours: Option<SessionHours>,
    ) -> Option<GapRow> {
        let index = Self::index(provider);
        self.is_up[index] = true;
        let (since, reason) = self.down[index].take()?;
        let hours = hours?;
        let (from, to) = (since.max(hours.open), now.min(hours.close));
        (from < to).then_some(GapRow { from, to, provider: Some(provider), reason })
    }
}
