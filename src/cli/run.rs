//! The program: ask, print, exit.

use super::{
    Arguments, Command, ConfigCommand, Exit, Style,
    bug_report::BugReport,
    exit::explain,
    render, render_actor_tree, render_update,
    wait::{Condition, Deadline, wait_for, wait_for_end},
};
use crate::{
    config::Config,
    control::{
        Access, ChainResponse, Client, ClientError, ReloadOutcome, Request, Response, Versioned, WatchRequest,
    },
    node::lacking_feeds,
};
use serde_json::json;
use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

const WAIT: Duration = Duration::from_secs(30);
/// As long as the server allows a long answer to take, and a little more.
const LONG_WAIT: Duration = Duration::from_secs(605);

/// Why nothing more can be done.
pub(super) enum Stop {
    Client(ClientError),
    /// Standard output cannot be written.
    Output(io::Error),
    /// Something other than standard output, with what it is.
    File(String),
    /// The time for waiting is over: what was waited for, and what was last seen.
    TimedOut(String),
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Stop {
        Stop::Client(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Output(error)
    }
}

/// Longer than the daemon allows itself to end.
const DRAIN_WAIT: Duration = Duration::from_secs(60);

/// Does what the command line says. What was asked for goes to `out`, what went wrong to `complaints`. A reader that goes
/// away (`bhavctl … | head`) ends the program quietly.
pub fn run(arguments: &Arguments, style: Style, out: &mut impl Write, complaints: &mut impl Write) -> Exit {
    let request = match arguments.command.request() {
        Ok(request) => request,
        Err(reason) => return complain(complaints, Exit::Usage, &reason),
    };
    let done = match request {
        Some(Request::Watch(request)) => watch(arguments, request, style, out),
        Some(request) => ask(arguments, &request, style, out),
        None => do_more(arguments, out),
    };
    match done {
        Ok(exit) => exit,
        Err(Stop::Client(error)) => complain(complaints, Exit::of(&error), &explain(&error)),
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(Stop::File(text)) => complain(complaints, Exit::Failed, &text),
        Err(Stop::TimedOut(text)) => complain(complaints, Exit::TimedOut, &text),
        Err(Stop::Output(error)) => {
            complain(complaints, Exit::Failed, &format!("the answer cannot be written: {error}."))
        }
    }
}

fn complain(complaints: &mut impl Write, exit: Exit, text: &str) -> Exit {
    // If even this cannot be written, the exit code still says it.
    let _ = writeln!(complaints, "bhavctl: {text}");
    exit
}

fn ask(arguments: &Arguments, request: &Request, style: Style, out: &mut impl Write) -> Result<Exit, Stop> {
    let wait = arguments.global.timeout.map(Duration::from_secs);
    let wait = wait.unwrap_or(if request.verb().is_long() { LONG_WAIT } else { WAIT });
    let mut response = ask_daemon(arguments, request, wait)?;
    if let (Response::Chain(chain), Command::Chain { strikes: Some(strikes), .. }) =
        (&mut response, &arguments.command)
    {
        keep_near_the_money(chain, *strikes);
    }
    if arguments.global.json {
        serde_json::to_writer_pretty(&mut *out, &Versioned::new(&response)).map_err(io::Error::from)?;
        writeln!(out)?;
    } else if let (Response::Actors(actors), Command::Actors { tree: true }) = (&response, &arguments.command)
    {
        out.write_all(render_actor_tree(actors, style).as_bytes())?;
    } else {
        out.write_all(render(&response, style).as_bytes())?;
    }
    out.flush()?;
    if let (Response::Drain(drain), Command::Drain { no_wait: false }) = (&response, &arguments.command) {
        let wait = arguments.global.timeout.map_or(DRAIN_WAIT, Duration::from_secs);
        return match wait_for_end(drain.pid, Deadline::after(Some(wait))) {
            None => Ok(Exit::Done),
            Some(seen) => Err(Stop::TimedOut(timed_out(&Condition::Drained, wait, &seen))),
        };
    }
    Ok(match (&response, &arguments.command) {
        (Response::CompareConfiguration(report) | Response::Reload(report), _)
            if !report.problems.is_empty() && report.outcome != ReloadOutcome::Applied =>
        {
            Exit::Failed
        }
        (Response::Status(status), Command::Status { check: true }) if !status.healthy => Exit::Unhealthy,
        (Response::ReplayVerify(verified), _) if verified.is_incomplete() => Exit::LogIncomplete,
        (Response::ReplayVerify(verified), _) if verified.is_of_other_rules() => Exit::OtherRules,
        (Response::ReplayVerify(verified), _) if !verified.equal => Exit::Failed,
        _ => Exit::Done,
    })
}

/// A daemon that stops closes what it has accepted. Asked once more, a socket that systemd keeps holds the question for
/// the daemon's next life.
fn ask_daemon(arguments: &Arguments, request: &Request, wait: Duration) -> Result<Response, ClientError> {
    let ask = || Client::connect(&arguments.global.socket, Some(wait))?.ask(request);
    let first = match ask() {
        Err(error @ ClientError::Closed { .. }) if request.verb().access() == Access::Read => error,
        answered => return answered,
    };
    match ask() {
        Err(ClientError::Unreachable { .. }) => Err(first),
        answered => answered,
    }
}

fn watch(
    arguments: &Arguments,
    request: WatchRequest,
    style: Style,
    out: &mut impl Write,
) -> Result<Exit, Stop> {
    let client = Client::connect(&arguments.global.socket, Some(WAIT))?;
    for item in client.watch(request)? {
        let (update, json) = item?;
        if arguments.global.json {
            writeln!(out, "{json}")?;
        } else {
            writeln!(out, "{}", render_update(&update, style))?;
        }
        out.flush()?;
    }
    Ok(Exit::Done)
}

/// What takes several questions, or none.
fn do_more(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Stop> {
    let socket = &arguments.global.socket;
    let exit = match &arguments.command {
        Command::Wait { condition } => {
            let wait = arguments.global.timeout.map(Duration::from_secs);
            let seen = wait_for(socket, condition, Deadline::after(wait))?;
            if arguments.global.json {
                let answer = json!({ "condition": condition.to_string(), "met": seen.is_none() });
                writeln!(out, "{}", json!(Versioned::new(answer)))?;
            }
            if let Some(seen) = seen {
                out.flush()?;
                return Err(Stop::TimedOut(timed_out(condition, wait.unwrap_or_default(), &seen)));
            }
            Exit::Done
        }
        Command::Config(ConfigCommand::Check { file: Some(file) }) => check_file(arguments, file, out)?,
        Command::Bugreport { output } => {
            let report = BugReport::gather(socket);
            let text = if arguments.global.json { report.to_json() } else { report.to_text() };
            match output {
                None => out.write_all(text.as_bytes())?,
                Some(path) => write_private(path, text.as_bytes())
                    .map_err(|error| Stop::File(format!("{} cannot be written: {error}", path.display())))?,
            }
            Exit::Done
        }
        Command::Generate { directory } => {
            let count = super::pages::write(directory)
                .map_err(|error| Stop::File(format!("{} cannot be filled: {error}", directory.display())))?;
            writeln!(out, "{count} files in {}", directory.display())?;
            Exit::Done
        }
        _ => Exit::Usage,
    };
    out.flush()?;
    Ok(exit)
}

fn timed_out(condition: &Condition, wait: Duration, seen: &str) -> String {
    format!("waited {} s for {condition}, in vain. Last seen: {seen}.", wait.as_secs())
}

/// As `bhavd check-config`, and in JSON.
fn check_file(arguments: &Arguments, file: &Path, out: &mut impl Write) -> Result<Exit, Stop> {
    let problems: Vec<String> = match Config::read(file, None) {
        Ok(config) => {
            let certain = lacking_feeds(&config).into_iter().filter(|(_, is_certain)| *is_certain);
            certain.map(|(lack, _)| lack).collect()
        }
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    };
    if arguments.global.json {
        let answer = json!({ "file": file, "problems": problems });
        writeln!(out, "{:#}", json!(Versioned::new(answer)))?;
    } else if problems.is_empty() {
        writeln!(out, "{} is valid", file.display())?;
    } else {
        writeln!(out, "{}", problems.join("\n"))?;
    }
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Failed })
}

/// What is in a report concerns nobody else on the machine.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

/// Leaves `strikes` rows on each side of the one at the money. A chain whose level is not known stays whole.
fn keep_near_the_money(chain: &mut ChainResponse, strikes: usize) {
    let Some(money_e4) = chain.at_the_money_e4() else { return };
    let Some(middle) = chain.rows.iter().position(|row| row.strike_e4 == money_e4) else { return };
    chain.rows.truncate(middle.saturating_add(strikes).saturating_add(1));
    chain.rows.drain(..middle.saturating_sub(strikes));
}
