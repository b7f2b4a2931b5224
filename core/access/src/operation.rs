//! What may be attempted: Kafka's ACL operations, and which of them a permission gives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is attempted; Kafka's ACL operations (KIP-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the variants are Kafka's names")]
pub enum Operation {
    Read,
    Write,
    Create,
    Delete,
    Alter,
    Describe,
    DescribeConfigs,
    AlterConfigs,
    ClusterAction,
    IdempotentWrite,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 10] = [
        Operation::Read,
        Operation::Write,
        Operation::Create,
        Operation::Delete,
        Operation::Alter,
        Operation::Describe,
        Operation::DescribeConfigs,
        Operation::AlterConfigs,
        Operation::ClusterAction,
        Operation::IdempotentWrite,
    ];

    /// Its name as Kafka's tools write it: `DescribeConfigs`.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Read => "Read",
            Operation::Write => "Write",
            Operation::Create => "Create",
            Operation::Delete => "Delete",
            Operation::Alter => "Alter",
            Operation::Describe => "Describe",
            Operation::DescribeConfigs => "DescribeConfigs",
            Operation::AlterConfigs => "AlterConfigs",
            Operation::ClusterAction => "ClusterAction",
            Operation::IdempotentWrite => "IdempotentWrite",
        }
    }

    /// Allowing it allows these too: who may read, write, delete or alter something may know of it,
    /// and who may change settings may see them.
    fn implies(self) -> OperationSet {
        match self {
            Operation::Read | Operation::Write | Operation::Delete | Operation::Alter => {
                OperationSet::of(self).with(Operation::Describe)
            }
            Operation::AlterConfigs => OperationSet::of(self).with(Operation::DescribeConfigs),
            _ => OperationSet::of(self),
        }
    }

    fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Operations, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationSet(u16);

impl OperationSet {
    /// None.
    pub const NONE: OperationSet = OperationSet(0);
    /// Kafka's `All`.
    pub const ALL: OperationSet = OperationSet((1 << Operation::ALL.len()) - 1);

    /// One.
    pub fn of(operation: Operation) -> OperationSet {
        OperationSet(operation.bit())
    }

    /// These and one more.
    #[must_use]
    pub fn with(self, operation: Operation) -> OperationSet {
        OperationSet(self.0 | operation.bit())
    }

    /// These and those.
    #[must_use]
    pub fn union(self, other: OperationSet) -> OperationSet {
        OperationSet(self.0 | other.0)
    }

    /// Whether it is one of them.
    pub fn contains(self, operation: Operation) -> bool {
        self.0 & operation.bit() != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Them, in Kafka's order.
    pub fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::ALL.into_iter().filter(move |one| self.contains(*one))
    }

    /// What allowing them allows.
    #[must_use]
    pub(crate) fn closed(self) -> OperationSet {
        self.iter().fold(self, |all, one| all.union(one.implies()))
    }
}

impl fmt::Display for OperationSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == OperationSet::ALL {
            return formatter.write_str("All");
        }
        for (index, operation) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{operation}")?;
        }
        Ok(())
    }
}

impl FromStr for OperationSet {
    type Err = String;

    /// `All`, or names of operations with commas between; letters of either case, with or without
    /// `-` and `_`.
    fn from_str(text: &str) -> Result<OperationSet, String> {
        text.split(',').try_fold(OperationSet::NONE, |all, word| {
            let plain = |text: &str| text.replace(['-', '_', ' '], "").to_ascii_lowercase();
            if plain(word) == "all" {
                return Ok(OperationSet::ALL);
            }
            let found = Operation::ALL.into_iter().find(|one| plain(one.name()) == plain(word));
            found.map(|one| all.with(one)).ok_or_else(|| {
                let known = Operation::ALL.map(Operation::name).join(", ");
                format!("{word:?} is no operation; there are All, {known}")
            })
        })
    }
}

impl Serialize for OperationSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OperationSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<OperationSet, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_read_back_as_they_are_written() {
        for set in Operation::ALL
            .map(OperationSet::of)
            .into_iter()
            .chain([OperationSet::ALL, OperationSet::of(Operation::Read).with(Operation::Alter)])
        {
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        let set = OperationSet::of(Operation::DescribeConfigs).with(Operation::Read);
        assert_eq!("read,describe_configs".parse(), Ok(set));
        let error = "read,fly".parse::<OperationSet>().unwrap_err();
        assert!(error.contains("\"fly\"") && error.contains("DescribeConfigs"), "{error}");
    }

    #[test]
    fn who_may_read_may_know_of_it_and_not_the_other_way_round() {
        let closed = OperationSet::of(Operation::Read).closed();
        assert!(closed.contains(Operation::Describe));
        let closed = OperationSet::of(Operation::Describe).closed();
        assert!(!closed.contains(Operation::Read));
        let closed = OperationSet::of(Operation::AlterConfigs).closed();
        assert!(closed.contains(Operation::DescribeConfigs));
        assert!(!closed.contains(Operation::Describe));
    }
}
