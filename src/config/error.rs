//! What is wrong with a configuration.

use std::{fmt, io, path::PathBuf};

/// One thing to correct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line of the file, from 1; `None` for something that is not there.
    pub line: Option<usize>,
    /// The key with its tables: `feeds.nse.poll_interval_s`. Empty for a syntax error.
    pub key: String,
    /// What was found, and what is allowed.
    pub text: String,
}

/// The configuration cannot be used. The daemon does not start (exit 78); a running one keeps what it has.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: cannot be read: {cause}; name another file with --config", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    /// One line a problem: `bhavd.toml:12: feeds.nse.poll_interval_s: found 0, allowed is 5 to 600`.
    #[error("{}", lines(file, problems))]
    Wrong { file: String, problems: Vec<Problem> },
}

impl Problem {
    pub(super) fn at(line: usize, key: impl Into<String>, text: impl Into<String>) -> Problem {
        Problem { line: Some(line), key: key.into(), text: text.into() }
    }

    pub(super) fn absent(key: impl Into<String>, text: impl Into<String>) -> Problem {
        Problem { line: None, key: key.into(), text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "{line}: ")?;
        } else {
            f.write_str(" ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

fn lines(file: &str, problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{file}:{problem}")).collect::<Vec<_>>().join("\n")
}
