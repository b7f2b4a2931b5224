//! Where the keys come from, kept up to date.
//!
//! # Invariants
//! - Keys are there from the start: a door whose keys cannot be had does not open.
//! - A set that cannot be had later leaves the one before it in force.
//! - Tokens that name keys nobody knows cannot make us ask more often than [`RETRY`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use posthouse_types::{Clock, chain};
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::fetch::{FetchError, Fetcher};
use super::keys::{KeySetError, SET_BYTES_MAX};
use super::{Expected, KeySet};
use crate::config::OauthConfig;

/// How old a set grows before it is asked for again.
const REFRESH: Duration = Duration::from_secs(5 * 60);

/// LIMIT: least time between two attempts, whoever wants them.
const RETRY: Duration = Duration::from_secs(10);

/// An issuer's keys, and what its tokens must say.
pub struct Jwks {
    source: Source,
    keys: ArcSwap<KeySet>,
    /// When the last attempt began. Held while one is under way.
    attempted: Mutex<Option<Instant>>,
    expected: Expected,
}

/// Why a door cannot take the tokens that it was asked to take.
#[derive(Debug, thiserror::Error)]
#[error("cannot load the keys for OAuth tokens from {place} (kafka.oauth_jwks)")]
pub struct JwksError {
    place: String,
    source: LoadError,
}

enum Source {
    File(PathBuf),
    Url(Box<Fetcher>),
}

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is larger than {max} bytes", path.display(), max = SET_BYTES_MAX)]
    TooLarge { path: PathBuf },
    #[error("cannot fetch the keys")]
    Fetch(#[from] FetchError),
    #[error("the keys cannot be used")]
    Keys(#[from] KeySetError),
}

impl Jwks {
    /// Loads the keys; `None` when no issuer is configured.
    ///
    /// # Errors
    /// [`JwksError`], when they cannot be had.
    pub async fn load(config: &OauthConfig, clock: &dyn Clock) -> Result<Option<Jwks>, JwksError> {
        let Some(place) = &config.jwks else { return Ok(None) };
        let source = match place.starts_with("https://") {
            true => Source::Url(Box::new(Fetcher::new(place.clone()))),
            false => Source::File(PathBuf::from(place)),
        };
        let expected = Expected {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            subject_claim: config.subject_claim.clone(),
        };
        let keys = source.load().await;
        let keys = keys.map_err(|source| JwksError { place: place.clone(), source })?;
        let (keys, attempted) = (ArcSwap::from_pointee(keys), Mutex::new(Some(clock.now())));
        Ok(Some(Jwks { source, keys, attempted, expected }))
    }

    pub(crate) fn expected(&self) -> &Expected {
        &self.expected
    }

    /// The keys in force, asked for again when they are old or do not have this one.
    pub(crate) async fn keys(&self, wanted: Option<&str>, clock: &dyn Clock) -> Arc<KeySet> {
        let mut attempted = self.attempted.lock().await;
        let now = clock.now();
        let wait = if self.keys.load().knows(wanted) { REFRESH } else { RETRY };
        if attempted.is_none_or(|at| now.saturating_duration_since(at) >= wait) {
            *attempted = Some(now);
            match self.source.load().await {
                Ok(keys) => {
                    info!("keys for OAuth tokens loaded");
                    self.keys.store(Arc::new(keys));
                }
                Err(error) => warn!(error = %chain(&error), "keys for OAuth tokens not loaded"),
            }
        }
        self.keys.load_full()
    }
}

impl Source {
    async fn load(&self) -> Result<KeySet, LoadError> {
        let json = match self {
            Source::File(path) => read(path.clone()).await?,
            Source::Url(fetcher) => fetcher.fetch(SET_BYTES_MAX).await?.to_vec(),
        };
        Ok(KeySet::parse(&json)?)
    }
}

async fn read(path: PathBuf) -> Result<Vec<u8>, LoadError> {
    let size = tokio::fs::metadata(&path).await.map(|metadata| metadata.len());
    match size {
        Ok(size) if usize::try_from(size).is_ok_and(|size| size <= SET_BYTES_MAX) => {}
        Ok(_) => return Err(LoadError::TooLarge { path }),
        Err(source) => return Err(LoadError::Read { path, source }),
    }
    tokio::fs::read(&path).await.map_err(|source| LoadError::Read { path, source })
}

#[cfg(test)]
mod tests {
    use posthouse_types::ManualClock;

    use super::*;

    const SET: &str = r#"{"keys":[{"kty":"EC","kid":"KID","crv":"P-256",
        "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

    fn config(path: &std::path::Path) -> OauthConfig {
        OauthConfig { jwks: Some(path.display().to_string()), ..Default::default() }
    }

    #[tokio::test]
    async fn keys_that_cannot_be_had_open_no_door() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        let clock = ManualClock::new(posthouse_types::Timestamp::from_ms(0));
        let refused = async || {
            Jwks::load(&config(&path), &clock).await.err().map(|error| chain(&error).to_string())
        };
        let place = path.display().to_string();
        let missing = refused().await.unwrap();
        assert!(missing.contains(&place) && missing.contains("No such file"), "{missing}");
        for (text, why) in [("{", "not a JWK set"), ("{\"keys\":[]}", "no key for RS256 or ES256")]
        {
            std::fs::write(&path, text).unwrap();
            let refused = refused().await.unwrap();
            assert!(refused.contains(&place) && refused.contains(why), "{refused}");
        }
        std::fs::write(&path, vec![b' '; SET_BYTES_MAX + 1]).unwrap();
        assert!(refused().await.unwrap().contains("is larger than"));
        std::fs::write(&path, SET).unwrap();
        assert_eq!(refused().await, None);
        assert!(Jwks::load(&OauthConfig::default(), &clock).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn keys_are_asked_for_again_when_one_is_missing_or_they_are_old() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        let clock = ManualClock::new(posthouse_types::Timestamp::from_ms(0));
        std::fs::write(&path, SET.replace("KID", "a")).unwrap();
        let jwks = Jwks::load(&config(&path), &clock).await.unwrap().unwrap();
        assert!(jwks.keys(Some("a"), &clock).await.knows(Some("a")));

        std::fs::write(&path, SET.replace("KID", "b")).unwrap();
        assert!(!jwks.keys(Some("b"), &clock).await.knows(Some("b")), "they were loaded just now");
        clock.advance(RETRY);
        assert!(jwks.keys(Some("a"), &clock).await.knows(Some("a")), "it is not missing");
        assert!(jwks.keys(Some("b"), &clock).await.knows(Some("b")));

        std::fs::write(&path, SET.replace("KID", "c")).unwrap();
        clock.advance(REFRESH);
        assert!(jwks.keys(Some("b"), &clock).await.knows(Some("c")), "it has grown old");

        std::fs::write(&path, "{").unwrap();
        clock.advance(REFRESH);
        assert!(jwks.keys(Some("c"), &clock).await.knows(Some("c")), "the last good set holds");
    }
}
