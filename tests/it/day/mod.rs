//! The main job on one recorded day: played through a real protocol, recorded, and equal to the recording.

mod answer;
mod chaos;
mod kills;
mod outages;
mod played;
mod poison;
mod raw_bodies;
mod stops;
