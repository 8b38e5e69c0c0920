//! Pure state machines: input and now in, rows out.
