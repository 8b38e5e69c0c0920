//! One answer to each request, as a daemon might give it on 2026-01-30.

use bhavd::{
    control::*,
    market::{Timestamp, TradingDate},
};
use chrono::NaiveTime;

pub fn date(day: u32) -> TradingDate {
    TradingDate::from_ymd_opt(2026, 1, day).expect("a date")
}

pub fn at(hour: u32, minute: u32, second: u32) -> WallTime {
    WallTime(Timestamp::on(date(30), NaiveTime::from_hms_opt(hour, minute, second).expect("a time")))
}

fn expiry(day: u32) -> TradingDate {
    TradingDate::from_ymd_opt(2026, 2, day).expect("a date")
}

fn choice(active: &str, forced: Option<&str>) -> ProviderChoice {
    ProviderChoice { active: Some(active.to_owned()), forced: forced.map(str::to_owned) }
}

pub fn status() -> StatusResponse {
    StatusResponse {
        version: "0.1.0".to_owned(),
        pid: 4_711,
        simulated: false,
        time: at(11, 44, 9),
        started: at(8, 55, 0),
        session: "open until 15:30".to_owned(),
        ready: true,
        healthy: true,
        problems: Vec::new(),
        notices: Vec::new(),
        underlyings: 2,
        contracts: 1_248,
        feeds_up: 2,
        feeds: 2,
        choice: choice("angel_one", None),
        ticks: 18_234_567,
        stale_bodies: 0,
        watermark: Some(at(11, 44, 8)),
        last_bucket: Some(at(11, 39, 0)),
        store: StoreStatus {
            url: "sqlite:/var/lib/bhavd/bhavd.sqlite".to_owned(),
            up: true,
            committed_seq: 1_843_211,
            last_commit: Some(at(11, 44, 7)),
            pending_rows: 12,
        },
        spool: SpoolStatus {
            dir: "/var/lib/bhavd/spool".to_owned(),
            last_seq: 1_843_298,
            files: 3,
            bytes: 734_003_200,
            unsynced_bytes: 0,
        },
        live: "memory".to_owned(),
        memory_bytes: 81_788_928,
    }
}

pub fn unhealthy() -> StatusResponse {
    let store = StoreStatus { up: false, pending_rows: 140_003, last_commit: None, ..status().store };
    let spool = SpoolStatus { unsynced_bytes: 1_310_720, ..status().spool };
    StatusResponse {
        simulated: true,
        healthy: false,
        problems: vec![
            "feed nse brings no new event time since 11:31:30".to_owned(),
            "the store is away since 11:40:00: database is locked".to_owned(),
            "cannot sync /var/lib/bhavd/spool/2026-01-30/11.spool: Input/output error (os error 5); until the disk takes \
             it, what was appended lately would not survive a loss of power"
                .to_owned(),
        ],
        notices: vec!["the calendar lists no holidays of 2027, which begins in 20 days".to_owned()],
        feeds_up: 1,
        choice: choice("angel_one", Some("nse")),
        watermark: None,
        last_bucket: None,
        store,
        spool,
        ..status()
    }
}

pub fn actors() -> ActorsResponse {
    let row = |path: &str, parent: &str| ActorRow {
        path: path.to_owned(),
        parent: parent.to_owned(),
        state: "running".to_owned(),
        incarnation: 1,
        progress_age_ms: Some(420),
        pulse_age_ms: Some(20),
        handler_p50_us: Some(87),
        handler_p99_us: Some(1_279),
        ..ActorRow::default()
    };
    let consumer = |path: &str, queue: u64| ActorRow {
        critical: true,
        queue: Some(queue),
        queue_max: Some(1_024),
        queue_high_water: Some(311),
        queue_oldest_ms: Some(2),
        queue_accepted: Some(1_843_298),
        queue_pauses: Some(0),
        ..row(path, "root")
    };
    ActorsResponse {
        actors: vec![
            row("root", ""),
            consumer("writer", 3),
            ActorRow {
                waiting: true,
                incarnation: 5,
                restarts: 4,
                panics: 2,
                hangs: 1,
                displaced: 1,
                set_aside: 1,
                queue_pauses: Some(12),
                rejected: 3,
                dropped: 7,
                last_exit: "hung: no sign of life for 10.0s".to_owned(),
                ..consumer("recorder", 17)
            },
            row("control", "root"),
            row("feeds", "root"),
            row("feeds/angel_one", "feeds"),
            ActorRow {
                state: "backing off".to_owned(),
                incarnation: 4,
                restarts: 3,
                panics: 3,
                progress_age_ms: None,
                pulse_age_ms: None,
                last_exit: "panicked: index out of bounds".to_owned(),
                ..row("feeds/nse", "feeds")
            },
        ],
        zombies: 1,
        zombies_total: 2,
    }
}

pub fn feeds() -> FeedsResponse {
    let angel_one = FeedRow {
        provider: "angel_one".to_owned(),
        state: "up".to_owned(),
        subscribed: 1_248,
        frames: 18_234_567,
        requests: 214,
        errors: 0,
        reconnects: 1,
        last_frame: Some(at(11, 44, 9)),
        last_event: Some(at(11, 44, 8)),
        last_error: String::new(),
    };
    let nse = FeedRow {
        provider: "nse".to_owned(),
        state: "backing off".to_owned(),
        subscribed: 2,
        frames: 312,
        requests: 330,
        errors: 18,
        reconnects: 4,
        last_frame: None,
        last_event: None,
        last_error: "option-chain-v3 answered 401".to_owned(),
    };
    FeedsResponse { feeds: vec![angel_one, nse], choice: choice("angel_one", None) }
}

fn side(open_interest: i64, change: i64, volume: i64, last_price_e4: i64, state: RowState) -> ChainSide {
    ChainSide {
        open_interest: Some(open_interest),
        open_interest_change: Some(change),
        volume: Some(volume),
        last_price_e4: Some(last_price_e4),
        bid_e4: Some(last_price_e4 - 500),
        ask_e4: Some(last_price_e4 + 500),
        implied_volatility_e4: Some(123_400),
        state,
        provider: Some("angel_one".to_owned()),
        event_time: Some(at(11, 44, 7)),
    }
}

pub fn chain() -> ChainResponse {
    let missing = ChainSide::UNSEEN;
    let row = |strike: i64, call, put| ChainRow { strike_e4: strike * 10_000, call, put };
    ChainResponse {
        underlying: "NIFTY".to_owned(),
        expiry: expiry(3),
        expiries: vec![expiry(3), expiry(10)],
        time: at(11, 44, 8),
        live: true,
        level_e4: Some(252_789_000),
        providers: vec!["angel_one".to_owned(), "nse".to_owned()],
        rows: vec![
            row(25_150, Some(missing), Some(side(4_215_575, -120_250, 61_032_400, 312_500, RowState::Live))),
            row(
                25_200,
                Some(side(3_350_100, 45_500, 88_103_250, 1_784_500, RowState::Live)),
                Some(side(7_811_050, 1_204_775, 142_907_050, 488_000, RowState::Carried)),
            ),
            row(
                25_250,
                Some(side(5_120_375, 0, 120_511_300, 1_427_000, RowState::Carried)),
                Some(side(6_040_125, 980_200, 133_020_875, 634_500, RowState::Live)),
            ),
            row(
                25_300,
                Some(side(12_345_650, 2_210_000, 201_337_500, 1_103_500, RowState::Live)),
                Some(side(9_118_200, -310_700, 155_601_550, 812_000, RowState::Backfilled)),
            ),
            row(25_350, Some(side(8_432_125, 614_250, 99_873_475, 836_000, RowState::Live)), None),
        ],
    }
}

/// Every value as far as nothing is known of it.
pub fn empty_chain() -> ChainResponse {
    ChainResponse {
        level_e4: None,
        live: false,
        time: at(9, 15, 0),
        expiries: vec![expiry(3)],
        providers: Vec::new(),
        rows: Vec::new(),
        ..chain()
    }
}

pub fn open_interest() -> OpenInterestResponse {
    let row = |minute: u32, open_interest: Option<i64>, state, revision| OpenInterestRow {
        bucket: at(9, minute, 0),
        open_interest,
        open_interest_change: open_interest.map(|open_interest| open_interest - 3_304_600),
        oi_base: open_interest.map(|_| "official".to_owned()),
        last_price_e4: open_interest.map(|_| 1_784_500),
        volume: open_interest.map(|open_interest| open_interest / 3),
        state,
        provider: open_interest.map(|_| "angel_one".to_owned()),
        revision,
    };
    OpenInterestResponse {
        contract: "NIFTY 2026-02-03 25200 CE".to_owned(),
        date: date(30),
        rows: vec![
            row(15, Some(3_301_025), RowState::Live, 0),
            row(18, Some(3_350_100), RowState::Live, 1),
            row(21, Some(3_350_100), RowState::Carried, 0),
            row(24, None, RowState::Missing, 0),
            row(27, Some(3_377_075), RowState::Backfilled, 2),
        ],
    }
}

pub fn deltas() -> DeltasResponse {
    let row = |second, contract: &str, old: i64, new: i64| DeltaRow {
        contract: contract.to_owned(),
        event_time: at(11, 44, second),
        old_open_interest: old,
        new_open_interest: new,
        delta: new - old,
        provider: "angel_one".to_owned(),
        received_time: WallTime(at(11, 44, second).0.plus_us(123_456)),
    };
    DeltasResponse {
        date: date(30),
        rows: vec![
            row(8, "NIFTY 2026-02-03 25300 CE", 12_340_125, 12_345_650),
            row(5, "BANKNIFTY 2026-02-24 59500 PE", 812_030, 811_930),
        ],
        truncated: true,
    }
}

pub fn candles() -> CandlesResponse {
    let row = |minute, open_e4: i64, provider: &str| CandleRow {
        start: at(9, minute, 0),
        open_e4,
        high_e4: open_e4 + 151_500,
        low_e4: open_e4 - 80_500,
        close_e4: open_e4 + 40_000,
        volume: None,
        provider: provider.to_owned(),
        revision: 0,
        resolve_required: provider == "nse",
    };
    CandlesResponse {
        symbol: "NIFTY".to_owned(),
        interval_minutes: 5,
        date: date(30),
        rows: vec![row(15, 252_475_500, "angel_one"), row(20, 252_515_500, "nse")],
    }
}

pub fn coverage() -> CoverageResponse {
    let row = |underlying: &str, contracts: u64, carried: u64, backfilled: u64, missing: u64| CoverageRow {
        underlying: underlying.to_owned(),
        contracts,
        live: contracts * 125 - carried - backfilled - missing,
        carried,
        backfilled,
        missing,
        pending: 0,
        unlisted: 0,
    };
    CoverageResponse {
        date: date(29),
        buckets: 125,
        rows: vec![row("BANKNIFTY", 512, 20_311, 0, 0), row("NIFTY", 736, 31_007, 1_472, 736)],
        never_listed: vec![],
        gaps: vec![CoverageGap {
            underlying: "NIFTY".to_owned(),
            contracts: 736,
            from: at(12, 3, 0),
            to: at(12, 6, 0),
        }],
    }
}

/// The daemon came up without yesterday's figures, and they came later; a contract was listed during the day.
pub fn open_interest_of_two_bases() -> OpenInterestResponse {
    let mut answer = open_interest();
    for row in &mut answer.rows[..2] {
        (row.open_interest_change, row.oi_base) = (None, None);
    }
    answer
}

pub fn coverage_of_a_listing() -> CoverageResponse {
    let mut answer = coverage();
    let row = &mut answer.rows[1];
    (row.live, row.missing, row.unlisted) = (row.live + row.missing - 82, 1, 81);
    answer.gaps[0].contracts = 1;
    answer
}

/// A day that is not over: of the last bucket that is, some rows are still to come.
pub fn coverage_of_a_running_day() -> CoverageResponse {
    let mut answer = coverage();
    answer.buckets = 9;
    for (row, pending) in answer.rows.iter_mut().zip([0, 736]) {
        let live = row.contracts * 9 - pending;
        *row = CoverageRow { live, carried: 0, backfilled: 0, missing: 0, pending, ..row.clone() };
    }
    answer.gaps.clear();
    answer
}

/// All that was listed is known, and an underlying was not listed.
pub fn coverage_of_what_was_never_listed() -> CoverageResponse {
    let mut answer = coverage();
    answer.rows.truncate(1);
    answer.gaps.clear();
    answer.never_listed = vec!["MIDCPNIFTY".to_owned()];
    answer
}

/// A session of which nothing was recorded.
pub fn coverage_of_nothing() -> CoverageResponse {
    let (live, carried, backfilled) = (0, 0, 0);
    let mut answer = coverage();
    for row in &mut answer.rows {
        *row = CoverageRow { live, carried, backfilled, missing: row.contracts * 125, ..row.clone() };
    }
    let gap = |row: &CoverageRow| CoverageGap {
        underlying: row.underlying.clone(),
        contracts: row.contracts,
        from: at(9, 15, 0),
        to: at(15, 30, 0),
    };
    answer.gaps = answer.rows.iter().map(gap).collect();
    answer
}

pub fn replay(equal: bool) -> ReplayVerifyResponse {
    let row = |what: &str, rows: u64, different: u64| ReplayRow {
        what: what.to_owned(),
        stored: rows,
        replayed: rows,
        different,
    };
    let different = u64::from(!equal);
    ReplayVerifyResponse {
        date: date(29),
        equal,
        judged_by: JudgedBy::Log,
        records: 1_843_298,
        rows: vec![row("buckets", 156_000, different), row("deltas", 2_310_455, 0), row("candles", 400, 0)],
        differences: if equal {
            Vec::new()
        } else {
            vec![
                "NIFTY 2026-02-03 25300 CE at 11:42: open interest stored 12345650, replayed 12345600"
                    .to_owned(),
            ]
        },
        losses: Vec::new(),
        set_aside: Vec::new(),
        took_ms: 8_420,
    }
}

/// A day whose log lost its first hours, and of which a clock that was ahead received some.
pub fn replay_of_a_lost_head() -> ReplayVerifyResponse {
    ReplayVerifyResponse {
        date: date(23),
        losses: vec![
            "the log of 2026-01-23 lacks its head: records up to 81204, whose rows had been written"
                .to_owned(),
        ],
        set_aside: vec![
            "312 records from 81300 on, received by a clock that was ahead, count for no day".to_owned(),
        ],
        ..replay(false)
    }
}

/// A day that an earlier version judged.
pub fn replay_of_other_rules() -> ReplayVerifyResponse {
    ReplayVerifyResponse { judged_by: JudgedBy::OtherVersion, date: date(27), ..replay(false) }
}

/// A day that an earlier version judged: it claimed what nothing proves.
pub fn rejudged() -> ReplayRejudgeResponse {
    let rows = |old_state, new_state, count, other_values, example: &str| RejudgedRows {
        old_state,
        new_state,
        count,
        other_values,
        examples: vec![example.to_owned()],
    };
    let example = "NIFTY 2026-02-03 25300 CE at 11:42: OI -, was 12345650";
    let later = "NIFTY 2026-02-03 25250 PE at 11:45: OI 8123500, was 8120000";
    ReplayRejudgeResponse {
        date: date(27),
        records: 1_843_298,
        judged_by: JudgedBy::OtherVersion,
        rules: vec![
            "watch list: NIFTY (2 expiries), BANKNIFTY (1 expiry); today NIFTY (all expiries)".to_owned(),
            "channel nse_chain: not declared; today lateness 160 s, longest gap 180 s".to_owned(),
        ],
        unchanged: 155_712,
        changes: vec![
            rows(Some(RowState::Live), Some(RowState::Live), 12, 12, later),
            rows(Some(RowState::Carried), Some(RowState::Missing), 276, 276, example),
        ],
        rows: vec![
            ReplayRow {
                what: "oi_delta_log".to_owned(),
                stored: 2_310_455,
                replayed: 2_310_451,
                different: 4,
            },
            ReplayRow { what: "gaps".to_owned(), stored: 3, replayed: 3, different: 0 },
        ],
        damages: Vec::new(),
    }
}

fn explained_row(state: RowState, values: Option<(i64, WallTime)>, revision: u32) -> ExplainRow {
    ExplainRow {
        state,
        open_interest: values.map(|(open_interest, _)| open_interest),
        last_price_e4: values.map(|_| 1_324_500),
        volume: values.map(|_| 8_104_525),
        provider: values.map(|_| "angel_one".to_owned()),
        event_time: values.map(|(_, time)| time),
        revision,
    }
}

fn logged(seq: u64, received_time: WallTime) -> LogRecord {
    LogRecord { seq, received_time }
}

fn said(open_interest: i64, volume: i64, event_time: WallTime, record: LogRecord) -> Option<ExplainSaid> {
    let (open_interest, volume) = (Some(open_interest), Some(volume));
    Some(ExplainSaid { open_interest, last_price_e4: Some(1_324_500), volume, event_time, record })
}

/// A row that was missing until the stream proved it late.
pub fn explanation() -> ExplainResponse {
    let values = Some((12_345_600, at(10, 44, 57)));
    let row = explained_row(RowState::Backfilled, values, 1);
    let record = logged(48_303, at(10, 50, 12));
    ExplainResponse {
        contract: "NIFTY 2026-02-03 25300 CE".to_owned(),
        date: date(30),
        bucket: at(10, 42, 0),
        end: at(10, 45, 0),
        statements: vec![
            ExplainStatement {
                record: logged(48_251, at(10, 49, 1)),
                row: explained_row(RowState::Missing, values, 0),
            },
            ExplainStatement { record, row: row.clone() },
        ],
        providers: vec![
            ExplainProvider {
                provider: "angel_one".to_owned(),
                recorded: true,
                proves: true,
                said: said(12_345_600, 8_104_525, at(10, 44, 57), logged(48_190, at(10, 44, 57))),
                witness: Some(ExplainWitness {
                    by: WitnessKind::Answer,
                    at: at(10, 50, 8),
                    with: None,
                    record,
                }),
                proved_until: Some(at(10, 50, 8)),
                contradicted: None,
            },
            ExplainProvider {
                provider: "nse".to_owned(),
                recorded: false,
                proves: false,
                said: said(12_340_000, 8_099_975, at(10, 44, 30), logged(48_188, at(10, 44, 41))),
                witness: None,
                proved_until: Some(at(10, 44, 30)),
                contradicted: Some(ExplainContradiction {
                    by: "angel_one".to_owned(),
                    open_interest: Some(12_345_600),
                    since: at(10, 31, 0),
                    decided: true,
                }),
            },
        ],
        known_until: Some(at(10, 50, 8)),
        gaps: vec![
            ExplainGap {
                provider: Some("angel_one".to_owned()),
                part: String::new(),
                from: at(10, 44, 58),
                to: Some(at(10, 50, 2)),
                reason: "the connection broke".to_owned(),
            },
            ExplainGap {
                provider: Some("nse".to_owned()),
                part: "NIFTY 2026-02-03".to_owned(),
                from: at(10, 44, 30),
                to: None,
                reason: "it is not answered".to_owned(),
            },
        ],
        judged_by: JudgedBy::Log,
        stored: Some(row),
        agreement: StoreAgreement::Equal,
        records: 1_843_298,
        damages: Vec::new(),
    }
}

/// A row of the stream's values, which nothing of the stream proves: the other provider's bodies bridge the bucket's end.
pub fn explanation_bridged() -> ExplainResponse {
    let mut answer = explanation();
    answer.statements.remove(0);
    answer.statements[0].row = explained_row(RowState::Live, Some((12_345_600, at(10, 44, 57))), 0);
    answer.stored = Some(answer.statements[0].row.clone());
    let [stream, site] = &mut answer.providers[..] else { panic!("two providers") };
    (stream.recorded, stream.proves, stream.witness) = (false, false, None);
    (site.recorded, site.contradicted) = (true, None);
    let record = logged(48_260, at(10, 46, 41));
    site.witness = Some(ExplainWitness { by: WitnessKind::NextBody, at: at(10, 46, 30), with: None, record });
    answer.gaps.clear();
    answer
}

/// A row that nothing proves, of a day that an earlier version judged.
pub fn explanation_of_nothing() -> ExplainResponse {
    let mut answer = explanation();
    answer.statements.truncate(1);
    answer.statements[0].row = explained_row(RowState::Missing, None, 0);
    answer.providers.remove(1);
    answer.providers[0].proves = false;
    (answer.providers[0].witness, answer.providers[0].proved_until) = (None, Some(at(10, 44, 58)));
    answer.known_until = Some(at(10, 44, 58));
    answer.gaps[0].part = "NIFTY 2026-02-03".to_owned();
    answer.judged_by = JudgedBy::OtherVersion;
    answer.stored = Some(explained_row(RowState::Carried, Some((12_345_600, at(10, 44, 57))), 0));
    answer.agreement = StoreAgreement::Different;
    answer.damages = vec!["a part of the log is lost: 7 bytes of 10.spool".to_owned()];
    answer
}

fn row(key: &str, value: Option<&str>, is_default: bool, effect: KeyEffect) -> ConfigurationRow {
    ConfigurationRow { key: key.to_owned(), value: value.map(str::to_owned), is_default, effect }
}

pub fn feed() -> FeedResponse {
    let actor = actors().actors.into_iter().find(|actor| actor.path == "feeds/nse");
    let feed = feeds().feeds.into_iter().find(|feed| feed.provider == "nse").expect("a sample");
    FeedResponse {
        feed,
        actor,
        settings: vec![
            row("feeds.nse.enabled", Some("true"), false, KeyEffect::RestartChild),
            row("feeds.nse.poll_interval_s", Some("30"), true, KeyEffect::RestartChild),
        ],
    }
}

const COUNTS_LATER: &str =
    "buckets.grace_s = 60: rows are judged with 5 until the next day's first record, also after the restart";

pub fn configuration() -> ConfigurationResponse {
    ConfigurationResponse {
        file: Some("/etc/bhavd/bhavd.toml".to_owned()),
        rows: vec![
            row("control.admins", Some("[1000]"), false, KeyEffect::Live),
            row("credentials.dir", None, true, KeyEffect::RestartChild),
            row("store.url", Some("\"postgres://…@db/bhavd\""), false, KeyEffect::RestartDaemon),
        ],
        notices: vec![COUNTS_LATER.to_owned()],
    }
}

pub fn reload(outcome: ReloadOutcome) -> ReloadResponse {
    let is_applied = outcome == ReloadOutcome::Applied;
    let change = |key: &str, running: Option<&str>, file: Option<&str>, effect| KeyChange {
        key: key.to_owned(),
        running: running.map(str::to_owned),
        file: file.map(str::to_owned),
        effect,
        is_applied: is_applied && effect != KeyEffect::RestartDaemon,
    };
    let is_refused = matches!(outcome, ReloadOutcome::Refused | ReloadOutcome::Restored);
    let problem =
        "/etc/bhavd/bhavd.toml:9: feeds.nse.poll_interval_s: found 0, allowed is 5 to 600".to_owned();
    ReloadResponse {
        file: "/etc/bhavd/bhavd.toml".to_owned(),
        outcome,
        changes: vec![
            change("log.level", Some("\"info\""), Some("\"debug\""), KeyEffect::Live),
            change("feeds.nse.poll_interval_s", Some("30"), Some("60"), KeyEffect::RestartChild),
            change("live.redis_url", None, Some("\"redis://127.0.0.1:6379\""), KeyEffect::RestartDaemon),
        ],
        problems: if is_refused { vec![problem] } else { Vec::new() },
        notices: if is_applied { vec![COUNTS_LATER.to_owned()] } else { Vec::new() },
    }
}

/// One answer to every request that has one.
fn run(job: &str, day: u32, attempt: u32, state: JobRunState, error: Option<&str>) -> JobRunRow {
    let ran = |second: i64| WallTime(at(16, 35, 0).0.plus_seconds(second - 86_400 * (30 - i64::from(day))));
    JobRunRow {
        job: job.to_owned(),
        session_date: date(day),
        attempt,
        state,
        started: ran(90 * i64::from(attempt)),
        ended: (state != JobRunState::Running).then(|| ran(90 * i64::from(attempt) + 14)),
        error: error.map(str::to_owned),
    }
}

const DIFFERS: &str =
    "the log of 2026-01-29 does not give what the store holds: 3 rows of oi_delta_log differ";

pub fn jobs() -> JobsResponse {
    let row = |job: &str, purpose: &str, state, next_due, last_run| JobRow {
        job: job.to_owned(),
        purpose: purpose.to_owned(),
        state,
        next_due,
        last_run,
    };
    let full = Some("no space left for the spool in /var/lib/bhavd/spool");
    let verified = run("verify", 29, 2, JobRunState::Faulty, Some(DIFFERS));
    JobsResponse {
        jobs: vec![
            row(
                "archive",
                "compresses ended hours of the log",
                JobState::WaitingForRetry,
                Some(at(16, 40, 0)),
                Some(run("archive", 30, 1, JobRunState::Failed, full)),
            ),
            row("retention", "removes days of the log", JobState::Idle, None, None),
            row(
                "verify",
                "replays the finished day's log",
                JobState::Idle,
                Some(at(16, 35, 0)),
                Some(verified),
            ),
        ],
    }
}

pub fn job_history() -> JobHistoryResponse {
    JobHistoryResponse {
        runs: vec![
            run("archive", 30, 1, JobRunState::Running, None),
            run("verify", 29, 2, JobRunState::Faulty, Some(DIFFERS)),
            run("verify", 29, 1, JobRunState::Interrupted, Some("a session was about to open")),
            run("retention", 28, 1, JobRunState::Done, Some("removed 2 days, 734003200 bytes")),
        ],
    }
}

pub fn responses() -> Vec<Response> {
    vec![
        Response::Status(status()),
        Response::Actors(actors()),
        Response::Feeds(feeds()),
        Response::Chain(chain()),
        Response::OpenInterest(open_interest()),
        Response::Deltas(deltas()),
        Response::Candles(candles()),
        Response::Coverage(coverage()),
        Response::ReplayVerify(replay(true)),
        Response::Explain(explanation()),
        Response::ReplayRejudge(rejudged()),
        Response::Feed(feed()),
        Response::EnableFeed(feed()),
        Response::DisableFeed(feed()),
        Response::ReconnectFeed(feed()),
        Response::Failover(FailoverResponse { choice: choice("nse", Some("nse")), is_applied: true }),
        Response::Configuration(configuration()),
        Response::CompareConfiguration(reload(ReloadOutcome::Compared)),
        Response::Reload(reload(ReloadOutcome::Applied)),
        Response::LogFilter(LogFilterResponse { filter: "info".to_owned(), configured: "info".to_owned() }),
        Response::SetLogFilter(LogFilterResponse {
            filter: "debug".to_owned(),
            configured: "info".to_owned(),
        }),
        // A process number that no process can have.
        Response::Drain(DrainResponse { pid: u32::MAX, within_s: 45 }),
        Response::Jobs(jobs()),
        Response::JobHistory(job_history()),
        Response::RunJob(RunJobResponse { job: jobs().jobs.remove(2) }),
    ]
}

pub fn updates() -> Vec<Update> {
    vec![
        Update::Delta {
            contract: "NIFTY 2026-02-03 25300 CE".to_owned(),
            event_time: at(11, 44, 8),
            old_open_interest: 12_340_125,
            new_open_interest: 12_345_650,
            delta: 5_525,
            last_price_e4: Some(1_103_500),
            provider: "angel_one".to_owned(),
        },
        Update::Delta {
            contract: "BANKNIFTY 2026-02-24 59500 PE".to_owned(),
            event_time: WallTime(at(11, 44, 8).0.plus_us(250_000)),
            old_open_interest: 812_030,
            new_open_interest: 811_930,
            delta: -100,
            last_price_e4: None,
            provider: "nse".to_owned(),
        },
        Update::Bucket {
            underlying: "NIFTY".to_owned(),
            bucket: at(11, 42, 0),
            level_e4: Some(252_789_000),
            call_open_interest: 412_345_650,
            put_open_interest: 390_118_200,
            live: 540,
            carried: 196,
            missing: 0,
        },
        Update::Feed {
            time: at(11, 44, 9),
            provider: "nse".to_owned(),
            state: "backing off".to_owned(),
            reason: "option-chain-v3 answered 401".to_owned(),
        },
        Update::Feed {
            time: at(11, 44, 39),
            provider: "nse".to_owned(),
            state: "up".to_owned(),
            reason: String::new(),
        },
        Update::Lost { count: 1_200 },
    ]
}
