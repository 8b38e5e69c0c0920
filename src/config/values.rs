//! A configuration as keys and values, for people and for comparison.

use super::{
    Config,
    check::without_secrets,
    keys::{Effect, effect_of},
};
use serde_json::{Value, json};

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// With its tables: `feeds.nse.poll_interval_s`. The whole watch list is one key.
    pub key: String,
    /// As the file writes it; `None` if it is not set. Not for people: see [`KeyValue::shown`].
    value: Option<String>,
    pub effect: Effect,
}

impl KeyValue {
    /// The value for people: users, passwords and options of addresses are left out.
    pub fn shown(&self) -> Option<String> {
        self.value.as_deref().map(without_secrets)
    }

    pub fn is_same(&self, other: &KeyValue) -> bool {
        self.value == other.value
    }
}

impl Config {
    /// Every key in the order of its name, set or not.
    pub fn values(&self) -> Vec<KeyValue> {
        let clock = self.clock.map(|clock| {
            let instant = |at: crate::market::Timestamp| at.to_utc().to_rfc3339();
            json!({ "start": instant(clock.start), "real_start": instant(clock.real_start), "speed": clock.speed })
        });
        let tables = json!({
            "store": self.store,
            "spool": self.spool,
            "control": self.control,
            "watch": self.watch.underlyings,
            "feeds": self.feeds,
            "live": self.live,
            "dbus": self.dbus,
            "credentials": self.credentials,
            "calendar": self.calendar,
            "buckets": self.buckets,
            "log": self.log,
            "supervision": self.supervision,
            "clock": clock.unwrap_or_else(|| json!({ "start": null, "real_start": null, "speed": null })),
        });
        let mut values = Vec::new();
        flatten("", &tables, &mut values);
        values.sort_by(|one, other| one.key.cmp(&other.key));
        values
    }

    /// The keys to which `next` gives another value: this one's, then the other's.
    pub fn changes(&self, next: &Config) -> Vec<(KeyValue, KeyValue)> {
        // Both have every key, in the same order.
        let pairs = self.values().into_iter().zip(next.values());
        pairs.filter(|(one, other)| !one.is_same(other)).collect()
    }
}

fn flatten(path: &str, value: &Value, values: &mut Vec<KeyValue>) {
    let Value::Object(table) = value else {
        let effect = effect_of(path).map_or(Effect::RestartDaemon, |(_, effect)| *effect);
        let value = (!value.is_null()).then(|| written(value));
        values.push(KeyValue { key: path.to_owned(), value, effect });
        return;
    };
    for (name, value) in table {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        flatten(&path, value, values);
    }
}

/// In TOML: a table is written as an inline one, all else as in JSON.
fn written(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Array(items) => format!("[{}]", list(items.iter().map(written).collect())),
        Value::Object(table) => {
            let pairs = table.iter().map(|(name, value)| format!("{name} = {}", written(value)));
            format!("{{ {} }}", list(pairs.collect()))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_KEY_CHANGED: &str = r#"
        watch = [{ underlying = "NIFTY", expiries = 1 }]
        store.url = "sqlite:/other"
        spool = { dir = "/other", keep_days = 9 }
        control = { socket = "/other", admins = [7] }
        live.redis_url = "redis://operator:hunter2@127.0.0.1:6379"
        credentials.dir = "/other"
        calendar.file = "/other"
        dbus = { enabled = false, address = "unix:path=/other" }
        buckets.grace_s = 9
        log.level = "debug"
        [feeds.nse]
        enabled = true
        site_url = "https://example.org"
        archive_url = "https://example.org"
        chain = "older"
        poll_interval_s = 31
        requests_per_second = 1
        failures_max = 9
        [feeds.angel_one]
        enabled = true
        rest_url = "https://example.org"
        stream_url = "wss://example.org"
        master_url = "https://example.org"
        sockets_max = 1
        tokens_per_socket = 9
        quote_interval_s = 9
        quote_requests_per_second = 9
        candle_interval_s = 99
        stall_s = 9
        [supervision]
        hang_after_ms = 999
        restarts_max = 9
        restart_window_s = 9
        feed_restarts_max = 9
        feed_restart_window_s = 9
        backoff_first_ms = 9
        backoff_longest_ms = 99
        zombies_max = 9
        [clock]
        start = "2026-01-30T09:15:00+05:30"
        real_start = "2026-11-21T00:00:00Z"
        speed = 60
    "#;

    fn changed() -> Config {
        Config::parse(EVERY_KEY_CHANGED, "bhavd.toml", None).expect("valid")
    }

    #[test]
    fn a_reload_takes_exactly_what_needs_no_restart_of_the_daemon() {
        let (old, new) = (Config::default(), changed());
        let changes = old.changes(&new);
        assert_eq!(changes.len(), old.values().len(), "every key is another");
        let left: Vec<(String, Effect)> =
            old.reloaded(&new).changes(&new).into_iter().map(|(one, _)| (one.key, one.effect)).collect();
        let waiting: Vec<(String, Effect)> = changes
            .into_iter()
            .filter(|(one, _)| one.effect == Effect::RestartDaemon)
            .map(|(one, _)| (one.key, one.effect))
            .collect();
        assert_eq!(left, waiting);
    }

    #[test]
    fn values_are_shown_without_users_and_passwords() {
        let values = changed().values();
        let shown = |key: &str| values.iter().find(|value| value.key == key).expect("a key").shown();
        assert_eq!(shown("live.redis_url").as_deref(), Some("\"redis://…@127.0.0.1:6379\""));
        assert_eq!(shown("watch").as_deref(), Some("[{ expiries = 1, underlying = \"NIFTY\" }]"));
        assert_eq!(shown("control.admins").as_deref(), Some("[7]"));
        assert_eq!(shown("clock.speed").as_deref(), Some("60.0"));
        let other = EVERY_KEY_CHANGED.replace("hunter2", "hunter3");
        let other = Config::parse(&other, "bhavd.toml", None).expect("valid");
        assert_eq!(changed().changes(&other).len(), 1, "another password is a change");
    }
}
