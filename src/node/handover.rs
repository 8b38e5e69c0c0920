//! What whoever started the daemon hands over besides the configuration.

use super::{hangups::Hangups, notifier::Notifier};
use crate::control::BindError;
use listenfd::ListenFd;
use std::{
    io,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
};

/// [`Handover::default`] is a start by hand or by another program: nothing is handed over.
#[derive(Debug, Default)]
pub struct Handover {
    /// The file the configuration was read from; a reload reads it again.
    pub config_file: Option<PathBuf>,
    /// The directory of the credentials, where the configuration names none.
    pub credentials_dir: Option<PathBuf>,
    /// The control socket, already listening.
    pub control_socket: Option<UnixListener>,
    pub notifier: Notifier,
    /// Who asks for a reload by SIGHUP. Without it the signal ends the process, as it does by default.
    pub hangups: Option<Hangups>,
}

impl Handover {
    /// What systemd hands over by the environment. Call it once, before there is a second thread: descriptors are
    /// taken, and the variables that name them removed.
    ///
    /// # Errors
    /// [`BindError::HandedOver`] if there is a descriptor that is not one listening Unix socket.
    pub fn from_environment(config_file: &Path, hangups: Hangups) -> Result<Handover, BindError> {
        let handed_over = |cause| BindError::HandedOver { cause };
        let mut descriptors = ListenFd::from_env();
        if descriptors.len() > 1 {
            let text = format!("expected one socket, found {}", descriptors.len());
            return Err(handed_over(io::Error::new(io::ErrorKind::InvalidInput, text)));
        }
        Ok(Handover {
            config_file: Some(config_file.to_owned()),
            credentials_dir: credentials_dir(),
            control_socket: descriptors.take_unix_listener(0).map_err(handed_over)?,
            notifier: Notifier::from_environment(),
            hangups: Some(hangups),
        })
    }
}

/// `$CREDENTIALS_DIRECTORY`, which systemd sets where the unit has `LoadCredential=`.
pub fn credentials_dir() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}
