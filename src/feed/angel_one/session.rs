//! A session that is kept valid: logged in, refreshed before it ends, logged in again when refused.

use super::{feed::Shared, rest::RestError};
use crate::{
    feed::{FeedState, NotAccepted, RecordSink, backoff::Backoff},
    logging::Event,
    market::{Provider, Timestamp},
    wire::angel_one::{LOGIN_PATH, LoginRequest, REFRESH_PATH, RefreshRequest, RefusalClass, SessionTokens},
};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::watch;

/// A session is refreshed this long before it ends.
const REFRESH_AHEAD_US: i64 = 300 * 1_000_000;
/// A session that ends sooner than that is kept for a while all the same: the next one may end at the same midnight.
const KEPT_AT_LEAST_US: i64 = 60 * 1_000_000;
/// What a session whose end cannot be read is taken to last.
const ASSUMED_US: i64 = 3_600 * 1_000_000;
const PASSWORD_STEP_US: i64 = 30 * 1_000_000;
const CREDENTIALS_WAIT: Duration = Duration::from_secs(300);
const CREDENTIALS_WAIT_LONGEST: Duration = Duration::from_secs(3_600);

/// The session as the other parts see it.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    /// One more with every login and refresh.
    pub generation: u64,
    /// `None` while there is none, or after a part reported it lost.
    pub tokens: Option<Arc<SessionTokens>>,
}

impl<S: RecordSink> Shared<S> {
    /// A valid session, waiting for one if need be, with its generation.
    pub async fn session(&self) -> (u64, Arc<SessionTokens>) {
        let mut sessions = self.session.subscribe();
        loop {
            let Session { generation, tokens } = sessions.borrow_and_update().clone();
            if let Some(tokens) = tokens {
                return (generation, tokens);
            }
            sessions.changed().await.expect("the sender lives in Shared");
        }
    }

    /// Reports that a session was refused. Reports about an older one change nothing.
    pub fn lose_session(&self, generation: u64) {
        self.session
            .send_if_modified(|session| session.generation == generation && session.tokens.take().is_some());
    }
}

/// Never returns but with the sink's error.
pub(super) async fn keep_valid<S: RecordSink>(shared: &Shared<S>) -> Result<Infallible, NotAccepted> {
    let mut sessions = shared.session.subscribe();
    let mut held: Option<Arc<SessionTokens>> = None;
    let mut lost_early = Backoff::new(Duration::from_secs(2), Duration::from_secs(120), shared.seed_of(1));
    loop {
        let tokens = match held.take() {
            Some(old) => match refresh(shared, &old).await {
                Ok(tokens) => tokens,
                Err(error) => {
                    shared.note_error("session refresh", &error);
                    log_in(shared).await?
                }
            },
            None => log_in(shared).await?,
        };
        let tokens = Arc::new(tokens);
        let began = shared.clock.now();
        let refresh_at = refresh_time(&tokens, began);
        shared.session.send_modify(|session| {
            session.generation += 1;
            session.tokens = Some(tokens.clone());
        });
        sessions.mark_unchanged();
        shared.health.logged_in(true, "logged in").await?;
        tokio::select! {
            () = shared.clock.sleep_until(refresh_at) => held = Some(tokens),
            () = lost(&mut sessions) => {
                if shared.clock.now().us_since(began) >= KEPT_AT_LEAST_US {
                    lost_early.reset();
                    held = Some(tokens);
                } else {
                    // Refused as soon as it was granted: a refresh would not be better, and haste would lock the account.
                    shared.health.backing_off();
                    shared.clock.sleep(lost_early.next_wait()).await;
                }
            }
        }
    }
}

/// Waits until the session is reported lost. What is borrowed of it meanwhile is given back: a part that reports a loss while
/// it is held would wait with the feeds' thread.
async fn lost(sessions: &mut watch::Receiver<Session>) {
    let _ = sessions.wait_for(|session| session.tokens.is_none()).await;
}

fn refresh_time(tokens: &SessionTokens, now: Timestamp) -> Timestamp {
    let expires = tokens.expires().unwrap_or_else(|error| {
        log::warn!(event = Event::FeedFailing, provider:% = Provider::AngelOne, part = "session", error:%;
            "Angel One session: its end is not known: {error}");
        now.plus_us(ASSUMED_US)
    });
    expires.plus_us(-REFRESH_AHEAD_US).max(now.plus_us(KEPT_AT_LEAST_US))
}

async fn refresh<S: RecordSink>(shared: &Shared<S>, old: &SessionTokens) -> Result<SessionTokens, RestError> {
    shared.login_limiter.wait().await;
    let body = RefreshRequest { refresh_token: old.refresh_token.clone() }.encode();
    let body = shared.rest.post(REFRESH_PATH, Some(old), body).await?;
    Ok(SessionTokens::decode(&body)?)
}

/// Tries until it succeeds, in the manner that each refusal asks for.
async fn log_in<S: RecordSink>(shared: &Shared<S>) -> Result<SessionTokens, NotAccepted> {
    let mut temporary = Backoff::new(Duration::from_secs(1), Duration::from_secs(60), shared.seed_of(2));
    let mut refused = Backoff::new(CREDENTIALS_WAIT, CREDENTIALS_WAIT_LONGEST, shared.seed_of(3));
    loop {
        if shared.status.state() != FeedState::Up {
            shared.status.set_state(FeedState::LoggingIn);
        }
        let error = match try_log_in(shared).await {
            Ok(tokens) => return Ok(tokens),
            Err(error) => error,
        };
        shared.note_error("login", &error);
        shared.health.logged_in(false, &format!("login: {error}")).await?;
        shared.health.backing_off();
        match error.class() {
            RefusalClass::OneTimePassword => {
                let now = shared.clock.now();
                let into_step_us = now.as_us().rem_euclid(PASSWORD_STEP_US);
                shared.clock.sleep_until(now.plus_us(PASSWORD_STEP_US - into_step_us)).await;
            }
            // Only the owner can mend it; asking often gets the account locked.
            RefusalClass::Credentials => shared.clock.sleep(refused.next_wait()).await,
            _ => shared.clock.sleep(temporary.next_wait()).await,
        }
    }
}

async fn try_log_in<S: RecordSink>(shared: &Shared<S>) -> Result<SessionTokens, RestError> {
    shared.login_limiter.wait().await;
    let credentials = &shared.credentials;
    let request = LoginRequest {
        client_code: credentials.client_code.clone(),
        password: credentials.mpin.expose().to_owned(),
        totp: credentials.one_time_password(shared.clock.now()),
    };
    let body = shared.rest.post(LOGIN_PATH, None, request.encode()).await?;
    Ok(SessionTokens::decode(&body)?)
}
