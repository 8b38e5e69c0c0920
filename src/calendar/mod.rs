//! The exchange's trading days and sessions, from dated data.
