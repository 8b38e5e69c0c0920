//! A Debian with systemd as PID 1, in namespaces of its own (tests/systemd-box), that ends with the test.
//!
//! The root directory it boots from is made once and kept in the cache; what a test writes goes into memory.

use serde_json::Value as Json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take inside.
const PATIENCE: Duration = Duration::from_secs(90);
/// In the root besides a minimal Debian with systemd and D-Bus: what the package depends on.
const PACKAGES: [&str; 1] = ["ca-certificates"];

/// What a machine boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debian {
    /// The release of the machine that runs the tests.
    Own,
    /// Debian 13, whose systemd (257) has varlinkctl and `Type=notify-reload`. Not every mirror has it.
    Trixie,
}

pub struct Machine {
    root: PathBuf,
    state: PathBuf,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.command("down").status();
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd-box")
}

/// `None`, with the reason printed, where the kernel does not let us.
fn may_boot() -> bool {
    if !rustix::process::geteuid().is_root() {
        crate::skip::tell!("booting systemd in namespaces needs root");
        return false;
    }
    let trial = "mount -t cgroup2 cgroup2 /mnt && umount /mnt && mount -t tmpfs tmpfs /mnt && cd /mnt && \
                 mkdir lower upper work && mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay lower";
    let namespaces =
        ["--mount", "--propagation=private", "--pid", "--fork", "--net", "--ipc", "--uts", "--cgroup"];
    let tried = Command::new("unshare").args(namespaces).args(["sh", "-c", trial]).output();
    match tried {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            crate::skip::tell!("namespaces with cgroup2 and overlayfs are not allowed here: {}", said.trim());
            false
        }
        Err(error) => {
            crate::skip::tell!("unshare cannot be run: {error}");
            false
        }
    }
}

impl Machine {
    /// Boots a machine that sees `shared` as /srv. `None`, with the reason printed, where that is not allowed.
    pub fn boot(debian: Debian, state: &Path, shared: &Path) -> Option<Machine> {
        if !may_boot() {
            return None;
        }
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| {
            PathBuf::from(std::env::var_os("HOME").expect("a home directory")).join(".cache")
        });
        let cache = cache.join("bhavd");
        fs::create_dir_all(&cache).expect("a cache directory");
        let (name, suite) = match debian {
            Debian::Own => ("debian-root", None),
            Debian::Trixie => ("debian-trixie-root", Some("trixie")),
        };
        let machine = Machine { root: cache.join(name), state: state.to_owned() };
        // Under a lock: another checkout may be making it.
        let mut lock = machine.root.clone().into_os_string();
        lock.push(".lock");
        let made = Command::new("flock")
            .arg(lock)
            .arg(script())
            .arg("mkroot")
            .arg(&machine.root)
            .args(PACKAGES)
            .envs(suite.map(|suite| ("SYSTEMD_BOX_SUITE", suite)))
            .output();
        let made = made.expect("flock");
        let complaint = String::from_utf8_lossy(&made.stderr);
        if !made.status.success() && debian != Debian::Own {
            crate::skip::tell!("no root of {debian:?} can be made here: {}", complaint.trim());
            return None;
        }
        assert!(made.status.success(), "no Debian root: {complaint}");
        let booted = machine
            .command("up")
            .arg("--bind")
            .arg(format!("{}:/srv", shared.display()))
            .arg(&machine.root)
            .stdout(Stdio::null())
            .output()
            .expect("bash");
        assert!(booted.status.success(), "no boot: {}", String::from_utf8_lossy(&booted.stderr));
        Some(machine)
    }

    /// `down` takes the root, the others take it with what they need.
    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(script());
        command.env("SYSTEMD_BOX_STATE", &self.state).arg(verb);
        if verb == "down" {
            command.arg(&self.root);
        }
        command
    }

    /// Runs a shell script inside.
    pub fn try_run(&self, script: &str) -> Output {
        let limit = PATIENCE.as_secs().to_string();
        let mut command = self.command("exec");
        command.args(["-T", &limit]).arg(&self.root).args(["--", "sh", "-euc", script]);
        command.stdin(Stdio::null()).output().expect("bash")
    }

    /// Runs a shell script inside that has to succeed; gives its output.
    pub fn run(&self, script: &str) -> String {
        let output = self.try_run(script);
        let (said, complained) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(
            output.status.success(),
            "{script}: {}: {said}{complained}\n{}",
            output.status,
            self.journal()
        );
        said.trim_end().to_owned()
    }

    /// The daemon's messages and those of systemd about it.
    pub fn journal(&self) -> String {
        let output = self.try_run("journalctl -o cat --no-pager -u bhavd.service -u bhavd.socket");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn write(&self, path: &str, text: &str) {
        self.run(&format!(
            "mkdir -p \"$(dirname {path})\"; cat > {path} <<'END_OF_FILE'\n{text}\nEND_OF_FILE\n"
        ));
    }

    /// Copies a file or directory out.
    pub fn pull(&self, path: &str, destination: &Path) {
        let mut command = self.command("pull");
        let output = command.arg(&self.root).arg(path).arg(destination).output().expect("bash");
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A property of bhavd's service.
    pub fn property(&self, name: &str) -> String {
        self.run(&format!("systemctl show --value -p {name} bhavd.service"))
    }

    pub fn bhavctl(&self, arguments: &str) -> Json {
        let text = self.run(&format!("bhavctl --json {arguments}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments}: {error}: {text}"))
    }

    /// Looks again and again until `find` finds.
    pub fn wait_for<T>(&self, what: &str, mut find: impl FnMut(&Machine) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = find(self) {
                return found;
            }
            if Instant::now() > until {
                let shown = self.try_run(
                    "systemctl show -p ActiveState,Result,NRestarts,StatusText bhavd.service
                     bhavctl status; bhavctl feeds; systemctl status bhavd.service",
                );
                let shown = String::from_utf8_lossy(&shown.stdout);
                panic!("no {what} within {PATIENCE:?}:\n{}\n{shown}", self.journal());
            }
            thread::park_timeout(Duration::from_millis(50));
        }
    }
}
