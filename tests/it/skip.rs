//! How a test says that it does not run. Past the harness, which shows what tests print only where they fail: a run in
//! which half of the tests did nothing must not look like any other.

/// Says why, as `format!` would.
macro_rules! tell {
    ($($reason:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "skipped: {}", format_args!($($reason)*));
    }};
}

pub(crate) use tell;
