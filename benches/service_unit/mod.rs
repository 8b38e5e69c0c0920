//! What the service's unit gives the daemon, for benches that run it as the service does.

/// Variables of its environment.
pub fn environment() -> impl Iterator<Item = (&'static str, &'static str)> {
    let unit = include_str!("../../systemd/bhavd.service");
    unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='))
}
