//! Requests that real clients sent, as they were on the wire.
//!
//! The captures are the seeds of the fuzz targets: `fuzz/corpus/kafka_request`, named by client, key,
//! version and number; `fuzz/capture.py` makes them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use bytes::BytesMut;

use super::api::Api;
use super::header::{self, Incoming};
use crate::fuzz;

/// Client, key, version and bytes of each capture.
fn captures() -> Vec<(String, i16, i16, Vec<u8>)> {
    let directory =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/kafka_request");
    let mut captures = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        let mut parts = name.rsplitn(4, '-');
        let (_, version, key) = (parts.next(), parts.next(), parts.next());
        // Other files of the corpus are findings of the fuzzer, named by their hash.
        let (Some(version), Some(key), Some(client)) = (version, key, parts.next()) else {
            continue;
        };
        let (Ok(version), Ok(key)) = (version.parse(), key.parse()) else { continue };
        captures.push((client.to_string(), key, version, fs::read(&path).unwrap()));
    }
    captures
}

#[test]
fn what_real_clients_sent_is_read_whole() {
    for (client, key, version, bytes) in captures() {
        let Some(api) = Api::from_key(key).filter(|api| api.versions().contains(&version)) else {
            continue;
        };
        let what = format!("{} version {version} from {client}", api.name());
        let incoming = header::decode(BytesMut::from(&bytes[..]));
        let Ok(Incoming::Request(request)) = incoming else { panic!("{what}: {incoming:?}") };
        assert_eq!((request.api, request.version), (api, version), "{what}");
        assert!(fuzz::request(&bytes), "{what} does not decode");
        for len in 0..bytes.len() {
            assert!(!fuzz::request(&bytes[..len]), "{what} decodes though cut at {len}");
        }
    }
}

#[test]
fn the_captures_cover_the_clients_and_most_requests() {
    let captures = captures();
    let clients: BTreeSet<&str> = captures.iter().map(|(client, ..)| client.as_str()).collect();
    assert!(clients.len() >= 4, "{clients:?}");
    let served: BTreeSet<i16> = Api::all().map(Api::key).collect();
    let keys: BTreeSet<i16> =
        captures.iter().map(|(_, key, ..)| *key).filter(|key| served.contains(key)).collect();
    assert!(keys.len() >= 15, "{keys:?}");
}
