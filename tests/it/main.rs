//! The integration tests: one binary, one module a subject.

mod angel_one_feed;
mod bad_input;
mod config;
mod control;
mod control_samples;
mod damage;
mod day;
mod full_disk;
mod fuzz_angel_one;
mod fuzz_calendar;
mod fuzz_control;
mod fuzz_nse;
mod fuzz_websocket;
mod golden;
mod kept_records;
mod live_redis;
mod nse_feed;
mod nse_recordings;
mod processes;
mod rendering;
mod servers;
mod sim_angel_one;
mod sim_nse;
mod smartapi;
mod store;
mod test_data;
