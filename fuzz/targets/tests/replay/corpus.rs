//! The committed corpora, `fuzz/corpus/<target>/*`.

use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

/// Every entry of a target's corpus, in the order of their names.
pub(crate) fn entries(target: &str) -> Vec<Vec<u8>> {
    let mut paths = list(&folder().join(target));
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a corpus entry is a readable file")).collect()
}

/// The corpora that there are.
#[cfg(feature = "sql")]
pub(crate) fn names() -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    list(&folder()).iter().filter_map(name).collect()
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.expect("a folder can be listed").path()).collect()
}
