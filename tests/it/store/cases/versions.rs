//! Stores of other births, of other versions and of none.

use super::*;

pub async fn a_store_stays_what_it_was_born_as(place: &Place) {
    drop(place.open().await);
    let error = store::open(&place.url, Birth::Simulated).await.err().expect("is refused");
    assert_eq!(error.class(), ErrorClass::Configuration);
    let text = error.to_string();
    for part in ["was born real", "opened as simulated", "store of its own"] {
        assert!(text.contains(part), "{text}");
    }
    let name = store::Address::parse(&place.url).expect("an address").to_string();
    assert!(text.contains(&name), "{text}");
    drop(place.open().await);
    assert_eq!(Reader::open(&place.url).await.expect("opens").birth().await, Ok(Birth::Real));
}

pub async fn a_reader_needs_a_store(place: &Place) {
    let error = Reader::open(&place.url).await.err().expect("nothing was made there");
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
    assert!(error.to_string().contains("start bhavd once"), "{error}");
    place.execute("CREATE TABLE notes (text TEXT)").await;
    let error = Reader::open(&place.url).await.err().expect("a database, but no store");
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
}

pub async fn a_store_of_a_later_version_is_refused(place: &Place) {
    drop(place.open().await);
    place.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')").await;
    let error = store::open(&place.url, Birth::Real).await.err().expect("is refused");
    assert!(matches!(error, StoreError::Later { .. }), "{error:?}");
    assert_eq!(error.class(), ErrorClass::Configuration);
}

/// The schema as the first released version left it.
const FIRST_VERSION: &str = "20260101000000";

pub async fn a_store_of_the_first_version_is_brought_up_to_date(place: &Place) {
    place.execute(migrations(place).0[0]).await;
    let versions = format!(
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
         run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP); \
         INSERT INTO __diesel_schema_migrations (version) VALUES ('{FIRST_VERSION}'); \
         INSERT INTO store_identity (id, birth) VALUES (1, 'real'); \
         INSERT INTO checkpoints (session_date, spool_seq) VALUES ('2026-01-29', 41); \
         INSERT INTO gaps (from_time, provider, to_time, reason) VALUES (1, 0, 2, 'kept');"
    );
    place.execute(&versions).await;
    let done = job_run("verify", day(29), 1, RunState::Done);
    let (store, reader) = place.with(&[Batch::of_job_run(done.clone())]).await;
    let checkpoint = reader.checkpoint().await.expect("readable").expect("written");
    assert_eq!((checkpoint.spool_seq, checkpoint.session_date), (41, day(29)));
    let (_, gaps) = place.select("SELECT reason FROM gaps").await;
    assert_eq!(gaps, [texts(&["kept"])]);
    assert_eq!(reader.job_runs(&JobRunFilter::default(), 10).await.expect("readable"), [done]);
    drop((store, reader));
    let (_, versions) = place.select("SELECT version FROM __diesel_schema_migrations ORDER BY version").await;
    assert_eq!(
        versions,
        [FIRST_VERSION, "20260102000000", "20260103000000", "20260104000000", "20260105000000"]
            .map(|version| texts(&[version]))
    );
    place.open().await;
}

macro_rules! migrations_of {
    ($database:literal) => {
        (
            [
                include_str!(concat!(
                    "../../../../migrations/",
                    $database,
                    "/2026-01-01-000000_record/up.sql"
                )),
                include_str!(concat!(
                    "../../../../migrations/",
                    $database,
                    "/2026-01-02-000000_gap_parts/up.sql"
                )),
                include_str!(concat!(
                    "../../../../migrations/",
                    $database,
                    "/2026-01-03-000000_job_runs/up.sql"
                )),
            ],
            include_str!(concat!(
                "../../../../migrations/",
                $database,
                "/2026-01-04-000000_evidence/down.sql"
            )),
        )
    };
}

/// The statements that make a store of the version before the evidence, and those that lead back to it.
fn migrations(place: &Place) -> ([&'static str; 3], &'static str) {
    match place.url.starts_with("sqlite:") {
        true => migrations_of!("sqlite"),
        false => migrations_of!("postgres"),
    }
}

pub async fn a_store_of_before_the_evidence_keeps_its_rows(place: &Place) {
    for schema in migrations(place).0 {
        place.execute(schema).await;
    }
    let [nine_fifteen, nine_eighteen, close] =
        [at(9, 15, 0), at(9, 18, 0), at(15, 30, 0)].map(|instant| instant.as_us());
    let rows = format!(
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
         run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP); \
         INSERT INTO __diesel_schema_migrations (version) VALUES \
         ('20260101000000'), ('20260102000000'), ('20260103000000'); \
         INSERT INTO store_identity (id, birth) VALUES (1, 'real'); \
         INSERT INTO providers (code, name) VALUES (1, 'angel_one'), (2, 'nse'); \
         INSERT INTO bucket_states (code, name) VALUES (1, 'live'), (2, 'carried'), (3, 'backfilled'), (4, 'missing'); \
         INSERT INTO checkpoints (session_date, spool_seq) VALUES ('2026-01-30', 41); \
         INSERT INTO instruments VALUES \
         (1, 'NSE', 'NIFTY', 'NIFTY', 'index', NULL, NULL, NULL, 1, 500, '2026-01-30', '2026-01-30'), \
         (2, 'NSE', 'NIFTY 2026-02-03 25000 CE', 'NIFTY', 'option', '2026-02-03', 250000000, 'CE', 65, 500, \
          '2026-01-30', '2026-01-30'); \
         INSERT INTO intraday_option_oi VALUES \
         ({nine_fifteen}, 2, 65000, 64000, 1234500, 2600, 1234000, 1235000, 123400, 1, 1, {nine_fifteen}, {nine_fifteen}, 0), \
         ({nine_eighteen}, 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 4, NULL, NULL, NULL, 1); \
         INSERT INTO price_history_intraday \
         (instrument, interval_minutes, start, open_e4, high_e4, low_e4, close_e4, volume, provider, revision) VALUES \
         (1, 3, {nine_fifteen}, 252789000, 252800500, 252700000, 252750000, 12345, 1, 0), \
         (1, 3, {nine_eighteen}, 252789000, 252800500, 252700000, 252750000, 12345, 1, 0); \
         INSERT INTO price_history_daily \
         (instrument, date, start, open_e4, high_e4, low_e4, close_e4, volume, provider, revision) VALUES \
         (1, '2026-01-30', {nine_fifteen}, 252789000, 252800500, 252700000, 252750000, 12345, 1, 0); \
         INSERT INTO daily_option_oi (trading_date, instrument, oi, ltp_e4, volume, provider, event_time) VALUES \
         ('2026-01-30', 2, 65065, 1000000, 650, 2, {close}); \
         INSERT INTO coverage VALUES (2, {nine_fifteen}, {nine_fifteen}, 1, 1), (2, {nine_eighteen}, {nine_eighteen}, 4, NULL); \
         INSERT INTO gaps (from_time, provider, part, to_time, reason) VALUES \
         ({nine_eighteen}, 0, '', {nine_eighteen}, 'kept');"
    );
    place.execute(&rows).await;
    let view = "SELECT * FROM option_snapshots ORDER BY time_ist";
    let (old_names, old_rows) = place.select(view).await;
    assert_eq!(old_rows.len(), 2);

    let (mut store, reader) = place.with(&[]).await;
    let (names, rows) = place.select(view).await;
    assert_eq!(names[..old_names.len()], old_names, "columns keep their names and their order");
    let added = &names[old_names.len()..];
    assert_eq!(added.join(" "), "index_state ce_oi_base pe_oi_base ce_bid ce_ask ce_iv pe_bid pe_ask pe_iv");
    let kept: Vec<_> = rows.iter().map(|row| row[..old_names.len()].to_vec()).collect();
    assert_eq!(kept, old_rows, "the index is shown as before");
    let nothing = ["NULL"; 3];
    let new = [[nothing, ["123.4", "123.5", "12.34"], nothing], [nothing; 3]];
    for (row, new) in rows.iter().zip(new) {
        assert_eq!(row[old_names.len()..], texts(&new.concat()));
    }
    let history = reader.oi_history(&option(250_000_000, OptionType::Call), date()).await.expect("a history");
    let live = BucketRow {
        oi_base: None,
        event_time: Some(at(9, 15, 0)),
        received_time: Some(at(9, 15, 0)),
        ..bucket_row(bucket(9, 15), CALL, 65_000)
    };
    assert_eq!((history.len(), history[0], history[1].revision), (2, live, 1));
    let first_candle = candle(INDEX, CandleInterval::ThreeMinutes, at(9, 15, 0));
    let candles = reader.candles("NIFTY", CandleInterval::ThreeMinutes, date()).await.expect("candles");
    assert_eq!((candles.len(), candles[0]), (2, first_candle));
    let dump = reader.dump_day(date()).await.expect("a dump");
    let counts = dump.iter().map(|(table, lines)| format!("{table} {}", lines.len())).collect::<Vec<_>>();
    let expected = "coverage 2, daily_option_oi 1, gaps 1, instruments 2, intraday_option_oi 2, \
        price_history_daily 1, price_history_intraday 2";
    assert_eq!(counts.join(", "), expected);
    let close =
        format!("2026-01-30|NSE:NIFTY 2026-02-03 25000 CE|65065|1000000|650|2|{close}|||||provisional||");
    assert_eq!(dump["daily_option_oi"], [close], "last_state and missing_buckets are not known");

    // What is written from now on has its evidence, and what was written before can be written again.
    store.append(&batch()).await.expect("is written");
    let history = reader.oi_history(&option(250_000_000, OptionType::Call), date()).await.expect("a history");
    assert_eq!((history[0].oi_base, history[1].revision), (Some(OiBase::Provider), 1));
    let (_, states) = place.select("SELECT last_state FROM daily_option_oi ORDER BY instrument").await;
    assert_eq!(states, [texts(&["1"]), texts(&["1"])]);
}

pub async fn the_evidence_can_be_taken_back(place: &Place) {
    drop(place.with(&[batch()]).await);
    let view = "SELECT * FROM option_snapshots ORDER BY time_ist, strike";
    let (names, rows) = place.select(view).await;
    let (_, back) = migrations(place);
    place.execute(back).await;
    let (old_names, old_rows) = place.select(view).await;
    assert_eq!(names[..old_names.len()], old_names);
    let kept: Vec<_> = rows.iter().map(|row| row[..old_names.len()].to_vec()).collect();
    assert_eq!(kept, old_rows);
    place.execute("DELETE FROM __diesel_schema_migrations WHERE version = '20260104000000'").await;
    place.with(&[batch()]).await;
    assert_eq!(place.select(view).await, (names, rows));
}
