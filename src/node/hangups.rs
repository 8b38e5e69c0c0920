//! SIGHUP, which asks for a reload, from the beginning of the process on.

use std::{
    future::poll_fn,
    io,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What arrives before anybody waits for it is remembered, as one. Clones are the same; the one that waits last is told.
#[derive(Clone, Debug)]
pub struct Hangups {
    signal: Arc<Mutex<Signal>>,
}

impl Hangups {
    /// From this call on SIGHUP does not end the process any more. Needs no runtime.
    ///
    /// # Errors
    /// When the process cannot listen.
    pub fn listen() -> io::Result<Hangups> {
        // What handles the signal stays for the life of the process, and any later runtime takes it from there.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let _entered = runtime.enter();
        Ok(Hangups { signal: Arc::new(Mutex::new(signal(SignalKind::hangup())?)) })
    }

    /// Returns after the next one. Dropped before, it has taken none.
    pub async fn next(&self) {
        // Locked for a look only: an incarnation that was given up while it waited must not keep it.
        poll_fn(|context| {
            match self.signal.lock().unwrap_or_else(PoisonError::into_inner).poll_recv(context) {
                Poll::Ready(Some(())) => Poll::Ready(()),
                // No more will come.
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal as Kind, getpid, kill_process};
    use std::time::Duration;

    #[test]
    fn one_that_came_before_anybody_waited_is_told_once() {
        let hangups = Hangups::listen().expect("listens");
        for _ in 0..2 {
            kill_process(getpid(), Kind::HUP).expect("this process");
        }
        // Another runtime than the one that began to listen.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let patience = Duration::from_secs(60);
            tokio::time::timeout(patience, hangups.next()).await.expect("it was remembered");
            let next = hangups.clone();
            let (told, ()) = tokio::join!(tokio::time::timeout(patience, next.next()), async {
                kill_process(getpid(), Kind::HUP).expect("this process");
            });
            told.expect("the next one is told as well");
        });
    }
}
