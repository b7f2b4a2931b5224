//! Settings are claims about [`LogConfig`]: each is set, shown and refused here.

use super::*;

fn resolved(name: &str, value: &str) -> Result<LogConfig, Refused> {
    resolve(&LogConfig::default(), [(&name.to_owned(), &value.to_owned())])
}

fn refusal(name: &str, value: &str) -> String {
    resolved(name, value).unwrap_err().reason
}

#[test]
fn settings_are_in_order_of_name() {
    assert!(SETTINGS.is_sorted_by_key(|setting| setting.name));
    assert!(NOT_HONOURED.is_sorted());
}

#[test]
fn every_setting_takes_the_value_it_shows() {
    let config = LogConfig { retention_bytes: Some(ByteSize(5)), ..LogConfig::default() };
    for setting in &SETTINGS {
        let mut copy = config.clone();
        (setting.set)(&mut copy, &(setting.show)(&config)).unwrap();
        assert_eq!(copy, config, "{}", setting.name);
    }
}

#[test]
fn every_setting_acts() {
    let values = [
        ("cleanup.policy", "compact,delete"),
        ("delete.retention.ms", "7"),
        ("max.message.bytes", "7"),
        ("message.timestamp.type", "LogAppendTime"),
        ("min.cleanable.dirty.ratio", "0.25"),
        ("min.compaction.lag.ms", "7"),
        ("posthouse.durability", "relaxed"),
        ("retention.bytes", "7"),
        ("retention.ms", "-1"),
        ("segment.bytes", "1048576"),
        ("segment.ms", "7"),
    ];
    for (name, value) in values {
        let config = resolved(name, value).unwrap();
        assert_ne!(config, LogConfig::default(), "{name}");
        assert_eq!((find(name).unwrap().show)(&config), value, "{name}");
    }
}

#[test]
fn what_does_not_act_is_refused_with_the_reason() {
    assert!(refusal("flush.ms", "1").contains("does not honour"));
    assert!(refusal("no.such.thing", "1").contains("no such"));
    assert!(refusal("compression.type", "zstd").contains("only producer"));
    assert!(refusal("min.insync.replicas", "2").contains("only 1"));
}

#[test]
fn values_out_of_range_are_refused() {
    for (name, value) in [
        ("retention.ms", "-2"),
        ("retention.ms", "soon"),
        ("segment.bytes", "2147483648"),
        ("segment.ms", "0"),
        ("min.cleanable.dirty.ratio", "1.01"),
        ("min.cleanable.dirty.ratio", "NaN"),
        ("cleanup.policy", ""),
        ("cleanup.policy", "shred"),
    ] {
        assert!(resolved(name, value).is_err(), "{name}={value}");
    }
}

#[test]
fn lists_can_be_appended_to_and_subtracted_from() {
    let name = "cleanup.policy".to_owned();
    let defaults = LogConfig::default();
    let append = ConfigChange::Append { name: name.clone(), value: "compact".into() };
    let both = change(&defaults, &BTreeMap::new(), vec![append]).unwrap();
    assert!(
        resolve(&defaults, &both).unwrap().cleanup == CleanupPolicy { delete: true, compact: true }
    );
    let subtract = ConfigChange::Subtract { name: name.clone(), value: "delete".into() };
    let compact = change(&defaults, &both, vec![subtract]).unwrap();
    assert_eq!(resolve(&defaults, &compact).unwrap().cleanup, CleanupPolicy::COMPACT);
    let nothing_left = ConfigChange::Subtract { name, value: "compact".into() };
    assert!(change(&defaults, &compact, vec![nothing_left]).is_err());
}

#[test]
fn a_number_cannot_be_appended_to() {
    let append = ConfigChange::Append { name: "retention.ms".into(), value: "1".into() };
    assert!(change(&LogConfig::default(), &BTreeMap::new(), vec![append]).is_err());
}

#[test]
fn a_deleted_setting_returns_to_its_default() {
    let overrides = BTreeMap::from([("retention.ms".to_owned(), "7".to_owned())]);
    let delete = ConfigChange::Delete { name: "retention.ms".into() };
    assert!(change(&LogConfig::default(), &overrides, vec![delete]).unwrap().is_empty());
}
