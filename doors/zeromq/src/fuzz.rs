//! Entry points for fuzz targets and their replay in tests: arbitrary bytes in, and out whether they
//! could be read.

use bytes::Bytes;
use posthouse_broker::EndpointSettings;
use posthouse_types::Timestamp;
use posthouse_zmtp::Message;

use crate::frames;
use crate::spec::{EndpointSpec, Policy};

/// A declaration as JSON. One that is accepted is accepted again as it is kept, and shows no secret.
pub fn declaration(input: &[u8]) -> bool {
    let Ok(object) = serde_json::from_slice(input) else { return false };
    let Ok(settings) = EndpointSettings::from_json(&object) else { return false };
    // A node that asks who its clients are takes what names a user, the other what does not.
    let policy = Policy::lenient(&settings);
    let Ok(spec) = EndpointSpec::parse("fuzzed", &settings, policy) else { return false };
    let kept = EndpointSettings::from_json(&settings.to_json()).expect("it was just written");
    let again = EndpointSpec::parse("fuzzed", &kept, policy).expect("it was accepted before");
    assert_eq!(spec.work.to_string(), again.work.to_string());
    let secret =
        |name: &str| name.ends_with("plain_password") || name.ends_with("curve_secret_key");
    for (_, values) in spec.shown.iter().filter(|(name, _)| secret(name)) {
        assert!(values.iter().all(|value| value == "***"), "a secret is shown");
    }
    true
}

/// A message, its frames parted by the first byte, through a record and back.
pub fn frames(input: &[u8]) -> bool {
    let Some((separator, rest)) = input.split_first() else { return false };
    let parts = rest.split(|byte| byte == separator);
    let message: Message = parts.map(Bytes::copy_from_slice).collect();
    let live = frames::to_live(message.clone(), Timestamp::from_ms(0));
    assert_eq!(frames::of_live(&live), message);
    true
}
