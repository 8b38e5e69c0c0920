//! How long one caller waits for an answer of the daemon's control socket while others misbehave. Prints median, 99th
//! percentile and maximum by kind of trouble, and exits with 1 if a 99th percentile is above 10 ms.
//!
//! `bhavd run` in a process of its own records a synthetic market of Angel One's. This process plays the market and asks:
//! the questions that people and scripts ask most, one after the other, each over a connection of its own, as bhavctl
//! does. Another process, under the daemon's own user, makes trouble without a pause.
//!
//! `cargo bench --bench control [-- PART OF A TROUBLE'S NAME]`.

mod process;
mod service_unit;
mod simulated;

use bhavd::{
    control::*,
    sim::{Pace, RunningSimulator, SyntheticMarket},
};
use chrono::NaiveTime;
use process::Running;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{ChildStdin, Command, ExitCode, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_millis(10);
const CALLS: usize = 2_400;
/// No more is asked after this, for each kind of trouble.
const ASK_FOR: Duration = Duration::from_secs(6);
const BETWEEN_CALLS: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(120);
/// Makes this program a troublemaker: its number and the socket follow.
const MAKE_TROUBLE: &str = "--make-trouble";
/// 200 shares, 40 strikes, call and put: 16,200 contracts.
const SHARES: usize = 200;
const STRIKES: u32 = 40;
const TICKS_A_SECOND: u32 = 2_000;
/// Longer than the bench takes.
const SPAN_S: u32 = 600;
const BEGINS_AT: NaiveTime = NaiveTime::from_hms_opt(9, 30, 0).expect("a time of day");
/// The market begins this long after its clock, so that the daemon has logged in and read the master.
const OPENS_AFTER: Duration = Duration::from_secs(10);
/// Asked for by the troublemaker and by everybody else.
const UNDERLYING: &str = "SHARE000";

/// What a troublemaker sends on each of its connections; it never reads.
struct Trouble {
    name: &'static str,
    /// One connection after the other has the next of them.
    sendings: Vec<Vec<u8>>,
    /// Connections it keeps open, as far as the daemon lets it. The first of them goes for the next.
    kept_max: usize,
    /// Whether it rests once it has them.
    rests: bool,
}

fn troubles(day: chrono::NaiveDate) -> Vec<Trouble> {
    let call = |request: &Request| encode_frame(&Call::of(request));
    let deltas = DeltasRequest { limit: Some(DeltasRequest::LIMIT_MAX), ..DeltasRequest::default() };
    let deltas = Request::Deltas(DeltasRequest { date: Some(day), ..deltas });
    let chain = ChainRequest { underlying: UNDERLYING.to_owned(), expiry: None, at: None };
    let chain_then = ChainRequest { at: Some("09:31".parse().expect("a time")), ..chain.clone() };
    let coverage = Request::Coverage(CoverageRequest { date: Some(day) });
    let verify = Request::ReplayVerify(ReplayVerifyRequest { date: day });
    let crowd = || {
        vec![
            Vec::new(),
            b"{\"method\":\"org.bhavd.Cont".to_vec(),
            b"GET / HTTP/1.1\r\n\r\n\0".to_vec(),
            call(&Request::Status),
        ]
    };
    let trouble =
        |name, sending: Vec<u8>| Trouble { name, sendings: vec![sending], kept_max: 400, rests: false };
    vec![
        trouble("garbage", b"GET / HTTP/1.1\r\n\r\n\0".to_vec()),
        trouble("half a frame", b"{\"method\":\"org.bha".to_vec()),
        trouble("nothing", Vec::new()),
        trouble("a frame without an end", vec![b' '; 1 << 20]),
        trouble("calls, never reads", call(&Request::Feeds).repeat(2_000)),
        trouble("chains, never reads", call(&Request::Chain(chain)).repeat(500)),
        trouble("stored chains, never reads", call(&Request::Chain(chain_then)).repeat(500)),
        trouble("10,000 rows, never reads", call(&deltas).repeat(500)),
        trouble("whole days, never reads", call(&coverage).repeat(500)),
        trouble("replays, never reads", call(&verify).repeat(500)),
        trouble("streams, never reads", call(&Request::Watch(WatchRequest::default()))),
        Trouble { name: "10,000 kept open, renewed", sendings: crowd(), kept_max: 10_000, rests: false },
        Trouble { name: "10,000 kept open", sendings: crowd(), kept_max: 10_000, rests: true },
    ]
}

/// Raises the limit of open files so far that `connections` fit; says so where they do not. Gives how many do.
fn make_room(connections: usize) -> usize {
    /// What the process has open besides.
    const OTHERS: usize = 50;
    let wanted = (connections + OTHERS) as u64;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        setrlimit(Resource::Nofile, limit).expect("the soft limit may be raised up to the hard one");
    }
    let room = limit.current.map_or(connections, |current| connections.min(current as usize - OTHERS));
    if room < connections {
        eprintln!("only {room} connections instead of {connections}: this system's hard limit of open files");
    }
    room
}

/// Runs in a process of its own until its standard input is closed. Prints a line once the trouble is whole, and at the
/// end the number of connections made and of those the daemon closed, out of the ones kept.
fn make_trouble(trouble: &Trouble, path: &Path) {
    let kept_max = make_room(trouble.kept_max);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::stdin().read(&mut [0]);
            is_over.store(true, Relaxed);
        });
        let (mut kept, mut made) = (VecDeque::new(), 0);
        while !is_over.load(Relaxed) {
            if kept.len() == kept_max {
                if trouble.rests {
                    thread::park_timeout(BETWEEN_CALLS);
                    continue;
                }
                kept.pop_front();
            }
            let Ok(mut peer) = UnixStream::connect(path) else { continue };
            peer.set_nonblocking(true).expect("a socket");
            // What does not fit is not sent: the daemon does not read on.
            let _ = peer.write(&trouble.sendings[made % trouble.sendings.len()]);
            made += 1;
            kept.push_back(peer);
            if made == kept_max {
                tell_parent("whole");
            }
        }
        tell_parent(&format!("{made} {}", kept.iter().filter(|peer| is_closed(peer)).count()));
    });
}

fn tell_parent(line: &str) {
    // Whoever started this may be gone; then nobody listens.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Reads what the daemon left.
fn is_closed(mut peer: &UnixStream) -> bool {
    loop {
        match peer.read(&mut [0; 4_096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// A troublemaker at work.
struct Troublemaker {
    process: Running,
    stdin: ChildStdin,
    said: BufReader<std::process::ChildStdout>,
}

impl Troublemaker {
    /// Returns when the trouble is whole.
    fn start(number: usize, path: &Path) -> Troublemaker {
        let own = std::env::current_exe().expect("this program");
        let mut child = Command::new(own)
            .args([MAKE_TROUBLE, &number.to_string()])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the troublemaker starts");
        let stdin = child.stdin.take().expect("it is piped");
        let mut said = BufReader::new(child.stdout.take().expect("it is piped"));
        let process = Running(child);
        said.read_line(&mut String::new()).expect("a line");
        Troublemaker { process, stdin, said }
    }

    /// What it says at its end.
    fn stop(mut self) -> String {
        drop(self.stdin);
        let mut line = String::new();
        self.said.read_line(&mut line).expect("a line");
        self.process.0.wait().expect("it ends");
        let mut figures = line.split_whitespace();
        let mut figure = || figures.next().unwrap_or_default().to_owned();
        format!("{} hostile connections, {} closed of those kept", figure(), figure())
    }
}

/// What is asked while there is trouble.
fn questions() -> Vec<Request> {
    vec![
        Request::Status,
        Request::Actors,
        Request::Feeds,
        Request::Chain(ChainRequest { underlying: UNDERLYING.to_owned(), expiry: None, at: None }),
        Request::Jobs,
        Request::Configuration,
    ]
}

/// The spans of all calls that were answered, by verb, and how often a call had to be repeated.
struct Asked {
    spans: BTreeMap<&'static str, Vec<Duration>>,
    repeated: usize,
}

fn ask(path: &Path) -> Asked {
    let mut asked = Asked { spans: BTreeMap::new(), repeated: 0 };
    let questions = questions();
    let begun = Instant::now();
    for request in questions.iter().cycle().take(CALLS).take_while(|_| begun.elapsed() < ASK_FOR) {
        thread::park_timeout(BETWEEN_CALLS);
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "{} is answered", request.verb().name());
            let answer =
                Client::connect(path, Some(Duration::from_secs(5))).and_then(|mut peer| peer.ask(request));
            match answer {
                Ok(_) => break,
                // It lost its place before its call was read, and asks again as bhavctl does.
                Err(_) => asked.repeated += 1,
            }
        }
        asked.spans.entry(request.verb().name()).or_default().push(begun.elapsed());
    }
    asked
}

fn percentile(spans: &[Duration], part: usize) -> Duration {
    spans[(spans.len() - 1) * part / 100]
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// Whether the 99th percentile is within the limit.
fn tell(name: &str, mut asked: Asked, hostile: &str) -> bool {
    asked.spans.values_mut().for_each(|spans| spans.sort());
    let mut all: Vec<Duration> = asked.spans.values().flatten().copied().collect();
    all.sort();
    let verbs = asked.spans.iter().map(|(verb, spans)| (percentile(spans, 99), *verb));
    let (slowest, verb) = verbs.max().expect("questions were asked");
    println!(
        "{name:27} p50 {:>7.3} ms  p99 {:>7.3} ms  max {:>7.3} ms  p99 of {verb} {:.3} ms  {} asked again  {hostile}",
        ms(percentile(&all, 50)),
        ms(percentile(&all, 99)),
        ms(percentile(&all, 100)),
        ms(slowest),
        asked.repeated,
    );
    percentile(&all, 99) <= LIMIT
}

fn play() -> RunningSimulator {
    let market = SyntheticMarket {
        opens: BEGINS_AT,
        duration_s: SPAN_S,
        ticks_per_second: TICKS_A_SECOND,
        ..simulated::shares(SHARES, STRIKES)
    };
    simulated::start(market, Pace::Clocked, 1, -(OPENS_AFTER.as_secs() as i64))
}

/// The daemon as installed, but for its directories and its feed.
fn start_daemon(simulator: &RunningSimulator, directory: &Path) -> (Running, PathBuf) {
    let file = directory.join("bhavd.toml");
    let configuration = simulated::configuration(simulator, directory).replace("log.level = \"warn\"\n", "");
    fs::write(&file, format!("dbus.enabled = false\n{configuration}")).expect("is written");
    let run = Command::new(env!("CARGO_BIN_EXE_bhavd"))
        .args(["run", "--config"])
        .arg(file)
        .envs(service_unit::environment())
        .stderr(fs::File::create(directory.join("log")).expect("is made"))
        .spawn();
    (Running(run.expect("the daemon starts")), directory.join("control.sock"))
}

/// Until every question has an answer.
fn wait_for(daemon: &mut Running, path: &Path) {
    let patience = Instant::now();
    let answers = |request: &Request| {
        Client::connect(path, Some(PATIENCE)).and_then(|mut peer| peer.ask(request)).is_ok()
    };
    while !questions().iter().all(answers) {
        daemon.figure("VmRSS");
        assert!(patience.elapsed() < PATIENCE, "the daemon answers every question");
        thread::park_timeout(Duration::from_millis(100));
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let day = SyntheticMarket::default().date;
    if let [argument, number, path] = &arguments[..]
        && argument == MAKE_TROUBLE
    {
        let number: usize = number.parse().expect("a number");
        make_trouble(&troubles(day)[number], Path::new(path));
        return ExitCode::SUCCESS;
    }
    let wanted = arguments.iter().find(|argument| !argument.starts_with("--"));
    let home = tempfile::tempdir().expect("a directory");
    let simulator = play();
    let (mut daemon, path) = start_daemon(&simulator, home.path());
    wait_for(&mut daemon, &path);
    let mut is_good = tell("nobody else", ask(&path), "");
    for (number, trouble) in troubles(day).iter().enumerate() {
        if wanted.is_some_and(|wanted| !trouble.name.contains(wanted.as_str())) {
            continue;
        }
        let troublemaker = Troublemaker::start(number, &path);
        let asked = ask(&path);
        is_good &= tell(trouble.name, asked, &troublemaker.stop());
    }
    daemon.figure("VmRSS");
    drop(daemon);
    simulator.stop();
    if is_good {
        return ExitCode::SUCCESS;
    }
    println!("a caller waited longer than {LIMIT:?} (p99)");
    ExitCode::FAILURE
}
