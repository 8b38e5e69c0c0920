//! The daemon's configuration: parse and check.
