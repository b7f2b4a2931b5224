//! What an endpoint is for: which targets a socket type has, and what they mean with it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use posthouse_broker::{Absent, EndpointRefused, Overflow, RequestOptions};
use posthouse_types::TopicName;
use posthouse_zmtp::{Options, SocketType};

use super::fields::Fields;
use super::{Answerer, Answering, Jobs, Place, Queue, Work, Working};

/// How long a request waits for its answer, unless the endpoint says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);
/// LIMIT: requests that one endpoint has at a time, unless it says otherwise.
const REQUESTS_MAX: usize = 1000;

/// What names a target.
enum Target {
    Place(Place),
    Queue(TopicName, Option<Bytes>),
    Service(Bytes),
    Pair(Bytes),
}

/// What is done with the socket; `None` when a second socket is what it is for.
pub(super) fn work(
    name: &str,
    kind: SocketType,
    fields: &mut Fields,
    has_back: bool,
) -> Result<Option<Work>, EndpointRefused> {
    let target = match (target(fields)?, has_back) {
        (None, true) => return Ok(None),
        (Some(target), false) => target,
        (None, false) => {
            let refused = fields.refused("topic", "", "is missing, and so is every other target");
            return Err(refused.help(
                "say what the endpoint is for with topic, channel, queue, service or pair, or give it a second socket with back.socket",
            ));
        }
        (Some(_), true) => {
            let refused = fields.refused("back.socket", "", "makes a device, which has no target");
            return Err(refused.help("leave out the target, or the second socket"));
        }
    };
    of_target(name, kind, target, fields).map(Some)
}

fn target(fields: &mut Fields) -> Result<Option<Target>, EndpointRefused> {
    let mut targets = Vec::new();
    if let Some(text) = fields.name("topic")? {
        targets.push(("topic", Target::Place(Place::Topic(topic(fields, "topic", &text)?))));
    }
    if let Some(text) = fields.name("channel")? {
        targets.push(("channel", Target::Place(Place::Channel(text.into()))));
    }
    if let Some(text) = fields.name("queue")? {
        let topic = topic(fields, "queue", &text)?;
        let group = fields.name("group")?.map(Bytes::from);
        targets.push(("queue", Target::Queue(topic, group)));
    }
    if let Some(text) = fields.name("service")? {
        targets.push(("service", Target::Service(text.into())));
    }
    if let Some(text) = fields.name("pair")? {
        targets.push(("pair", Target::Pair(text.into())));
    }
    if let [_, (second, _), ..] = targets.as_slice() {
        let refused = fields.refused(second, "", "is a second target");
        return Err(refused.help("an endpoint has one; declare another endpoint"));
    }
    Ok(targets.pop().map(|(_, target)| target))
}

fn topic(fields: &Fields, field: &str, text: &str) -> Result<TopicName, EndpointRefused> {
    TopicName::new(text)
        .map_err(|error| fields.refused(field, text, format!("is refused: {error}")))
}

fn of_target(
    name: &str,
    kind: SocketType,
    target: Target,
    fields: &mut Fields,
) -> Result<Work, EndpointRefused> {
    use SocketType::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, Xpub, Xsub};
    Ok(match (kind, target) {
        (Pull | Sub | Xsub, Target::Place(place)) => Work::Take(place),
        (Pub | Xpub, Target::Place(from)) => {
            let overflow = overflow(fields, &from)?;
            Work::Publish { from, overflow }
        }
        (Push, Target::Place(Place::Topic(topic))) => {
            let group = Bytes::from(format!("zeromq.{name}"));
            Work::HandQueue(Queue { topic, group, own: true })
        }
        (Push, Target::Place(from @ Place::Channel(_))) => {
            let overflow = overflow(fields, &from)?;
            let Place::Channel(channel) = from else { unreachable!("matched above") };
            Work::Hand { channel, overflow }
        }
        (Push, Target::Queue(topic, group)) => Work::HandQueue(queue(fields, topic, group)?),
        (Rep, Target::Service(service)) => Work::Answer(asking(fields, service)?),
        (Rep | Router, Target::Place(place)) => {
            Work::Answer(answering(fields, Answerer::Node(place))?)
        }
        (Router, Target::Service(service)) => {
            let roles = [("clients", false), ("workers", true)];
            if fields.choice("role", &roles)?.unwrap_or(false) {
                Work::Workers(serving(kind, fields, service)?)
            } else {
                Work::Answer(asking(fields, service)?)
            }
        }
        (Req | Dealer, Target::Service(service)) => Work::Workers(serving(kind, fields, service)?),
        (Req | Dealer | Router, Target::Queue(topic, group)) => {
            let jobs = Jobs::Queue(queue(fields, topic, group)?);
            Work::Workers(working(kind, fields, jobs)?)
        }
        (Pair, Target::Pair(pair)) => Work::Pair(pair),
        (kind, target) => return Err(meaningless(fields, kind, &target)),
    })
}

fn meaningless(fields: &Fields, kind: SocketType, target: &Target) -> EndpointRefused {
    use SocketType::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, Xpub, Xsub};
    let (field, value) = match target {
        Target::Place(Place::Topic(topic)) => ("topic", topic.to_string()),
        Target::Place(Place::Channel(channel)) => ("channel", lossy(channel)),
        Target::Queue(topic, _) => ("queue", topic.to_string()),
        Target::Service(service) => ("service", lossy(service)),
        Target::Pair(pair) => ("pair", lossy(pair)),
    };
    let targets = match kind {
        Pull | Sub | Xsub | Pub | Xpub => "topic or channel",
        Push => "topic, queue or channel",
        Rep => "service, topic or channel",
        Router => "service, queue, topic or channel",
        Req | Dealer => "service or queue",
        Pair => "pair",
    };
    let refused = fields.refused(field, &value, format!("is no target of a {kind} endpoint"));
    refused.help(format!("a {kind} endpoint has a {targets}"))
}

fn overflow(fields: &mut Fields, from: &Place) -> Result<Overflow, EndpointRefused> {
    if matches!(from, Place::Topic(_)) {
        // A cursor on the log waits by itself; there is nothing to choose.
        return Ok(Overflow::Block);
    }
    let policies = [
        ("drop_newest", Overflow::DropNewest),
        ("drop_oldest", Overflow::DropOldest),
        ("block", Overflow::Block),
    ];
    Ok(fields.choice("overflow", &policies)?.unwrap_or(Overflow::DropNewest))
}

fn queue(
    fields: &Fields,
    topic: TopicName,
    group: Option<Bytes>,
) -> Result<Queue, EndpointRefused> {
    let Some(group) = group else {
        let refused = fields.refused("group", "", "is missing: a queue is a topic and a group");
        return Err(refused.help("any name; the queue is made when there is none"));
    };
    Ok(Queue { topic, group, own: false })
}

fn asking(fields: &mut Fields, name: Bytes) -> Result<Answering, EndpointRefused> {
    let deadline = fields.milliseconds("timeout_ms")?.unwrap_or(TIMEOUT);
    let absences = [("fail", Absent::Fail), ("wait", Absent::Wait)];
    let absent = fields.choice("when_absent", &absences)?.unwrap_or(Absent::Fail);
    let options = RequestOptions { deadline, absent };
    answering(fields, Answerer::Service { name, options })
}

fn answering(fields: &mut Fields, by: Answerer) -> Result<Answering, EndpointRefused> {
    let tells = [("reply", true), ("drop", false)];
    Ok(Answering {
        by,
        tells_errors: fields.choice("errors", &tells)?.unwrap_or(true),
        requests_max: fields.number("requests_max", 1..=100_000)?.unwrap_or(REQUESTS_MAX),
    })
}

fn serving(kind: SocketType, fields: &mut Fields, name: Bytes) -> Result<Working, EndpointRefused> {
    let idempotent = fields.flag("idempotent")?.unwrap_or(false);
    working(kind, fields, Jobs::Service { name, idempotent })
}

fn working(kind: SocketType, fields: &mut Fields, jobs: Jobs) -> Result<Working, EndpointRefused> {
    // A worker that asks for work by its answer has one job at a time.
    let asks = kind == SocketType::Router;
    let concurrency =
        if asks { None } else { fields.number("concurrency", 1..=1000)? }.unwrap_or(1);
    Ok(Working { jobs, concurrency, asks })
}

/// Options that follow from the work.
pub(super) fn adapt(work: &Work, options: &mut Options) {
    options.addressed = matches!(work, Work::Answer(_) | Work::Workers(_) | Work::Pair(_));
}

/// Whether messages can go from one to the other without anyone looking at them.
pub(super) fn check_device(front: SocketType, back: SocketType) -> Result<(), EndpointRefused> {
    use SocketType::{Rep, Req};
    for (field, kind) in [("socket", front), ("back.socket", back)] {
        if let Req | Rep = kind {
            let reason = "takes turns, which a device cannot keep";
            let instead = if kind == Rep { "ROUTER" } else { "DEALER" };
            return Err(EndpointRefused::new(field, kind.name(), reason)
                .help(format!("use {instead}, which its peers cannot tell from it")));
        }
    }
    if !(gives(front) && takes(back) || gives(back) && takes(front)) {
        let reason = format!("and {front} have nothing to say to each other");
        return Err(EndpointRefused::new("back.socket", back.name(), reason)
            .help("one side receives (PULL, SUB, XSUB, DEALER, ROUTER, PAIR), the other sends (PUSH, PUB, XPUB, DEALER, ROUTER, PAIR)"));
    }
    Ok(())
}

/// Whether messages of peers come out of the socket.
pub(crate) fn gives(kind: SocketType) -> bool {
    !matches!(kind, SocketType::Pub | SocketType::Push | SocketType::Xpub)
}

/// Whether messages for peers go into the socket.
pub(crate) fn takes(kind: SocketType) -> bool {
    !matches!(kind, SocketType::Pull | SocketType::Sub | SocketType::Xsub)
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Topic(topic) => write!(formatter, "topic {topic}"),
            Place::Channel(channel) => write!(formatter, "channel {}", lossy(channel)),
        }
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.own {
            return write!(formatter, "topic {}", self.topic);
        }
        write!(formatter, "queue {} of topic {}", lossy(&self.group), self.topic)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Take(place) => write!(formatter, "into {place}"),
            Work::Publish { from, .. } => write!(formatter, "from {from}"),
            Work::Hand { channel, .. } => write!(formatter, "from channel {}", lossy(channel)),
            Work::HandQueue(queue) => write!(formatter, "from {queue}"),
            Work::Answer(Answering { by: Answerer::Service { name, .. }, .. }) => {
                write!(formatter, "for clients of service {}", lossy(name))
            }
            Work::Answer(Answering { by: Answerer::Node(place), .. }) => {
                write!(formatter, "into {place}, with an answer")
            }
            Work::Workers(Working { jobs: Jobs::Service { name, .. }, .. }) => {
                write!(formatter, "for workers of service {}", lossy(name))
            }
            Work::Workers(Working { jobs: Jobs::Queue(queue), .. }) => {
                write!(formatter, "for workers of {queue}")
            }
            Work::Pair(pair) => write!(formatter, "in pair {}", lossy(pair)),
            Work::Device(back) => write!(formatter, "to a {} socket", back.kind),
        }
    }
}

fn lossy(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
