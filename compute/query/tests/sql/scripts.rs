//! SQL scripts with what they should give: `tests/scripts/*.txt`.
//!
//! A case is SQL, a line `----`, and its outcome; an empty line ends it. `-- sorted` as the first
//! line sorts the rows. `UPDATE=1 cargo test -p posthouse-query scripts` writes what was given;
//! review the difference.

use std::fs;
use std::path::{Path, PathBuf};

use posthouse_query::QuerySession;

use crate::node::{Node, error_text, run};

#[tokio::test(flavor = "multi_thread")]
async fn scripts_give_what_they_say() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts"));
    let mut scripts: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    let mut failures = Vec::new();
    for script in scripts {
        check(&script, &mut failures).await;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

async fn check(script: &Path, failures: &mut Vec<String>) {
    let written = fs::read_to_string(script).unwrap();
    let node = Node::start().await;
    let session = node.session();
    let mut given = String::new();
    for case in written.split("\n\n").filter(|case| !case.trim().is_empty()) {
        let case = case.trim_matches('\n');
        let (sql, expected) = case.split_once("\n----").unwrap_or((case, ""));
        if sql.lines().all(|line| line.starts_with('#')) {
            given.push_str(&format!("{sql}\n\n"));
            continue;
        }
        let outcome = outcome(&session, sql).await;
        if outcome.trim_end() != expected.trim_matches('\n') {
            failures.push(format!(
                "{}\n{sql}\n---- expected{expected}\n---- given\n{outcome}",
                script.display()
            ));
        }
        given.push_str(&format!("{sql}\n----\n{outcome}\n"));
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(script, given.trim_end().to_owned() + "\n").unwrap();
        failures.clear();
    }
}

async fn outcome(session: &QuerySession, sql: &str) -> String {
    let sql: String =
        sql.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    match run(session, &sql).await {
        Err(error) => error_text(&error),
        Ok(text) if sql.starts_with("-- sorted") => {
            let (names, rows) = text.split_once('\n').unwrap();
            let mut rows: Vec<&str> = rows.lines().collect();
            rows.sort_unstable();
            format!("{names}\n{}\n", rows.join("\n"))
        }
        Ok(text) => text,
    }
}
