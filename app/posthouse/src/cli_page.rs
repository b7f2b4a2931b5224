//! Keeps `docs/cli.md` what `--help` says.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Command, CommandFactory as _};

use crate::cli::Cli;
use crate::exit::CODES;

const HEAD: &str = "\
# The command line

Generated from the program's own help by `UPDATE=1 cargo test -p posthouse`; do not edit.

One program is all: `posthouse serve` is a node, and most other commands are its clients. Some need no node: `zmq` is a
ZeroMQ socket by itself, `demo` brings a node of its own, and `backup`, `restore` and `config` work on files. A client
command talks to the node's HTTP door, which it finds by `--node HOST:PORT` or the variable `POSTHOUSE_NODE`
(127.0.0.1:8080 when neither says). Output is aligned for people on a terminal, and made for programs in a pipe: tables
lose their head and are separated by tabs, and SQL answers in CSV. What is not output, such as progress and errors, goes
to standard error.
";

fn page() -> String {
    let mut page = format!(
        "{HEAD}\n## Exit codes\n\n```\n{}\n```\n",
        CODES.trim_start_matches("Exit codes:\n")
    );
    let mut command = Cli::command().term_width(100);
    command.build();
    describe(&command, &mut page);
    page
}

/// A section for each command that does something, in the order of the help.
fn describe(command: &Command, page: &mut String) {
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        if inner.has_subcommands() {
            describe(inner, page);
            continue;
        }
        let name = inner.get_bin_name().unwrap_or_else(|| inner.get_name());
        let help = inner.clone().term_width(100).render_long_help().to_string();
        let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
        let _ = write!(page, "\n## {name}\n\n```\n{}\n```\n", lines.join("\n"));
    }
}

#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let generated = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "docs/cli.md is stale; run UPDATE=1 cargo test -p posthouse");
}

#[test]
fn the_arguments_do_not_contradict_each_other() {
    Cli::command().debug_assert();
}
