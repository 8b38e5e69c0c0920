//! Angel One's official Python client talks to the simulator: what it decodes is what was recorded.

use super::sim_angel_one::{played, recorded_day};
use bhavd::{
    market::{Price, Timestamp},
    sim::*,
};
use chrono::NaiveTime;
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Output},
};

const TOKENS: usize = 400;

/// The interpreter of clients that are not ours, or `None` with the reason printed.
pub fn python() -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/python-env.sh");
    let output = Command::new(script).output();
    match output {
        Ok(Output { status, stdout, .. }) if status.success() => {
            Some(String::from_utf8(stdout).expect("a path").trim().to_owned())
        }
        Ok(output) => {
            crate::skip::tell!("{}", String::from_utf8_lossy(&output.stderr).trim());
            None
        }
        Err(error) => {
            crate::skip::tell!("scripts/python-env.sh cannot run: {error}");
            None
        }
    }
}

#[tokio::test]
async fn the_official_client_reads_what_was_recorded() {
    let Some(source) = recorded_day() else { return };
    let Some(python) = python() else { return };
    // The clock begins when the day is over and runs in real time, so that one-time passwords hold.
    let date = "2026-01-30".parse().expect("a date");
    let evening = NaiveTime::from_hms_opt(18, 0, 0).expect("a time");
    let options = SimulatorOptions::new(source);
    let simulator =
        Simulator::start(SimulatorOptions { start: Some(Timestamp::on(date, evening)), ..options });
    let simulator = simulator.expect("a simulator");
    played(&simulator).await;
    let market = simulator.market();
    let options = market.contracts().iter().filter(|listed| listed.contract.is_option()).take(TOKENS);
    let tokens: Vec<String> = options.map(|listed| listed.token.token.to_string()).collect();
    let credentials = Credentials::default();
    let now_s = simulator.clock().now().as_us() / 1_000_000;
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_clients/client.py");
    let output = Command::new(python)
        .arg(client)
        .arg(simulator.angel_one_url().expect("Angel One"))
        .arg(simulator.angel_one_stream_url().expect("Angel One"))
        .arg(now_s.to_string())
        .args([credentials.client_code, credentials.mpin, credentials.totp_secret, credentials.api_key])
        .args(["20", &tokens.join(",")])
        .current_dir(std::env::temp_dir())
        .output()
        .expect("python runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the client failed: {errors}");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["ticks"].as_object().map(|ticks| ticks.len()), Some(TOKENS), "{}", answer["errors"]);
    let evening_ms = simulator.simulation().start.as_ms();
    let state = simulator.playback().state();
    let compare = |what: &str, found: &Value, expected: i64| {
        assert_eq!(found.as_i64(), Some(expected), "{what}");
    };
    for (slot, listed) in market.contracts().iter().enumerate() {
        let Some(tick) = answer["ticks"].get(listed.token.token.to_string()) else { continue };
        let values = state.slot(slot);
        let price = values.last_price().expect("a price").as_paise();
        let [open, high, low] = values.open_high_low().map(Price::as_paise);
        let name = listed.contract.to_string();
        compare(&name, &tick["last_traded_price"], price);
        compare(&name, &tick["open_interest"], values.open_interest().expect("open interest"));
        compare(&name, &tick["volume_trade_for_the_day"], values.volume().expect("volume"));
        // The state on subscribing is stamped with that moment.
        let stamp = tick["exchange_timestamp"].as_i64().expect("a number");
        assert!((evening_ms..=simulator.clock().now().as_ms()).contains(&stamp), "{name}: {stamp}");
        compare(&name, &tick["last_traded_timestamp"], values.event_time().as_ms() / 1_000);
        compare(&name, &tick["open_price_of_the_day"], open);
        compare(&name, &tick["high_price_of_the_day"], high);
        compare(&name, &tick["low_price_of_the_day"], low);
        compare(&name, &tick["sequence_number"], values.sequence());
        assert_eq!(tick["subscription_mode_val"], "SNAP_QUOTE");
        if price > 5 {
            compare(&name, &tick["best_5_buy_data"][0]["price"], price - 5);
            compare(&name, &tick["best_5_sell_data"][0]["price"], price + 5);
        }
    }
    let fetched = answer["quotes"]["data"]["fetched"].as_array().expect("quotes");
    assert_eq!(fetched.len(), 50);
    for row in fetched {
        let token = row["symbolToken"].as_str().expect("a token").parse::<u32>().expect("digits");
        let slot = market.contracts().iter().position(|listed| listed.token.token == token).expect("listed");
        let values = state.slot(slot);
        assert_eq!(row["ltp"].as_f64(), values.last_price().map(Price::as_rupees));
        compare("open interest", &row["opnInterest"], values.open_interest().expect("open interest"));
        compare("volume", &row["tradeVolume"], values.volume().expect("volume"));
    }
    drop(state);
    simulator.stop();
}
