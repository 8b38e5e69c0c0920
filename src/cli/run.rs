//! The program: ask, print, exit.

use super::{Arguments, Command, Exit, Style, exit::explain, render, render_actor_tree, render_update};
use crate::control::{
    Access, ChainResponse, Client, ClientError, Request, Response, Versioned, WatchRequest,
};
use std::{
    io::{self, Write},
    time::Duration,
};

const WAIT: Duration = Duration::from_secs(30);
/// As long as the server allows a long answer to take, and a little more.
const LONG_WAIT: Duration = Duration::from_secs(605);

/// Why nothing more can be done.
enum Stop {
    Client(ClientError),
    /// Standard output cannot be written.
    Output(io::Error),
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

/// Does what the command line says. What was asked for goes to `out`, what went wrong to `complaints`. A reader that goes
/// away (`bhavctl … | head`) ends the program quietly.
pub fn run(arguments: &Arguments, style: Style, out: &mut impl Write, complaints: &mut impl Write) -> Exit {
    let request = match arguments.command.request() {
        Ok(request) => request,
        Err(reason) => return complain(complaints, Exit::Usage, &reason),
    };
    let done = match request {
        Request::Watch(request) => watch(arguments, request, style, out),
        request => ask(arguments, &request, style, out),
    };
    match done {
        Ok(exit) => exit,
        Err(Stop::Client(error)) => complain(complaints, Exit::of(&error), &explain(&error)),
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
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
    Ok(match (&response, &arguments.command) {
        (Response::Status(status), Command::Status { check: true }) if !status.healthy => Exit::Unhealthy,
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

/// Leaves `strikes` rows on each side of the one at the money. A chain whose level is not known stays whole.
fn keep_near_the_money(chain: &mut ChainResponse, strikes: usize) {
    let Some(money_e4) = chain.at_the_money_e4() else { return };
    let Some(middle) = chain.rows.iter().position(|row| row.strike_e4 == money_e4) else { return };
    chain.rows.truncate(middle.saturating_add(strikes).saturating_add(1));
    chain.rows.drain(..middle.saturating_sub(strikes));
}
