//! The control command: see [`bhavd::cli`].

use bhavd::cli::{Arguments, Style, run};
use clap::Parser;
use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let stdout = io::stdout().lock();
    let style = Style { colour: stdout.is_terminal() && !no_colour };
    run(&arguments, style, &mut io::BufWriter::new(stdout), &mut io::stderr()).into()
}
