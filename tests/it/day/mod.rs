//! The main job on one recorded day: played through a real protocol, recorded, and equal to the recording.

mod accounts;
pub mod answer;
mod chaos;
mod jobs;
mod kills;
mod onlookers;
pub mod outages;
mod played;
mod poison;
mod raw_bodies;
mod real_chains;
mod seed;
mod stops;
mod versions;
