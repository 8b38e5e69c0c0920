//! When the books of contracts move while nothing trades in them.
//!
//! A real socket is never silent in session hours: most packets of an option carry nothing but a moved bid or ask, and an
//! index has one a second. Here each token moves once a turn, at a second of the turn that is drawn from its number, so
//! that tokens are spread over the turn. With 45 s between packets a turn is 44 s; an underlying's is one second. At the
//! close every book moves once more, and two seconds later the last packet is sent.
//!
//! Invariants: a movement is a function of token and time alone, so every socket and the quotes agree on it; what a
//! socket costs depends on the movements, not on the tokens subscribed or listed.

use super::super::{
    draw::draw,
    hours::PlayedHours,
    market::{SimContract, SimMarket},
};
use crate::{calendar::Session, market::Timestamp};

/// How long after the close a socket goes on.
const AFTER_CLOSE_S: i64 = 2;

/// Which seconds are a token's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BookSchedule {
    /// A second shorter than the interval, which a packet must not exceed although timers are late.
    turn_s: i64,
}

fn second_of(instant: Timestamp) -> i64 {
    instant.as_us().div_euclid(1_000_000)
}

impl BookSchedule {
    /// `None` if books do not move.
    pub fn new(interval_s: u32) -> Option<BookSchedule> {
        (interval_s > 0).then(|| BookSchedule { turn_s: (i64::from(interval_s) - 1).max(1) })
    }

    fn phase(&self, listed: &SimContract) -> i64 {
        (draw(0, &[u64::from(listed.token.token)]) % self.turn_s as u64) as i64
    }

    /// The second of a contract's newest movement by `now` within a session. `None` before its first one.
    pub fn newest(&self, listed: &SimContract, session: &Session, now: Timestamp) -> Option<i64> {
        let close = session.close_for(&listed.contract);
        let (open_s, close_s) = (second_of(session.open), second_of(close));
        let until_s = second_of(now).min(close_s + AFTER_CLOSE_S);
        let newest_s = match listed.contract.is_underlying() {
            true => until_s,
            false => until_s - (until_s - self.phase(listed)).rem_euclid(self.turn_s),
        };
        let newest_s = if until_s >= close_s { newest_s.max(close_s) } else { newest_s };
        (open_s <= newest_s).then_some(newest_s)
    }
}

/// The books that one socket shows.
#[derive(Debug)]
pub(super) struct Books {
    schedule: BookSchedule,
    /// Slots by the second of a turn that is theirs.
    turn: Vec<Vec<u32>>,
    underlyings: Vec<u32>,
    /// By slot, whether it is in one of both.
    is_shown: Vec<bool>,
    shown: usize,
    /// The session at work.
    session: Option<Session>,
    /// Up to which second everything has moved.
    moved_until_s: i64,
    /// The last instant at which closes were dealt with.
    closed_until: Timestamp,
}

impl Books {
    pub fn new(schedule: BookSchedule, slots: usize, now: Timestamp) -> Books {
        Books {
            turn: vec![Vec::new(); schedule.turn_s as usize],
            schedule,
            underlyings: Vec::new(),
            is_shown: vec![false; slots],
            shown: 0,
            session: None,
            moved_until_s: second_of(now),
            closed_until: now,
        }
    }

    /// Shows a contract's book from now on.
    pub fn show(&mut self, market: &SimMarket, slot: usize, now: Timestamp) {
        if std::mem::replace(&mut self.is_shown[slot], true) {
            return;
        }
        if self.shown == 0 {
            (self.moved_until_s, self.closed_until) = (second_of(now), now);
        }
        self.shown += 1;
        let listed = &market.contracts()[slot];
        match listed.contract.is_underlying() {
            true => self.underlyings.push(slot as u32),
            false => self.turn[self.schedule.phase(listed) as usize].push(slot as u32),
        }
    }

    /// When a book moves next, as seen at `now`. `None` if none will.
    pub fn next(&self, hours: &PlayedHours, now: Timestamp) -> Option<Timestamp> {
        if self.shown == 0 {
            return None;
        }
        let date = now.date_ist();
        let next = Timestamp::from_us((self.moved_until_s + 1) * 1_000_000);
        let session = self.session.filter(|session| session.date == date).or_else(|| hours.played_on(date));
        match session.filter(|session| next <= session.close.plus_seconds(AFTER_CLOSE_S)) {
            Some(session) => Some(next.max(session.open)),
            None => hours.next_after(date).map(|session| session.open),
        }
    }

    /// Moves every book that is due by `now`: `on_move` gets the slot and the packet's time. Slots that are not
    /// subscribed any more are dropped.
    pub fn advance(
        &mut self,
        market: &SimMarket,
        hours: &PlayedHours,
        now: Timestamp,
        is_subscribed: impl Fn(usize) -> bool,
        mut on_move: impl FnMut(usize, Timestamp),
    ) {
        if let Some(session) = self.session.filter(|session| session.date != now.date_ist()) {
            self.close(market, &session, now, &mut on_move);
            self.session = None;
        }
        let now_s = second_of(now);
        let Some(session) = self.session.or_else(|| hours.played_on(now.date_ist())) else {
            self.moved_until_s = now_s;
            return;
        };
        self.session = Some(session);
        self.move_turns(market, &session, now, is_subscribed, &mut on_move);
        self.close(market, &session, now, &mut on_move);
        self.moved_until_s = self.moved_until_s.max(now_s);
    }

    fn move_turns(
        &mut self,
        market: &SimMarket,
        session: &Session,
        now: Timestamp,
        is_subscribed: impl Fn(usize) -> bool,
        on_move: &mut impl FnMut(usize, Timestamp),
    ) {
        let is_open = |slot: u32| {
            let close = session.close_for(&market.contracts()[slot as usize].contract);
            session.open <= now && now <= close.plus_seconds(AFTER_CLOSE_S)
        };
        let Books { schedule, turn, underlyings, is_shown, shown, .. } = self;
        let mut visit = |slots: &mut Vec<u32>| {
            slots.retain(|slot| {
                let stays = is_subscribed(*slot as usize);
                if !stays {
                    is_shown[*slot as usize] = false;
                    *shown -= 1;
                } else if is_open(*slot) {
                    on_move(*slot as usize, now);
                }
                stays
            });
        };
        let now_s = second_of(now);
        let from_s = self.moved_until_s.max(second_of(session.open) - 1);
        // However many turns a late timer has missed, each book moves once.
        let from_s = from_s.max(now_s - schedule.turn_s);
        for second in from_s + 1..=now_s {
            visit(&mut turn[second.rem_euclid(schedule.turn_s) as usize]);
        }
        if from_s < now_s {
            visit(underlyings);
        }
    }

    /// The last movement of everything whose close has come. Its stamp is at most two seconds behind the close, however
    /// late the timer is: at a high speed a timer easily misses those two seconds.
    fn close(
        &mut self,
        market: &SimMarket,
        session: &Session,
        now: Timestamp,
        on_move: &mut impl FnMut(usize, Timestamp),
    ) {
        let closes = [session.expiring_index_close, Some(session.close)];
        for close in closes.into_iter().flatten() {
            if !(self.closed_until < close && close <= now) {
                continue;
            }
            self.closed_until = close;
            let shown = self.turn.iter().flatten().chain(&self.underlyings);
            for slot in shown.map(|slot| *slot as usize) {
                if session.close_for(&market.contracts()[slot].contract) == close {
                    on_move(slot, now.min(close.plus_seconds(AFTER_CLOSE_S)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SyntheticMarket;
    use chrono::NaiveTime;
    use std::collections::BTreeMap;

    fn market() -> SimMarket {
        SyntheticMarket { duration_s: 1, strikes: 20, ..SyntheticMarket::default() }.generate()
    }

    fn at(market: &SimMarket, text: &str) -> Timestamp {
        Timestamp::on(market.date(), NaiveTime::parse_from_str(text, "%H:%M:%S").expect("a time"))
    }

    /// Looks every `step_ms` from the one time to the other; gives the packets' times by slot.
    fn run(
        market: &SimMarket,
        interval_s: u32,
        (from, to): (Timestamp, Timestamp),
        step_ms: i64,
    ) -> BTreeMap<usize, Vec<Timestamp>> {
        let hours = PlayedHours::new(market.date(), Some(market.date()));
        let schedule = BookSchedule::new(interval_s).expect("books move");
        let mut books = Books::new(schedule, market.contracts().len(), from);
        for slot in 0..market.contracts().len() {
            books.show(market, slot, from);
        }
        let (mut now, mut moved) = (from, BTreeMap::<usize, Vec<Timestamp>>::new());
        while now <= to {
            books.advance(
                market,
                &hours,
                now,
                |_| true,
                |slot, stamp| {
                    moved.entry(slot).or_default().push(stamp);
                },
            );
            now = now.plus_us(step_ms * 1_000);
        }
        moved
    }

    fn gaps_s(stamps: &[Timestamp]) -> Vec<f64> {
        stamps.windows(2).map(|pair| pair[1].us_since(pair[0]) as f64 / 1e6).collect()
    }

    #[test]
    fn every_token_moves_within_the_interval_and_they_are_spread_over_it() {
        let market = market();
        let span = (at(&market, "10:00:00"), at(&market, "10:10:00"));
        let moved = run(&market, 45, span, 250);
        assert_eq!(moved.len(), market.contracts().len());
        let mut in_second: BTreeMap<i64, usize> = BTreeMap::new();
        for (slot, stamps) in &moved {
            let is_underlying = market.contracts()[*slot].contract.is_underlying();
            let longest = if is_underlying { 1.0 } else { 45.0 };
            let first = stamps[0].us_since(span.0) as f64 / 1e6;
            assert!(first <= longest && gaps_s(stamps).into_iter().all(|gap| gap <= longest), "{stamps:?}");
            assert!(gaps_s(stamps).into_iter().all(|gap| gap >= longest - 2.0), "{stamps:?}");
            for stamp in stamps.iter().filter(|_| !is_underlying) {
                *in_second.entry(second_of(*stamp)).or_default() += 1;
            }
        }
        // 120 tokens over 44 seconds.
        let busiest = in_second.values().max().expect("movements");
        assert!(*busiest <= 10 && in_second.len() > 500, "{busiest} at once, {} seconds", in_second.len());
    }

    #[test]
    fn books_stand_still_outside_the_session_and_move_once_more_at_the_close() {
        let market = market();
        for (step_ms, exact) in [(100, true), (700_000, false)] {
            let moved = run(&market, 45, (at(&market, "09:00:00"), at(&market, "16:00:00")), step_ms);
            let (open, close) = (at(&market, "09:15:00"), at(&market, "15:30:00"));
            assert_eq!(moved.len(), market.contracts().len());
            for (slot, stamps) in &moved {
                let last = stamps[stamps.len() - 1];
                assert!(stamps.is_sorted() && stamps[0] >= open, "{stamps:?}");
                assert!(close <= last && last <= close.plus_seconds(2), "{last}");
                let closing = stamps.iter().filter(|stamp| **stamp >= close).count();
                let most = if market.contracts()[*slot].contract.is_underlying() { 4 } else { 2 };
                assert!(closing <= most, "{closing} packets behind the close");
                assert!(!exact || stamps[0].us_since(open) <= 45_000_000, "{stamps:?}");
            }
        }
    }

    #[test]
    fn the_quotes_know_what_a_socket_has_shown() {
        let market = market();
        let schedule = BookSchedule::new(45).expect("books move");
        let hours = PlayedHours::new(market.date(), Some(market.date()));
        let session = hours.of(market.date());
        let moved = run(&market, 45, (at(&market, "15:25:00"), at(&market, "15:40:00")), 1_000);
        for (slot, stamps) in &moved {
            let listed = &market.contracts()[*slot];
            for stamp in stamps {
                assert_eq!(schedule.newest(listed, &session, *stamp), Some(second_of(*stamp)), "{stamp}");
            }
            let evening = schedule.newest(listed, &session, at(&market, "18:00:00"));
            assert_eq!(evening, stamps.last().map(|last| second_of(*last)));
            assert_eq!(schedule.newest(listed, &session, at(&market, "09:14:59")), None);
        }
    }

    #[test]
    fn contracts_that_close_early_move_last_at_their_own_close() {
        let date = "2026-12-08".parse().expect("a date");
        let market =
            SyntheticMarket { duration_s: 1, strikes: 4, date, ..SyntheticMarket::default() }.generate();
        let moved = run(&market, 45, (at(&market, "15:20:00"), at(&market, "16:00:00")), 500);
        for (slot, stamps) in &moved {
            let contract = &market.contracts()[*slot].contract;
            let close = at(&market, if contract.expiry() == Some(date) { "15:30:00" } else { "15:45:00" });
            let last = stamps[stamps.len() - 1];
            assert!(close <= last && last <= close.plus_seconds(2), "{contract}: {last}");
        }
    }

    #[test]
    fn what_is_not_subscribed_any_more_is_not_shown() {
        let market = market();
        let hours = PlayedHours::new(market.date(), Some(market.date()));
        let from = at(&market, "10:00:00");
        let schedule = BookSchedule::new(10).expect("books move");
        let mut books = Books::new(schedule, market.contracts().len(), from);
        assert_eq!(books.next(&hours, from), None);
        books.show(&market, 3, from);
        books.show(&market, 3, from);
        assert_eq!(books.next(&hours, from), Some(from.plus_seconds(1)));
        let later = from.plus_seconds(20);
        books.advance(&market, &hours, later, |_| false, |slot, _| panic!("{slot} moves"));
        assert_eq!(books.next(&hours, later), None);
        books.show(&market, 3, later);
        let mut moves = 0;
        books.advance(&market, &hours, later, |_| true, |_, _| moves += 1);
        assert_eq!(moves, 0, "what is newly shown waits for its turn");
        books.advance(&market, &hours, later.plus_seconds(30), |_| true, |_, _| moves += 1);
        assert_eq!(moves, 1, "what was missed is made up for once");
        let early = at(&market, "08:00:00");
        let mut books = Books::new(schedule, market.contracts().len(), early);
        books.show(&market, 3, early);
        assert_eq!(books.next(&hours, early), Some(at(&market, "09:15:00")));
        assert_eq!(books.next(&hours, early.plus_seconds(86_400)), None, "the day is not played");
        assert_eq!(BookSchedule::new(0), None);
    }
}
