//! Keeps the daemon on the bus: connects, takes the name, serves, and begins anew when the bus went away.

use super::{
    BusAddress, Daemon, NAME, PATH,
    board::Board,
    caller::Gate,
    calls::{Call, Calls, Queues, READS_MAX, WRITES_MAX},
    changes::{Changed, Changes, Follower, News},
    feed::Feed,
    feed_path,
    manager::{Manager, instant_us},
    polkit::PolkitPatience,
};
use crate::control::{Authority, ControlError};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::{
    borrow::Cow,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{MissedTickBehavior, timeout};
use zbus::{
    Connection,
    fdo::{ObjectManager, Properties, RequestNameFlags},
    object_server::{Interface, SignalEmitter},
};

/// Between two looks at the daemon: what changes and changes back within is not told.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Until there are a connection and a name.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Until a look is told; a bus that does not take it is given up.
const TELL_WITHIN: Duration = Duration::from_secs(2);
/// Less than callers wait by default (25 s), so that they are told.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// For replies under way when the daemon ends.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);
/// Between two tries to reach the bus: the first, doubled each time up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(8);

/// What was told last. It outlives servers and connections, so that what happens between two of them is told by the next.
/// Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct LastTold {
    follower: Arc<Mutex<Option<Follower>>>,
}

impl LastTold {
    fn get(&self) -> Option<Follower> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, follower: &Follower) {
        *self.follower.lock().unwrap_or_else(PoisonError::into_inner) = Some(follower.clone());
    }
}

/// The daemon's side of the bus.
#[derive(Debug)]
pub struct BusServer<D> {
    daemon: Arc<D>,
    told: LastTold,
    gate: Gate,
    address: BusAddress,
}

/// Why it is not on the bus. Retried by [`BusServer::serve`], logged when it is another than before.
#[derive(Debug, thiserror::Error)]
enum BusError {
    #[error("no connection: {0}; bhavd goes on without it and comes when it is there")]
    NoConnection(zbus::Error),
    #[error(
        "the name {NAME} is refused: {0}; another bhavd may have it, or the bus does not let this user own it (see \
         org.bhavd.Bhavd1.conf in its system.d)"
    )]
    NoName(zbus::Error),
    #[error("it does not answer within {CONNECT_WITHIN:?}")]
    Mute,
}

#[derive(Debug)]
enum Ended<T> {
    Stopped(T),
    Lost,
}

/// A connection that has the name.
struct Presence {
    connection: Connection,
    board: Arc<Board>,
    follower: Follower,
    /// What happened before there was this connection, until it is told.
    untold: Changes,
    /// For further feeds.
    calls: Calls,
    queues: Queues,
}

impl<D: Daemon> BusServer<D> {
    pub fn new(
        daemon: Arc<D>,
        told: LastTold,
        authority: Authority,
        address: BusAddress,
        polkit: PolkitPatience,
    ) -> BusServer<D> {
        BusServer { daemon, told, gate: Gate::new(authority, polkit), address }
    }

    /// Is on the bus whenever there is one, until `stop` is ready, and returns what it gives. `note_progress` is called with
    /// every look. Call within a tokio runtime; whatever is spawned ends with the connection.
    ///
    /// Times are real whatever the daemon's clock shows: they are about callers, not about the market.
    pub async fn serve<T>(&self, stop: impl Future<Output = T>, note_progress: impl Fn()) -> T {
        let mut stop = pin!(stop);
        let mut pause = RETRY_FIRST;
        let mut complaint = String::new();
        loop {
            let connected = tokio::select! {
                stopped = &mut stop => return stopped,
                connected = timeout(CONNECT_WITHIN, self.connect()) => connected.unwrap_or(Err(BusError::Mute)),
            };
            match connected {
                Ok(presence) => {
                    log::info!("{NAME} is on {}", self.address);
                    (pause, complaint) = (RETRY_FIRST, String::new());
                    if let Ended::Stopped(stopped) =
                        self.be_present(presence, stop.as_mut(), &note_progress).await
                    {
                        return stopped;
                    }
                    log::warn!("{} went away", self.address);
                }
                Err(error) => {
                    let text = error.to_string();
                    if text != complaint {
                        log::info!("{}: {text}", self.address);
                        complaint = text;
                    }
                }
            }
            note_progress();
            tokio::select! {
                stopped = &mut stop => return stopped,
                () = tokio::time::sleep(pause) => {}
            }
            pause = RETRY_LAST.min(pause * 2);
        }
    }

    async fn connect(&self) -> Result<Presence, BusError> {
        let overview = self.daemon.overview();
        let (follower, untold) = match self.told.get() {
            None => (Follower::new(overview), Changes::default()),
            Some(mut follower) => {
                let changes = follower.step(overview);
                // Objects are made of what there is.
                (follower, Changes { feeds_added: Vec::new(), feeds_removed: Vec::new(), ..changes })
            }
        };
        let board = Arc::new(Board::new(Arc::clone(&self.daemon), Arc::new(follower.last().clone())));
        let (calls, queues) = Calls::queue(self.gate.clone());
        let manager = Manager { board: Arc::clone(&board), calls: calls.clone() };
        let mut builder = self.address.builder().serve_at(PATH, ObjectManager).serve_at(PATH, manager);
        for feed in &follower.last().feeds {
            let provider = feed.provider.clone();
            let path = feed_path(&provider);
            builder =
                builder.serve_at(path, Feed { provider, board: Arc::clone(&board), calls: calls.clone() });
        }
        let connection = builder.build().await.map_err(BusError::NoConnection)?;
        connection
            .request_name_with_flags(NAME, RequestNameFlags::DO_NOT_QUEUE)
            .await
            .map_err(BusError::NoName)?;
        Ok(Presence { connection, board, follower, untold, calls, queues })
    }

    async fn be_present<T>(
        &self,
        mut presence: Presence,
        mut stop: Pin<&mut impl Future<Output = T>>,
        note_progress: &impl Fn(),
    ) -> Ended<T> {
        let untold = std::mem::take(&mut presence.untold);
        if !self.tell(&presence, untold).await {
            return Ended::Lost;
        }
        let (mut reads, mut writes) = (FuturesUnordered::new(), FuturesUnordered::new());
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = loop {
            tokio::select! {
                stopped = &mut stop => break stopped,
                () = presence.connection.closed() => return Ended::Lost,
                Some(call) = presence.queues.writes.recv(), if writes.len() < WRITES_MAX => {
                    writes.push(self.answer(call));
                }
                Some(call) = presence.queues.reads.recv(), if reads.len() < READS_MAX => reads.push(self.answer(call)),
                Some(()) = writes.next() => {}
                Some(()) = reads.next() => {}
                _ = looks.tick() => {
                    if !self.look(&mut presence).await {
                        return Ended::Lost;
                    }
                    note_progress();
                }
            }
        };
        self.look(&mut presence).await;
        presence.queues.close();
        let leave = async {
            while let Some(call) = presence.queues.writes.recv().await {
                writes.push(self.answer(call));
            }
            while let Some(call) = presence.queues.reads.recv().await {
                reads.push(self.answer(call));
            }
            while writes.next().await.is_some() {}
            while reads.next().await.is_some() {}
            let _ = presence.connection.release_name(NAME).await;
            presence.connection.graceful_shutdown().await;
        };
        if timeout(LEAVE_WITHIN, leave).await.is_err() {
            log::debug!("calls by D-Bus are cut off: still busy when the daemon stopped");
        }
        Ended::Stopped(stopped)
    }

    /// Tells what changed since the look before. False if the bus does not take it.
    async fn look(&self, presence: &mut Presence) -> bool {
        let changes = presence.follower.step(self.daemon.overview());
        if changes == Changes::default() {
            return true;
        }
        presence.board.show(Arc::new(presence.follower.last().clone()));
        self.tell(presence, changes).await
    }

    async fn tell(&self, presence: &Presence, changes: Changes) -> bool {
        match timeout(TELL_WITHIN, tell(presence, changes)).await {
            Ok(Ok(())) => {
                self.told.set(&presence.follower);
                true
            }
            Ok(Err(error)) => {
                log::debug!("{} does not take signals: {error}", self.address);
                false
            }
            Err(_) => {
                log::warn!("{} takes nothing for {TELL_WITHIN:?}", self.address);
                false
            }
        }
    }

    async fn answer(&self, call: Call) {
        let Call { request, peer, reply } = call;
        let answered = timeout(ANSWER_WITHIN, self.daemon.handle(request, peer)).await;
        let answer = answered.unwrap_or(Err(ControlError::TimedOut { after_s: ANSWER_WITHIN.as_secs() }));
        // A caller may be gone.
        let _ = reply.send(answer);
    }
}

async fn tell(presence: &Presence, changes: Changes) -> zbus::Result<()> {
    let Presence { connection, board, calls, .. } = presence;
    let objects = connection.object_server();
    for provider in changes.feeds_removed {
        objects.remove::<Feed, _>(feed_path(&provider)).await?;
    }
    for provider in changes.feeds_added {
        let path = feed_path(&provider);
        objects.at(path, Feed { provider, board: Arc::clone(board), calls: calls.clone() }).await?;
    }
    let manager = SignalEmitter::new(connection, PATH)?;
    tell_properties::<Manager>(&manager, changes.manager).await?;
    for (provider, changed) in changes.feeds {
        let emitter = SignalEmitter::new(connection, feed_path(&provider))?;
        tell_properties::<Feed>(&emitter, changed).await?;
    }
    for news in changes.news {
        match news {
            News::Gap(gap) => {
                let (from, to) = (instant_us(Some(gap.from)), instant_us(Some(gap.to)));
                Manager::gap(&manager, &gap.provider, from, to, &gap.reason).await?;
            }
            News::ProviderSwitched { from, to } => Manager::provider_switched(&manager, &from, &to).await?,
            News::DayCompleted { date } => Manager::day_completed(&manager, &date.to_string()).await?,
            News::ActorRestarted { path, incarnation, restarts, reason } => {
                Manager::actor_restarted(&manager, &path, incarnation, restarts, &reason).await?;
            }
            News::Escalated { supervisor, reason } => {
                Manager::escalated(&manager, &supervisor, &reason).await?
            }
        }
    }
    Ok(())
}

/// One signal for everything that changed on an object.
async fn tell_properties<I: Interface>(emitter: &SignalEmitter<'_>, changed: Changed) -> zbus::Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    Properties::properties_changed(emitter, I::name(), changed, Cow::Borrowed(&[])).await
}
