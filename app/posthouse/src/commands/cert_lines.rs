//! What to type with the certificates of `posthouse cert dev`.

use std::fmt::Write as _;
use std::path::Path;

/// The line that starts a node, and one for each client.
pub(super) fn lines(directory: &Path, clients: &[String]) -> String {
    let file = |name: &str| quote(&directory.join(name).display().to_string());
    let (authority, server, key) = (file("authority.pem"), file("server.pem"), file("server.key"));
    let mut text = format!(
        "
Start a node with them, beside the plain doors:
  posthouse serve --tls-certificate {server} --tls-key {key} \\
    --set kafka.tls_address=127.0.0.1:9093 --set redis.tls_address=127.0.0.1:6380 \\
    --set http.tls_address=127.0.0.1:8443"
    );
    if !clients.is_empty() {
        let _ = write!(
            text,
            " \\
    --set tls.client_authorities={authority} --set tls.client_certificates=request"
        );
    }
    text.push_str("\n\nConnect to it:\n");
    let mut kafka = String::new();
    let (mut redis, mut http, mut postgres) = (String::new(), String::new(), String::new());
    let mut own = String::new();
    if let Some(client) = clients.first() {
        let certificate = file(&format!("client-{client}.pem"));
        let key = file(&format!("client-{client}.key"));
        kafka = format!(" -X ssl.certificate.location={certificate} -X ssl.key.location={key}");
        redis = format!(" --cert {certificate} --key {key}");
        http = redis.clone();
        postgres = format!(" sslcert={certificate} sslkey={key}");
        own = format!(" --tls-certificate {certificate} --tls-key {key}");
    }
    for line in [
        format!(
            "kcat -b localhost:9093 -X security.protocol=ssl -X ssl.ca.location={authority}{kafka} -L"
        ),
        format!("redis-cli -h localhost -p 6380 --tls --cacert {authority}{redis} ping"),
        format!(
            "psql \"host=localhost port=5432 dbname=posthouse user=posthouse sslmode=verify-full sslrootcert={authority}{postgres}\""
        ),
        format!("curl --cacert {authority}{http} https://localhost:8443/topics"),
        format!("posthouse topic list --node https://localhost:8443 --tls-ca {authority}{own}"),
    ] {
        let _ = writeln!(text, "  {line}");
    }
    text.truncate(text.trim_end().len());
    text
}

/// As a shell takes it for one word.
fn quote(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%".contains(&byte);
    if path.bytes().all(is_plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_with_a_certificate_is_told_how_to_show_it() {
        let plain = lines(Path::new("certs"), &[]);
        assert!(!plain.contains("client"), "{plain}");
        let text = lines(Path::new("certs"), &["ada".to_owned()]);
        assert!(text.contains("--set tls.client_authorities=certs/authority.pem"), "{text}");
        assert!(text.contains("ssl.key.location=certs/client-ada.key"), "{text}");
        assert!(text.contains("sslcert=certs/client-ada.pem"), "{text}");
    }

    #[test]
    fn a_path_with_blanks_stays_one_word() {
        assert_eq!(quote("a b/c'd"), r"'a b/c'\''d'");
        assert_eq!(quote("/tmp/x-1"), "/tmp/x-1");
    }
}
