//! The calendar file: no text makes the reader panic, and what it accepts answers every question.

use bhavd::calendar::Calendar;

/// Calendar files.
pub fn file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(calendar) = Calendar::load(text) else { return };
    let date = a_date();
    for session in [calendar.session(date), calendar.next_session(date)] {
        let Some(session) = session else { continue };
        assert!(session.open < session.close);
        assert!(session.buckets().count() <= 480);
    }
    calendar.warnings(date);
}

fn a_date() -> bhavd::market::TradingDate {
    bhavd::market::Timestamp::from_us(1_769_744_700_000_000).date_ist()
}
