//! The assertions of the calendar's fuzz target over random bytes and over the damaged embedded file.

#[path = "../../fuzz/src/calendar.rs"]
mod assertions;

use crate::damage::check;

#[test]
fn file() {
    check(assertions::file, &[bhavd::calendar::EMBEDDED.as_bytes().to_vec()]);
}
