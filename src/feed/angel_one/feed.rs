//! The feed as a whole: builds its parts and runs them together until told to stop.

use super::{
    AngelOneSettings, Credentials, candles,
    health::Health,
    master,
    plan::Plan,
    quotes,
    rest::Rest,
    session::{self, Session},
    socket,
};
use crate::{
    calendar::Calendar,
    clock::Clock,
    engine::watch::WatchList,
    feed::{FeedContext, FeedError, FeedState, FeedStatus, NotAccepted, RecordSink, limiter::Limiter},
    logging::Event,
    spool::{Frames, NewRecord, Source},
};
use futures_util::future::try_join_all;
use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::watch;

/// The Angel One feed, ready to run.
pub struct AngelOneFeed<S> {
    pub settings: AngelOneSettings,
    pub credentials: Credentials,
    pub context: FeedContext<S>,
}

/// What the parts of a running feed have in common.
pub(super) struct Shared<S> {
    pub settings: AngelOneSettings,
    pub credentials: Credentials,
    pub watch: WatchList,
    pub calendar: Arc<Calendar>,
    pub clock: Clock,
    pub status: Arc<FeedStatus>,
    pub sink: S,
    pub beside_log: Option<PathBuf>,
    pub seed: u64,
    pub rest: Rest,
    pub health: Health<S>,
    pub session: watch::Sender<Session>,
    /// `None` until the first master is in the log.
    pub plan: watch::Sender<Option<Arc<Plan>>>,
    pub login_limiter: Limiter,
    pub quote_limiter: Limiter,
    pub candle_limiter: Limiter,
}

/// Documented limits (forum topic 4387); candles are counted within a strict rolling second.
const LOGINS_PER_SECOND: u32 = 1;
const CANDLES_PER_SECOND: u32 = 2;
/// How long a stopping feed waits for its last mark; real time.
const LAST_MARK_TIMEOUT: Duration = Duration::from_secs(1);

impl<S: RecordSink> AngelOneFeed<S> {
    /// Runs until told to stop. Sockets are closed when this returns or is dropped.
    pub async fn run(self) -> Result<(), FeedError> {
        let AngelOneFeed { settings, credentials, context } = self;
        let FeedContext { watch, calendar, clock, status, sink, beside_log, mut stop, seed } = context;
        let shared = Shared {
            rest: Rest::new(&settings.rest_url, &credentials, status.clone())?,
            health: Health::new(status.clone(), sink.clone()),
            session: watch::Sender::new(Session::default()),
            plan: watch::Sender::new(None),
            login_limiter: Limiter::new(&clock, LOGINS_PER_SECOND),
            quote_limiter: Limiter::new(&clock, settings.quote_requests_per_second),
            candle_limiter: Limiter::new(&clock, CANDLES_PER_SECOND),
            settings,
            credentials,
            watch,
            calendar,
            clock,
            status,
            sink,
            beside_log,
            seed,
        };
        let sockets = (0..shared.settings.sockets_max).map(|slot| socket::keep_open(&shared, slot));
        let parts = async {
            tokio::try_join!(
                session::keep_valid(&shared),
                master::keep_current(&shared),
                try_join_all(sockets),
                quotes::sweep(&shared),
                candles::fetch(&shared),
            )
        };
        let ended = tokio::select! {
            biased;
            // An error means that nobody can say stop any more, which says it.
            _ = stop.wait_for(|stop| *stop) => Ok(()),
            ended = parts => ended.map(|_: (Infallible, _, _, _, _)| ()).map_err(FeedError::from),
        };
        // A log that is closed or stuck does not hold the stop up.
        let _ = tokio::time::timeout(LAST_MARK_TIMEOUT, shared.health.stopped()).await;
        shared.status.set_state(FeedState::Stopped);
        ended
    }
}

impl<S: RecordSink> Shared<S> {
    /// A random stream of its own for each part.
    pub fn seed_of(&self, part: u64) -> u64 {
        self.seed.wrapping_add(part.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// Hands a body over.
    pub async fn accept_body(
        &self,
        source: Source,
        context: String,
        body: Vec<u8>,
    ) -> Result<(), NotAccepted> {
        let received_time = self.clock.now();
        self.status.count_frames(1, received_time);
        let frames = Frames::from(body);
        self.sink.accept(NewRecord { source, received_time, context, frames }).await
    }

    pub fn note_error(&self, what: &str, error: &impl std::fmt::Display) {
        if self.status.note_error(format_args!("{what}: {error}")) {
            log::warn!(event = Event::FeedFailing, provider:% = self.status.provider, part = what, error:%;
                "Angel One {what}: {error}");
        }
    }
}
