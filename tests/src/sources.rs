//! The project's own files, for tests that read them.

use std::fs;
use std::path::{Path, PathBuf};

/// The top of the project.
#[must_use]
pub fn root() -> PathBuf {
    let inside = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    inside.expect("inside the workspace").to_owned()
}

/// The Rust files in a folder and below it, in no order.
///
/// # Panics
/// If a folder cannot be read.
#[must_use]
pub fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a source directory") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
