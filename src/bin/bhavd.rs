//! The daemon: see [`bhavd::node`].

use bhavd::{
    cli::{DaemonArguments, DaemonCommand, run_demo},
    config::{Config, ConfigError},
    logging::{self, Event, Logging},
    node::{Daemon, DaemonError, Handover, Hangups, credentials_dir, lacking_feeds},
};
use clap::Parser;
use std::{
    env,
    fmt::Display,
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

/// sysexits.h
const USAGE: u8 = 64;
const INTERNAL: u8 = 70;
const CONFIGURATION: u8 = 78;

fn main() -> ExitCode {
    let arguments = match DaemonArguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to do if the terminal cannot show it.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match arguments.command {
        DaemonCommand::Run { config } => run(&config),
        DaemonCommand::CheckConfig { config } => match read(&config) {
            Ok(read) => check_feeds(&config, &read),
            Err(exit) => exit,
        },
        DaemonCommand::Demo(arguments) => {
            let _logging = logging::start(log::LevelFilter::Warn);
            match run_demo(&arguments, &mut io::stdout()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error, error.exit_code()),
            }
        }
    }
}

/// A file that is well formed may still name credentials that are not there.
fn check_feeds(path: &Path, config: &Config) -> ExitCode {
    let lacking = lacking_feeds(config);
    lacking.iter().for_each(|(lack, _)| eprintln!("bhavd: {}: {lack}", path.display()));
    if lacking.iter().any(|(_, is_certain)| *is_certain) {
        return ExitCode::from(CONFIGURATION);
    }
    println!("{} is valid", path.display());
    ExitCode::SUCCESS
}

fn run(path: &Path) -> ExitCode {
    // A reload may be asked for at any time, also before there is anything to reload.
    let hangups = match Hangups::listen() {
        Ok(hangups) => hangups,
        Err(error) => return fail(&format!("cannot listen for SIGHUP: {error}"), INTERNAL),
    };
    let logging = logging::start(log::LevelFilter::Info);
    let config = match read_config(path) {
        Ok(config) => config,
        Err(error) => return fail_run(&logging, Event::ConfigRefused, &error, CONFIGURATION),
    };
    let handover = match Handover::from_environment(path, hangups) {
        Ok(handover) => handover,
        Err(error) => return fail_run(&logging, Event::Failed, &error, CONFIGURATION),
    };
    logging.set_level(config.log.level);
    match Daemon::open_from(config, handover).and_then(Daemon::run) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error @ DaemonError::ClockSetBack) => {
            let exit = fail_run(&logging, Event::Failed, &error, error.exit_code());
            drop(logging);
            // A service manager starts it again by itself.
            if env::var_os("NOTIFY_SOCKET").is_some() { exit } else { begin_anew() }
        }
        Err(error) => fail_run(&logging, Event::Failed, &error, error.exit_code()),
    }
}

/// This process runs the program from its beginning again.
fn begin_anew() -> ExitCode {
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return fail(&format!("cannot find itself to start again: {error}"), INTERNAL),
    };
    let error = Command::new(program).args(env::args_os().skip(1)).exec();
    fail(&format!("cannot start again: {error}"), INTERNAL)
}

fn read(path: &Path) -> Result<Config, ExitCode> {
    read_config(path).map_err(|error| fail(&error, CONFIGURATION))
}

fn read_config(path: &Path) -> Result<Config, ConfigError> {
    Config::read(path, credentials_dir())
}

/// Why a running daemon ends: an event in the journal, or a line for whoever started it.
fn fail_run(logging: &Logging, event: Event, error: &dyn Display, code: u8) -> ExitCode {
    if !logging.is_journal() {
        return fail(error, code);
    }
    log::error!(event, exit_code = code; "{error}");
    ExitCode::from(code)
}

fn fail(error: &dyn Display, code: u8) -> ExitCode {
    eprintln!("bhavd: {error}");
    ExitCode::from(code)
}
