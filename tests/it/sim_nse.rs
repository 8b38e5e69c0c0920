//! The simulated NSE website.

use super::{
    sim_angel_one::{fast, http, played, recorded_day},
    test_data::{find, unzip},
};
use bhavd::{market::Timestamp, sim::*, wire::nse::*};
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::PathBuf,
};

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64)";

struct Site {
    http: reqwest::Client,
    root: String,
    cookie: String,
}

impl Site {
    async fn enter(simulator: &RunningSimulator) -> Site {
        let (http, root) = (http(), simulator.nse_url().expect("NSE"));
        let page = http.get(format!("{root}/option-chain")).header("user-agent", BROWSER);
        let page = page.send().await.expect("a page");
        let cookie = page.headers()["set-cookie"].to_str().expect("text");
        let cookie = cookie.split(';').next().expect("a cookie").to_owned();
        Site { http, root, cookie }
    }

    async fn get(&self, path: &str) -> Vec<u8> {
        let (status, body) = self.try_get(path).await;
        assert_eq!(status, 200, "{path}");
        body
    }

    async fn try_get(&self, path: &str) -> (u16, Vec<u8>) {
        let request = self.http.get(format!("{}{path}", self.root)).header("user-agent", BROWSER);
        let reply = request.header("cookie", &self.cookie).send().await.expect("a reply");
        (reply.status().as_u16(), reply.bytes().await.expect("a body").to_vec())
    }
}

#[tokio::test]
async fn a_recorded_day_is_told_in_lots() {
    let Some(source) = recorded_day() else { return };
    let simulator = Simulator::start(fast(source)).expect("a simulator");
    let site = Site::enter(&simulator).await;
    played(&simulator).await;
    let info =
        decode_contracts(&site.get("/api/option-chain-contract-info?symbol=NIFTY").await).expect("info");
    assert_eq!((info.expiries.len(), info.strikes.len()), (1, 97));
    let expiry = format_expiry(info.expiries[0]);
    let v3 = site.get(&format!("/api/option-chain-v3?type=Indices&symbol=NIFTY&expiry={expiry}")).await;
    let older = site.get("/api/option-chain-indices?symbol=NIFTY").await;
    let (v3, older) = (decode_chain(&v3).expect("a chain"), decode_chain(&older).expect("a chain"));
    assert_eq!(v3.legs, older.legs);
    assert_eq!(v3.timestamp.to_string(), "2026-01-30 15:56:12 IST");
    assert_eq!(v3.legs.len(), 2 * 97);
    let market = simulator.market();
    for leg in &v3.legs {
        let slot = market.slot_of(&leg.contract()).expect("listed");
        let events = market.events_of(slot);
        let event = |position: Option<&u32>| &market.events()[*position.expect("an event") as usize];
        let (first, last) = (event(events.first()), event(events.last()));
        let quote = leg.quote(65, v3.timestamp).expect("whole units");
        assert_eq!((quote.open_interest, quote.volume), (last.open_interest(), last.volume()));
        assert_eq!(quote.last_price.value(), last.last_price());
        let change =
            units_from_lots(leg.open_interest_change_lots.expect("a change"), 65).expect("whole units");
        assert_eq!(quote.open_interest.map(|units| units - change), first.open_interest());
    }
    let midcap =
        decode_chain(&site.get("/api/option-chain-indices?symbol=MIDCPNIFTY").await).expect("a chain");
    assert_eq!(midcap.underlying_value, None, "the recording has no level of it");
    let lots = decode_lots(&site.get("/content/fo/fo_mktlots.csv").await).expect("lots");
    assert_eq!(lots.lot_size("NIFTY", info.expiries[0]), Some(65));
    for nothing in [
        "/api/option-chain-indices?symbol=NOSUCH",
        "/api/option-chain-equities?symbol=NIFTY",
        "/api/option-chain-v3?type=Equity&symbol=NIFTY&expiry=03-Feb-2026",
        "/api/option-chain-v3?type=Indices&symbol=NIFTY&expiry=04-Feb-2026",
        "/api/option-chain-v3?type=Indices&symbol=NIFTY",
    ] {
        assert_eq!(site.get(nothing).await, b"{}", "{nothing}");
    }
    simulator.stop();
}

#[tokio::test]
async fn cookies_are_wanted_and_an_empty_morning_is_empty() {
    let synthetic = MarketSource::Synthetic(SyntheticMarket { duration_s: 60, ..SyntheticMarket::default() });
    let simulator = Simulator::start(SimulatorOptions::new(synthetic)).expect("a simulator");
    let site = Site::enter(&simulator).await;
    let path = "/api/option-chain-indices?symbol=NIFTY";
    assert_eq!(site.get(path).await, b"{}", "nothing is captured yet");
    let status = decode_status(&site.get("/api/marketStatus").await).expect("a status");
    assert!(
        !status.markets.is_empty() && status.markets.iter().all(|market| !market.is_open()),
        "{status:?}"
    );
    let stranger = Site { cookie: "nsit=guess".to_owned(), http: http(), root: site.root.clone() };
    assert_eq!(stranger.try_get(path).await.0, 403);
    simulator.set_faults(Faults { drop_all: true, ..Faults::default() });
    assert_eq!(site.try_get(path).await.0, 403, "old cookies are forgotten");
    let site = Site::enter(&simulator).await;
    assert_eq!(site.try_get(path).await.0, 200);
    let change = site.http.post(format!("{}/sim/faults", site.root)).body(r#"{"too_many_requests":true}"#);
    let change = change.header("content-type", "application/json").send().await.expect("a reply");
    assert_eq!(change.status(), 200);
    assert_eq!(site.try_get(path).await.0, 429);
    let clock = site.http.get(format!("{}/sim/clock", site.root)).send().await.expect("a reply");
    let clock: serde_json::Value =
        serde_json::from_slice(&clock.bytes().await.expect("a body")).expect("JSON");
    let simulation = simulator.simulation();
    assert_eq!(clock["start_us"], simulation.start.as_us());
    assert_eq!(clock["real_start_us"], simulation.real_start.as_us());
    assert_eq!(clock["start"], "2026-01-30T09:00:00.000000+05:30");
    assert_eq!(clock["speed"], 1.0);
    simulator.stop();
}

/// A simulator whose clock shows `start` and stands almost still.
fn at(bodies: PathBuf, start: Timestamp) -> RunningSimulator {
    let nse = NseOptions { bodies: vec![bodies], ..NseOptions::default() };
    Simulator::start(SimulatorOptions {
        nse: Some(nse),
        angel_one: None,
        start: Some(start),
        speed: 0.001,
        ..SimulatorOptions::new(MarketSource::BodiesOnly)
    })
    .expect("a simulator")
}

#[tokio::test]
async fn recorded_bodies_are_served_byte_for_byte_from_their_receipt_on() {
    let Some(directory) = find("nse_option_chain/nifty_2025-10-15") else { return };
    let mut files: HashMap<String, PathBuf> = HashMap::new();
    for entry in fs::read_dir(&directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        files.insert(name[3..9].to_owned(), path);
    }
    for (shown, expected) in
        [("092647", None), ("092648", Some("092648")), ("121500", Some("112631")), ("235900", Some("233053"))]
    {
        let date = "2025-10-15".parse().expect("a date");
        let time = chrono::NaiveTime::parse_from_str(shown, "%H%M%S").expect("a time");
        let simulator = at(directory.clone(), Timestamp::on(date, time));
        let site = Site::enter(&simulator).await;
        let body = site.get("/api/option-chain-indices?symbol=NIFTY").await;
        let expected = expected.map_or_else(|| b"{}".to_vec(), |name| unzip(&files[name]));
        assert!(body == expected, "at {shown}: {} bytes instead of {}", body.len(), expected.len());
        let lots = decode_lots(&site.get("/content/fo/fo_mktlots.csv").await).expect("lots");
        let expiry = "2025-10-20".parse().expect("a date");
        assert_eq!(lots.lot_size("NIFTY", expiry), Some(75));
        simulator.stop();
    }
}

#[tokio::test]
async fn wrapped_bodies_are_served_without_their_wrapping() {
    let Some(directory) = find("nse_option_chain/nifty_v3_2026-06-19") else { return };
    let date = "2026-06-19".parse().expect("a date");
    let time = chrono::NaiveTime::from_hms_opt(17, 38, 0).expect("a time");
    let wrapped = unzip(&directory.join("cap120723UTC_0186afd.json.gz"));
    let simulator = at(directory, Timestamp::on(date, time));
    let site = Site::enter(&simulator).await;
    let info =
        decode_contracts(&site.get("/api/option-chain-contract-info?symbol=NIFTY").await).expect("info");
    let expiry = format_expiry(info.expiries[0]);
    let body = site.get(&format!("/api/option-chain-v3?type=Indices&symbol=NIFTY&expiry={expiry}")).await;
    assert!(body.len() > 10_000, "{} bytes", body.len());
    let found = wrapped.windows(body.len()).position(|window| window == body);
    assert!(found.is_some(), "the body is a part of the recorded file, character for character");
    assert_eq!(decode_chain(&body).expect("a chain").legs.len(), 206);
    simulator.stop();
}

/// A synthetic market whose clock stands almost still `seconds` after it opens.
fn standing(
    market: SyntheticMarket,
    seconds: i64,
    change: impl FnOnce(&mut SimulatorOptions),
) -> RunningSimulator {
    let start = Timestamp::on(market.date, market.opens).plus_seconds(seconds);
    let mut options = SimulatorOptions {
        start: Some(start),
        speed: 1e-6,
        angel_one: None,
        ..SimulatorOptions::new(MarketSource::Synthetic(market))
    };
    change(&mut options);
    Simulator::start(options).expect("a simulator")
}

const NEAR: &str = "/api/option-chain-v3?type=Indices&symbol=NIFTY&expiry=03-Feb-2026";
const NEXT: &str = "/api/option-chain-v3?type=Indices&symbol=NIFTY&expiry=10-Feb-2026";
const BANK: &str = "/api/option-chain-v3?type=Indices&symbol=BANKNIFTY&expiry=03-Feb-2026";

#[tokio::test]
async fn the_site_rebuilds_its_chains_though_nothing_trades_and_may_lag() {
    let quiet = SyntheticMarket { duration_s: 60, strikes: 10, ..SyntheticMarket::default() };
    for (seconds, delay, stamp) in [
        (600, "0", "2026-01-30 09:24:44 IST"),
        (614, "0", "2026-01-30 09:25:14 IST"),
        (614, "45", "2026-01-30 09:24:14 IST"),
        // An hour after the close.
        (26_100, "49-159", "2026-01-30 15:30:00 IST"),
    ] {
        let simulator = standing(quiet.clone(), seconds, |options| {
            options.nse.as_mut().expect("NSE").delay = delay.parse().expect("a delay");
        });
        let site = Site::enter(&simulator).await;
        for path in [NEAR, BANK, "/api/option-chain-indices?symbol=MIDCPNIFTY"] {
            let chain = decode_chain(&site.get(path).await).expect("a chain");
            assert_eq!(chain.timestamp.to_string(), stamp, "{path}");
        }
        simulator.stop();
    }
}

#[tokio::test]
async fn chains_have_what_real_ones_have() {
    let market = SyntheticMarket { duration_s: 300, strikes: 40, expiries: 6, ..SyntheticMarket::default() };
    let march = LotMonth { year: 2026, month: 3 };
    for (unlisted_side, part) in
        [(UnlistedSide::Empty, "\"CE\":{}"), (UnlistedSide::Zeros, "\"underlying\":null")]
    {
        let simulator = standing(market.clone(), 300, |options| {
            options.nse.as_mut().expect("NSE").unlisted_side = unlisted_side;
            options.lots.set("NIFTY", Some(march), 75);
            options.irregularities = Irregularities {
                seed: 9,
                one_sided_percent: 20,
                fractional_percent: 10,
                withdrawn_percent: 10,
                implied_volatility_percent: 50,
            };
        });
        let site = Site::enter(&simulator).await;
        let lots = decode_lots(&site.get("/content/fo/fo_mktlots.csv").await).expect("lots");
        let v3 = site.get(NEAR).await;
        assert!(String::from_utf8_lossy(&v3).contains(part), "{unlisted_side}");
        let near = decode_chain(&v3).expect("a chain");
        let all = decode_chain(&site.get("/api/option-chain-indices?symbol=NIFTY").await).expect("a chain");
        assert!(near.malformed.is_empty() && all.malformed.is_empty());
        assert!(near.legs.iter().all(|leg| all.legs.contains(leg)));
        let (mut fractional, mut by_lot, mut withdrawn, mut with_volatility) = (0, HashMap::new(), 0, 0);
        for leg in &all.legs {
            let lot_size = lots.lot_size("NIFTY", leg.expiry).expect("a lot size");
            let slot = simulator.market().slot_of(&leg.contract()).expect("listed");
            assert_eq!(simulator.market().contracts()[slot].lot_size, lot_size);
            let quote = leg.quote(lot_size, all.timestamp).expect("whole units");
            assert_eq!(quote.open_interest, simulator.playback().state().slot(slot).open_interest());
            fractional += usize::from(leg.open_interest_lots.expect("open interest").fract() != 0.0);
            *by_lot.entry(lot_size).or_insert(0) += 1;
            withdrawn += usize::from(quote.bid.value().is_none() || quote.ask.value().is_none());
            with_volatility += usize::from(quote.implied_volatility_e4.value().is_some());
        }
        let count = all.legs.len();
        assert!(by_lot.len() == 2 && by_lot.values().all(|legs| *legs > 50), "{by_lot:?}");
        for (found, percent) in [(fractional, 10), (withdrawn, 10)] {
            assert!((found * 100 / count).abs_diff(percent) < 6, "{found} of {count}");
        }
        assert!(
            with_volatility > count / 5 && with_volatility < count * 3 / 5,
            "{with_volatility} of {count}"
        );
        simulator.stop();
    }
}

#[tokio::test]
async fn chains_are_spoilt_as_the_faults_say() {
    let market = SyntheticMarket { duration_s: 120, strikes: 10, expiries: 2, ..SyntheticMarket::default() };
    let simulator = standing(market, 60, |_| ());
    let site = Site::enter(&simulator).await;
    let set = async |faults: &str| {
        let change = site.http.post(format!("{}/sim/faults", site.root)).body(faults.to_owned());
        change.header("content-type", "application/json").send().await.expect("a reply").status().as_u16()
    };
    let chain = async |path: &str| decode_chain(&site.get(path).await).expect("a chain");
    let whole = chain(NEAR).await;
    let (first, last) = (whole.legs[0].contract(), whole.legs[whole.legs.len() - 1].contract());

    assert_eq!(set(&format!(r#"{{"omit":["{first}"],"bad_leg":["{last}"]}}"#)).await, 200);
    let spoilt = chain(NEAR).await;
    assert_eq!(spoilt.legs, whole.legs[1..whole.legs.len() - 1]);
    assert_eq!(spoilt.malformed.len(), 1, "{:?}", spoilt.malformed);
    assert!(chain(NEXT).await.malformed.is_empty());

    assert_eq!(set(r#"{"omit":[],"bad_leg":[],"empty_chain":["NIFTY 2026-02-03"]}"#).await, 200);
    let empty = chain(NEAR).await;
    assert_eq!((empty.legs.len(), empty.timestamp), (0, whole.timestamp));
    assert!(!chain(NEXT).await.legs.is_empty() && !chain(BANK).await.legs.is_empty());
    assert!(!chain("/api/option-chain-indices?symbol=NIFTY").await.legs.is_empty(), "another chain");

    let wrong =
        r#"{"empty_chain":[],"wrong_chain":{"NIFTY 2026-02-03":"NIFTY 2026-02-10","NIFTY":"BANKNIFTY"}}"#;
    assert_eq!(set(wrong).await, 200);
    let (near, next) = (chain(NEAR).await, chain(NEXT).await);
    let older = chain("/api/option-chain-indices?symbol=NIFTY").await;
    assert_eq!(set(r#"{"wrong_chain":{}}"#).await, 200);
    assert_eq!(next, chain("/api/option-chain-v3?type=Indices&symbol=BANKNIFTY&expiry=10-Feb-2026").await);
    assert_eq!(older, chain("/api/option-chain-indices?symbol=BANKNIFTY").await);
    assert_eq!(near, chain(NEXT).await, "a chain goes before its symbol");

    for wrong in [r#"{"omit":["NIFTY"]}"#, r#"{"explode":true}"#, r#"{"broken_chains":{"NIFTY":"gone"}}"#] {
        assert_eq!(set(wrong).await, 422, "{wrong}");
    }
    simulator.stop();
}

#[tokio::test]
async fn a_stale_chain_stands_still_while_others_move_on() {
    let market = SyntheticMarket { duration_s: 3_600, strikes: 10, ..SyntheticMarket::default() };
    let start = Timestamp::on(market.date, market.opens).plus_seconds(60);
    let simulator = Simulator::start(SimulatorOptions {
        start: Some(start),
        speed: 20.0,
        angel_one: None,
        ..SimulatorOptions::new(MarketSource::Synthetic(market))
    })
    .expect("a simulator");
    let site = Site::enter(&simulator).await;
    let before = site.get(NEAR).await;
    let stale = BTreeSet::from(["NIFTY".parse().expect("a chain")]);
    simulator.set_faults(Faults { stale_stamp: stale, ..Faults::default() });
    let later = simulator.clock().now().plus_seconds(10);
    while simulator.clock().now() < later {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let stamp = async |path: &str| decode_chain(&site.get(path).await).expect("a chain").timestamp;
    assert_eq!(site.get(NEAR).await, before);
    assert!(stamp(BANK).await > later.plus_seconds(-10));
    simulator.set_faults(Faults::default());
    assert!(stamp(NEAR).await > later.plus_seconds(-10));
    simulator.stop();
}
