//! Man pages and shell completions, made of the same tree as the help. They are kept in `man/` and `completions/`; a test
//! holds them to the tree.

use super::{Arguments, DaemonArguments};
use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use std::{collections::BTreeMap, fs, io, path::Path};

/// Every file by its path below the project: `man/bhavctl.1`, `completions/_bhavctl`.
pub fn pages() -> BTreeMap<String, Vec<u8>> {
    let mut pages = BTreeMap::new();
    let programs = [("bhavctl", "1", Arguments::command()), ("bhavd", "8", DaemonArguments::command())];
    for (name, section, mut command) in programs {
        // Fills in what subcommands inherit, and the names they are called by.
        command.build();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let file = match shell {
                Shell::Zsh => format!("_{name}"),
                _ => format!("{name}.{shell}"),
            };
            let mut text = Vec::new();
            generate(shell, &mut without_hidden(&command), name, &mut text);
            pages.insert(format!("completions/{file}"), text);
        }
        add_manual(&without_hidden(&command), section, &mut pages);
    }
    pages
}

/// The page of a command, and those of what it offers.
fn add_manual(command: &Command, section: &str, pages: &mut BTreeMap<String, Vec<u8>>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let page = Man::new(command.clone().name(name.clone())).title(name.to_uppercase()).section(section);
    let mut text = Vec::new();
    page.render(&mut text).expect("a vector takes what is written");
    pages.insert(format!("man/{name}.{section}"), text);
    for subcommand in command.get_subcommands() {
        add_manual(subcommand, section, pages);
    }
}

/// The same tree without what is not for people, and without `help`, which each page and command has as `--help`. What is
/// only hidden would still be completed.
fn without_hidden(command: &Command) -> Command {
    let is_shown = |subcommand: &&Command| !subcommand.is_hide_set() && subcommand.get_name() != "help";
    let shown: Vec<Command> = command.get_subcommands().filter(is_shown).map(without_hidden).collect();
    let mut bare = Command::new(command.get_name().to_owned()).args(command.get_arguments());
    if let Some(version) = command.get_version() {
        bare = bare.version(version.to_owned());
    }
    if let Some(name) = command.get_display_name() {
        bare = bare.display_name(name.to_owned());
    }
    if let Some(name) = command.get_bin_name() {
        bare = bare.bin_name(name.to_owned());
    }
    if let Some(about) = command.get_about() {
        bare = bare.about(about.clone());
    }
    if let Some(text) = command.get_long_about() {
        bare = bare.long_about(text.clone());
    }
    if let Some(text) = command.get_after_help() {
        bare = bare.after_help(text.clone());
    }
    if let Some(text) = command.get_after_long_help() {
        bare = bare.after_long_help(text.clone());
    }
    bare.disable_help_flag(true).disable_version_flag(true).disable_help_subcommand(true).subcommands(shown)
}

/// Writes all of them below a directory.
///
/// # Errors
/// What the file system reports.
pub(super) fn write(directory: &Path) -> io::Result<usize> {
    let pages = pages();
    for (name, text) in &pages {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(pages.len())
}
