//! The control protocol and who may do what.
