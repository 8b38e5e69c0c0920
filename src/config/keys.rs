//! Every key of the file, what kind of value it takes and within which bounds, and what a change of it takes.

/// What a key's value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Flag,
    /// A whole number, both ends included.
    Whole {
        min: i64,
        max: i64,
    },
    /// A number greater than `above` and at most `max`.
    Real {
        above: f64,
        max: f64,
    },
    /// Not empty.
    Path,
    /// Begins with one of these and goes on.
    Prefixed(&'static [&'static str]),
    /// `secure` everywhere, `plain` only to this machine: passwords and tokens go there. No slash at its end.
    Url {
        secure: &'static str,
        plain: &'static str,
    },
    OneOf(&'static [&'static str]),
    /// An RFC 3339 text.
    Instant,
    /// An exchange's symbol in upper case, or `*`.
    Underlying,
    UserIds,
    /// `system`, `session` or `unix:path=…`.
    Bus,
}

/// What a change of a key takes to have its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A reload applies it at once.
    Live,
    /// A reload restarts the child that uses it.
    RestartChild,
    /// It waits for the daemon's next start. Also what changes the meaning of the log (the watch list, the grace, the
    /// calendar): the engines read the whole day by one set of rules, so that replaying it gives the same rows.
    RestartDaemon,
}

/// By key, or by the table for all keys below it; the longest name that fits counts.
pub(super) const EFFECTS: &[(&str, Effect)] = &[
    ("store", Effect::RestartDaemon),
    ("spool.dir", Effect::RestartDaemon),
    ("spool.keep_days", Effect::Live),
    ("control.socket", Effect::RestartDaemon),
    ("control.admins", Effect::Live),
    ("watch", Effect::RestartDaemon),
    ("feeds", Effect::RestartChild),
    ("live", Effect::RestartDaemon),
    ("dbus", Effect::RestartChild),
    ("credentials", Effect::RestartChild),
    ("calendar", Effect::RestartDaemon),
    ("buckets", Effect::RestartDaemon),
    ("log", Effect::Live),
    ("supervision", Effect::RestartDaemon),
    ("clock", Effect::RestartDaemon),
];

/// The entry of [`EFFECTS`] that counts for a key.
pub(super) fn effect_of(key: &str) -> Option<&'static (&'static str, Effect)> {
    let fits =
        |name: &str| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    EFFECTS.iter().filter(|(name, _)| fits(name)).max_by_key(|(name, _)| name.len())
}

/// A key, or a table of keys.
pub(super) enum Node {
    Key(Kind),
    Table(&'static [Entry]),
    /// `[[name]]`, any number of times.
    Tables(&'static [Entry]),
}

pub(super) type Entry = (&'static str, Node);

pub(super) const STORE_URL: Kind = Kind::Prefixed(&["sqlite:", "postgres://", "postgresql://"]);

const WEB: Node = Node::Key(Kind::Url { secure: "https://", plain: "http://" });
const WEB_SOCKET: Node = Node::Key(Kind::Url { secure: "wss://", plain: "ws://" });

const fn whole(min: i64, max: i64) -> Node {
    Node::Key(Kind::Whole { min, max })
}

pub(super) const ROOT: &[Entry] = &[
    ("store", Node::Table(&[("url", Node::Key(STORE_URL))])),
    ("spool", Node::Table(&[("dir", Node::Key(Kind::Path)), ("keep_days", whole(0, 36_500))])),
    ("control", Node::Table(&[("socket", Node::Key(Kind::Path)), ("admins", Node::Key(Kind::UserIds))])),
    ("dbus", Node::Table(&[("enabled", Node::Key(Kind::Flag)), ("address", Node::Key(Kind::Bus))])),
    ("watch", Node::Tables(&[("underlying", Node::Key(Kind::Underlying)), ("expiries", whole(0, 100))])),
    ("feeds", Node::Table(&[("angel_one", Node::Table(ANGEL_ONE)), ("nse", Node::Table(NSE))])),
    ("live", Node::Table(&[("redis_url", Node::Key(Kind::Prefixed(&["redis://", "unix://"])))])),
    ("credentials", Node::Table(&[("dir", Node::Key(Kind::Path))])),
    ("calendar", Node::Table(&[("file", Node::Key(Kind::Path))])),
    ("buckets", Node::Table(&[("grace_s", whole(0, 60))])),
    (
        "log",
        Node::Table(&[(
            "level",
            Node::Key(Kind::OneOf(&["off", "error", "warn", "info", "debug", "trace"])),
        )]),
    ),
    ("supervision", Node::Table(SUPERVISION)),
    (
        "clock",
        Node::Table(&[
            ("start", Node::Key(Kind::Instant)),
            ("real_start", Node::Key(Kind::Instant)),
            ("speed", Node::Key(Kind::Real { above: 0.0, max: 100_000.0 })),
        ]),
    ),
];

const SUPERVISION: &[Entry] = &[
    ("hang_after_ms", whole(100, 600_000)),
    ("restarts_max", whole(0, 10_000)),
    ("restart_window_s", whole(1, 86_400)),
    ("feed_restarts_max", whole(0, 10_000)),
    ("feed_restart_window_s", whole(1, 86_400)),
    ("backoff_first_ms", whole(1, 60_000)),
    ("backoff_longest_ms", whole(1, 600_000)),
    ("zombies_max", whole(0, 64)),
];

/// Bounds: Angel One allows 3 sockets a client code and 1,000 tokens a socket.
const ANGEL_ONE: &[Entry] = &[
    ("enabled", Node::Key(Kind::Flag)),
    ("rest_url", WEB),
    ("stream_url", WEB_SOCKET),
    ("master_url", WEB),
    ("sockets_max", whole(1, 3)),
    ("tokens_per_socket", whole(1, 1_000)),
    ("quote_interval_s", whole(1, 600)),
    ("quote_requests_per_second", whole(1, 10)),
    ("candle_interval_s", whole(60, 3_600)),
    ("stall_s", whole(5, 600)),
];

const NSE: &[Entry] = &[
    ("enabled", Node::Key(Kind::Flag)),
    ("site_url", WEB),
    ("archive_url", WEB),
    ("chain", Node::Key(Kind::OneOf(&["v3", "older"]))),
    ("poll_interval_s", whole(5, 600)),
    ("requests_per_second", whole(1, 10)),
    ("failures_max", whole(1, 100)),
];
