//! Why a bucket's row states what it does, as an answer of the doors: the job `verify` replays the day, this puts what it
//! found into the protocol's words.

use super::{control_child::ControlChild, job_requests::rules_of};
use crate::{
    control::{
        ControlError, ExplainContradiction, ExplainGap, ExplainProvider, ExplainRequest, ExplainResponse,
        ExplainRow, ExplainSaid, ExplainStatement, ExplainWitness, LogRecord, StoreAgreement, WallTime,
        WitnessKind,
    },
    jobs::{
        Agreement, ExplainError, ExplainQuestion, Explanation, ProviderEvidence, RecordAt, VerifyError,
        Witness,
    },
    market::{BucketRow, BucketState, Contract, ContractError, Price, Provider, Timestamp, TradingDate},
    store::GapRow,
};

impl ControlChild {
    pub(super) async fn explain(&self, request: ExplainRequest) -> Result<ExplainResponse, ControlError> {
        let unknown =
            |hint: String| ControlError::UnknownContract { contract: request.contract.clone(), hint };
        let contract: Contract = request
            .contract
            .parse()
            .map_err(|error: ContractError| unknown(format!("write {}", error.allowed)))?;
        if !contract.is_option() {
            return Err(unknown(
                "only rows of options are explained, such as NIFTY 2026-02-03 25000 CE".to_owned(),
            ));
        }
        let now = self.clock.now();
        let named = request.date.or(request.at.and_then(|at| at.date));
        let date = named.unwrap_or_else(|| now.date_ist());
        let at = request.at.map(|at| at.resolve(date));
        let question = ExplainQuestion { contract: contract.clone(), date, at, now };
        let unavailable = |reason: String| ControlError::Unavailable { reason };
        let explained = self.status.jobs.explain(question).map_err(unavailable)?.await;
        let explained =
            explained.map_err(|_| unavailable("jobs/verify began anew meanwhile; ask again".to_owned()))?;
        let explanation = explained.map_err(refusal)?;
        Ok(response(&contract, date, explanation))
    }
}

fn refusal(error: ExplainError) -> ControlError {
    let reason = error.to_string();
    match error {
        ExplainError::UnknownContract { contract, date, nearest } => {
            let hint = match nearest.is_empty() {
                true => format!("the store has no contract that was listed on {date}"),
                false => format!("nearest on {date} are {}", nearest.join(", ")),
            };
            ControlError::UnknownContract { contract, hint }
        }
        ExplainError::OutsideSession { .. } => ControlError::invalid("at", reason),
        ExplainError::NotRecorded { .. }
        | ExplainError::NoSession { .. }
        | ExplainError::NothingOver { .. }
        | ExplainError::NotBegun { .. }
        | ExplainError::AfterClose { .. }
        | ExplainError::Replay(VerifyError::NoLog { .. } | VerifyError::LogGone { .. }) => {
            ControlError::NoData { reason }
        }
        ExplainError::Replay(
            VerifyError::StillRecorded { .. } | VerifyError::Spool(_) | VerifyError::Store(_),
        ) => ControlError::Unavailable { reason },
    }
}

fn response(contract: &Contract, date: TradingDate, explanation: Explanation) -> ExplainResponse {
    let Explanation {
        bucket,
        end,
        statements,
        evidence,
        gaps,
        open_gaps,
        known_until,
        judged_by,
        stored,
        agreement,
        records,
        damages,
    } = explanation;
    let last = statements.last();
    let evidence = last.map_or(&evidence, |statement| &statement.evidence);
    let row = last.map(|statement| &statement.row);
    let mut providers: Vec<ExplainProvider> =
        evidence.iter().map(|evidence| provider_part(evidence, proves(evidence, row))).collect();
    // Stable: by provider within.
    providers.sort_by_key(|part| !part.proves);
    let ended = gaps.into_iter().map(gap_part);
    ExplainResponse {
        contract: contract.to_string(),
        date,
        bucket: WallTime(bucket.start()),
        end: WallTime(end),
        statements: statements
            .iter()
            .map(|statement| ExplainStatement {
                record: log_record(statement.record),
                row: row_part(&statement.row),
            })
            .collect(),
        providers,
        known_until: known_until.filter(|until| *until != Timestamp::NEVER).map(WallTime),
        gaps: ended
            .chain(open_gaps.into_iter().map(|gap| ExplainGap { to: None, ..gap_part(gap) }))
            .collect(),
        judged_by: rules_of(judged_by),
        stored: stored.as_ref().map(row_part),
        agreement: match agreement {
            Agreement::Equal => StoreAgreement::Equal,
            Agreement::Behind => StoreAgreement::Behind,
            Agreement::Different => StoreAgreement::Different,
        },
        records,
        damages,
    }
}

/// Whether a provider proves what a row claims: its values are proved and believed, the last trade is that of the row, and its
/// open interest is no other one.
fn proves(evidence: &ProviderEvidence, row: Option<&BucketRow>) -> bool {
    let is_claimed = |row: &&BucketRow| !matches!(row.state, BucketState::Missing | BucketState::Unlisted);
    let Some(row) = row.filter(is_claimed) else { return false };
    evidence.witness.is_some()
        && evidence.contradiction.is_none()
        && evidence.value.is_some_and(|(value, _)| {
            let is_of_row = value.open_interest().is_none_or(|value| row.open_interest == Some(value));
            value.volume().unwrap_or(0) == row.volume.unwrap_or(0) && is_of_row
        })
}

fn log_record(at: RecordAt) -> LogRecord {
    LogRecord { seq: at.seq, received_time: WallTime(at.received) }
}

fn row_part(row: &BucketRow) -> ExplainRow {
    ExplainRow {
        state: row.state.into(),
        open_interest: row.open_interest,
        last_price_e4: row.last_price.map(Price::as_e4),
        volume: row.volume,
        provider: row.provider.map(|provider| provider.to_string()),
        event_time: row.event_time.map(WallTime),
        revision: u32::from(row.revision),
    }
}

fn provider_part(evidence: &ProviderEvidence, proves: bool) -> ExplainProvider {
    let said = evidence.value.map(|(value, record)| ExplainSaid {
        open_interest: value.open_interest(),
        last_price_e4: value.last_price().map(Price::as_e4),
        volume: value.volume(),
        event_time: WallTime(value.event_time()),
        record: log_record(record),
    });
    let proved_until = said.as_ref().map(|_| WallTime(evidence.reach));
    ExplainProvider {
        provider: evidence.provider.to_string(),
        recorded: evidence.is_recorded,
        proves,
        said,
        witness: evidence.witness.map(|(witness, record)| witness_part(witness, record)),
        proved_until: proved_until.filter(|_| evidence.reach != Timestamp::NEVER),
        contradicted: evidence.contradiction.map(|contradiction| ExplainContradiction {
            by: contradiction.with.to_string(),
            open_interest: contradiction.shown,
            since: WallTime(contradiction.since),
            decided: contradiction.is_decided,
        }),
    }
}

fn witness_part(witness: Witness, record: RecordAt) -> ExplainWitness {
    let with = match witness {
        Witness::Agreement { with, .. } => Some(with.to_string()),
        _ => None,
    };
    let (by, at) = match witness {
        Witness::Packet { stamp } => (WitnessKind::Packet, stamp),
        Witness::Stream { until } => (WitnessKind::Stream, until),
        Witness::Body { stamp, is_bridged: false } => (WitnessKind::Body, stamp),
        Witness::Body { stamp, is_bridged: true } => (WitnessKind::NextBody, stamp),
        Witness::Answer { until } => (WitnessKind::Answer, until),
        Witness::Agreement { at, .. } => (WitnessKind::Agreement, at),
        Witness::Mark { until } => (WitnessKind::Mark, until),
    };
    ExplainWitness { by, at: WallTime(at), with, record: log_record(record) }
}

fn gap_part(gap: GapRow) -> ExplainGap {
    let GapRow { from, to, provider, part, reason } = gap;
    let provider = provider.map(|provider: Provider| provider.to_string());
    ExplainGap { provider, part, from: WallTime(from), to: Some(WallTime(to)), reason }
}
