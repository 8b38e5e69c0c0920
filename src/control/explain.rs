//! Why a bucket's row states what it does.

use super::{JudgedBy, LocalTime, RowState, WallTime};
use crate::market::TradingDate;
use serde::{Deserialize, Serialize};

/// One bucket of one option contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// `NIFTY 2026-02-03 25000 CE`.
    pub contract: String,
    /// The daemon's own date if neither this nor `at` has one.
    #[serde(default)]
    pub date: Option<TradingDate>,
    /// The bucket that contains this time; the last one that is over if not given.
    #[serde(default)]
    pub at: Option<LocalTime>,
}

/// The row, what proves it, and what else was known, by a replay of the day's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainResponse {
    pub contract: String,
    pub date: TradingDate,
    /// The bucket's begin and end; the end is that of the contract's trading where that lies within.
    pub bucket: WallTime,
    pub end: WallTime,
    /// The row as it was stated each time, the first first; empty while it waits for proof.
    pub statements: Vec<ExplainStatement>,
    /// One for each provider that had said something by the last statement: the one that proved the row first.
    pub providers: Vec<ExplainProvider>,
    /// Up to when anything is proved of the contract.
    pub known_until: Option<WallTime>,
    /// Spans in which a provider did not cover the contract.
    pub gaps: Vec<ExplainGap>,
    /// Whose rules the day's rows follow.
    pub judged_by: JudgedBy,
    /// The row in the store.
    pub stored: Option<ExplainRow>,
    pub agreement: StoreAgreement,
    /// Records of the log that were replayed.
    pub records: u64,
    /// Parts of the log that are lost, in words.
    pub damages: Vec<String>,
}

impl ExplainResponse {
    /// Who proves the row. Where none has its values, those whose snapshots bridge the bucket's end: what they show holds for
    /// every provider's values.
    pub fn proofs(&self) -> Vec<&ExplainProvider> {
        let with = |is_proof: fn(&ExplainProvider) -> bool| -> Vec<&ExplainProvider> {
            self.providers.iter().filter(|part| is_proof(part)).collect()
        };
        let own = with(|part| part.proves);
        let state = self.statements.last().map(|statement| statement.row.state);
        match state {
            None | Some(RowState::Missing | RowState::Unlisted) => own,
            Some(_) if !own.is_empty() => own,
            Some(_) => with(|part| {
                let witness = part.witness.as_ref();
                part.contradicted.is_none()
                    && witness.is_some_and(|witness| witness.by == WitnessKind::NextBody)
            }),
        }
    }
}

/// How the store's row stands to the replayed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreAgreement {
    Equal,
    /// The store is not as far as the log yet.
    Behind,
    Different,
}

/// A bucket's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainRow {
    pub state: RowState,
    pub open_interest: Option<i64>,
    pub last_price_e4: Option<i64>,
    pub volume: Option<i64>,
    pub provider: Option<String>,
    pub event_time: Option<WallTime>,
    pub revision: u32,
}

/// A record of the day's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    pub seq: u64,
    pub received_time: WallTime,
}

/// A row as a record came to state it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainStatement {
    pub record: LogRecord,
    pub row: ExplainRow,
}

/// What a provider said last before the bucket's end, and what proves that it holds there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainProvider {
    pub provider: String,
    /// Its values are the recorded ones.
    pub recorded: bool,
    /// It proves the row, whose values it has.
    pub proves: bool,
    pub said: Option<ExplainSaid>,
    /// Nothing proves it where there is none.
    pub witness: Option<ExplainWitness>,
    /// Up to when the values are proved.
    pub proved_until: Option<WallTime>,
    /// Its open interest is not believed.
    #[serde(default)]
    pub contradicted: Option<ExplainContradiction>,
}

/// Another provider's open interest, which cannot be of one market with the provider's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainContradiction {
    pub by: String,
    /// The other provider's latest.
    pub open_interest: Option<i64>,
    pub since: WallTime,
    /// The other one is believed; else neither is.
    pub decided: bool,
}

/// Values with the record that brought them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainSaid {
    pub open_interest: Option<i64>,
    pub last_price_e4: Option<i64>,
    pub volume: Option<i64>,
    pub event_time: WallTime,
    pub record: LogRecord,
}

/// By what values are proved at a bucket's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WitnessKind {
    /// The stream's next packet of the contract.
    Packet,
    /// The stream went on to bring data.
    Stream,
    /// A body that contains the contract, without any trade since the one before.
    Body,
    /// A body or an answer with other values, so soon after those before that what was traded between does not matter.
    NextBody,
    /// An answer to a request.
    Answer,
    /// Another provider that showed the same values.
    Agreement,
    /// A mark in the log.
    Mark,
}

/// The proof, and the record that gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainWitness {
    pub by: WitnessKind,
    /// The packet's or the body's stamp; up to when the stream brought data, or as of when the answer holds.
    pub at: WallTime,
    /// The other provider of an agreement.
    pub with: Option<String>,
    pub record: LogRecord,
}

/// A span in which a provider did not cover the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainGap {
    /// `None` where it concerns all of them.
    pub provider: Option<String>,
    /// The option chain, where it was only that one.
    pub part: String,
    pub from: WallTime,
    /// `None` while it lasts.
    pub to: Option<WallTime>,
    pub reason: String,
}
