//! The control socket in the file system.
//!
//! It is bound by the daemon itself, or by a service manager that keeps it while the daemon is restarted.
//!
//! Invariant: a socket that a living daemon answers on is never taken away from it.

use super::client::connect_within;
use rustix::io::Errno;
use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
        net::UnixListener as StdUnixListener,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::net::{UnixListener, UnixStream};

/// Read and write for the owner and the group; nobody else is admitted.
const SOCKET_MODE: u32 = 0o660;
/// Connections that wait to be accepted. Few, because a newcomer waits for all of them; further ones wait in connect(2).
const BACKLOG: i32 = 16;
/// Whose members are admitted, where there is such a group and the daemon may give files to it.
const SOCKET_GROUP: &str = "bhavd";

/// How long a daemon that has no room for callers may take to make some before it counts as one that answers.
const ASK_WITHIN: Duration = Duration::from_millis(100);

/// The socket could not be opened. The daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "another daemon answers at {}; stop it first or set another [control] socket", path.display()
    )]
    InUse { path: PathBuf },
    #[error("{} exists and is not a stream socket; remove it or set another [control] socket", path.display())]
    NotASocket { path: PathBuf },
    #[error(
        "the control socket {} could not be opened: {step}: {cause}; see to its directory or set another [control] socket",
        path.display()
    )]
    Io { path: PathBuf, step: &'static str, cause: io::Error },
    #[error("the control socket handed over by the service manager is no use: {cause}; look at bhavd.socket")]
    HandedOver { cause: io::Error },
}

/// The control socket outside any runtime: whoever serves it may come and go, callers wait in its queue meanwhile. The
/// file of one that was bound here goes away with the last of its kind.
#[derive(Debug)]
pub struct ControlSocket {
    socket: StdUnixListener,
    file: Arc<SocketFile>,
}

/// A listening control socket.
#[derive(Debug)]
pub struct ControlListener {
    listener: UnixListener,
    file: Arc<SocketFile>,
}

#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode of our file: a later daemon's file at the same path is not ours to remove. `None` where the
    /// file is somebody else's.
    identity: Option<(u64, u64)>,
}

impl ControlSocket {
    /// Binds `path`, in a directory that is made if it is not there; a file left behind by a daemon that died is
    /// replaced.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(path: &Path) -> Result<ControlSocket, BindError> {
        let failed = |step| {
            let path = path.to_owned();
            move |cause| BindError::Io { path, step, cause }
        };
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(failed("making its directory"))?;
        }
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(BindError::NotASocket { path: path.to_owned() });
            }
            Ok(_) => match connect_within(path, Some(ASK_WITHIN)) {
                Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path).map_err(failed("removing the one a dead daemon left"))?;
                }
                Err(cause) if cause.raw_os_error() == Some(Errno::PROTOTYPE.raw_os_error()) => {
                    return Err(BindError::NotASocket { path: path.to_owned() });
                }
                Ok(_) => return Err(BindError::InUse { path: path.to_owned() }),
                // It is there and has no room for callers.
                Err(cause) if cause.kind() == io::ErrorKind::TimedOut => {
                    return Err(BindError::InUse { path: path.to_owned() });
                }
                Err(cause) => return Err(failed("asking whether a daemon answers there")(cause)),
            },
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(failed("looking at its path")(cause)),
        }
        let socket = StdUnixListener::bind(path).map_err(failed("binding it"))?;
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        if let Some(group) = group_id(&groups, SOCKET_GROUP)
            && let Err(cause) = chown(path, None, Some(group))
        {
            log::debug!(group = SOCKET_GROUP, cause:%; "the control socket keeps the daemon's own group");
        }
        let mode = fs::Permissions::from_mode(SOCKET_MODE);
        fs::set_permissions(path, mode).map_err(failed("setting its mode"))?;
        socket.set_nonblocking(true).map_err(failed("setting it up"))?;
        let found = fs::symlink_metadata(path).map_err(failed("looking at it"))?;
        let file = SocketFile { path: path.to_owned(), identity: Some((found.dev(), found.ino())) };
        Ok(ControlSocket { socket, file: Arc::new(file) })
    }

    /// Takes a socket that somebody else bound and keeps: connections queue in it while nobody listens here, and its
    /// file and mode stay as they are.
    ///
    /// # Errors
    /// [`BindError::HandedOver`].
    pub fn adopt(socket: StdUnixListener) -> Result<ControlSocket, BindError> {
        let handed_over = |cause| BindError::HandedOver { cause };
        socket.set_nonblocking(true).map_err(handed_over)?;
        let address = socket.local_addr().map_err(handed_over)?;
        let path = address.as_pathname().map(Path::to_owned).unwrap_or_default();
        Ok(ControlSocket { socket, file: Arc::new(SocketFile { path, identity: None }) })
    }

    /// Listens within the tokio runtime that this is called in; for callers that few may wait for. Any number of times.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn listen(&self) -> io::Result<ControlListener> {
        let own = self.socket.try_clone()?;
        rustix::net::listen(&own, BACKLOG)?;
        Ok(ControlListener { listener: UnixListener::from_std(own)?, file: Arc::clone(&self.file) })
    }

    pub fn path(&self) -> &Path {
        &self.file.path
    }
}

impl ControlListener {
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

/// The id of a group in the form of group(5): `name:password:id:members`.
fn group_id(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| self.identity == Some((found.dev(), found.ino())));
        if is_ours {
            // A file that stays is replaced by the next daemon.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    #[test]
    fn makes_the_directory_sets_the_mode_and_cleans_up() {
        let home = directory();
        let path = home.path().join("run/bhavd/control.sock");
        let socket = ControlSocket::bind(&path).expect("a free path");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert_eq!(socket.path(), path);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let groups = "root:x:0:\nbhavd-users:x:7:\nbhavd:x:990:alice,bob\nbroken\n";
        assert_eq!([group_id(groups, "bhavd"), group_id(groups, "bhav")], [Some(990), None]);
        assert_eq!(group_id("bhavd:x:many:\n", "bhavd"), None);
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let home = directory();
        let path = home.path().join("control.sock");
        drop(StdUnixListener::bind(&path).expect("a free path"));
        assert!(path.exists(), "std leaves the file");
        let socket = ControlSocket::bind(&path).expect("a dead socket");
        let error = ControlSocket::bind(&path).expect_err("a living socket").to_string();
        assert!(error.starts_with("another daemon answers at") && error.contains("control.sock"), "{error}");
        assert!(path.exists());
        drop(socket);
    }

    #[test]
    fn a_living_socket_without_room_for_callers_is_in_use() {
        let home = directory();
        let path = home.path().join("control.sock");
        let living = StdUnixListener::bind(&path).expect("a free path");
        rustix::net::listen(&living, 0).expect("it listens");
        let _waiting = std::os::unix::net::UnixStream::connect(&path).expect("the one place");
        let error = ControlSocket::bind(&path).expect_err("a living socket");
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
    }

    #[test]
    fn what_is_no_stream_socket_stays() {
        let home = directory();
        let path = home.path().join("control.sock");
        fs::write(&path, "precious").expect("a file");
        let error = ControlSocket::bind(&path).expect_err("a file").to_string();
        assert!(error.contains("is not a stream socket; remove it"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "precious");
        let path = home.path().join("datagrams.sock");
        let _other = std::os::unix::net::UnixDatagram::bind(&path).expect("a free path");
        let error = ControlSocket::bind(&path).expect_err("a socket for datagrams");
        assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
    }

    #[test]
    fn a_successors_file_is_left_alone() {
        let home = directory();
        let path = home.path().join("control.sock");
        let first = ControlSocket::bind(&path).expect("a free path");
        fs::remove_file(&path).expect("removed under its feet");
        // Holds the freed inode number, which the successor's file would otherwise get.
        fs::write(home.path().join("other"), "").expect("a file");
        let _second = ControlSocket::bind(&path).expect("a free path");
        drop(first);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn clients_of_a_socket_that_is_kept_queue_from_one_listener_to_the_next() {
        let home = directory();
        let path = home.path().join("control.sock");
        let handed_over = StdUnixListener::bind(&path).expect("a free path");
        let kept = ControlSocket::adopt(handed_over).expect("a listening socket");
        let first = kept.listen().expect("a listening socket");
        assert_eq!(first.path(), path);
        drop(first);
        let _client = std::os::unix::net::UnixStream::connect(&path).expect("it listens whoever accepts");
        let second = kept.listen().expect("a listening socket");
        second.accept().await.expect("the client that came in between");
        drop((second, kept));
        assert!(path.exists(), "its file is not ours");
    }

    #[test]
    fn a_path_too_long_is_explained() {
        let home = directory();
        let error =
            ControlSocket::bind(&home.path().join("x".repeat(200))).expect_err("too long").to_string();
        assert!(error.contains("binding it") && error.contains("set another [control] socket"), "{error}");
    }
}
