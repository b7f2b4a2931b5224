//! The cookie that names a page's session. Source: RFC 6265 and its successor's `SameSite`.

use axum::http::{HeaderMap, HeaderValue, header};

/// Its name; under TLS with the prefix that makes browsers insist on `Secure` and this host alone.
const PLAIN: &str = "posthouse_session";
const ENCRYPTED: &str = "__Host-posthouse_session";

/// The session that a request names.
pub(crate) fn session_of(headers: &HeaderMap) -> Option<String> {
    let cookies =
        headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|text| text.split(';')).filter_map(|one| one.trim().split_once('='));
    let (_, id) = pairs.find(|(name, _)| [PLAIN, ENCRYPTED].contains(name))?;
    Some(id.to_owned())
}

/// Sets it: not for scripts, and only for requests of this site.
pub(crate) fn set(id: &str, encrypted: bool) -> HeaderValue {
    written(id, encrypted, "")
}

/// Takes it away.
pub(crate) fn cleared(encrypted: bool) -> HeaderValue {
    written("", encrypted, "; Max-Age=0")
}

fn written(id: &str, encrypted: bool, more: &str) -> HeaderValue {
    let (name, secure) = if encrypted { (ENCRYPTED, "; Secure") } else { (PLAIN, "") };
    let text = format!("{name}={id}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    HeaderValue::from_str(&text).expect("an id is base64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_found_among_others() {
        for encrypted in [false, true] {
            let set = set("abc", encrypted);
            let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            let mut headers = HeaderMap::new();
            headers
                .insert(header::COOKIE, HeaderValue::from_str(&format!("a=b; {pair}; c")).unwrap());
            assert_eq!(session_of(&headers).as_deref(), Some("abc"));
        }
        assert_eq!(session_of(&HeaderMap::new()), None);
    }

    #[test]
    fn no_script_and_no_other_site_gets_it() {
        let text = set("abc", true);
        let text = text.to_str().unwrap();
        for part in ["HttpOnly", "SameSite=Strict", "Secure", "__Host-"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!set("abc", false).to_str().unwrap().contains("Secure"));
    }
}
