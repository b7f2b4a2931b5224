//! Where a reader is: the next offset of each partition, as `0:17,1:4`.
//!
//! It is the `positions` parameter of a read, and the id of an event in an event stream, so that
//! `Last-Event-ID` resumes exactly where a stream was cut.

use std::fmt::Write as _;

use posthouse_types::{Offset, PartitionIndex};

/// LIMIT: partitions in one list; more than a topic may have.
const POSITIONS_MAX: usize = 100_000;

/// Reads `0:17,1:4`.
///
/// # Errors
/// A fragment for a person, without the value.
pub(crate) fn parse(text: &str) -> Result<Vec<(PartitionIndex, Offset)>, &'static str> {
    const SHAPE: &str = "is not a list of PARTITION:OFFSET, such as 0:17,1:4";
    let (mut positions, mut seen) = (Vec::new(), std::collections::HashSet::new());
    for pair in text.split(',') {
        let (index, offset) = pair.trim().split_once(':').ok_or(SHAPE)?;
        let index = PartitionIndex::new(index.parse().map_err(|_| SHAPE)?);
        let offset = offset.parse().ok().and_then(Offset::new).ok_or(SHAPE)?;
        if !seen.insert(index) {
            return Err("names a partition twice");
        }
        positions.push((index, offset));
        if positions.len() > POSITIONS_MAX {
            return Err("names too many partitions");
        }
    }
    Ok(positions)
}

/// Writes what [`parse`] reads.
pub(crate) fn show(positions: impl Iterator<Item = (PartitionIndex, Offset)>) -> String {
    let mut text = String::new();
    for (index, offset) in positions {
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}{index}:{offset}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_read_back_as_written() {
        let positions = parse("0:17, 3:0").unwrap();
        assert_eq!(show(positions.into_iter()), "0:17,3:0");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "0", "0:-1", "-1:0", "a:b", "0:1,0:2", "0:1,"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
