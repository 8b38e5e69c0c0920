//! Records of the log in, rows for the store out.
