//! Publish and subscribe.
//!
//! A channel is the broker's: what any door publishes on it arrives, and where a topic has the name,
//! publishing appends to it. Shard channels are the same channels under another announcement.

use bytes::Bytes;
use futures::FutureExt;
use posthouse_broker::{LiveMessage, SubscribeFrom};

use crate::access::{Context, Denial, Reason, shows_channel};
use crate::client::Client;
use crate::codec::Reply;
use crate::commands::text;
use crate::errors::CommandError;
use crate::subscriptions::{Form, pattern};
use crate::table::{Call, CommandSpec, Flags, Handler, Outcome};

const GROUP: &str = "pubsub";

const fn subscribing(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_>, &[Bytes]) -> Result<Outcome, CommandError>,
) -> CommandSpec {
    CommandSpec::new(name, arity, GROUP, Handler::After(run))
        .flag(Flags::PUBSUB)
        .flag(Flags::NO_SCRIPT)
        .flag(Flags::NO_MULTI)
        .flag(Flags::SUBSCRIBED)
}

pub(crate) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("publish", 3, GROUP, Handler::Begin(publish))
        .flag(Flags::PUBSUB)
        .flag(Flags::FAST)
        .about("2.0.0", "Posts a message to a channel."),
    CommandSpec::new("spublish", 3, GROUP, Handler::Begin(publish))
        .flag(Flags::PUBSUB)
        .flag(Flags::FAST)
        .keys(1, 1, 1)
        .about("7.0.0", "Posts a message to a shard channel."),
    subscribing("subscribe", -2, |call, names| subscribe(call, &names[1..], Form::Channel))
        .about("2.0.0", "Listens for messages published to channels."),
    subscribing("psubscribe", -2, |call, names| subscribe(call, &names[1..], Form::Pattern)).about(
        "2.0.0",
        "Listens for messages published to channels that match one or more patterns.",
    ),
    subscribing("ssubscribe", -2, |call, names| subscribe(call, &names[1..], Form::Shard))
        .keys(1, -1, 1)
        .about("7.0.0", "Listens for messages published to shard channels."),
    subscribing("unsubscribe", -1, |call, names| unsubscribe(call, &names[1..], Form::Channel))
        .about("2.0.0", "Stops listening to messages posted to channels."),
    subscribing("punsubscribe", -1, |call, names| unsubscribe(call, &names[1..], Form::Pattern))
        .about("2.0.0", "Stops listening to messages published to channels that match patterns."),
    subscribing("sunsubscribe", -1, |call, names| unsubscribe(call, &names[1..], Form::Shard))
        .keys(1, -1, 1)
        .about("7.0.0", "Stops listening to messages posted to shard channels."),
    CommandSpec::new("pubsub", -2, GROUP, Handler::Begin(pubsub))
        .flag(Flags::PUBSUB)
        .about("2.8.0", "A container for Pub/Sub commands."),
];

fn publish(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let now = call.server.broker.clock().wall();
    // Copies, so that a message does not hold on to the pipeline it came in.
    let channel = Bytes::copy_from_slice(&arguments[1]);
    let message = LiveMessage::of_value(Bytes::copy_from_slice(&arguments[2]), now);
    let publisher = call.client.publisher(call.server);
    let answer = |published: posthouse_broker::Published| {
        Reply::Integer(i64::try_from(published.receivers).unwrap_or(i64::MAX))
    };
    let started = {
        let publisher = std::sync::Arc::clone(&publisher);
        let (channel, message) = (channel.clone(), message.clone());
        let mut start = Box::pin(async move { publisher.start_quietly(channel, message).await });
        match (&mut start).now_or_never() {
            Some(started) => {
                started.map_err(|error| noted(call, &arguments[1], CommandError::from(error)))?
            }
            // Someone has to be waited for, so what is published next has to wait as well.
            None => {
                return Ok(Outcome::Later(Box::pin(async move {
                    let finished = match start.await {
                        Ok(started) => started.finish().await,
                        Err(error) => Err(error),
                    };
                    finished.map_or_else(|error| CommandError::from(error).into(), answer)
                })));
            }
        }
    };
    let published = started.published();
    if published.at.is_none() {
        return Ok(Outcome::Reply(answer(published)));
    }
    Ok(Outcome::Accepted(Box::pin(async move {
        started.finish().await.map_or_else(|error| CommandError::from(error).into(), answer)
    })))
}

fn subscribe(call: &mut Call<'_>, names: &[Bytes], form: Form) -> Result<Outcome, CommandError> {
    let server = call.server;
    let bytes_max =
        server.parameters.subscriber_bytes_max.load(std::sync::atomic::Ordering::Relaxed);
    let principal = call.client.identity.principal().clone();
    let subscriptions = &mut call.client.subscriptions;
    let mut replies = Vec::with_capacity(names.len());
    let mut refused = Vec::new();
    for name in names {
        let name = Bytes::copy_from_slice(name);
        let subscriber = subscriptions.subscriber(&server.broker, &principal, bytes_max);
        let subscribed =
            subscriber.subscribe(pattern(form, name.clone()), SubscribeFrom::Now).now_or_never();
        match subscribed {
            Some(Ok(_)) => {
                subscriptions.names(form).insert(name.clone());
                replies.push(confirmation(form.verb(), Some(name), subscriptions.count(form)));
            }
            Some(Err(error)) => {
                let error = CommandError::from(error);
                replies.push(error.clone().into());
                refused.push((name, error));
            }
            None => replies.push(CommandError::Storage("the broker is busy".to_owned()).into()),
        }
    }
    for (name, error) in refused {
        noted(call, &name, error);
    }
    call.client.show_subscriptions();
    Ok(Outcome::Replies(replies))
}

/// Notes it where a channel is refused; gives the error again.
fn noted(call: &Call<'_>, channel: &[u8], error: CommandError) -> CommandError {
    if error == CommandError::NoChannel {
        let context = match call.in_script {
            true => Context::Script,
            false if call.in_transaction => Context::Transaction,
            false => Context::TopLevel,
        };
        let user = call.client.identity.user();
        let denial = Denial::new(Reason::Channel, context, user, channel);
        call.server.acl_log.note(denial, &call.client.handle, call.server.broker.clock());
    }
    error
}

fn unsubscribe(call: &mut Call<'_>, names: &[Bytes], form: Form) -> Result<Outcome, CommandError> {
    let subscriptions = &mut call.client.subscriptions;
    let names: Vec<Bytes> = if names.is_empty() {
        subscriptions.names(form).iter().cloned().collect()
    } else {
        names.iter().map(|name| Bytes::copy_from_slice(name)).collect()
    };
    let mut replies = Vec::with_capacity(names.len().max(1));
    for name in &names {
        subscriptions.remove(form, name);
        let count = subscriptions.count(form);
        replies.push(confirmation(form.opposite(), Some(name.clone()), count));
    }
    if names.is_empty() {
        replies.push(confirmation(form.opposite(), None, subscriptions.count(form)));
    }
    call.client.show_subscriptions();
    Ok(Outcome::Replies(replies))
}

fn confirmation(verb: &'static str, name: Option<Bytes>, count: usize) -> Reply {
    let name = name.map_or(Reply::Null, Reply::Bulk);
    Reply::Push(vec![Reply::text(verb), name, Reply::count(count)])
}

impl Form {
    fn verb(self) -> &'static str {
        match self {
            Form::Channel => "subscribe",
            Form::Pattern => "psubscribe",
            Form::Shard => "ssubscribe",
        }
    }

    fn opposite(self) -> &'static str {
        match self {
            Form::Channel => "unsubscribe",
            Form::Pattern => "punsubscribe",
            Form::Shard => "sunsubscribe",
        }
    }
}

fn pubsub(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let subcommand = text(&arguments[1]).to_ascii_lowercase();
    let asker = call.asker();
    let rest = arguments[2..].to_vec();
    let answer = match (subcommand.as_str(), rest.len()) {
        ("channels" | "shardchannels", 0 | 1) => async move {
            let glob = rest.first().map(|glob| &glob[..]);
            let channels = asker.broker.live_channels(glob).await;
            let shown = channels.into_iter().filter(|channel| shows_channel(&asker, channel));
            Reply::Array(shown.map(Reply::Bulk).collect())
        }
        .boxed(),
        ("numsub" | "shardnumsub", _) => async move {
            let mut counts = Vec::with_capacity(rest.len() * 2);
            for channel in rest {
                let count = match shows_channel(&asker, &channel) {
                    true => asker.broker.live_subscriptions(&channel).await,
                    false => 0,
                };
                counts.push(Reply::Bulk(channel));
                counts.push(Reply::count(count));
            }
            Reply::Array(counts)
        }
        .boxed(),
        ("numpat", 0) => async move { Reply::count(asker.broker.live_patterns().await) }.boxed(),
        ("channels" | "shardchannels" | "numpat", _) => {
            return Err(CommandError::Arity(format!("pubsub|{subcommand}")));
        }
        ("help", 0) => {
            return Ok(Outcome::Reply(Reply::Array(vec![
                Reply::Simple("PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"),
                Reply::Simple(
                    "CHANNELS [<pattern>], NUMPAT, NUMSUB [<channel> ...], SHARDCHANNELS [<pattern>], SHARDNUMSUB [<channel> ...], HELP",
                ),
            ])));
        }
        _ => {
            let subcommand = text(&arguments[1]);
            return Err(CommandError::UnknownSubcommand { command: "PUBSUB", subcommand });
        }
    };
    Ok(Outcome::Later(answer))
}

impl Client {
    /// Tells other clients how many subscriptions this one has.
    pub(crate) fn show_subscriptions(&self) {
        let (channels, patterns, shard_channels) = self.subscriptions.counts();
        self.handle.describe(|shown| {
            shown.channels = channels;
            shown.patterns = patterns;
            shown.shard_channels = shard_channels;
        });
    }
}
