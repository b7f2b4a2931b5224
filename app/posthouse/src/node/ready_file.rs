//! The file that tells others that every door is open, and where.
//!
//! # Invariants
//! - It appears whole or not at all: written beside its place, then renamed.
//! - It is gone once the node is, unless the node was killed.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The written file; removed when dropped.
#[derive(Debug)]
pub(super) struct ReadyFile {
    path: PathBuf,
}

impl ReadyFile {
    /// Writes the bound addresses by door, and those of the configuration's endpoints by their names
    /// under `zeromq`, if there are any.
    pub(super) fn write(
        path: &Path,
        doors: &BTreeMap<String, SocketAddr>,
        endpoints: &BTreeMap<String, Vec<String>>,
    ) -> io::Result<ReadyFile> {
        let mut all = serde_json::to_value(doors).map_err(io::Error::other)?;
        if !endpoints.is_empty() {
            all["zeromq"] = serde_json::to_value(endpoints).map_err(io::Error::other)?;
        }
        let text = all.to_string() + "\n";
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        std::fs::write(&beside, text)?;
        std::fs::rename(&beside, path)?;
        Ok(ReadyFile { path: path.to_owned() })
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        // Nothing to be done when it is gone already.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_each_door_and_goes_with_the_node() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ready.json");
        let doors = BTreeMap::from([("kafka".to_owned(), "127.0.0.1:9092".parse().unwrap())]);
        let file = ReadyFile::write(&path, &doors, &BTreeMap::new()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"kafka\":\"127.0.0.1:9092\"}\n");
        drop(file);
        let endpoints = BTreeMap::from([("in".to_owned(), vec!["ipc:///a".to_owned()])]);
        let file = ReadyFile::write(&path, &doors, &endpoints).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"zeromq\":{\"in\":[\"ipc:///a\"]}"), "{text}");
        drop(file);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
