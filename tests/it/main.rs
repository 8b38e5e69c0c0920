//! The integration tests: one binary, one module a subject.

mod fuzz_angel_one;
