//! The certificate in force, and its replacement.
//!
//! # Invariants
//! - A handshake uses one state from its beginning to its end; a reload changes only those after it.
//! - Nothing of an earlier state is resumed after a reload: tickets and sessions go with it, so that
//!   a client's certificate is checked against the authorities of now.
//! - A reload that fails changes nothing.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use metrics::{counter, gauge};
use parking_lot::{Mutex, RwLock};
use posthouse_types::{Clock, Timestamp};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::sign::SingleCertAndKey;

use super::files::{Contents, Fingerprint, Loaded, TlsError, TlsFiles};
use super::{Acceptor, binding};

/// What is spoken inside TLS, as far as the two ends agree on it in the handshake (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// Nothing is agreed on: Kafka and Redis.
    None,
    /// `h2` or `http/1.1`.
    Http,
    /// `postgresql`, which a client must offer that begins with TLS at once.
    Postgres,
}

/// TLS as a node has it. Cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
    current: RwLock<Arc<Current>>,
    /// What the files held when they were last looked at, good or bad.
    seen: Mutex<Option<Fingerprint>>,
}

/// What handshakes need.
pub(super) struct Current {
    plain: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
    postgres: Arc<ServerConfig>,
    /// SPEC: RFC 5929, section 4.
    pub(super) endpoint_binding: Option<Bytes>,
}

/// What a look at the files found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// They are as they were.
    Unchanged,
    /// They changed, and are in force.
    Replaced,
}

impl Tls {
    /// Reads the files. Blocks on the disk.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what to do.
    pub fn load(files: TlsFiles, clock: Arc<dyn Clock>) -> Result<Tls, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let contents = files.read()?;
        let current = Current::new(&files, &contents, &provider, clock.wall())?;
        Ok(Tls(Arc::new(Shared {
            files,
            provider,
            clock,
            current: RwLock::new(Arc::new(current)),
            seen: Mutex::new(Some(contents.fingerprint())),
        })))
    }

    /// What does the handshakes of a listener.
    pub fn acceptor(&self, alpn: Alpn) -> Acceptor {
        Acceptor::new(self.clone(), alpn)
    }

    /// Looks at the files, and puts them in force if they changed. Blocks on the disk.
    ///
    /// # Errors
    /// [`TlsError`], once for each change that cannot be used; what was in force stays so.
    pub fn reload(&self) -> Result<Reload, TlsError> {
        let shared = &self.0;
        let contents = match shared.files.read() {
            Ok(contents) => contents,
            // Once it can be read again, it counts as changed.
            Err(error) => {
                return if shared.seen.lock().take().is_some() {
                    Err(error)
                } else {
                    Ok(Reload::Unchanged)
                };
            }
        };
        let fingerprint = contents.fingerprint();
        if shared.seen.lock().replace(fingerprint) == Some(fingerprint) {
            return Ok(Reload::Unchanged);
        }
        let now = shared.clock.wall();
        let current = Current::new(&shared.files, &contents, &shared.provider, now)?;
        *shared.current.write() = Arc::new(current);
        Ok(Reload::Replaced)
    }

    pub(super) fn files(&self) -> &TlsFiles {
        &self.0.files
    }

    pub(super) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.0.current.read())
    }
}

/// Without what was made of the key.
impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Tls").field(&self.0.files).finish()
    }
}

impl Current {
    fn new(
        files: &TlsFiles,
        contents: &Contents,
        provider: &Arc<CryptoProvider>,
        now: Timestamp,
    ) -> Result<Current, TlsError> {
        let loaded = files.check(contents, provider, now)?;
        let leaf = loaded.certified.end_entity_cert().map_err(TlsError::Library)?;
        let endpoint_binding = binding::of(leaf);
        let not_after = loaded.not_after;
        let plain = server_config(loaded, provider)?;
        let with = |protocols: &[&[u8]]| {
            let mut config = plain.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        let (http, postgres) = (with(&[b"h2", b"http/1.1"]), with(&[b"postgresql"]));
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; seconds fit it")]
        gauge!("posthouse_tls_certificate_expiry_timestamp_seconds").set(not_after as f64);
        Ok(Current { plain: Arc::new(plain), http, postgres, endpoint_binding })
    }

    pub(super) fn config(&self, alpn: Alpn) -> Arc<ServerConfig> {
        Arc::clone(match alpn {
            Alpn::None => &self.plain,
            Alpn::Http => &self.http,
            Alpn::Postgres => &self.postgres,
        })
    }
}

/// TLS 1.2 and 1.3 with the suites that the library calls safe: all of them with forward secrecy and
/// authenticated encryption.
fn server_config(loaded: Loaded, provider: &Arc<CryptoProvider>) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Library)?
        .with_client_cert_verifier(loaded.verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(loaded.certified)));
    config.ticketer = ring::Ticketer::new().map_err(TlsError::Library)?;
    Ok(config)
}

/// Counts a look that found something; see [`super::watch`].
pub(super) fn count_reload(result: &'static str) {
    counter!("posthouse_tls_reloads_total", "result" => result).increment(1);
}
