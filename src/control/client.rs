//! The caller's end of the control socket. Blocking: its user is a command that does one thing.

use super::{
    Call, ControlError, FrameDecoder, Reply, Request, Response, Update, Versioned, WatchRequest, encode_frame,
};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use serde_json::Value;
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The longest reply that is believed, in bytes.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// The daemon did not answer, or not with what was asked. Shown to the person who asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no daemon answers at {} ({cause})", socket.display())]
    Unreachable { socket: PathBuf, cause: io::Error },
    #[error("this user may not use {} ({cause})", socket.display())]
    NotAdmitted { socket: PathBuf, cause: io::Error },
    #[error("the daemon at {} did not answer within {} s", socket.display(), after.as_secs())]
    TimedOut { socket: PathBuf, after: Duration },
    #[error("the daemon at {} closed the connection before it answered", socket.display())]
    Closed { socket: PathBuf },
    #[error("the connection to {} broke: {cause}", socket.display())]
    Broken { socket: PathBuf, cause: io::Error },
    #[error("the answer from {} is not understood: {reason}", socket.display())]
    NotUnderstood { socket: PathBuf, reason: String },
    #[error(transparent)]
    Refused(ControlError),
}

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    decoder: FrameDecoder,
    socket: PathBuf,
    /// How long to wait for a reply; `None` for ever.
    wait: Option<Duration>,
}

impl Client {
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::NotAdmitted`].
    pub fn connect(socket: &Path, wait: Option<Duration>) -> Result<Client, ClientError> {
        let failed = |cause: io::Error| {
            let socket = socket.to_owned();
            match cause.kind() {
                io::ErrorKind::PermissionDenied => ClientError::NotAdmitted { socket, cause },
                _ => ClientError::Unreachable { socket, cause },
            }
        };
        let stream = connect_within(socket, wait).map_err(|cause| match (cause.kind(), wait) {
            (io::ErrorKind::TimedOut, Some(after)) => {
                ClientError::TimedOut { socket: socket.to_owned(), after }
            }
            _ => failed(cause),
        })?;
        stream.set_read_timeout(wait).and_then(|()| stream.set_write_timeout(wait)).map_err(failed)?;
        let decoder = FrameDecoder::new(REPLY_BYTES_MAX);
        Ok(Client { stream, decoder, socket: socket.to_owned(), wait })
    }

    /// Asks anything but [`Request::Watch`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask(&mut self, request: &Request) -> Result<Response, ClientError> {
        self.send(&Call::of(request))?;
        let parameters = self.receive()?.parameters.unwrap_or_default();
        Response::decode(request.verb(), parameters).map_err(|error| self.not_understood(error))
    }

    /// Watches. Waits for updates as long as the daemon lives.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn watch(mut self, request: WatchRequest) -> Result<Updates, ClientError> {
        self.send(&Call::of(&Request::Watch(request)))?;
        self.wait = None;
        self.stream.set_read_timeout(None).map_err(|cause| self.broken(cause))?;
        Ok(Updates { client: self, ended: false })
    }

    fn send(&mut self, call: &Call) -> Result<(), ClientError> {
        match self.stream.write_all(&encode_frame(call)) {
            Ok(()) => Ok(()),
            // The daemon may have said why before it closed: the reply is read next.
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(cause) => Err(self.broken(cause)),
        }
    }

    fn receive(&mut self) -> Result<Reply, ClientError> {
        let mut bytes = [0; 16 * 1024];
        let frame = loop {
            if let Some(frame) = self.decoder.next_frame().map_err(|error| self.not_understood(error))? {
                break frame;
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ClientError::Closed { socket: self.socket.clone() }),
                Ok(count) => self.decoder.push(&bytes[..count]),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(self.broken(cause)),
            }
        };
        let reply: Reply = serde_json::from_slice(&frame).map_err(|error| self.not_understood(error))?;
        match reply.error {
            None => Ok(reply),
            Some(error) => {
                let error = serde_json::json!({ "error": error, "parameters": reply.parameters });
                Err(match serde_json::from_value::<ControlError>(error.clone()) {
                    Ok(error) => ClientError::Refused(error),
                    Err(_) => self.not_understood(error),
                })
            }
        }
    }

    fn broken(&self, cause: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match (cause.kind(), self.wait) {
            (io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut, Some(after)) => {
                ClientError::TimedOut { socket, after }
            }
            (io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe, _) => ClientError::Closed { socket },
            _ => ClientError::Broken { socket, cause },
        }
    }

    fn not_understood(&self, reason: impl ToString) -> ClientError {
        ClientError::NotUnderstood { socket: self.socket.clone(), reason: reason.to_string() }
    }
}

/// Connects within `wait`; for ever if `None`. A daemon that hangs accepts nobody, and once its queue is full a caller waits
/// in connect(2): as long as the socket's timeout for sending allows, see unix(7) and socket(7).
pub(super) fn connect_within(path: &Path, wait: Option<Duration>) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let began = Instant::now();
    loop {
        let left = wait.map(|wait| wait.saturating_sub(began.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        set_socket_timeout(&socket, Timeout::Send, left)?;
        match connect(&socket, &address) {
            Ok(()) => {
                let stream = UnixStream::from(socket);
                stream.set_write_timeout(None)?;
                return Ok(stream);
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The updates of a watch, with the JSON they came in. Ends after an error.
#[derive(Debug)]
pub struct Updates {
    client: Client,
    ended: bool,
}

impl Iterator for Updates {
    type Item = Result<(Update, Value), ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.client.receive().and_then(|reply| {
            self.ended = !reply.continues;
            let parameters = reply.parameters.unwrap_or_default();
            let update: Versioned<Update> = serde_json::from_value(parameters.clone())
                .map_err(|error| self.client.not_understood(error))?;
            Ok((update.body, parameters))
        });
        self.ended |= item.is_err();
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{bind, listen};

    #[test]
    fn a_daemon_that_accepts_nobody_is_waited_for_no_longer_than_was_said() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        let new = || socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None);
        let listener = new().expect("a socket");
        let address = SocketAddrUnix::new(&path).expect("an address");
        bind(&listener, &address).expect("bound");
        listen(&listener, 0).expect("it listens");
        let mut queue = Vec::new();
        loop {
            let socket = new().expect("a socket");
            match connect(&socket, &address) {
                Ok(()) => queue.push(socket),
                Err(Errno::AGAIN) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let wait = Duration::from_millis(50);
        let error = Client::connect(&path, Some(wait)).expect_err("the queue is full");
        assert!(matches!(error, ClientError::TimedOut { after, .. } if after == wait), "{error}");
    }
}
