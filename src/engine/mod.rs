//! Pure state machines: input and `now` in, rows out. No I/O, no clock, no randomness, no order of a hash map.

pub mod watch;
