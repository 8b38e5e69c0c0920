//! PostgreSQL, Redis and D-Bus servers of the tests' own: in a temporary directory, on Unix sockets only, gone with the test.
//!
//! A shell waits beside each server for the end of a pipe that this process holds. However the process ends, killed
//! included, the pipe closes, and the shell ends the server and removes its directory.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// How long a server may take to come up on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// `$0` is the directory, `$1` the signal that ends the server, the rest its command.
const KEEPER: &str = r#"
trap '' INT TERM HUP
directory=$0; signal=$1; shift
"$@" </dev/null >>"$directory/log" 2>&1 &
server=$!
read -r _
kill -"$signal" "$server" 2>/dev/null
wait "$server"
[ -e "$directory/keep" ] || rm -rf "$directory"
"#;

struct Server {
    directory: PathBuf,
    keeper: Child,
    /// Its end ends the server.
    pipe: Option<ChildStdin>,
}

impl Server {
    fn start(directory: &Path, signal: &str, command: &[String]) -> Result<Server, String> {
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER])
            .arg(directory)
            .arg(signal)
            .args(command)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start sh: {error}"))?;
        let pipe = keeper.stdin.take();
        Ok(Server { directory: directory.to_owned(), keeper, pipe })
    }

    fn stop(&mut self) {
        drop(self.pipe.take());
        let _ = self.keeper.wait();
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a server comes up once a process; nothing else runs on the thread"
    )]
    fn wait_until(&mut self, what: &str, mut ready: impl FnMut() -> bool) -> Result<(), String> {
        let started = Instant::now();
        while !ready() {
            if started.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                self.stop();
                return Err(format!("{what} did not come up within {PATIENCE:?}; it said:\n{log}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn temporary_directory(name: &str) -> Result<PathBuf, String> {
    let prefix = format!("bhavd-{name}-");
    let directory = tempfile::Builder::new().prefix(&prefix).tempdir();
    Ok(directory.map_err(|error| format!("cannot make a directory: {error}"))?.keep())
}

/// A program in the path or in one of `directories`.
fn program(name: &str, directories: &[PathBuf], package: &str) -> Result<String, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = directories
        .iter()
        .cloned()
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file());
    found
        .map(|path| path.display().to_string())
        .ok_or_else(|| format!("{name} is not installed, and this test needs it: apt-get install {package}"))
}

/// Newest version first: `/usr/lib/postgresql/15/bin`.
fn postgres_directories() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by(|one, other| other.cmp(one));
    versions.into_iter().map(|(_, directory)| directory).collect()
}

/// The words before a command that make it run as this user, given by number and group.
struct User {
    words: Vec<String>,
    ids: Option<(u32, u32)>,
}

/// PostgreSQL refuses to run as root: somebody else then, and otherwise whoever runs the tests.
fn unprivileged() -> Result<User, String> {
    let own_uid = fs::metadata("/proc/self").map_err(|error| format!("cannot read /proc: {error}"))?.uid();
    if own_uid != 0 {
        return Ok(User { words: Vec::new(), ids: None });
    }
    let users =
        fs::read_to_string("/etc/passwd").map_err(|error| format!("cannot read the users: {error}"))?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse::<u32>().ok()?, fields.next()?.parse::<u32>().ok()?))
    };
    let (uid, gid) =
        ids("postgres").or_else(|| ids("nobody")).ok_or("there is no user postgres or nobody")?;
    let setpriv = program("setpriv", &[], "util-linux")?;
    let words = [setpriv, format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()];
    Ok(User { words: words.into(), ids: Some((uid, gid)) })
}

fn start_postgres() -> Result<Server, String> {
    let directories = postgres_directories();
    let initdb = program("initdb", &directories, "postgresql")?;
    let postgres = program("postgres", &directories, "postgresql")?;
    let user = unprivileged()?;
    let directory = temporary_directory("postgres")?;
    if let Some((uid, gid)) = user.ids {
        chown(&directory, Some(uid), Some(gid))
            .map_err(|error| format!("cannot give a directory away: {error}"))?;
    }
    let allow = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&directory, allow).map_err(|error| format!("cannot open a directory: {error}"))?;
    let data = directory.join("data").display().to_string();
    let command = |words: &[&str]| -> Vec<String> {
        user.words.iter().cloned().chain(words.iter().map(|word| (*word).to_owned())).collect()
    };
    let make = command(&[
        &initdb,
        "--pgdata",
        &data,
        "--username=bhavd",
        "--auth=trust",
        "--no-sync",
        "--encoding=UTF8",
        "--locale=C",
    ]);
    let made = Command::new(&make[0])
        .args(&make[1..])
        .current_dir(&directory)
        .output()
        .map_err(|error| format!("cannot run initdb: {error}"))?;
    if !made.status.success() {
        return Err(format!("initdb failed: {}", String::from_utf8_lossy(&made.stderr)));
    }
    let sockets = format!("unix_socket_directories={}", directory.display());
    let serve = command(&[
        &postgres,
        "-D",
        &data,
        "-c",
        "listen_addresses=",
        "-c",
        &sockets,
        "-c",
        "fsync=off",
        "-c",
        "max_connections=200",
    ]);
    // QUIT is PostgreSQL's immediate shutdown.
    let mut server = Server::start(&directory, "QUIT", &serve)?;
    // The file lists its state in the eighth line once it serves.
    let state = directory.join("data/postmaster.pid");
    server
        .wait_until("PostgreSQL", || fs::read_to_string(&state).is_ok_and(|text| text.contains("ready")))?;
    Ok(server)
}

/// The address of a fresh database on the server that all tests of this process share.
#[expect(clippy::disallowed_methods, reason = "the task of the connection; the test waits for its end")]
pub async fn postgres_database() -> String {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let server = match SERVER.get_or_init(start_postgres) {
        Ok(server) => server,
        Err(reason) => panic!("{reason}"),
    };
    let socket = server.directory.display().to_string().replace('/', "%2F");
    let address = |database: &str| format!("postgres://bhavd@{socket}/{database}");
    let (client, connection) = tokio_postgres::connect(&address("postgres"), tokio_postgres::NoTls)
        .await
        .expect("the test's own PostgreSQL takes connections");
    let connection = tokio::spawn(connection);
    let name = format!("record_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database is made");
    drop(client);
    let _ = connection.await;
    address(&name)
}

/// Run in a fresh database: every table that is made takes until [`END_OF_SLOW_MIGRATION`] has run.
pub const SLOW_MIGRATION: &str = "
    CREATE TABLE released (at TIMESTAMPTZ NOT NULL);
    CREATE FUNCTION dawdle() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        WHILE NOT EXISTS (SELECT FROM released) LOOP
            PERFORM pg_sleep(0.02);
        END LOOP;
    END $$;
    CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION dawdle();";
pub const END_OF_SLOW_MIGRATION: &str = "INSERT INTO released VALUES (now())";

/// A Redis server without persistence.
pub struct Redis {
    directory: PathBuf,
    server: Option<Server>,
}

impl Redis {
    pub fn start() -> Redis {
        let directory = temporary_directory("redis").unwrap_or_else(|reason| panic!("{reason}"));
        // Lives on while the server is stopped and started again.
        fs::write(directory.join("keep"), "").expect("the directory is writable");
        let mut redis = Redis { directory, server: None };
        redis.start_again();
        redis
    }

    /// For `redis::Client::open`.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("redis.sock")
    }

    /// Ends the server; its data are gone.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts an empty server at the same address.
    pub fn start_again(&mut self) {
        let started = self.try_start();
        self.server = Some(started.unwrap_or_else(|reason| panic!("{reason}")));
    }

    fn try_start(&self) -> Result<Server, String> {
        let redis = program("redis-server", &[], "redis-server")?;
        let (directory, socket) = (self.directory.display().to_string(), self.socket().display().to_string());
        let words =
            ["--port", "0", "--unixsocket", &socket, "--save", "", "--appendonly", "no", "--dir", &directory];
        let command: Vec<String> = [redis.as_str()].into_iter().chain(words).map(str::to_owned).collect();
        let mut server = Server::start(&self.directory, "TERM", &command)?;
        let socket = self.socket();
        server.wait_until("Redis", || std::os::unix::net::UnixStream::connect(&socket).is_ok())?;
        Ok(server)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.directory.join("keep"));
        self.server = None;
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A message bus with the rules of a system bus and the daemon's own policy file, in which whoever runs the tests takes
/// the place of the user and the group bhavd.
pub struct Bus {
    directory: PathBuf,
    server: Option<Server>,
}

impl Bus {
    /// A place for a bus; [`Bus::start_again`] starts it.
    pub fn absent() -> Bus {
        let directory = temporary_directory("bus").unwrap_or_else(|reason| panic!("{reason}"));
        fs::write(directory.join("keep"), "").expect("the directory is writable");
        // Other users connect, too.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("dbus/org.bhavd.Bhavd1.conf");
        let (uid, gid) = own_ids();
        let policy = fs::read_to_string(shipped)
            .expect("the policy file is there")
            .replace("user=\"bhavd\"", &format!("user=\"{uid}\""))
            .replace("group=\"bhavd\"", &format!("group=\"{gid}\""));
        fs::write(directory.join("policy.conf"), policy).expect("written");
        let bus = Bus { directory, server: None };
        let rules = BUS_RULES
            .replace("ADDRESS", &bus.address())
            .replace("UID", &uid.to_string())
            .replace("POLICY", &bus.directory.join("policy.conf").display().to_string());
        fs::write(bus.directory.join("bus.conf"), rules).expect("written");
        bus
    }

    pub fn start() -> Bus {
        let mut bus = Bus::absent();
        bus.start_again();
        bus
    }

    /// `unix:path=…`.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("bus")
    }

    /// Ends the bus and every connection to it.
    pub fn stop(&mut self) {
        self.server = None;
        // Left behind by a bus that was killed.
        let _ = fs::remove_file(self.socket());
    }

    pub fn start_again(&mut self) {
        let started = self.try_start();
        self.server = Some(started.unwrap_or_else(|reason| panic!("{reason}")));
    }

    fn try_start(&self) -> Result<Server, String> {
        let daemon = program("dbus-daemon", &[], "dbus")?;
        let rules = format!("--config-file={}", self.directory.join("bus.conf").display());
        let command = [daemon, rules, "--nofork".to_owned(), "--nopidfile".to_owned()];
        let mut server = Server::start(&self.directory, "TERM", &command)?;
        let socket = self.socket();
        server.wait_until("D-Bus", || std::os::unix::net::UnixStream::connect(&socket).is_ok())?;
        Ok(server)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.directory.join("keep"));
        self.server = None;
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// User and group of this process.
pub fn own_ids() -> (u32, u32) {
    let own = fs::metadata("/proc/self").expect("/proc is there");
    (own.uid(), own.gid())
}

/// As /usr/share/dbus-1/system.conf has them.
const BUS_RULES: &str = r#"<busconfig>
  <type>system</type>
  <listen>ADDRESS</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
  </policy>
  <policy user="UID">
    <allow own="org.freedesktop.PolicyKit1"/>
    <allow send_destination="org.freedesktop.PolicyKit1"/>
  </policy>
  <include>POLICY</include>
</busconfig>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn redis_comes_and_goes_at_one_address() {
        let mut server = Redis::start();
        let client = redis::Client::open(server.url()).expect("an address");
        let mut connection = client.get_multiplexed_async_connection().await.expect("connects");
        let set: String =
            redis::cmd("SET").arg("key").arg(1).query_async(&mut connection).await.expect("sets");
        assert_eq!(set, "OK");
        server.stop();
        assert!(client.get_multiplexed_async_connection().await.is_err(), "it was stopped");
        server.start_again();
        let mut connection = client.get_multiplexed_async_connection().await.expect("connects again");
        let kept: Option<i64> =
            redis::cmd("GET").arg("key").query_async(&mut connection).await.expect("gets");
        assert_eq!(kept, None);
        let directory = server.directory.clone();
        drop(server);
        assert!(!directory.exists(), "the directory is left behind");
    }

    #[tokio::test]
    async fn databases_are_separate() {
        assert_ne!(postgres_database().await, postgres_database().await);
    }
}
