//! Records and messages as lines.

use posthouse_broker::Event;
use posthouse_record::Record;
use posthouse_types::PartitionIndex;

use super::spec::Format;
use crate::codec::{event, record};

/// Adds a record of a topic.
pub(super) fn of_record(
    output: &mut Vec<u8>,
    format: Format,
    partition: PartitionIndex,
    record: &Record,
) {
    match format {
        Format::Lines => output.extend_from_slice(record.value.as_deref().unwrap_or_default()),
        Format::Json => record::encode_line(output, partition, record),
    }
    output.push(b'\n');
}

/// Adds a message of a channel.
pub(super) fn of_event(output: &mut Vec<u8>, format: Format, event: &Event) {
    match format {
        Format::Lines => {
            output.extend_from_slice(event.message.value.as_deref().unwrap_or_default());
        }
        Format::Json => output.extend_from_slice(&event::event(event)),
    }
    output.push(b'\n');
}

#[cfg(test)]
mod tests {
    use posthouse_types::{Offset, Timestamp};

    use super::*;

    #[test]
    fn a_record_is_its_value_or_all_of_it() {
        let record = Record {
            offset: Offset::ZERO.plus(3),
            timestamp: Timestamp::from_ms(5),
            key: Some("k".into()),
            value: Some("v".into()),
            headers: Vec::new(),
        };
        let line = |format, record: &Record| {
            let mut line = Vec::new();
            of_record(&mut line, format, PartitionIndex::ZERO, record);
            String::from_utf8(line).unwrap()
        };
        assert_eq!(line(Format::Lines, &record), "v\n");
        let json = r#"{"partition":0,"offset":3,"timestamp":5,"key":"k","value":"v","headers":[]}"#;
        assert_eq!(line(Format::Json, &record), format!("{json}\n"));
        let deleted = Record { value: None, ..record };
        assert_eq!(line(Format::Lines, &deleted), "\n");
    }
}
