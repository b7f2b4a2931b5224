//! What is accepted, what is refused, and what refusals say.

use proptest::prelude::*;

use super::*;

/// A setting as it is typed.
type Pair<'a> = (&'a str, &'a str);

const ADDRESS: Pair<'_> = ("bind", "tcp://127.0.0.1:0");

fn settings(pairs: &[(&str, &str)]) -> EndpointSettings {
    let mut settings = EndpointSettings::default();
    pairs.iter().for_each(|(name, value)| settings.push(*name, *value));
    settings
}

fn parse(pairs: &[(&str, &str)]) -> Result<EndpointSpec, EndpointRefused> {
    EndpointSpec::parse("e", &settings(pairs), Policy::default())
}

/// What an endpoint of this type does with this target.
fn work(socket: &str, more: &[(&str, &str)]) -> Result<String, EndpointRefused> {
    let pairs = [&[("socket", socket), ADDRESS], more].concat();
    parse(&pairs).map(|spec| spec.work.to_string())
}

fn refused(pairs: &[(&str, &str)], field: &str, text: &str) {
    let refused = parse(pairs).expect_err(&format!("{pairs:?}"));
    let all = format!("{refused}; {}", refused.help.as_deref().unwrap_or_default());
    assert_eq!(refused.field, field, "{all}");
    assert!(all.contains(text), "{all}");
}

#[test]
fn each_socket_type_has_its_targets() {
    let (topic, channel) = (("topic", "t"), ("channel", "c"));
    let (queue, group) = (("queue", "t"), ("group", "g"));
    let (service, pair) = (("service", "s"), ("pair", "p"));
    let table: [(&str, &[&[Pair<'_>]]); 11] = [
        ("PULL", &[&[topic], &[channel]]),
        ("SUB", &[&[topic], &[channel]]),
        ("XSUB", &[&[topic], &[channel]]),
        ("PUB", &[&[topic], &[channel]]),
        ("XPUB", &[&[topic], &[channel]]),
        ("PUSH", &[&[topic], &[channel], &[queue, group]]),
        ("REP", &[&[topic], &[channel], &[service]]),
        ("ROUTER", &[&[topic], &[channel], &[service], &[queue, group]]),
        ("REQ", &[&[service], &[queue, group]]),
        ("DEALER", &[&[service], &[queue, group]]),
        ("PAIR", &[&[pair]]),
    ];
    let all: [&[Pair<'_>]; 5] = [&[topic], &[channel], &[queue, group], &[service], &[pair]];
    for (socket, targets) in table {
        for target in all {
            let outcome = work(socket, target);
            assert_eq!(
                outcome.is_ok(),
                targets.contains(&target),
                "{socket} {target:?} {outcome:?}"
            );
        }
    }
}

#[test]
fn a_router_is_for_clients_unless_it_is_for_workers() {
    let service = ("service", "s");
    assert_eq!(work("ROUTER", &[service]).unwrap(), "for clients of service s");
    assert_eq!(
        work("router", &[service, ("role", "workers")]).unwrap(),
        "for workers of service s"
    );
}

#[test]
fn two_sockets_make_a_device_when_they_can_talk() {
    let devices = [("XSUB", "XPUB"), ("SUB", "PUB"), ("ROUTER", "DEALER"), ("PULL", "PUSH")];
    for (front, back) in devices.into_iter().chain([("PAIR", "PUB"), ("PULL", "PUB")]) {
        let back = [("back.socket", back), ("back.bind", "ipc:///tmp/x")];
        assert!(work(front, &back).is_ok(), "{front} {back:?}");
    }
    let base = [("socket", "PULL"), ADDRESS, ("back.bind", "ipc:///tmp/x")];
    refused(&[&base[..], &[("back.socket", "SUB")]].concat(), "back.socket", "nothing to say");
    refused(&[&base[..], &[("back.socket", "REQ")]].concat(), "back.socket", "use DEALER");
    refused(&base, "back.socket", "missing");
    let target = [("back.socket", "PUSH"), ("topic", "t")];
    refused(&[&base[..], &target[..]].concat(), "back.socket", "has no target");
}

#[test]
fn a_refusal_names_the_setting_the_value_and_the_way_out() {
    let pull = [("socket", "PULL"), ADDRESS, ("topic", "t")];
    let with = |more: &[(&'static str, &'static str)]| [&pull[..], more].concat();
    refused(&[], "socket", "PUSH");
    refused(&[("soket", "PULL")], "soket", "did you mean socket?");
    refused(&[("back.bnd", "PULL")], "back.bnd", "did you mean back.bind?");
    refused(&[("socket", "STREAM")], "socket", "one of PAIR");
    refused(&[("socket", "PULL"), ("topic", "t")], "bind", "tcp://127.0.0.1:5555");
    refused(&[("socket", "PULL"), ADDRESS], "topic", "channel, queue, service or pair");
    refused(&with(&[("channel", "c")]), "channel", "second target");
    refused(&with(&[("hwn", "1")]), "hwn", "did you mean hwm?");
    refused(&with(&[("hwm", "many")]), "hwm", "whole number from 1 to 1000000");
    refused(&with(&[("hwm", "1"), ("hwm", "2")]), "hwm", "only one");
    refused(
        &with(&[("concurrency", "2")]),
        "concurrency",
        "does nothing on a PULL endpoint into topic t",
    );
    refused(&with(&[("subscribe", "a")]), "subscribe", "does nothing");
    refused(&with(&[("connect", "tcp://*:5")]), "connect", "names no peer");
    refused(&with(&[("connect", "127.0.0.1:5")]), "connect", "tcp://host:port");
    refused(&with(&[("connect", "inproc://x")]), "connect", "use tcp");
    refused(&[("socket", "PUSH"), ADDRESS, ("queue", "t")], "group", "missing");
    refused(&[("socket", "PAIR"), ADDRESS, ("topic", "t")], "topic", "a PAIR endpoint has a pair");
}

#[test]
fn other_machines_are_let_in_only_when_they_prove_who_they_are() {
    let open = [("socket", "PULL"), ("bind", "tcp://*:5555"), ("topic", "t")];
    refused(&open, "bind", "--allow-unauthenticated");
    let policy = Policy { allow_unauthenticated: true, ..Policy::default() };
    assert!(EndpointSpec::parse("e", &settings(&open), policy).is_ok());

    let plain = [("mechanism", "plain"), ("plain_username", "u"), ("plain_password", "p")];
    assert!(parse(&[&open[..], &plain[..]].concat()).is_ok());
    let client = [&open[..], &plain[..], &[("server", "false")]].concat();
    refused(&client, "bind", "--allow-unauthenticated");

    let keys = posthouse_zmtp::CurveKeys::generate().unwrap();
    let (secret, public) = (keys.secret_z85(), keys.public().to_z85());
    let curve = [("mechanism", "curve"), ("curve_secret_key", secret.as_str())];
    refused(&[&open[..], &curve[..]].concat(), "bind", "curve_allow");
    let allowed = [&open[..], &curve[..], &[("curve_allow", public.as_str())]].concat();
    assert!(parse(&allowed).is_ok());
}

#[test]
fn where_clients_are_asked_who_they_are_an_endpoint_acts_for_a_user() {
    let asking = |more: &[Pair<'_>]| {
        let pairs =
            [&[("socket", "PULL"), ("bind", "tcp://*:5555"), ("topic", "t")], more].concat();
        let policy =
            Policy { allow_unauthenticated: false, login_timeout: Some(Duration::from_secs(7)) };
        EndpointSpec::parse("e", &settings(&pairs), policy)
    };
    let (plain, user) = (("mechanism", "plain"), ("user", "ada"));
    assert_eq!(asking(&[plain]).unwrap_err().field, "user");
    assert_eq!(asking(&[plain, ("user", "*")]).unwrap_err().field, "user");
    let spec = asking(&[plain, user]).unwrap();
    assert_eq!(spec.principal(), Principal::user("ada"));
    assert!(spec.socket.options.authenticator.is_some());
    assert_eq!(spec.socket.options.handshake_timeout, Some(Duration::from_secs(7)));

    // Without a mechanism it acts for its user whoever comes, which other machines must not.
    assert_eq!(asking(&[user]).unwrap_err().field, "bind");
    let keys = posthouse_zmtp::CurveKeys::generate().unwrap();
    let (secret, public) = (keys.secret_z85(), keys.public().to_z85());
    let curve = [("mechanism", "curve"), ("curve_secret_key", secret.as_str()), user];
    assert!(asking(&curve).unwrap().socket.options.authenticator.is_some());
    // What is declared is what is asked for.
    let own = asking(&[&curve[..], &[("curve_allow", public.as_str())]].concat()).unwrap();
    assert!(own.socket.options.authenticator.is_none());
    let own = [plain, ("plain_username", "u"), ("plain_password", "p"), user];
    assert!(asking(&own).unwrap().socket.options.authenticator.is_none());

    let base = [("socket", "PULL"), ADDRESS, ("topic", "t"), user];
    refused(&base, "user", "--authentication");
}

#[test]
fn no_secret_is_shown() {
    let secrets = [("mechanism", "plain"), ("plain_username", "u"), ("plain_password", "hidden")];
    let spec = parse(&[&[("socket", "PULL"), ADDRESS, ("topic", "t")], &secrets[..]].concat());
    let shown = format!("{:?}", spec.unwrap());
    assert!(!shown.contains("hidden") && shown.contains("***"), "{shown}");
    let base = [("socket", "PULL"), ADDRESS, ("topic", "t")];
    let unused = parse(&[&base[..], &[("plain_password", "hidden")]].concat()).unwrap_err();
    assert!(!unused.to_string().contains("hidden"), "{unused}");
}

proptest! {
    /// Whatever is declared, it is accepted or refused by name, and what is kept reads the same.
    #[test]
    fn any_declaration_is_read_or_refused(
        pairs in prop::collection::vec((
            prop::sample::select(&["socket", "bind", "topic", "channel", "hwm", "back.socket", "x"][..]),
            prop::sample::select(&["PULL", "PUSH", "tcp://127.0.0.1:0", "t", "7", ""][..]),
        ), 0..6),
    ) {
        let given = settings(&pairs);
        let kept = EndpointSettings::from_json(&given.to_json()).unwrap();
        match (parse(&pairs), EndpointSpec::parse("e", &kept, Policy::default())) {
            (Ok(one), Ok(other)) => prop_assert_eq!(one.work.to_string(), other.work.to_string()),
            (Err(refused), Err(again)) => {
                prop_assert!(!refused.field.is_empty() && !refused.reason.is_empty());
                prop_assert!(!again.field.is_empty());
            }
            (one, other) => prop_assert!(false, "{one:?} {other:?}"),
        }
    }
}
