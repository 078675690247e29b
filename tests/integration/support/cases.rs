//! Cases of one test, which leave each other alone and so share a server.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::TestApp;

/// A case and its name.
pub type Case = (&'static str, fn(&TestApp));

/// Functions as cases, by their names.
macro_rules! cases {
    ($($case:path),+ $(,)?) => {
        &[$((stringify!($case), $case as fn(&TestApp))),+]
    };
}
pub(crate) use cases;

/// Runs all cases, also after one that failed; names those that failed.
#[track_caller]
pub fn run_cases(app: &TestApp, cases: &[Case]) {
    let has_failed = |(_, case): &&Case| catch_unwind(AssertUnwindSafe(|| case(app))).is_err();
    let failed = cases.iter().filter(has_failed);
    let failed: Vec<&str> = failed.map(|(name, _)| *name).collect();
    assert!(failed.is_empty(), "cases that failed: {failed:?}");
}
