//! The daemon's actors and their tree.
