//! From a name in SQL to files on disk, within what may be read.
//!
//! Owns patterns, folders and the boundary. Blocks on the disk.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::FileKind;
use crate::QueryError;
use crate::error::sqlstate;

/// LIMIT: files of one table.
const FILES_MAX: usize = 10_000;

/// `*` stays within a folder; `**` does not.
const SEGMENTS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Whether a name that is no topic's is meant as a file, a folder or a pattern.
pub(crate) fn looks_like_file(name: &str) -> bool {
    name.contains('/') || is_pattern(name) || FileKind::of(Path::new(name)).is_some()
}

/// The files that `name` stands for, in order of name, each checked to lie under `root`.
pub(super) fn expand(root: Option<&Path>, name: &str) -> Result<Vec<PathBuf>, QueryError> {
    let boundary = root.map(fs::canonicalize).transpose().map_err(|error| failed(name, &error))?;
    let asked = match &boundary {
        Some(boundary) => boundary.join(name),
        None => PathBuf::from(name),
    };
    let (fixed, pattern) = split_pattern(&asked);
    let fixed = fs::canonicalize(&fixed).map_err(|error| failed(name, &error))?;
    check_boundary(boundary.as_deref(), &fixed, name)?;
    let matcher = pattern.as_deref().map(|pattern| matcher(pattern, name)).transpose()?;
    if matcher.is_none() && fixed.is_file() {
        return Ok(vec![fixed]);
    }
    let mut files = Vec::new();
    walk(&fixed, matcher.is_some(), &mut |path| {
        let relative = path.strip_prefix(&fixed).unwrap_or(path);
        let wanted = match &matcher {
            Some(matcher) => matcher.matches_path_with(relative, SEGMENTS),
            None => FileKind::of(path).is_some(),
        };
        if !wanted {
            return Ok(());
        }
        let file = fs::canonicalize(path).map_err(|error| failed(name, &error))?;
        check_boundary(boundary.as_deref(), &file, name)?;
        files.push(file);
        if files.len() > FILES_MAX {
            let message = format!("\"{name}\" is more than {FILES_MAX} files");
            return Err(QueryError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
        }
        Ok(())
    })
    .map_err(|error| match error {
        WalkError::Disk(error) => failed(name, &error),
        WalkError::Refused(error) => error,
    })?;
    if files.is_empty() {
        let message = format!("no file matches \"{name}\"");
        return Err(QueryError::new(sqlstate::UNDEFINED_FILE, message));
    }
    files.sort();
    Ok(files)
}

enum WalkError {
    Disk(io::Error),
    Refused(QueryError),
}

/// Visits the files of a folder, and of folders below it when `deep`. Folders that are links are
/// not entered, so the walk ends.
fn walk(
    folder: &Path,
    deep: bool,
    visit: &mut impl FnMut(&Path) -> Result<(), QueryError>,
) -> Result<(), WalkError> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(WalkError::Disk)? {
            let entry = entry.map_err(WalkError::Disk)?;
            let kind = entry.file_type().map_err(WalkError::Disk)?;
            if kind.is_dir() && deep {
                folders.push(entry.path());
            } else if kind.is_file() || kind.is_symlink() && entry.path().is_file() {
                visit(&entry.path()).map_err(WalkError::Refused)?;
            }
        }
    }
    Ok(())
}

fn check_boundary(boundary: Option<&Path>, path: &Path, name: &str) -> Result<(), QueryError> {
    match boundary {
        Some(boundary) if !path.starts_with(boundary) => Err(QueryError::new(
            sqlstate::INSUFFICIENT_PRIVILEGE,
            format!("\"{name}\" is outside the folder whose files may be queried"),
        )
        .with_hint("the setting query.files says which files may be")),
        _ => Ok(()),
    }
}

/// The part of a path before its first pattern, and the rest.
fn split_pattern(path: &Path) -> (PathBuf, Option<String>) {
    let mut fixed = PathBuf::new();
    let mut components = path.components();
    while let Some(component) = components.next() {
        let text = component.as_os_str().to_string_lossy();
        if matches!(component, Component::Normal(_)) && is_pattern(&text) {
            let mut pattern = text.into_owned();
            for rest in components {
                pattern.push('/');
                pattern.push_str(&rest.as_os_str().to_string_lossy());
            }
            return (fixed, Some(pattern));
        }
        fixed.push(component);
    }
    (fixed, None)
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn matcher(pattern: &str, name: &str) -> Result<Pattern, QueryError> {
    Pattern::new(pattern).map_err(|error| {
        let message = format!("\"{name}\" is not a pattern: {}", error.msg);
        QueryError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
    })
}

fn failed(name: &str, error: &io::Error) -> QueryError {
    let state = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            let message = format!("topic or file \"{name}\" does not exist");
            return QueryError::new(sqlstate::UNDEFINED_FILE, message)
                .with_hint("file names are relative to the folder that the node may read");
        }
        io::ErrorKind::PermissionDenied => sqlstate::INSUFFICIENT_PRIVILEGE,
        _ => sqlstate::IO_ERROR,
    };
    QueryError::new(state, format!("cannot read \"{name}\": {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_files_are_told_from_topics() {
        for file in ["weather.csv", "data/", "data/*.json", "a/b", "x.PARQUET"] {
            assert!(looks_like_file(file), "{file}");
        }
        for topic in ["flights", "orders:eu", "flights.2013"] {
            assert!(!looks_like_file(topic), "{topic}");
        }
    }

    #[test]
    fn a_path_or_a_link_out_of_the_folder_is_refused() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret.csv"), "a\n1\n").unwrap();
        let inside = tempfile::tempdir().unwrap();
        fs::write(inside.path().join("open.csv"), "a\n1\n").unwrap();
        let link = inside.path().join("link.csv");
        std::os::unix::fs::symlink(outside.path().join("secret.csv"), link).unwrap();
        let expand = |name: &str| expand(Some(inside.path()), name);
        assert_eq!(expand("open.csv").unwrap().len(), 1);
        let climbing =
            format!("../{}/secret.csv", outside.path().file_name().unwrap().to_str().unwrap());
        let absolute = outside.path().join("secret.csv");
        for name in [climbing.as_str(), absolute.to_str().unwrap(), "link.csv", "*.csv"] {
            assert_eq!(expand(name).unwrap_err().sqlstate, "42501", "{name}");
        }
    }

    #[test]
    fn a_pattern_matches_below_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        for file in ["a.csv", "b.json", "deep/c.csv"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let count = |name: &str| expand(Some(folder.path()), name).unwrap().len();
        assert_eq!(count("*.csv"), 1);
        assert_eq!(count("**/*.csv"), 2);
        assert_eq!(count("deep/"), 1);
        assert_eq!(expand(Some(folder.path()), "*.parquet").unwrap_err().sqlstate, "58P01");
    }
}
