//! The programs as a user starts them: a simulator and a daemon that end with the test.

use bhavd::{
    clock::{Clock, Simulation},
    market::{Timestamp, TradingDate},
    store::{DayDump, Reader},
};
use serde_json::Value as Json;
use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take on a slow machine for what is done at once on a fast one. Reached only by what hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// bhavsim, listening.
pub struct Simulator {
    _process: Running,
    ready: Json,
    pub clock: Clock,
}

impl Simulator {
    /// A market of five strikes a chain that begins at an instant of IST, `YYYY-MM-DD HH:MM:SS`.
    pub fn synthetic(underlyings: &str, start: &str, further: &[&str]) -> Simulator {
        let date = start.split(' ').next().expect("a date");
        let market = ["--synthetic", "--strikes", "5", "--underlyings", underlyings];
        let arguments = market.into_iter().chain(["--date", date, "--start", start]);
        Simulator::start(arguments.chain(further.iter().copied()))
    }

    pub fn start<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Simulator {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bhavsim"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("bhavsim starts");
        let stdout = child.stdout.take().expect("it is piped");
        let process = Running(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let ready: Json = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let instant = |pointer: &str| {
            let parsed = chrono::DateTime::parse_from_rfc3339(text(&ready, pointer)).expect("an instant");
            Timestamp::from(parsed.to_utc())
        };
        let simulation = Simulation {
            start: instant("/clock/start"),
            real_start: instant("/clock/real_start"),
            speed: ready["clock"]["speed"].as_f64().expect("a number"),
        };
        Simulator { _process: process, clock: Clock::simulated(simulation), ready }
    }

    /// The feed's and the clock's tables of a configuration, with NSE's website as the only feed.
    pub fn nse_tables(&self, chain: &str) -> String {
        format!("{}{}", self.nse_feed(chain), self.clock_table())
    }

    /// The same with Angel One; its credentials are written into `directory`.
    pub fn angel_one_tables(&self, directory: &Path) -> String {
        format!("{}{}", self.angel_one_feed(directory), self.clock_table())
    }

    /// The same with both.
    pub fn all_tables(&self, directory: &Path) -> String {
        format!("{}{}{}", self.angel_one_feed(directory), self.nse_feed("v3"), self.clock_table())
    }

    fn nse_feed(&self, chain: &str) -> String {
        let site = text(&self.ready, "/nse/site_url");
        let archive = text(&self.ready, "/nse/archive_url");
        format!(
            "[feeds.nse]\nenabled = true\nchain = \"{chain}\"\nsite_url = \"{site}\"\narchive_url = \"{archive}\"\n"
        )
    }

    fn angel_one_feed(&self, directory: &Path) -> String {
        let credentials = directory.join("credentials");
        fs::create_dir_all(&credentials).expect("a directory");
        for name in ["client_code", "api_key", "mpin", "totp_secret"] {
            let value = text(&self.ready, &format!("/angel_one/{name}"));
            fs::write(credentials.join(format!("angel_one.{name}")), value).expect("written");
        }
        let url = |name: &str| text(&self.ready, &format!("/angel_one/{name}_url"));
        format!(
            "[credentials]\ndir = \"{}\"\n[feeds.angel_one]\nenabled = true\nrest_url = \"{}\"\nstream_url = \"{}\"\n\
             master_url = \"{}\"\n",
            credentials.display(),
            url("rest"),
            url("stream"),
            url("master"),
        )
    }

    fn clock_table(&self) -> String {
        let clock = |name: &str| text(&self.ready, &format!("/clock/{name}"));
        let speed = &self.ready["clock"]["speed"];
        format!(
            "[clock]\nstart = \"{}\"\nreal_start = \"{}\"\nspeed = {speed}\n",
            clock("start"),
            clock("real_start")
        )
    }

    /// What the website does wrong from here on: JSON as `POST /sim/faults` takes it.
    pub fn set_nse_faults(&self, faults: &str) {
        // As the program does; whichever test comes first has it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!("{}/sim/faults", text(&self.ready, "/nse/site_url"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let sent = runtime.block_on(
            reqwest::Client::new()
                .post(url)
                .body(faults.to_owned())
                .header("content-type", "application/json")
                .send(),
        );
        sent.and_then(reqwest::Response::error_for_status).expect("the simulator takes the faults");
    }

    pub fn wait_until(&self, instant: Timestamp) {
        while self.clock.now() < instant {
            let left_us = instant.us_since(self.clock.now()).max(0);
            thread::park_timeout(self.clock.real_span(Duration::from_micros(left_us.unsigned_abs())));
        }
    }
}

fn text<'a>(ready: &'a Json, pointer: &str) -> &'a str {
    let found = ready.pointer(pointer).and_then(Json::as_str);
    found.unwrap_or_else(|| panic!("no {pointer} in {ready:#}"))
}

/// `bhavd run` over files in one directory.
pub struct Daemon {
    process: Running,
    directory: PathBuf,
    /// Beside the configuration, so that a full data directory does not silence it.
    log: PathBuf,
}

impl Daemon {
    /// Writes a configuration that keeps log, store and socket in `directory`; `tables` says the rest.
    /// Where `tables` says nothing of D-Bus, the daemon stays away from this machine's bus.
    pub fn configure(config: &Path, directory: &Path, tables: &str) {
        let no_bus = if tables.contains("[dbus]") { "" } else { "[dbus]\nenabled = false\n" };
        let toml = format!(
            "[store]\nurl = \"{}\"\n[spool]\ndir = \"{directory}/spool\"\n[control]\nsocket = \"{directory}/control.sock\"\n\
             {no_bus}{tables}",
            store_url(directory),
            directory = directory.display(),
        );
        fs::write(config, toml).expect("written");
    }

    /// Starts it and waits until its socket answers.
    pub fn start(config: &Path, directory: &Path) -> Daemon {
        Daemon::start_in(config, directory, &[])
    }

    /// The same with further variables in its environment.
    pub fn start_in(config: &Path, directory: &Path, environment: &[(&str, &str)]) -> Daemon {
        let log = config.with_extension("log");
        let child = Command::new(env!("CARGO_BIN_EXE_bhavd"))
            .args(["run", "--config"])
            .arg(config)
            .envs(environment.iter().copied())
            .stderr(fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log file"))
            .spawn()
            .expect("bhavd starts");
        let mut daemon = Daemon { process: Running(child), directory: directory.to_owned(), log };
        daemon.wait_for("an answer", |daemon| daemon.try_ask(&["status"]).status.success());
        daemon
    }

    /// Looks at the daemon again and again until `is_reached` says so.
    pub fn wait_for(&mut self, what: &str, mut is_reached: impl FnMut(&Daemon) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_reached(self) {
            if let Some(status) = self.process.0.try_wait().expect("it can be asked") {
                panic!("bhavd ended with {status} before {what}: {}", self.log());
            }
            assert!(Instant::now() < until, "no {what} within {PATIENCE:?}: {}", self.log());
            thread::park_timeout(Duration::from_millis(20));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The answer as bhavctl gives it, content or not.
    pub fn try_ask(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bhavctl"))
            .arg("--socket")
            .arg(self.directory.join("control.sock"))
            .arg("--json")
            .args(arguments)
            .output()
            .expect("bhavctl starts")
    }

    /// Whether bhavctl is content with the answer.
    pub fn asks_well(&self, arguments: &[&str]) -> bool {
        self.try_ask(arguments).status.success()
    }

    pub fn ask(&self, arguments: &[&str]) -> Json {
        let output = self.try_ask(arguments);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {complaints}\n{}", self.log());
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// What `replay verify` says of a day, and its exit code, once no rows of it are on their way to the store any more.
    pub fn verdict(&mut self, date: &str) -> (i32, Json) {
        let mut found = None;
        self.wait_for("a verdict", |daemon| {
            let output = daemon.try_ask(&["replay", "verify", date]);
            let code = output.status.code().expect("a code");
            found = serde_json::from_slice(&output.stdout).ok().map(|verdict| (code, verdict));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                found.is_some() || said.contains("is still being recorded"),
                "{code}: {said}\n{}",
                daemon.log()
            );
            found.is_some()
        });
        found.expect("a verdict")
    }

    /// The same of a day that it is content with.
    pub fn verify(&mut self, date: &str) -> Json {
        let (code, verified) = self.verdict(date);
        assert_eq!(code, 0, "{verified:#}\n{}", self.log());
        verified
    }

    /// Asks it to end with SIGTERM, and waits for it.
    pub fn stop(self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.process.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        self.wait_for_end()
    }

    /// Waits for it to end in order.
    pub fn wait_for_end(self) -> ExitStatus {
        let (status, log) = self.wait_for_any_end();
        assert!(status.success(), "{status}: {log}");
        status
    }

    /// Waits for it to end; gives how, and what it had logged.
    pub fn wait_for_any_end(mut self) -> (ExitStatus, String) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.0.try_wait().expect("it can be asked") {
                return (status, self.log());
            }
            assert!(Instant::now() < until, "bhavd does not end: {}", self.log());
            thread::park_timeout(Duration::from_millis(20));
        }
    }
}

pub fn store_url(directory: &Path) -> String {
    format!("sqlite:{}", directory.join("bhavd.sqlite").display())
}

pub fn dump(url: &str, date: TradingDate) -> DayDump {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let reader = Reader::open(url).await.expect("the store opens");
        reader.dump_day(date).await.expect("the day can be read")
    })
}
