//! A node as a client command sees it: its HTTP door, and nothing else.

use std::error::Error;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::NodeArgs;
use crate::exit::{Code, Failure};
use crate::{client_tls, secret};

/// How long connecting may take; an answer may take any time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to a node. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

/// A problem document, as the HTTP door sends it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Problem {
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) help: Option<String>,
    pub(crate) position: Option<usize>,
    pub(crate) acknowledged: Option<u64>,
}

impl Client {
    pub(crate) fn new(args: &NodeArgs) -> Result<Client, Failure> {
        let address = args.node.trim().trim_end_matches('/');
        let base = match (address.contains("://"), &args.tls_ca) {
            (true, _) => address.to_owned(),
            (false, None) => format!("http://{address}"),
            (false, Some(_)) => format!("https://{address}"),
        };
        let scheme = reqwest::Url::parse(&base).map(|url| url.scheme().to_owned());
        let is_tls = match scheme.as_deref() {
            Ok("http") => false,
            Ok("https") => true,
            _ => return Err(wrong_address(address, "it is no HOST:PORT")),
        };
        let tls = if is_tls { client_tls::config(args)? } else { client_tls::unused() };
        let http = reqwest::Client::builder()
            .default_headers(credentials(args)?)
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|error| Failure::from_error(Code::Failed, &error))?;
        Ok(Client { http, base })
    }

    /// A request to the path made of `segments`, each of which may hold any text.
    pub(crate) fn request(&self, method: Method, segments: &[&str]) -> RequestBuilder {
        self.request_with(method, segments, &[])
    }

    /// The same with parameters.
    pub(crate) fn request_with(
        &self,
        method: Method,
        segments: &[&str],
        parameters: &[(&str, String)],
    ) -> RequestBuilder {
        let mut url = reqwest::Url::parse(&self.base).expect("the address was parsed before");
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        self.http.request(method, url)
    }

    /// Sends a request; an answer that is a problem is a failure.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        self.try_send(request).await?.map_err(|problem| problem.into_failure())
    }

    /// Sends a request, and keeps a problem apart from a node that does not answer.
    pub(crate) async fn try_send(
        &self,
        request: RequestBuilder,
    ) -> Result<Result<Response, Problem>, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(Ok(response));
        }
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok(Err(serde_json::from_slice(&body).unwrap_or_else(|_| self.no_posthouse(status))))
    }

    /// Sends a request and reads the answer's JSON.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, Failure> {
        let body =
            self.send(request).await?.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body).map_err(|_| self.no_posthouse(StatusCode::OK).into_failure())
    }

    pub(crate) async fn get(&self, segments: &[&str]) -> Result<Value, Failure> {
        self.json(self.request(Method::GET, segments)).await
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        if let Some(reason) = client_tls::untrusted(error) {
            let message = format!("what answers at {} is not trusted: {reason}", self.base);
            return Failure::new(Code::Unreachable, message).hint(
                "--tls-ca FILE names the authority that issued its certificate, which must be for the host in --node",
            );
        }
        if error.is_connect() || error.is_timeout() {
            return Failure::new(Code::Unreachable, format!("no node answers at {}", self.base))
                .hint("start one with `posthouse serve`, or name another with --node HOST:PORT or POSTHOUSE_NODE");
        }
        Failure::new(
            Code::Unreachable,
            format!("the connection to {} broke: {}", self.base, root_cause(error)),
        )
    }

    fn no_posthouse(&self, status: StatusCode) -> Problem {
        Problem {
            code: "no_posthouse".to_owned(),
            detail: format!(
                "what answers at {} is not a Posthouse node (status {status})",
                self.base
            ),
            help: Some("--node names the node's HTTP door".to_owned()),
            position: None,
            acknowledged: None,
        }
    }
}

impl Problem {
    pub(crate) fn into_failure(self) -> Failure {
        let code = match self.code.as_str() {
            "unknown_topic"
            | "unknown_group"
            | "unknown_partition"
            | "unknown_queue"
            | "unknown_webhook"
            | "unknown_sink"
            | "webhook_exists"
            | "sink_exists"
            | "file_taken"
            | "unknown_user"
            | "unknown_token"
            | "user_exists"
            | "identity_taken"
            | "last_superuser"
            | "topic_exists"
            | "topic_alias_taken"
            | "queue_exists"
            | "unknown_endpoint"
            | "endpoint_exists"
            | "endpoint_configured" => Code::Named,
            "invalid_parameter"
            | "invalid_config"
            | "invalid_topic_name"
            | "invalid_partitions"
            | "invalid_schema"
            | "invalid_queue"
            | "invalid_endpoint"
            | "invalid_user_name"
            | "invalid_password"
            | "invalid_curve_key"
            | "missing_parameter"
            | "offset_out_of_range" => Code::Usage,
            "no_posthouse" => Code::Unreachable,
            _ => Code::Failed,
        };
        let failure = Failure::new(code, self.detail);
        match self.code.as_str() {
            "unknown_topic" => failure.hint(
                "`posthouse topic list` lists the topics, `posthouse topic create NAME` makes one",
            ),
            "unknown_group" => failure.hint("`posthouse group list` lists the groups"),
            "unknown_queue" => failure.hint("`posthouse queue list` lists the queues"),
            "unknown_webhook" => failure.hint("`posthouse webhook list` lists the webhooks"),
            "unknown_sink" => failure.hint("`posthouse sink list` lists the file sinks"),
            "unknown_endpoint" => failure.hint("`posthouse endpoint list` lists the endpoints"),
            "unknown_user" => failure.hint("`posthouse user list` lists the users"),
            "unauthenticated" => failure.hint(
                "say who asks with --login USER (its password in POSTHOUSE_PASSWORD, or asked for) or with a token in POSTHOUSE_TOKEN",
            ),
            "denied" => failure.hint(
                "somebody who may alter the cluster can allow it: `posthouse acl add --help`",
            ),
            "invalid_config" => {
                failure.hint("`posthouse topic describe NAME` lists every setting that acts")
            }
            "offset_out_of_range" => failure.hint("read --from beginning or --from end"),
            _ => match self.help {
                Some(help) => failure.hint(help),
                None => failure,
            },
        }
    }
}

/// What says who asks: a token, or a user and a password.
fn credentials(args: &NodeArgs) -> Result<HeaderMap, Failure> {
    let text = match (&args.token, &args.login) {
        (Some(token), None) => format!("Bearer {token}"),
        (None, Some(user)) => {
            let password = password_of(user)?;
            format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
        }
        (None, None) => return Ok(HeaderMap::new()),
        (Some(_), Some(_)) => {
            let both = "--login and --token (or POSTHOUSE_USER and POSTHOUSE_TOKEN) are both given";
            return Err(Failure::new(Code::Usage, both).hint("one of them says who asks"));
        }
    };
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Failure::new(Code::Usage, "the token has characters that no token has"))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

fn password_of(user: &str) -> Result<String, Failure> {
    match std::env::var("POSTHOUSE_PASSWORD") {
        Ok(password) => Ok(password),
        Err(_) => secret::ask(&format!("Password of {user}: ")),
    }
}

fn wrong_address(address: &str, reason: &str) -> Failure {
    Failure::new(Code::Usage, format!("the node's address {address:?} cannot be used: {reason}"))
        .hint("write HOST:PORT of its HTTP door, such as 127.0.0.1:8080")
}

fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_and_never_shown() {
        let args = NodeArgs { token: Some("ph_secret".to_owned()), ..NodeArgs::at("h:1") };
        assert!(!format!("{args:?}").contains("secret"));
        let headers = credentials(&args).unwrap();
        assert_eq!(headers[AUTHORIZATION], "Bearer ph_secret");
        assert!(!format!("{headers:?}").contains("secret"));
        let both = NodeArgs { login: Some("alice".to_owned()), ..args };
        assert!(credentials(&both).unwrap_err().to_string().contains("--login"));
    }

    fn url(address: &str, segments: &[&str]) -> String {
        let client = Client::new(&NodeArgs::at(address)).unwrap();
        client.request(Method::GET, segments).build().unwrap().url().to_string()
    }

    #[test]
    fn a_node_may_be_named_with_or_without_its_scheme() {
        assert_eq!(url("127.0.0.1:8080", &["topics"]), "http://127.0.0.1:8080/topics");
        assert_eq!(url("http://localhost:1/", &["topics"]), "http://localhost:1/topics");
        assert_eq!(url("h:1", &["topics", "a/b ?"]), "http://h:1/topics/a%2Fb%20%3F");
        assert_eq!(url("https://localhost:1", &["topics"]), "https://localhost:1/topics");
        assert!(Client::new(&NodeArgs::at("ftp://x")).is_err());
        assert!(Client::new(&NodeArgs::at("a b")).is_err());
    }
}
