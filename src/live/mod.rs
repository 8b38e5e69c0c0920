//! The latest state and its fan-out.
