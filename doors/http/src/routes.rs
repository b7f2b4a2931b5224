//! Which request goes where, what every request passes, and the OpenAPI document that follows.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Json, Router};
use posthouse_broker::{Broker, Login};
use posthouse_query::QueryEngine;
use posthouse_types::Principal;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Asking, Origin, Sessions, identify, until_it_ends};
use crate::commands::{
    access, channels, consume, endpoints, groups, health, index, login, produce, queues,
    queues_transfer, queues_work, services, sinks, sql, topics, webhooks, websocket,
};
use crate::errors::Problem;
use crate::outlets::Outlets;
use crate::unread::read_the_rest;
use crate::{HttpConfig, metrics};

/// What every request may need. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) broker: Arc<Broker>,
    pub(crate) query: Arc<QueryEngine>,
    pub(crate) outlets: Arc<Outlets>,
    pub(crate) config: Arc<HttpConfig>,
    pub(crate) shutdown: CancellationToken,
    /// Who asks, and by which login; as an extractor the door has those of its request.
    pub(crate) principal: Principal,
    pub(crate) login: Option<Login>,
    pub(crate) sessions: Sessions,
    /// WebSockets, which outlive the requests that opened them: how many may be open, and those
    /// that a drain waits for.
    pub(crate) websockets: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
}

impl Door {
    pub(crate) fn new(
        broker: Arc<Broker>,
        query: Arc<QueryEngine>,
        outlets: Arc<Outlets>,
        config: HttpConfig,
        shutdown: CancellationToken,
    ) -> Door {
        let websockets = Arc::new(Semaphore::new(config.connections.connections_max));
        let sessions = Sessions::new(config.session_idle_max);
        Door {
            broker,
            query,
            outlets,
            config: Arc::new(config),
            shutdown,
            principal: Principal::anonymous(),
            login: None,
            sessions,
            websockets,
            tasks: TaskTracker::new(),
        }
    }
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Posthouse",
    description = "One log that Kafka, Redis, ZeroMQ, HTTP and Postgres clients share. Errors are problem documents (RFC 9457)."
))]
struct Document;

fn documented() -> OpenApiRouter<Door> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(index::page))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .routes(routes!(login::page, login::log_in))
        .routes(routes!(login::log_out))
        .routes(routes!(login::whoami))
        .routes(routes!(access::users, access::create_user))
        .routes(routes!(access::alter_user, access::delete_user))
        .routes(routes!(access::tokens, access::create_token))
        .routes(routes!(access::delete_token))
        .routes(routes!(access::rules, access::add_rule, access::remove_rules))
        .routes(routes!(topics::list, topics::create))
        .routes(routes!(topics::describe, topics::alter, topics::delete))
        .routes(routes!(produce::one, consume::read))
        .routes(routes!(produce::batch))
        .routes(routes!(groups::list))
        .routes(routes!(groups::describe, groups::delete))
        .routes(routes!(groups::set_offsets))
        .routes(routes!(queues::list))
        .routes(routes!(queues::create, queues::describe, queues::alter, queues::delete))
        .routes(routes!(queues::owners))
        .routes(routes!(queues_work::lease))
        .routes(routes!(queues_work::ack))
        .routes(routes!(queues_work::release))
        .routes(routes!(queues_work::reject))
        .routes(routes!(queues_work::extend))
        .routes(routes!(queues_transfer::transfer))
        .routes(routes!(queues_work::pending))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::describe, webhooks::alter, webhooks::delete))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(sinks::list, sinks::create))
        .routes(routes!(sinks::describe, sinks::delete))
        .routes(routes!(endpoints::list, endpoints::create))
        .routes(routes!(endpoints::describe, endpoints::delete))
        .routes(routes!(channels::publish, channels::follow))
        .routes(routes!(services::request))
        .routes(routes!(websocket::open))
        .routes(routes!(sql::run))
}

/// The OpenAPI document of this door, as it stands at `/openapi.json`.
pub fn openapi() -> utoipa::openapi::OpenApi {
    documented().into_openapi()
}

pub(crate) fn router(door: Door) -> Router {
    let (router, document) = documented().split_for_parts();
    router
        .route("/openapi.json", axum::routing::get(async move || Json(document.clone())))
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(door.clone(), guard))
        .layer(from_fn(read_the_rest))
        .with_state(door)
}

/// What anybody may ask: whether the node is there, and to be let in.
const OPEN_ROUTES: [&str; 4] = ["/healthz", "/readyz", "/login", "/logout"];

/// Counts, finds out who asks, and refuses what a web page of another site sends in its visitor's
/// name.
async fn guard(
    State(door): State<Door>,
    matched: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = matched.as_ref().map_or("other", MatchedPath::as_str).to_owned();
    let response = admit(&door, &route, request, next).await;
    let response = response.unwrap_or_else(IntoResponse::into_response);
    let seconds = started.elapsed().as_secs_f64();
    metrics::answered(known(&method), &route, response.status().as_u16(), seconds);
    response
}

async fn admit(
    door: &Door,
    route: &str,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let crosses = is_cross_site(request.method(), request.uri(), request.headers());
    if crosses && door.config.refuse_cross_site {
        return Err(cross_site().help("set http.refuse_cross_site = false to let every site in"));
    }
    if OPEN_ROUTES.contains(&route) {
        // Being logged in or out by a page of another site is no service to anybody.
        return if crosses { Err(cross_site()) } else { Ok(next.run(request).await) };
    }
    let origin = request.extensions().get::<Origin>().expect("every connection says its own");
    let asking = match identify(&door.broker, &door.sessions, request.headers(), origin).await {
        Ok(asking) if asking.by_session && crosses => return Err(cross_site()),
        Ok(asking) => asking,
        Err(_) if wants_page(&request) => return Ok(to_login(request.uri())),
        Err(problem) => return Err(problem),
    };
    let Asking { login, .. } = asking.clone();
    let wait = door.broker.request_wait(&asking.principal);
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    request.extensions_mut().insert(asking);
    let response = next.run(request).await;
    Ok(until_it_ends(&door.broker, login, response))
}

fn cross_site() -> Problem {
    let detail = "a page of another site may not use this node";
    Problem::new(StatusCode::FORBIDDEN, "cross_site", detail)
}

/// Whether somebody looks at it with a browser, rather than a program.
fn wants_page(request: &Request) -> bool {
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    request.method() == Method::GET && accepts.is_some_and(|text| text.contains("text/html"))
}

fn to_login(uri: &Uri) -> Response {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let next: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
    Redirect::to(&format!("/login?next={next}")).into_response()
}

/// Browsers say where a request comes from; other programs send neither header.
fn is_cross_site(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        // Following a link to a page of ours changes nothing; sending it a form might.
        return method != Method::GET || text("sec-fetch-mode") != Some("navigate");
    }
    let Some(origin) = text("origin") else { return false };
    let origin_host = origin.split_once("://").map_or(origin, |(_, host)| host);
    // HTTP/2 says it in the URI (`:authority`), HTTP/1.1 in a header.
    let authority = uri.authority().map(Authority::as_str);
    let host = authority.or_else(|| text(header::HOST.as_str()));
    host.is_some_and(|host| !host.eq_ignore_ascii_case(origin_host))
}

/// Labels come from a fixed set, and a client may invent methods.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET | Method::POST | Method::PATCH | Method::DELETE | Method::HEAD => {
            method.as_str()
        }
        _ => "other",
    }
}

async fn no_such_route(uri: Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown_path",
        format!("there is nothing at {:?}", uri.path()),
    )
    .help("GET / lists what there is, GET /openapi.json describes it")
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} is not something that {:?} does", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "unknown_method", detail)
        .help("GET /openapi.json describes what each path does")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn crosses(method: Method, more: &[(&'static str, &str)]) -> bool {
        let mut headers = headers(more);
        headers.insert("host", "127.0.0.1:8080".parse().unwrap());
        is_cross_site(&method, &Uri::from_static("/"), &headers)
    }

    #[test]
    fn a_host_that_http_2_names_counts_as_one_in_a_header() {
        let uri = Uri::from_static("https://localhost:8443/topics");
        let crosses = |origin| is_cross_site(&Method::POST, &uri, &headers(&[("origin", origin)]));
        assert!(!crosses("https://localhost:8443"));
        assert!(crosses("https://evil.example"));
        assert!(crosses("null"));
    }

    #[test]
    fn only_other_sites_are_cross_site() {
        assert!(!crosses(Method::POST, &[]));
        assert!(!crosses(Method::POST, &[("origin", "http://127.0.0.1:8080")]));
        assert!(crosses(Method::POST, &[("origin", "https://evil.example")]));
        assert!(crosses(Method::POST, &[("origin", "null")]));
        assert!(crosses(Method::GET, &[("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn a_link_from_another_site_may_be_followed_and_a_form_may_not_be_sent() {
        let navigation = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert!(!crosses(Method::GET, &navigation));
        assert!(crosses(Method::POST, &navigation));
    }

    #[test]
    fn the_document_describes_every_family() {
        let document = serde_json::to_value(openapi()).unwrap();
        for path in [
            "/topics",
            "/topics/{name}/records",
            "/groups/{group}",
            "/queues/{topic}/{group}/lease",
            "/queues/{topic}/{group}/transfer",
            "/webhooks/{name}",
            "/sinks/{name}",
            "/endpoints",
            "/channels/{name}",
            "/services/{name}",
            "/ws",
            "/sql",
            "/metrics",
        ] {
            assert!(document["paths"][path].is_object(), "{path}");
        }
        assert!(document["components"]["schemas"]["Problem"].is_object());
    }
}
