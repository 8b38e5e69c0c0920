//! Notes once in the log of a session's day what the days before know: which contracts there are, and the open interest
//! that changes are measured against. So a day can be judged by its own log alone, whatever becomes of the store.
//!
//! Bases are of the session before by the calendar and of no other one; what they may be is for the store to say
//! ([`Reader::day_bases`]). The contracts are those that were recorded on the last day that has rows.

use super::{Outcome, child::Shift, plan::last_session};
use crate::{
    market::{OiBase, TradingDate},
    pipeline::PlannedContract,
    spool::{Frames, NewRecord, Source},
    store::{Reader, StoreError},
};
use std::collections::BTreeMap;

impl Shift {
    pub async fn plan_day(&self, date: TradingDate) -> Outcome {
        let (from, planned) = match self.known_before(date).await {
            Ok(Some(known)) => known,
            Ok(None) => return Outcome::Done(Some("no day before has rows".to_owned())),
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let lines = PlannedContract::encode(&planned);
        let record = NewRecord {
            source: Source::DAY_PLAN,
            received_time: self.now(),
            context: format!("from={from}"),
            frames: Frames::one(&lines),
        };
        match self.parts.daemon.append(record, &self.lease).await {
            Ok(()) => {
                let based = planned.iter().filter(|planned| planned.base.is_some()).count();
                log::info!(
                    contracts = planned.len(), from:%;
                    "{} contracts are known from {from}, {based} of them with their open interest", planned.len()
                );
                Outcome::Done(None)
            }
            Err(reason) => Outcome::Failed(reason),
        }
    }

    /// Which day has rows before `date`, and what it and the session before know.
    async fn known_before(
        &self,
        date: TradingDate,
    ) -> Result<Option<(TradingDate, Vec<PlannedContract>)>, StoreError> {
        let reader = Reader::open(&self.parts.store_url).await?;
        let Some(from) = reader.last_recorded(date).await? else { return Ok(None) };
        let contracts = reader.recorded_contracts(from).await?;
        let before =
            date.pred_opt().and_then(|day| last_session(&self.parts.settings.calendar, day, |_| true));
        let bases = match before {
            Some(session) => reader.day_bases(session.date, session.close).await?,
            None => Vec::new(),
        };
        let bases: BTreeMap<_, (i64, OiBase)> = bases
            .into_iter()
            .map(|(instrument, open_interest, base)| (instrument, (open_interest, base)))
            .collect();
        let planned =
            contracts.into_iter().filter(|row| row.contract.expiry().is_none_or(|expiry| expiry >= date));
        let planned = planned.map(|row| PlannedContract {
            base: bases.get(&row.id).copied(),
            contract: row.contract,
            lot_size: row.lot_size,
            tick_size: row.tick_size,
        });
        Ok(Some((from, planned.collect())))
    }
}
