//! Scripts of whole flows, in `core/broker/tests/scripts/groups/*.txt`.
//!
//! A line that begins with `> ` is a command; the lines after it are what came of it. A line that
//! begins with `#`, and an empty line, is for the reader. `UPDATE=1 cargo test` rewrites the
//! outcomes; review the difference.
//!
//! Member ids are written `client#n`, where `n` counts joins. Commands:
//!
//! ```text
//! join TAG [client=] [member=] [instance=] [session=10s] [rebalance=60s] [type=consumer]
//!          [protocols=range:t+u,sticky:t] [id-first] [skip]
//! sync TAG gen= member= [instance=] [assign=a#1:x,b#2:y] [protocol=]
//! heartbeat gen= member= [instance=]      commit gen= member= [instance=]
//! leave [member=] [instance=]             advance 3s
//! hold | release | written | failed       restart
//! describe                                expiry
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::super::subscription::{encode_subscription, subscribed_topics};
use super::super::*;
use super::harness::{Answer, GROUP, Harness, consumer, follower, leader};
use crate::GroupError;

#[test]
fn every_script_gives_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/groups");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 6, "the scripts are found in {}", folder.display());
    for path in paths {
        let script = std::fs::read_to_string(&path).unwrap();
        let actual = Script::default().run(&script);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &actual).unwrap();
        } else {
            assert_eq!(script, actual, "{}", path.display());
        }
    }
}

struct Script {
    harness: Harness,
    tags: HashMap<ReplyId, String>,
    /// Full member ids by the short ones that the script uses.
    ids: BTreeMap<String, String>,
    joins: u128,
}

impl Default for Script {
    fn default() -> Script {
        let (harness, tags, ids) = (Harness::new(), HashMap::new(), BTreeMap::new());
        Script { harness, tags, ids, joins: 0 }
    }
}

struct Words<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Words<'a> {
    fn new(words: impl Iterator<Item = &'a str>) -> Words<'a> {
        Words(words.map(|word| word.split_once('=').unwrap_or((word, ""))).collect())
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    fn number(&self, name: &str) -> i32 {
        self.text(name).expect(name).parse().expect(name)
    }

    fn seconds(&self, name: &str, default: u64) -> Duration {
        self.text(name).map_or(Duration::from_secs(default), seconds)
    }
}

fn seconds(text: &str) -> Duration {
    Duration::from_secs(text.strip_suffix('s').expect("seconds end in s").parse().expect(text))
}

impl Script {
    fn run(mut self, script: &str) -> String {
        let mut out = String::new();
        for line in script.lines() {
            if let Some(command) = line.strip_prefix("> ") {
                writeln!(out, "{line}").unwrap();
                self.command(command, &mut out);
                self.answers(&mut out);
            } else if line.is_empty() || line.starts_with('#') {
                writeln!(out, "{line}").unwrap();
            }
        }
        out
    }

    fn command(&mut self, command: &str, out: &mut String) {
        let mut words = command.split_whitespace();
        let name = words.next().expect("a command");
        let rest: Vec<_> = words.collect();
        let words = Words::new(rest.iter().copied());
        match name {
            "join" => self.join(rest[0], &words),
            "sync" => self.sync(rest[0], &words),
            "heartbeat" | "commit" => {
                let result = self.check(name, &words);
                writeln!(out, "  {}", self.outcome(result.map(|()| "ok".to_owned()))).unwrap();
            }
            "leave" => self.leave(&words, out),
            "advance" => self.harness.advance(seconds(rest[0])),
            "hold" => self.harness.holds_writes = true,
            "release" => self.harness.holds_writes = false,
            "written" => self.harness.finish_write(Persisted::Durable),
            "failed" => self.harness.finish_write(Persisted::Failed),
            "restart" => self.harness.restart(),
            "describe" => self.describe(out),
            "expiry" => {
                writeln!(out, "  {:?}", self.harness.machine.offset_expiry(GROUP)).unwrap();
            }
            _ => panic!("{name} is not a command"),
        }
    }

    fn join(&mut self, tag: &str, words: &Words<'_>) {
        let client = words.text("client").unwrap_or(tag);
        let instance_id = words.text("instance").map(str::to_owned);
        let protocol = |text: &str| {
            let (name, topics) = text.split_once(':').expect("name:topics");
            (name.to_owned(), encode_subscription(1, &topics.split('+').collect::<Vec<_>>()))
        };
        let mut join = Join {
            member_id: self.full(words.text("member")),
            session_timeout: words.seconds("session", 10),
            rebalance_timeout: words.seconds("rebalance", 60),
            member_id_required: words.text("id-first").is_some(),
            supports_skipping_assignment: words.text("skip").is_some(),
            instance_id,
            ..consumer(client)
        };
        if let Some(protocols) = words.text("protocols") {
            join.protocols = protocols.split(',').map(protocol).collect();
        }
        if let Some(protocol_type) = words.text("type") {
            join.protocol_type = protocol_type.to_owned();
        }
        self.joins += 1;
        let prefix = join.instance_id.as_deref().unwrap_or(client).to_owned();
        let short = format!("{prefix}#{}", self.joins);
        self.ids.insert(short, Harness::id(&prefix, self.joins));
        let reply = self.harness.join(join);
        self.tags.insert(reply, tag.to_owned());
    }

    fn sync(&mut self, tag: &str, words: &Words<'_>) {
        let (generation, member) = (words.number("gen"), self.full(words.text("member")));
        let given = words.text("assign").unwrap_or_default();
        let pairs: Vec<_> = given
            .split(',')
            .filter_map(|pair| pair.split_once(':'))
            .map(|(id, value)| (self.full(Some(id)), value))
            .collect();
        let pairs: Vec<_> = pairs.iter().map(|(id, value)| (id.as_str(), *value)).collect();
        let sync = if pairs.is_empty() {
            follower(generation, &member)
        } else {
            leader(generation, &member, &pairs)
        };
        let instance_id = words.text("instance").map(str::to_owned);
        let protocol = words.text("protocol").map(str::to_owned);
        let reply = self.harness.sync(Sync { instance_id, protocol, ..sync });
        self.tags.insert(reply, tag.to_owned());
    }

    fn check(&mut self, name: &str, words: &Words<'_>) -> Result<(), GroupError> {
        let (generation, member) = (words.number("gen"), self.full(words.text("member")));
        let (at, instance) = (self.harness.at(), words.text("instance"));
        let machine = &mut self.harness.machine;
        match name {
            "heartbeat" => machine.heartbeat(at, GROUP, generation, &member, instance),
            _ => machine.check_commit(at, GROUP, generation, &member, instance),
        }
    }

    fn leave(&mut self, words: &Words<'_>, out: &mut String) {
        let member_id = self.full(words.text("member"));
        let instance_id = words.text("instance").map(str::to_owned);
        match self.harness.leave(vec![Leave { member_id, instance_id, reason: None }]) {
            Ok(left) => {
                for member in left {
                    let outcome = self.outcome(member.result.map(|()| "ok".to_owned()));
                    writeln!(out, "  {outcome}").unwrap();
                }
            }
            Err(error) => writeln!(out, "  {}", self.outcome(Err(error))).unwrap(),
        }
    }

    fn describe(&self, out: &mut String) {
        let group = self.harness.machine.describe(GROUP);
        writeln!(out, "  {} {:?}", group.state.as_str(), group.protocol).unwrap();
        for member in group.members {
            let instance = member.instance_id.map(|id| format!(" instance={id}"));
            let (topics, assignment) = (topics(&member.metadata), text(&member.assignment));
            let line = format!("  {}{}", member.member_id, instance.unwrap_or_default());
            writeln!(out, "{} topics={topics} assigned={assignment:?}", self.short(&line)).unwrap();
        }
    }

    fn answers(&mut self, out: &mut String) {
        while let Some((reply, answer)) = self.harness.answers.pop_front() {
            let line = match answer {
                Answer::Joined(result) => self.outcome(result.map(|joined| {
                    let members = joined
                        .members
                        .iter()
                        .map(|(id, _, metadata)| format!("{id}:{}", topics(metadata)));
                    let members: Vec<_> = members.collect();
                    format!(
                        "joined gen={} as {} protocol={} leader={} members=[{}]{}",
                        joined.generation,
                        joined.member_id,
                        joined.protocol,
                        joined.leader,
                        members.join(" "),
                        if joined.skip_assignment { " skip" } else { "" },
                    )
                })),
                Answer::Synced(result) => self.outcome(result.map(|synced| {
                    format!("synced protocol={} {:?}", synced.protocol, text(&synced.assignment))
                })),
            };
            writeln!(out, "  {}: {line}", self.tags[&reply]).unwrap();
        }
    }

    fn outcome<E: std::fmt::Display>(&self, result: Result<String, E>) -> String {
        match result {
            Ok(text) => self.short(&text),
            Err(error) => self.short(&format!("error: {error}")),
        }
    }

    fn full(&self, short: Option<&str>) -> String {
        let short = short.unwrap_or_default();
        self.ids.get(short).cloned().unwrap_or_else(|| short.to_owned())
    }

    fn short(&self, text: &str) -> String {
        self.ids.iter().fold(text.to_owned(), |text, (short, full)| text.replace(full, short))
    }
}

fn topics(metadata: &[u8]) -> String {
    let topics = subscribed_topics(metadata).unwrap_or_default();
    topics.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
