//! Logging in from a page, logging out, and asking who one is.

use axum::Json;
use axum::body::Body;
use axum::extract::Extension;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use posthouse_broker::{Credentials, Knock, LoginError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::input::{Parameters, Pieces};
use crate::auth::{DOOR, Origin, cleared, session_of, set};
use crate::errors::Problem;
use crate::routes::Door;

/// Nothing from anywhere else, and no frame of another site around it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

/// Where to go afterwards.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Next {
    next: Option<String>,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Whoami {
    /// The user, `ANONYMOUS` where nobody is asked.
    user: String,
    /// Whether it may do everything.
    superuser: bool,
    /// When its login ends, in milliseconds since the epoch; `null` when it does not by itself.
    expires_ms: Option<i64>,
}

/// The page to log in.
#[utoipa::path(get, path = "/login", tag = "access",
    params(("next" = Option<String>, Query, description = "A path of this node to go to afterwards")),
    responses((status = 200, body = String, content_type = "text/html")))]
pub(crate) async fn page(Parameters(Next { next }): Parameters<Next>) -> Response {
    shown(StatusCode::OK, &own_path(next.as_deref()), "")
}

/// Log in: sets the session's cookie, and goes where the form says.
#[utoipa::path(post, path = "/login", tag = "access",
    request_body(content = String, content_type = "application/x-www-form-urlencoded",
        description = "`user`, `password`, and `next`: a path of this node"),
    responses((status = 303), (status = 401, body = String, content_type = "text/html")))]
pub(crate) async fn log_in(
    door: Door,
    Extension(origin): Extension<Origin>,
    body: Body,
) -> Result<Response, Problem> {
    let body = Pieces::new(body, &door.config).collect().await?;
    let field = |name: &str| {
        let mut pairs = form_urlencoded::parse(&body);
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let (user, password, next) = (field("user"), field("password"), field("next"));
    let knock = Knock { door: DOOR, address: origin.peer.ip() };
    let next = own_path(Some(&next));
    let credentials = Credentials::Password { user: &user, password: password.as_bytes() };
    match door.broker.log_in(knock, credentials).await {
        Ok(login) => {
            let id = door.sessions.open(login, door.broker.clock().now());
            Ok(go_to(&next, set(&id, origin.encrypted)))
        }
        Err(LoginError::Refused | LoginError::Exchange(_)) => {
            Ok(shown(StatusCode::UNAUTHORIZED, &next, "User or password is wrong."))
        }
    }
}

/// Log out: ends the session.
#[utoipa::path(post, path = "/logout", tag = "access", responses((status = 303)))]
pub(crate) async fn log_out(
    door: Door,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
) -> Response {
    if let Some(id) = session_of(&headers) {
        door.sessions.end(&id);
    }
    go_to("/login", cleared(origin.encrypted))
}

/// Who asks.
#[utoipa::path(get, path = "/whoami", tag = "access",
    responses((status = 200, body = Whoami), (status = "default", body = Problem)))]
pub(crate) async fn whoami(door: Door) -> Json<Whoami> {
    let principal = door.principal.as_str();
    Json(Whoami {
        user: principal.strip_prefix("User:").unwrap_or(principal).to_owned(),
        superuser: door.broker.is_superuser(&door.principal),
        expires_ms: door.login.as_ref().and_then(|login| login.expires).map(|at| at.as_ms()),
    })
}

fn go_to(path: &str, cookie: HeaderValue) -> Response {
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location), (header::SET_COOKIE, cookie)])
        .into_response()
}

/// A path of this node; anything that could lead to another site is `/`.
fn own_path(next: Option<&str>) -> String {
    let own = |path: &&str| {
        let mut bytes = path.bytes();
        bytes.next() == Some(b'/')
            && !matches!(bytes.next(), Some(b'/' | b'\\'))
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    next.filter(own).unwrap_or("/").to_owned()
}

fn shown(status: StatusCode, next: &str, trouble: &str) -> Response {
    let page = PAGE.replace("{trouble}", trouble).replace("{next}", &escaped(next));
    // `no-referrer` would have the form sent with `Origin: null`, which every other site's may be.
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (status, headers, page).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Log in · Posthouse</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; display: grid; place-items: center; min-height: 90vh; margin: 0; color: #222; background: #f6f6f4 }
form { background: #fff; border: 1px solid #ddd; border-radius: 8px; padding: 2rem; width: 18rem }
h1 { font-size: 1.25rem; margin: 0 0 1rem }
label { display: block; margin-top: .75rem }
input { width: 100%; box-sizing: border-box; font: inherit; padding: .4rem; border: 1px solid #bbb; border-radius: 4px }
button { margin-top: 1.25rem; width: 100%; font: inherit; padding: .5rem; border: 0; border-radius: 4px; background: #1d4f91; color: #fff }
p { color: #a11; margin: .75rem 0 0; min-height: 1.5em }
</style>
<form method="post" action="/login">
<h1>Posthouse</h1>
<label>User<input name="user" autocomplete="username" autofocus required></label>
<label>Password or token<input name="password" type="password" autocomplete="current-password" required></label>
<input type="hidden" name="next" value="{next}">
<button>Log in</button>
<p role="alert">{trouble}</p>
</form>
</html>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_login_leads_to_another_site() {
        for own in ["/", "/topics", "/topics/a?x=1"] {
            assert_eq!(own_path(Some(own)), own);
        }
        for other in ["", "//evil", "/\\evil", "https://evil", "/a\nb", "javascript:x", "/a\\b"] {
            assert_eq!(own_path(Some(other)), "/", "{other:?}");
        }
    }

    #[test]
    fn what_is_shown_cannot_break_out_of_the_page() {
        assert_eq!(escaped("\"><script>"), "&quot;&gt;&lt;script&gt;");
    }
}
