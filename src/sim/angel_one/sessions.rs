//! Who is logged in: tokens handed out and when they end.
//!
//! A session's JWT ends at the next midnight IST however late the login was, as measured on the real broker; feed and
//! refresh tokens last 24 hours.

use crate::{
    market::Timestamp,
    wire::angel_one::{SessionTokens, encode_jwt},
};
use rustc_hash::FxHashMap;

const DAY_S: i64 = 86_400;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Session,
    Refresh,
    Feed,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenFault {
    Unknown,
    Expired,
}

#[derive(Debug, Default)]
pub(super) struct Sessions {
    tokens: FxHashMap<String, (TokenKind, Timestamp)>,
    handed_out: u64,
    /// How many times everything had been dropped when the tokens were handed out.
    drop_count: u64,
}

impl Sessions {
    pub fn open(&mut self, client_code: &str, now: Timestamp) -> SessionTokens {
        // Keeps the table small over months; those of the last day still answer "expired".
        self.tokens.retain(|_, (_, ends)| now.us_since(*ends) < DAY_S * 1_000_000);
        let midnight = now.floor_to_minutes(1_440).plus_seconds(DAY_S);
        let next_day = now.plus_seconds(DAY_S);
        let mut token = |kind, ends| {
            self.handed_out += 1;
            let jwt = encode_jwt(client_code, ends, self.handed_out);
            self.tokens.insert(jwt.clone(), (kind, ends));
            jwt
        };
        SessionTokens {
            jwt_token: token(TokenKind::Session, midnight),
            refresh_token: token(TokenKind::Refresh, next_day),
            feed_token: token(TokenKind::Feed, next_day),
        }
    }

    pub fn check(&self, token: &str, kind: TokenKind, now: Timestamp) -> Result<(), TokenFault> {
        match self.tokens.get(token) {
            Some((found, ends)) if *found == kind => match now < *ends {
                true => Ok(()),
                false => Err(TokenFault::Expired),
            },
            _ => Err(TokenFault::Unknown),
        }
    }

    /// Forgets everything handed out: the account has one client, so its logout ends all.
    pub fn close_all(&mut self) {
        self.tokens.clear();
    }

    /// Forgets everything once for each time that the faults dropped all.
    pub fn follow_drops(&mut self, drop_count: u64) {
        if self.drop_count != drop_count {
            self.drop_count = drop_count;
            self.close_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::angel_one::jwt_expiry;
    use chrono::{NaiveDate, NaiveTime};

    fn at(hour: u32, minute: u32) -> Timestamp {
        let date = NaiveDate::from_ymd_opt(2026, 1, 30).expect("a date");
        Timestamp::on(date, NaiveTime::from_hms_opt(hour, minute, 0).expect("a time"))
    }

    #[test]
    fn a_session_ends_at_midnight_in_india() {
        let mut sessions = Sessions::default();
        let tokens = sessions.open("SIM001", at(22, 54));
        let ends = jwt_expiry(&tokens.jwt_token).expect("a JWT");
        assert_eq!(ends, at(0, 0).plus_seconds(86_400));
        let check = |kind, now| sessions.check(&tokens.jwt_token, kind, now);
        assert_eq!(check(TokenKind::Session, at(23, 59)), Ok(()));
        assert_eq!(check(TokenKind::Session, ends), Err(TokenFault::Expired));
        assert_eq!(check(TokenKind::Feed, at(23, 59)), Err(TokenFault::Unknown));
        let feed = sessions.check(&tokens.feed_token, TokenKind::Feed, ends.plus_seconds(3_600));
        assert_eq!(feed, Ok(()), "feed tokens outlive the session");
    }

    #[test]
    fn dropping_all_forgets_every_token_once() {
        let mut sessions = Sessions::default();
        let tokens = sessions.open("SIM001", at(9, 0));
        sessions.follow_drops(1);
        let check = sessions.check(&tokens.jwt_token, TokenKind::Session, at(9, 1));
        assert_eq!(check, Err(TokenFault::Unknown));
        let tokens = sessions.open("SIM001", at(9, 2));
        sessions.follow_drops(1);
        assert_eq!(sessions.check(&tokens.jwt_token, TokenKind::Session, at(9, 3)), Ok(()));
    }
}
