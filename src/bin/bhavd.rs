//! The daemon: see [`bhavd::node`].

use bhavd::{
    cli::{DaemonArguments, DaemonCommand, run_demo},
    config::Config,
    node::{Daemon, Origin, credentials_dir},
};
use clap::Parser;
use std::{fmt::Display, io, path::Path, process::ExitCode};

/// sysexits.h
const USAGE: u8 = 64;
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
            Ok(_) => {
                println!("{} is valid", config.display());
                ExitCode::SUCCESS
            }
            Err(exit) => exit,
        },
        DaemonCommand::Demo(arguments) => {
            start_log(log::LevelFilter::Warn);
            match run_demo(&arguments, &mut io::stdout()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error, error.exit_code()),
            }
        }
    }
}

fn run(path: &Path) -> ExitCode {
    let config = match read(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let origin = match Origin::from_environment(path) {
        Ok(origin) => origin,
        Err(error) => return fail(&error, CONFIGURATION),
    };
    start_log(config.log.level);
    match Daemon::open_from(config, origin).and_then(Daemon::run) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => fail(&error, error.exit_code()),
    }
}

fn read(path: &Path) -> Result<Config, ExitCode> {
    Config::read(path, credentials_dir()).map_err(|error| fail(&error, CONFIGURATION))
}

fn fail(error: &dyn Display, code: u8) -> ExitCode {
    eprintln!("bhavd: {error}");
    ExitCode::from(code)
}

/// Lines on standard error; RUST_LOG goes before the configured level.
fn start_log(level: log::LevelFilter) {
    env_logger::Builder::new().filter_level(level).parse_default_env().init();
}
