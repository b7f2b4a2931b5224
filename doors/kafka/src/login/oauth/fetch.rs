//! Fetches a document over HTTPS.
//!
//! # Invariants
//! - Redirects are not followed, and no more than asked for is read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

/// LIMIT: how long everything together may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks one URL.
pub(super) struct Fetcher {
    url: String,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{0:?} is not a URL")]
    Url(String),
    #[error("the request failed")]
    Request(#[from] hyper_util::client::legacy::Error),
    #[error("the answer is {0}")]
    Status(hyper::StatusCode),
    #[error("the answer broke off or is too large")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Late,
}

impl Fetcher {
    /// Trusts what the machine trusts.
    pub(super) fn new(url: String) -> Fetcher {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has a cipher suite for each version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let https =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        Fetcher { url, client: Client::builder(TokioExecutor::new()).build(https) }
    }

    pub(super) async fn fetch(&self, bytes_max: usize) -> Result<Bytes, FetchError> {
        tokio::time::timeout(TIMEOUT, self.exchange(bytes_max))
            .await
            .unwrap_or(Err(FetchError::Late))
    }

    async fn exchange(&self, bytes_max: usize) -> Result<Bytes, FetchError> {
        let uri: Uri = self.url.parse().map_err(|_| FetchError::Url(self.url.clone()))?;
        let response = self.client.get(uri).await?;
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), bytes_max).collect().await;
        Ok(body.map_err(FetchError::Body)?.to_bytes())
    }
}
