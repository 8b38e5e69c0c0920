//! The command lines of bhavd and bhavctl: arguments, client and rendering.
//!
//! [`run`] is the whole program: it asks the daemon one thing and prints the answer. Rendering is pure, from a response
//! to a text. Exit codes are [`Exit`], and scripts may rely on them and on `--json`; the tables are for people.

mod arguments;
mod bug_report;
mod daemon_arguments;
mod demo;
mod exit;
mod pages;
mod redaction;
mod render;
mod run;
mod wait;

pub use arguments::{Arguments, Command, ConfigCommand, FeedCommand, FeedName, ReplayCommand};
pub use daemon_arguments::{DaemonArguments, DaemonCommand, DemoArguments};
pub use demo::{render_summary, run_demo};
pub use exit::Exit;
pub use pages::pages;
pub use render::{Style, render, render_actor_tree, render_update};
pub use run::run;
pub use wait::Condition;
