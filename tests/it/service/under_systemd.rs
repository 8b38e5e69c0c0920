//! One machine, one life of the package: installed, recording, hurt, upgraded, purged.
//!
//! The market is bhavsim's, thirty times as fast as a real one; bhavd takes its time from the same clock. Where there is a
//! recorded day, it is played after that, faster still, and what kills leave of it is compared with the recording.

use super::{
    machine::{Debian, Machine},
    package,
};
use crate::{
    day::{answer::Answer, outages::assert_equal_but_for_outages},
    processes::{dump, store_url},
    test_data,
};
use chrono::{DateTime, FixedOffset};
use serde_json::Value as Json;
use std::{collections::BTreeSet, fs, path::Path};

const DATE: &str = "2026-01-30";
const API_KEY: &str = "key-that-nobody-else-sees";
const MPIN: &str = "86753091";
const CLIENT_CODE: &str = "ZQ99XJ17";
/// Played 400 times as fast: a session in a minute.
const RECORDED: &str = "--speed 400 --start '2026-01-30 08:45:00' --recording /srv/recording.csv.gz";
const SYNTHETIC: &str = "--speed 30 --start '2026-01-30 09:14:00' --synthetic --date 2026-01-30 --underlyings NIFTY \
                         --strikes 20 --ticks-per-second 20";
const TOTP_SECRET: &str = "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U";
/// Somebody who is in no group.
const AS_NOBODY: &str = "setpriv --reuid=65534 --regid=65534 --clear-groups";
/// Somebody who is in the group besides their own.
const AS_MEMBER: &str = "setpriv --reuid=1234 --regid=1234 --groups=$(getent group bhavd | cut -d: -f3)";

#[test]
fn a_life_under_systemd() {
    let home = tempfile::tempdir().expect("a directory");
    let Some(machine) = boot(Debian::Own, home.path()) else { return };
    let shared = home.path().join("shared");
    package::build(&shared, "2");
    let recording = test_data::index_options();
    if let Some(recording) = &recording {
        fs::copy(recording, shared.join("recording.csv.gz")).expect("copied");
    }

    installs_enabled_and_ready(&machine);
    let tables = start_market(&machine, SYNTHETIC);
    records_with_credentials(&machine, &tables);
    admits_by_group(&machine);
    reloads(&machine, &tables);
    goes_on_after(&machine, "systemctl kill -s KILL --kill-who=main bhavd.service", "status=9/KILL");
    goes_on_after_a_hang(&machine);
    clients_wait_over_a_restart(&machine);
    stops_in_session_and_goes_on(&machine);
    is_ready_only_with_log_and_socket(&machine);
    the_journal_explains_itself(&machine);
    the_bus_knows_the_name(&machine);
    the_day_is_whole(&machine, &tables);
    if let Some(recording) = &recording {
        a_recorded_day_is_whole(&machine, recording, home.path());
    }
    is_upgraded_with_its_data(&machine);
    is_purged(&machine);
}

/// What the life above cannot show under the systemd of Debian 12.
#[test]
fn under_a_systemd_of_varlink_and_notify_reload() {
    let home = tempfile::tempdir().expect("a directory");
    let Some(machine) = boot(Debian::Trixie, home.path()) else { return };
    installs_enabled_and_ready(&machine);
    let tables = start_market(&machine, SYNTHETIC);
    records_with_credentials(&machine, &tables);
    speaks_varlink(&machine);
    reloads(&machine, &tables);
    reloads_as_the_example_says(&machine, &tables);
    goes_on_after(&machine, "systemctl kill -s KILL --kill-who=main bhavd.service", "status=9/KILL");
    is_purged(&machine);
}

/// A machine that has the package and what else the tests need in /srv.
fn boot(debian: Debian, home: &Path) -> Option<Machine> {
    let shared = home.join("shared");
    fs::create_dir(&shared).expect("a directory");
    let machine = Machine::boot(debian, &home.join("machine"), &shared)?;
    package::build(&shared, "1");
    fs::copy(env!("CARGO_BIN_EXE_bhavsim"), shared.join("bhavsim")).expect("copied");
    for example in ["credentials.conf", "notify-reload.conf"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(example);
        fs::copy(path, shared.join(example)).expect("copied");
    }
    Some(machine)
}

fn installs_enabled_and_ready(machine: &Machine) {
    machine.run("dpkg -i /srv/bhavd-1.deb");
    assert_eq!(machine.run("systemctl is-enabled bhavd.service bhavd.socket"), "enabled\nenabled");
    // dpkg returned, so the start job is done: the daemon said READY.
    assert_eq!(machine.property("ActiveState"), "active", "{}", machine.journal());
    let shown = machine.run("systemctl status bhavd.service");
    // Before it stands what the feed lacks, in session hours.
    let status = shown.lines().find(|line| line.trim_start().starts_with("Status: "));
    assert!(status.is_some_and(|line| line.contains("0/1 feeds up, 0 contracts, ")), "{shown}");
    let socket =
        machine.run("stat -c '%a %U %G' /run/bhavd/control.sock; stat -c '%a %U %G' /etc/bhavd/bhavd.toml");
    assert_eq!(socket, "660 root bhavd\n640 root bhavd");
    machine.run("journalctl --list-catalog | grep -q 'bhavd is ready'");
    assert_eq!(machine.run("systemd-analyze verify --man=no bhavd.service bhavd.socket 2>&1"), "");
}

/// Starts bhavsim. Gives the tables of the configuration that lead to it.
fn start_market(machine: &Machine, market: &str) -> String {
    machine.run(&format!(
        "rm -f /run/bhavsim.json
         systemd-run -q --unit=bhavsim -p StandardOutput=truncate:/run/bhavsim.json -p StandardError=null \
             /srv/bhavsim {market} --api-key {API_KEY} --totp-secret {TOTP_SECRET} \
             --mpin {MPIN} --client-code {CLIENT_CODE}"
    ));
    let ready: Json = machine.wait_for("simulator", |machine| {
        serde_json::from_str(&machine.run("cat /run/bhavsim.json 2>/dev/null || true")).ok()
    });
    let (broker, clock) = (&ready["angel_one"], &ready["clock"]);
    for name in ["client_code", "api_key", "mpin"] {
        let secret = broker[name].as_str().expect("a text");
        machine.write(&format!("/etc/bhavd/credentials/angel_one.{name}"), secret);
    }
    // One of them encrypted, as the example says how.
    machine.run(&format!(
        "chmod -R go= /etc/bhavd/credentials; mkdir -p /etc/systemd/system/bhavd.service.d
         printf %s {TOTP_SECRET} | systemd-creds encrypt --name=angel_one.totp_secret - \
             /etc/bhavd/credentials/angel_one.totp_secret.cred 2>/dev/null
         sed '/^LoadCredential=angel_one.totp_secret/{{s/Credential=/CredentialEncrypted=/; s/$/.cred/}}' \
             /srv/credentials.conf > /etc/systemd/system/bhavd.service.d/credentials.conf
         systemctl daemon-reload"
    ));
    format!(
        "[[watch]]\nunderlying = \"*\"\nexpiries = 0\n[feeds.angel_one]\nenabled = true\nrest_url = {}\n\
         stream_url = {}\nmaster_url = {}\n[clock]\nstart = {}\nreal_start = {}\nspeed = {}\n",
        broker["rest_url"],
        broker["stream_url"],
        broker["master_url"],
        clock["start"],
        clock["real_start"],
        clock["speed"]
    )
}

fn records_with_credentials(machine: &Machine, tables: &str) {
    // The store of the first start is real, and refuses a simulated market.
    machine.run("systemctl stop bhavd.service; rm -rf /var/lib/bhavd/*");
    machine.write("/etc/bhavd/bhavd.toml", tables);
    let filter = "[Service]\nEnvironment=RUST_LOG=info,bhavd::control=debug";
    machine.write("/etc/systemd/system/bhavd.service.d/log.conf", filter);
    machine.run("systemctl daemon-reload; systemctl start bhavd.service");
    wait_for_data(machine);
    let shown = machine.wait_for("a status with data", |machine| {
        Some(machine.run("systemctl status bhavd.service")).filter(|shown| shown.contains("data up to"))
    });
    assert!(shown.contains("Status: \"1/1 feeds up, "), "{shown}");

    let pid = machine.property("MainPID");
    let seen = machine.run(&format!(
        "cat /proc/{pid}/environ /proc/{pid}/cmdline | tr '\\0' '\\n'; journalctl; bhavctl bugreport"
    ));
    assert!(seen.contains("CREDENTIALS_DIRECTORY=") && seen.contains("--config"), "{seen}");
    // The simulator was told them as arguments.
    let is_secret =
        |line: &&str| [API_KEY, TOTP_SECRET, MPIN, CLIENT_CODE].iter().any(|secret| line.contains(secret));
    let leaked: Vec<&str> = seen.lines().filter(|line| !line.contains("bhavsim")).filter(is_secret).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    let look = format!("{AS_NOBODY} cat /run/credentials/bhavd.service/angel_one.api_key");
    assert!(!machine.try_run(&look).status.success(), "anybody reads the credentials");
}

fn admits_by_group(machine: &Machine) {
    let output = machine.try_run(&format!("{AS_NOBODY} bhavctl status"));
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    machine.run(&format!("{AS_MEMBER} bhavctl status"));
    // The sandbox leaves the daemon able to tell who asked.
    machine
        .wait_for("the member's number", |machine| machine.journal().contains("of user 1234").then_some(()));
}

/// The daemon's interface with systemd's own client.
fn speaks_varlink(machine: &Machine) {
    let address = "unix:/run/bhavd/control.sock";
    let info = machine.run(&format!("varlinkctl info {address}"));
    assert!(info.contains("org.bhavd.Control1"), "{info}");
    let interface = machine.run(&format!("varlinkctl introspect {address} org.bhavd.Control1"));
    assert!(interface.contains("method Status"), "{interface}");
    let answer =
        machine.run(&format!("varlinkctl call --json=short {address} org.bhavd.Control1.Status '{{}}'"));
    let answer: Json = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["healthy"], true, "{answer}");
}

fn reloads(machine: &Machine, tables: &str) {
    let pid = machine.property("MainPID");
    machine.run("systemctl reload bhavd.service");
    machine.run("journalctl -u bhavd.service -o cat | grep -q 'was read again and is unchanged'");

    machine.write("/etc/bhavd/bhavd.toml", &tables.replace("speed = ", "pace = "));
    assert!(!machine.try_run("systemctl reload bhavd.service").status.success(), "a broken file is reloaded");
    assert!(machine.journal().contains("clock.pace: unknown key"), "{}", machine.journal());
    let status = machine.bhavctl("status");
    assert_eq!(status["healthy"], true, "the daemon was not even asked: {status}");
    // Asked past the check it refuses by itself.
    machine.run("systemctl kill -s HUP --kill-who=main bhavd.service");
    machine.wait_for("refusal", |machine| {
        let text = machine.property("StatusText");
        text.starts_with("Unhealthy: the configuration was refused").then_some(())
    });
    machine.write("/etc/bhavd/bhavd.toml", tables);
    machine.run("systemctl reload bhavd.service");
    machine.wait_for("health", |machine| machine.property("StatusText").starts_with("1/1").then_some(()));
    assert_eq!(machine.property("MainPID"), pid, "a reload is no restart");
}

/// The drop-in for systemd 253 and newer: "systemctl reload" returns once the daemon has read its file.
fn reloads_as_the_example_says(machine: &Machine, tables: &str) {
    let drop_in = "/etc/systemd/system/bhavd.service.d/notify-reload.conf";
    machine.run(&format!(
        "cp /srv/notify-reload.conf {drop_in}; systemctl daemon-reload; systemctl restart bhavd.service"
    ));
    assert_eq!(machine.property("Type"), "notify-reload");
    wait_for_data(machine);
    let pid = machine.property("MainPID");
    let count = |machine: &Machine| {
        let told = machine.run("journalctl -q -t bhavd EVENT=config_reloaded -o cat | wc -l");
        told.parse::<u64>().expect("a number")
    };
    let before = count(machine);
    machine.run("systemctl reload bhavd.service");
    machine.wait_for("the reload's record", |machine| (count(machine) == before + 1).then_some(()));
    machine.write("/etc/bhavd/bhavd.toml", &tables.replace("speed = ", "pace = "));
    assert!(!machine.try_run("systemctl reload bhavd.service").status.success(), "a broken file is reloaded");
    machine.write("/etc/bhavd/bhavd.toml", tables);
    machine.run("systemctl reload bhavd.service");
    machine.wait_for("health", |machine| machine.property("StatusText").starts_with("1/1").then_some(()));
    assert_eq!(machine.property("MainPID"), pid, "a reload is no restart");
    machine.run(&format!("rm {drop_in}; systemctl daemon-reload; systemctl restart bhavd.service"));
    wait_for_data(machine);
}

fn the_journal_explains_itself(machine: &Machine) {
    // Matches are by field, so that the daemon's own records are found, and not what systemd says of it.
    let found = |matches: &str| machine.run(&format!("journalctl -q -o cat -t bhavd {matches}"));
    assert!(found("EVENT=started").contains("starts"), "{}", machine.journal());
    assert!(found("PROVIDER=angel_one EVENT=feed_up").contains("feed up"), "{}", machine.journal());
    assert!(found("PEER_UID=1234").contains("of user 1234"), "{}", machine.journal());
    assert!(
        found("EVENT=config_refused PRIORITY=3").contains("clock.pace: unknown key"),
        "{}",
        machine.journal()
    );
    assert!(found("ACTOR=recorder INCARNATION=1").contains("rebuilt from the log"), "{}", machine.journal());
    assert!(!found(&format!("SESSION={DATE}")).is_empty(), "{}", machine.journal());
    let records = found("EVENT=feed_up -o json");
    let record: Json = serde_json::from_str(records.lines().next().expect("a record")).expect("JSON");
    assert_eq!(record["MESSAGE_ID"], bhavd::logging::Event::FeedUp.message_id(), "{record}");
    assert_eq!((&record["SYSLOG_IDENTIFIER"], &record["PROVIDER"]), (&"bhavd".into(), &"angel_one".into()));
    // The catalog's texts with the record's own fields in them.
    let explained = machine.run("journalctl -q -x -t bhavd EVENT=feed_down");
    assert!(explained.contains("Feed angel_one is down"), "{explained}");
    let ready = bhavd::logging::Event::Ready.message_id();
    let explained = machine.run(&format!("journalctl -q -x MESSAGE_ID={ready}"));
    assert!(explained.contains("the log was read to its end, and the control socket answers"), "{explained}");
}

/// Hurts the daemon, and waits until a new life of it records.
fn goes_on_after(machine: &Machine, hurt: &str, told: &str) {
    let (pid, seq) = (machine.property("MainPID"), last_seq(machine));
    let count = |machine: &Machine| machine.journal().matches(told).count();
    let before = count(machine);
    machine.run(hurt);
    machine.wait_for("new life", |machine| {
        let is_other = machine.property("MainPID") != pid && machine.property("ActiveState") == "active";
        is_other.then_some(())
    });
    assert_eq!(count(machine), before + 1, "no {told}:\n{}", machine.journal());
    wait_for_data(machine);
    assert!(last_seq(machine) > seq);
}

fn goes_on_after_a_hang(machine: &Machine) {
    let drop_in = "/etc/systemd/system/bhavd.service.d/watchdog.conf";
    machine.write(drop_in, "[Service]\nWatchdogSec=5s");
    machine.run("systemctl daemon-reload; systemctl restart bhavd.service");
    let started = machine.property("MainPID");
    wait_for_data(machine);
    // Longer than the watchdog's time: it is kicked.
    let watched = instant(&machine.bhavctl("status")["started"]);
    machine.wait_for("life beyond the watchdog's time", |machine| {
        let now = instant(&machine.bhavctl("status")["time"]);
        ((now - watched).num_seconds() > 4 * 60).then_some(())
    });
    assert_eq!(machine.property("MainPID"), started, "{}", machine.journal());
    let hang = "systemctl kill -s STOP --kill-who=main bhavd.service";
    goes_on_after(machine, hang, "Failed with result 'watchdog'");
    machine.run(&format!("rm {drop_in}; systemctl daemon-reload; systemctl restart bhavd.service"));
    wait_for_data(machine);
}

fn clients_wait_over_a_restart(machine: &Machine) {
    for _ in 0..3 {
        let pid = machine.property("MainPID");
        machine.run(
            "systemctl restart --no-block bhavd.service; clients=
             for i in $(seq 20); do bhavctl status >/dev/null & clients=\"$clients $!\"; sleep 0.02; done
             for client in $clients; do wait $client; done",
        );
        machine.wait_for("restart", |machine| (machine.property("MainPID") != pid).then_some(()));
    }
    // The socket starts the daemon that somebody asks for.
    machine.run(
        "systemctl stop bhavd.service 2>/dev/null; ! systemctl -q is-active bhavd.service; bhavctl status",
    );
    machine.wait_for("readiness", |machine| (machine.property("ActiveState") == "active").then_some(()));
}

fn stops_in_session_and_goes_on(machine: &Machine) {
    wait_for_data(machine);
    machine.run("systemctl stop bhavd.service");
    let ended = machine.run("systemctl show --value -p ActiveState,Result,ExecMainStatus bhavd.service");
    assert_eq!(
        ended.split_whitespace().collect::<BTreeSet<_>>(),
        BTreeSet::from(["0", "inactive", "success"])
    );
    assert!(machine.journal().trim_end().contains("Deactivated successfully"), "{}", machine.journal());
    machine.run("systemctl start bhavd.service");
    wait_for_data(machine);
}

fn is_ready_only_with_log_and_socket(machine: &Machine) {
    // Without the store everything comes from the log, and only then is the daemon ready.
    machine
        .run("systemctl stop bhavd.service; rm /var/lib/bhavd/bhavd.sqlite*; systemctl start bhavd.service");
    let journal = machine.journal();
    let lines: Vec<&str> = journal.lines().collect();
    let place = |text: &str| lines.iter().rposition(|line| line.contains(text)).expect("it is told");
    assert!(place("rebuilt from the log") < place("Started bhavd.service"), "{journal}");
    machine.run("bhavctl status");
    wait_for_data(machine);

    // Something else stands where the socket has to be, and nobody hands one over: never ready.
    machine.run(
        "systemctl -q mask --runtime bhavd.socket; systemctl stop bhavd.socket bhavd.service
         rm -f /run/bhavd/control.sock; mkdir /run/bhavd/control.sock",
    );
    assert!(!machine.try_run("systemctl start bhavd.service").status.success(), "ready without a socket");
    assert!(machine.journal().contains("is not a stream socket"), "{}", machine.journal());
    // Without a socket unit the daemon makes its own.
    machine.run("systemctl stop bhavd.service; rmdir /run/bhavd/control.sock; systemctl start bhavd.service");
    assert_eq!(machine.run("stat -c '%a %U %G' /run/bhavd/control.sock"), "660 bhavd bhavd");
    machine.run(
        "systemctl stop bhavd.service; systemctl -q unmask --runtime bhavd.socket
         systemctl start bhavd.socket bhavd.service",
    );
    wait_for_data(machine);
}

fn the_bus_knows_the_name(machine: &Machine) {
    machine.run(
        "busctl list --activatable | grep -q org.bhavd.Bhavd1
         ! journalctl -u dbus.service -o cat | grep -i bhavd | grep -i -e error -e failed",
    );
    let manager = "org.bhavd.Bhavd1 /org/bhavd/Bhavd1 org.bhavd.Bhavd1.Manager";
    let is_owned = || machine.try_run("busctl list --acquired | grep org.bhavd.Bhavd1").status.success();
    machine.wait_for("the name on the bus", |_| is_owned().then_some(()));
    machine.run(&format!(
        "{AS_NOBODY} busctl get-property {manager} Healthy
         {AS_NOBODY} busctl call {manager} Status
         {AS_NOBODY} busctl introspect org.bhavd.Bhavd1 /org/bhavd/Bhavd1"
    ));
    let feed = "org.bhavd.Bhavd1 /org/bhavd/Bhavd1/feed/angel_one org.bhavd.Bhavd1.Feed";
    for (call, deed) in [
        (format!("{manager} Drain"), "end the daemon"),
        (format!("{manager} Failover s auto"), "choose which provider counts"),
        (format!("{feed} Disable"), "disable a feed"),
    ] {
        let refused = machine.try_run(&format!("{AS_NOBODY} busctl call {call}"));
        let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
        let expected = format!("may not {deed}: call as root");
        assert!(!refused.status.success() && complaint.contains(&expected), "{complaint}");
    }
    // The bus turns users away whom the machine does not know.
    let as_member = AS_MEMBER.replace("1234", "65534");
    machine.run(&format!(
        "{as_member} busctl call {manager} Reload | grep -q -e unchanged -e applied
         {as_member} busctl call {manager} Failover s auto
         busctl call {feed} Reconnect"
    ));
    wait_for_data(machine);
    for caller in ["", &as_member] {
        machine.run(&format!("{caller} busctl call {manager} Drain"));
        machine.wait_for("the end", |machine| (machine.property("ActiveState") == "inactive").then_some(()));
        // Whoever asks for the name has the daemon started.
        machine.run(&format!("busctl get-property {manager} Version"));
        wait_for_data(machine);
    }
}

/// After all this the record is the log's, with nothing twice.
fn the_day_is_whole(machine: &Machine, tables: &str) {
    machine.run("systemctl stop bhavd.service bhavsim.service");
    // The same day after its last rows are due: the clock begins anew.
    let (head, _) = tables.split_once("[clock]").expect("a simulated clock");
    let now = machine.run("date -u +%Y-%m-%dT%H:%M:%SZ");
    let clock = format!("[clock]\nstart = \"{DATE}T15:40:00+05:30\"\nreal_start = \"{now}\"\nspeed = 1.0\n");
    machine.write("/etc/bhavd/bhavd.toml", &format!("{head}{clock}"));
    machine.run("systemctl start bhavd.service");
    machine.wait_for("the end of the day", |machine| {
        let status = machine.bhavctl("status");
        let is_written = status["store"]["pending_rows"] == 0
            && status["last_bucket"].as_str().is_some_and(|time| time.contains("T15:27:00"));
        is_written.then_some(())
    });
    let coverage = machine.bhavctl(&format!("coverage {DATE}"));
    assert_eq!(coverage["buckets"], 125, "{coverage}");
    let live = coverage["rows"][0]["live"].as_u64().expect("a number");
    assert!(
        live > 0 && coverage["rows"][0]["missing"].as_u64() > Some(0),
        "the outages are told: {coverage}"
    );
    let deltas = machine.bhavctl(&format!("deltas --date {DATE} --limit 10000"));
    let rows: Vec<String> = deltas["rows"].as_array().expect("rows").iter().map(Json::to_string).collect();
    assert!(rows.len() > 100, "{} deltas", rows.len());
    assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len(), "a delta is there twice");
    let verified = machine.bhavctl(&format!("replay verify {DATE}"));
    assert_eq!(verified["equal"], true, "{verified:#}");
}

/// Killed, restarted and hung while a recorded day is played: the next life goes on each time, nothing is there twice, what
/// nobody saw is marked, and all else equals the recording.
fn a_recorded_day_is_whole(machine: &Machine, recording: &Path, home: &Path) {
    machine.run("systemctl stop bhavd.service; rm -rf /var/lib/bhavd/*");
    let tables = start_market(machine, RECORDED);
    machine.write("/etc/bhavd/bhavd.toml", &tables);
    machine.run("systemctl start bhavd.service");
    wait_for_data(machine);
    goes_on_after(machine, "systemctl kill -s KILL --kill-who=main bhavd.service", "status=9/KILL");
    machine.write("/etc/systemd/system/bhavd.service.d/watchdog.conf", "[Service]\nWatchdogSec=5s");
    machine.run("systemctl daemon-reload; systemctl restart bhavd.service");
    wait_for_data(machine);
    let hang = "systemctl kill -s STOP --kill-who=main bhavd.service";
    goes_on_after(machine, hang, "Failed with result 'watchdog'");
    goes_on_after(machine, "systemctl kill -s KILL --kill-who=main bhavd.service", "status=9/KILL");
    machine.wait_for("the end of the day", |machine| {
        let status = machine.bhavctl("status");
        let is_over = status["time"].as_str().is_some_and(|time| time > "2026-01-30T15:59");
        (is_over && status["store"]["pending_rows"] == 0).then_some(())
    });
    let verified = machine.bhavctl(&format!("replay verify {DATE}"));
    assert_eq!(verified["equal"], true, "{verified:#}");
    machine.run("rm /etc/systemd/system/bhavd.service.d/watchdog.conf; systemctl daemon-reload");
    machine.run("systemctl stop bhavd.service bhavsim.service");
    let kept = home.join("recorded");
    fs::create_dir(&kept).expect("a directory");
    machine.pull("/var/lib/bhavd/bhavd.sqlite", &kept.join("bhavd.sqlite"));
    let record = dump(&store_url(&kept), DATE.parse().expect("a date"));
    let outages = assert_equal_but_for_outages(
        &Answer::read(recording),
        &record,
        "killed twice, restarted and hung once each",
    );
    outages.assert_told(|_, _| "killed twice, restarted and hung once each".to_owned());
    assert!(outages.gaps.len() >= 4, "each life's end is told: {:?}", outages.gaps);
    machine.run("systemctl start bhavd.service");
}

fn is_upgraded_with_its_data(machine: &Machine) {
    let (pid, seq) = (machine.property("MainPID"), last_seq(machine));
    let config = machine.run("cat /etc/bhavd/bhavd.toml");
    machine.run("dpkg -i /srv/bhavd-2.deb");
    assert_eq!(machine.run("dpkg-query -W -f '${Version}' bhavd"), "0.1.0-2");
    assert_ne!(machine.property("MainPID"), pid, "the new program runs");
    machine.wait_for("readiness", |machine| (machine.property("ActiveState") == "active").then_some(()));
    assert!(last_seq(machine) >= seq);
    assert_eq!(machine.run("cat /etc/bhavd/bhavd.toml"), config);
    assert_eq!(machine.bhavctl(&format!("coverage {DATE}"))["buckets"], 125);
}

fn is_purged(machine: &Machine) {
    machine.run("dpkg -r bhavd; ! systemctl -q is-active bhavd.service; test -e /var/lib/bhavd/bhavd.sqlite");
    machine.run("dpkg -P bhavd");
    let left = machine.run("find / -xdev -name '*bhav*' -not -path '/srv/*'; find /run -name '*bhavd*'");
    assert_eq!(left, "", "left behind");
}

fn instant(value: &Json) -> DateTime<FixedOffset> {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no time"));
    DateTime::parse_from_rfc3339(text).expect("a time")
}

fn last_seq(machine: &Machine) -> u64 {
    machine.bhavctl("status")["spool"]["last_seq"].as_u64().expect("a number")
}

/// Waits until this life of the daemon is known to be ready and has brought data of its own.
fn wait_for_data(machine: &Machine) {
    machine.wait_for("data", |machine| {
        if machine.property("ActiveState") != "active" {
            return None;
        }
        let status = machine.bhavctl("status");
        let is_up = status["feeds_up"] == 1 && status["watermark"].is_string();
        (is_up && instant(&status["watermark"]) > instant(&status["started"])).then_some(())
    });
}
