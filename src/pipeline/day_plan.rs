//! What the days before say of a day's contracts: which ones there are, and what their open interest was.
//!
//! Written by bhavd itself into the day's log, once, so that a day needs nothing but its own log: JSON lines, one a contract.

use super::machine::Pipeline;
use crate::{
    market::{Contract, Exchange, OiBase, Price, TradingDate},
    spool::SessionTimes,
};
use serde::{Deserialize, Serialize};

/// A contract that a day before knew and that has not expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedContract {
    pub contract: Contract,
    pub lot_size: u32,
    pub tick_size: Price,
    /// The previous session's open interest in units, where it is known.
    pub base: Option<(i64, OiBase)>,
}

/// A line that is no planned contract. The pipeline counts it and goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of a day's plan: {reason}")]
pub struct PlanError {
    pub line: usize,
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    exchange: String,
    contract: String,
    lot_size: u32,
    tick_size_e4: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    oi: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<OiBase>,
}

impl Pipeline {
    /// Sessions by the calendar between the last day that has rows, as today's plan says, and today; the latest few, in order.
    pub fn unrecorded_sessions(&self) -> Vec<TradingDate> {
        const LISTED_MAX: usize = 10;
        let Some(from) = self.planned_from else { return Vec::new() };
        let days = std::iter::successors(self.date.pred_opt(), TradingDate::pred_opt);
        let days = days
            .take_while(|date| *date > from)
            .filter(|date| self.settings.calendar.session(*date).is_some());
        let mut sessions: Vec<TradingDate> = days.take(LISTED_MAX).collect();
        sessions.reverse();
        sessions
    }

    /// Where the day that is applied is recorded by another session than the calendar has now.
    pub fn other_session(&self) -> Option<OtherSession> {
        let (recorded, calendar) = (self.recorded_session(), self.settings.session_times(self.date));
        (recorded != calendar).then_some(OtherSession { recorded, calendar })
    }
}

/// A day's session by its log, and by the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherSession {
    pub recorded: Option<SessionTimes>,
    pub calendar: Option<SessionTimes>,
}

impl PlannedContract {
    /// All of a day's.
    pub fn encode(planned: &[PlannedContract]) -> Vec<u8> {
        let mut lines = Vec::new();
        for planned in planned {
            let line = Line {
                exchange: planned.contract.exchange.name().to_owned(),
                contract: planned.contract.to_string(),
                lot_size: planned.lot_size,
                tick_size_e4: planned.tick_size.as_e4(),
                oi: planned.base.map(|(open_interest, _)| open_interest),
                base: planned.base.map(|(_, base)| base),
            };
            serde_json::to_writer(&mut lines, &line).expect("a line has texts and numbers only");
            lines.push(b'\n');
        }
        lines
    }

    /// Reads what [`PlannedContract::encode`] writes, line by line.
    pub fn decode(lines: &[u8]) -> impl Iterator<Item = Result<PlannedContract, PlanError>> {
        let lines = lines.split(|byte| *byte == b'\n').enumerate();
        lines.filter(|(_, line)| !line.is_empty()).map(|(number, line)| {
            let wrong = |reason: String| PlanError { line: number + 1, reason };
            let line: Line = serde_json::from_slice(line).map_err(|error| wrong(error.to_string()))?;
            let exchange: Exchange = line.exchange.parse().map_err(|error| wrong(format!("{error}")))?;
            let contract: Contract = line.contract.parse().map_err(|error| wrong(format!("{error}")))?;
            Ok(PlannedContract {
                contract: Contract { exchange, ..contract },
                lot_size: line.lot_size,
                tick_size: Price::from_e4(line.tick_size_e4),
                base: line.oi.zip(line.base),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_what_it_writes() {
        let planned = |text: &str, base| PlannedContract {
            contract: text.parse().expect("a contract"),
            lot_size: 65,
            tick_size: Price::from_e4(500),
            base,
        };
        let mut bse = planned("SENSEX 2026-02-05 80000 PE", None);
        bse.contract.exchange = Exchange::Bse;
        let plan = [planned("NIFTY 2026-02-03 25000 CE", Some((650, OiBase::Official))), bse];
        let mut lines = PlannedContract::encode(&plan);
        let read: Vec<_> = PlannedContract::decode(&lines).map(|line| line.expect("a line")).collect();
        assert_eq!(read, plan);
        lines.extend_from_slice(b"{\"exchange\":\"NSE\"}\n");
        let error = PlannedContract::decode(&lines).nth(2).expect("a line").expect_err("no contract");
        assert_eq!(error.line, 3);
    }
}
