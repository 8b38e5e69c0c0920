//! bhavctl's arguments, client and rendering.
//!
//! [`run`] is the whole program: it asks the daemon one thing and prints the answer. Rendering is pure, from a response
//! to a text. Exit codes are [`Exit`], and scripts may rely on them and on `--json`; the tables are for people.

mod arguments;
mod exit;
mod render;
mod run;

pub use arguments::{Arguments, Command, ReplayCommand};
pub use exit::Exit;
pub use render::{Style, render, render_update};
pub use run::run;
