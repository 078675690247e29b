//! Python with the packages of tests/requirements.txt.

use std::path::{Path, PathBuf};

use super::skip;

/// The interpreter that sees them; none where `.ci/install test` could not install them.
pub fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"].map(std::env::var_os);
    let target = target.into_iter().flatten().next();
    let target = target.map_or_else(|| root.join("target"), PathBuf::from);
    let python = root.join(target).join("python/bin/python");
    if !python.exists() {
        skip(
            "tests/requirements.txt is not installed: .ci/install test does it where there is python3 with venv",
        );
        return None;
    }
    Some(python)
}
