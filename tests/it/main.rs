//! The integration tests: one binary, one module a subject.

mod damage;
mod fuzz_angel_one;
mod fuzz_nse;
mod nse_recordings;
mod sim_angel_one;
mod sim_nse;
