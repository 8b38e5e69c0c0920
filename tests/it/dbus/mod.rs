//! The daemon on buses of the tests' own: a daemon of known answers in this process, and the real one.

mod objects;
mod presence;
mod rights;
pub mod toy;
