//! What a person reads who wrote a wrong configuration.

use crate::golden;
use bhavd::config::Config;

fn check(name: &str, text: &str) {
    let error = Config::parse(text, "bhavd.toml", None).expect_err("a wrong configuration");
    golden::check(&format!("config/{name}.txt"), &format!("{error}\n"));
}

const SMALLEST: &str = "[[watch]]\nunderlying = \"NIFTY\"\n[feeds.nse]\nenabled = true\n";

#[test]
fn an_empty_file() {
    check("empty", "");
}

#[test]
fn a_syntax_error() {
    check("syntax", "[store]\nurl = \"sqlite:/tmp/x\nfoo = 1\n");
    check("twice", "[store]\nurl = \"sqlite:/a\"\nurl = \"sqlite:/b\"\n");
}

#[test]
fn every_problem_of_a_file_at_once() {
    check(
        "many",
        r#"
telemetry = true

[store]
url = "mysql://localhost/bhavd"

[spool]
dir = ""
directory = "/tmp"

[control]
socket = 7
admins = ["root", 0]

[dbus]
enabled = 1
address = "tcp:host=127.0.0.1"

[[watch]]
underlying = "nifty"
expiries = 101

[[watch]]
underlying = "NIFTY"

[[watch]]
underlying = "NIFTY"

[[watch]]
expiries = 1

[feeds.angel_one]
enabled = "yes"
rest_url = "http://apiconnect.angelone.in"
stream_url = "wss://smartapisocket.angelone.in/smart-stream/"
sockets_max = 4

[feeds.nse]
enabled = false
chain = "v2"
poll_interval_s = 0
requests_per_second = 1.5

[feeds.dhan]
enabled = true

[live]
redis_url = "rediss://user:secret@127.0.0.1:6379"

[buckets]
grace_s = -1

[log]
level = "verbose"

[clock]
start = 2026-01-30T09:15:00+05:30
speed = 0
"#,
    );
}

#[test]
fn tables_that_are_none() {
    check("shapes", "watch = \"NIFTY\"\nfeeds = 1\nlog = \"info\"\n");
    check("watch_of_texts", &SMALLEST.replace("[[watch]]\nunderlying = \"NIFTY\"", "watch = [\"NIFTY\"]"));
}

#[test]
fn a_clock_that_is_not_whole() {
    check("clock", &format!("{SMALLEST}[clock]\nstart = \"2026-01-30\"\nspeed = inf\n"));
}
