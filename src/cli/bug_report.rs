//! `bhavctl bugreport`: everything a report of a problem needs, gathered without the daemon's help where it does not answer.
//!
//! Secrets never: the configuration comes without users and passwords, credentials are not read at all, and every section
//! goes through [`super::redaction`].

use super::redaction::{REDACTED, is_secret, redact};
use crate::control::{
    Client, ClientError, ConfigurationResponse, JobHistoryRequest, Request, Response, Versioned,
};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command, time::Duration};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Lines of the journal.
const LOG_LINES: &str = "200";

/// One part of a report: its title, and a text or an object.
struct Section {
    title: &'static str,
    content: Value,
}

pub(super) struct BugReport {
    sections: Vec<Section>,
}

impl BugReport {
    /// What cannot be learned says why in its place.
    pub(super) fn gather(socket: &Path) -> BugReport {
        let ask = |request: &Request| -> Result<Response, ClientError> {
            Client::connect(socket, Some(ANSWER_WITHIN))?.ask(request)
        };
        let mut sections = vec![
            Section { title: "bhavctl", content: json!(env!("CARGO_PKG_VERSION")) },
            Section { title: "system", content: json!(system()) },
        ];
        let mut directories = Vec::new();
        for (title, request) in [
            ("status", Request::Status),
            ("actors", Request::Actors),
            ("feeds", Request::Feeds),
            ("jobs", Request::Jobs),
            ("last runs of the jobs", Request::JobHistory(JobHistoryRequest::default())),
            ("log filter", Request::LogFilter),
            ("configuration", Request::Configuration),
            ("configuration file against what runs", Request::CompareConfiguration),
        ] {
            let content = match ask(&request) {
                Ok(response) => {
                    if let Response::Configuration(configuration) = &response {
                        directories = data_directories(configuration);
                    }
                    serde_json::to_value(&response).unwrap_or_default()
                }
                Err(error) => json!(error.to_string()),
            };
            sections.push(Section { title, content });
        }
        let disks: Vec<String> = directories.iter().map(|path| disk_space(Path::new(path))).collect();
        sections.push(Section { title: "disk space", content: json!(disks.join("\n")) });
        sections.push(Section { title: "last log lines", content: json!(journal()) });
        BugReport { sections }
    }

    pub(super) fn to_text(&self) -> String {
        let section = |section: &Section| {
            let content = match &section.content {
                Value::String(text) => text.trim_end().to_owned(),
                object => format!("{object:#}"),
            };
            format!("== {}\n{}\n\n", section.title, redact(&content))
        };
        self.sections.iter().map(section).collect()
    }

    pub(super) fn to_json(&self) -> String {
        let sections: serde_json::Map<String, Value> = self
            .sections
            .iter()
            .map(|section| (section.title.replace(' ', "_"), redact_value(section.content.clone())))
            .collect();
        format!("{:#}\n", json!(Versioned::new(sections)))
    }
}

fn redact_value(value: Value) -> Value {
    match value {
        Value::String(text) => json!(redact(&text)),
        Value::Array(items) => items.into_iter().map(redact_value).collect(),
        Value::Object(fields) => {
            let redact_field = |(name, value): (String, Value)| {
                let is_hidden = value.is_string() && is_secret(&name.to_ascii_lowercase());
                (name, if is_hidden { json!(REDACTED) } else { redact_value(value) })
            };
            fields.into_iter().map(redact_field).collect()
        }
        other => other,
    }
}

fn system() -> String {
    let name = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory: Vec<&str> = memory.lines().take(3).collect();
    format!(
        "{} {} {}\n{}\n{}",
        text(name.sysname()),
        text(name.release()),
        text(name.machine()),
        pretty.trim_matches('"'),
        memory.join("\n")
    )
}

/// Where the daemon writes: the log, and a store that is a file.
fn data_directories(configuration: &ConfigurationResponse) -> Vec<String> {
    let value = |key: &str| {
        let row = configuration.rows.iter().find(|row| row.key == key);
        row.and_then(|row| row.value.as_deref()).map(|value| value.trim_matches('"').to_owned())
    };
    let store = value("store.url").and_then(|url| {
        let file = url.strip_prefix("sqlite:")?.to_owned();
        Some(Path::new(&file).parent()?.display().to_string())
    });
    [value("spool.dir"), store].into_iter().flatten().collect()
}

fn disk_space(path: &Path) -> String {
    match rustix::fs::statvfs(path) {
        Ok(found) => {
            let mib = |blocks: u64| blocks.saturating_mul(found.f_frsize) >> 20;
            let shown = path.display();
            format!(
                "{shown}: {} MiB free of {} MiB, {} inodes free",
                mib(found.f_bavail),
                mib(found.f_blocks),
                found.f_favail
            )
        }
        Err(error) => format!("{}: {error}", path.display()),
    }
}

/// What systemd's journal has of the daemon, where there is one that may be read.
fn journal() -> String {
    let arguments = ["--unit", "bhavd", "--lines", LOG_LINES, "--no-pager", "--output", "short-iso"];
    match Command::new("journalctl").args(arguments).output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => format!("journalctl: {}", String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => format!("journalctl cannot be run: {error}"),
    }
}
