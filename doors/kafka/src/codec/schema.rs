//! The shape of every request that the `kafka-protocol` crate decodes, so that [`super::guard`] can
//! walk it first.
//!
//! # Invariants
//! - A test encodes every message in every version with the crate and checks that the walk ends
//!   exactly at its end.
//!
//! # Source
//! Apache Kafka 4.1, `clients/src/main/resources/common/message/*Request.json`.

use super::api::Api;

/// How a field lies on the wire.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A number, boolean or UUID of so many bytes.
    Fixed(usize),
    /// A string, null or not.
    Text,
    /// A byte field.
    Blob,
    /// An array of one field each.
    Values(&'static Kind),
    /// An array of structs.
    Structs(&'static [Field]),
    /// A struct that may be null: one byte, then the struct when that byte is not negative.
    Nullable(&'static [Field]),
}

/// A field and the versions that have it.
pub(super) struct Field {
    pub(super) kind: Kind,
    pub(super) from: i16,
    pub(super) until: i16,
}

const fn always(kind: Kind) -> Field {
    Field { kind, from: 0, until: i16::MAX }
}

const fn since(from: i16, kind: Kind) -> Field {
    Field { kind, from, until: i16::MAX }
}

const fn through(until: i16, kind: Kind) -> Field {
    Field { kind, from: 0, until }
}

const fn between(from: i16, until: i16, kind: Kind) -> Field {
    Field { kind, from, until }
}

use Kind::{Blob, Fixed, Nullable, Structs, Text, Values};

const BOOL: Kind = Fixed(1);
const I8: Kind = Fixed(1);
const I16: Kind = Fixed(2);
const I32: Kind = Fixed(4);
const I64: Kind = Fixed(8);
const F64: Kind = Fixed(8);
const UUID: Kind = Fixed(16);
const TEXTS: Kind = Values(&Text);
const I32S: Kind = Values(&I32);

/// The fields of a request's body; `None` for the two that are decoded by hand.
pub(super) fn request(api: Api) -> Option<&'static [Field]> {
    Some(match api {
        Api::Produce | Api::Fetch => return None,
        Api::ListOffsets => LIST_OFFSETS,
        Api::Metadata => METADATA,
        Api::OffsetCommit => OFFSET_COMMIT,
        Api::OffsetFetch => OFFSET_FETCH,
        Api::FindCoordinator => FIND_COORDINATOR,
        Api::JoinGroup => JOIN_GROUP,
        Api::Heartbeat => HEARTBEAT,
        Api::LeaveGroup => LEAVE_GROUP,
        Api::SyncGroup => SYNC_GROUP,
        Api::DescribeGroups => DESCRIBE_GROUPS,
        Api::ListGroups => LIST_GROUPS,
        Api::SaslHandshake => SASL_HANDSHAKE,
        Api::ApiVersions => API_VERSIONS,
        Api::CreateTopics => CREATE_TOPICS,
        Api::DeleteTopics => DELETE_TOPICS,
        Api::DeleteRecords => DELETE_RECORDS,
        Api::InitProducerId => INIT_PRODUCER_ID,
        Api::OffsetForLeaderEpoch => OFFSET_FOR_LEADER_EPOCH,
        Api::DescribeAcls => ACL_FILTER,
        Api::CreateAcls => CREATE_ACLS,
        Api::DeleteAcls => DELETE_ACLS,
        Api::DescribeConfigs => DESCRIBE_CONFIGS,
        Api::AlterConfigs => ALTER_CONFIGS,
        Api::DescribeLogDirs => DESCRIBE_LOG_DIRS,
        Api::SaslAuthenticate => SASL_AUTHENTICATE,
        Api::CreatePartitions => CREATE_PARTITIONS,
        Api::DeleteGroups => DELETE_GROUPS,
        Api::IncrementalAlterConfigs => INCREMENTAL_ALTER_CONFIGS,
        Api::OffsetDelete => OFFSET_DELETE,
        Api::DescribeClientQuotas => DESCRIBE_CLIENT_QUOTAS,
        Api::AlterClientQuotas => ALTER_CLIENT_QUOTAS,
        Api::DescribeUserScramCredentials => DESCRIBE_USER_SCRAM_CREDENTIALS,
        Api::AlterUserScramCredentials => ALTER_USER_SCRAM_CREDENTIALS,
        Api::DescribeCluster => DESCRIBE_CLUSTER,
        Api::DescribeProducers => DESCRIBE_PRODUCERS,
        Api::DescribeTopicPartitions => DESCRIBE_TOPIC_PARTITIONS,
    })
}

const API_VERSIONS: &[Field] = &[since(3, Text), since(3, Text)];

const SASL_HANDSHAKE: &[Field] = &[always(Text)];

const SASL_AUTHENTICATE: &[Field] = &[always(Blob)];

const METADATA: &[Field] = &[
    always(Structs(&[since(10, UUID), always(Text)])),
    since(4, BOOL),
    between(8, 10, BOOL),
    since(8, BOOL),
];

const LIST_OFFSETS: &[Field] = &[
    always(I32),
    since(2, I8),
    always(Structs(&[always(Text), always(Structs(&[always(I32), since(4, I32), always(I64)]))])),
    since(10, I32),
];

const OFFSET_FOR_LEADER_EPOCH: &[Field] = &[
    since(3, I32),
    always(Structs(&[always(Text), always(Structs(&[always(I32), always(I32), always(I32)]))])),
];

const FIND_COORDINATOR: &[Field] = &[through(3, Text), since(1, I8), since(4, TEXTS)];

const JOIN_GROUP: &[Field] = &[
    always(Text),
    always(I32),
    since(1, I32),
    always(Text),
    since(5, Text),
    always(Text),
    always(Structs(&[always(Text), always(Blob)])),
    since(8, Text),
];

const SYNC_GROUP: &[Field] = &[
    always(Text),
    always(I32),
    always(Text),
    since(3, Text),
    since(5, Text),
    since(5, Text),
    always(Structs(&[always(Text), always(Blob)])),
];

const HEARTBEAT: &[Field] = &[always(Text), always(I32), always(Text), since(3, Text)];

const LEAVE_GROUP: &[Field] = &[
    always(Text),
    through(2, Text),
    since(3, Structs(&[always(Text), always(Text), since(5, Text)])),
];

const OFFSET_COMMIT: &[Field] = &[
    always(Text),
    always(I32),
    always(Text),
    since(7, Text),
    through(4, I64),
    always(Structs(&[
        always(Text),
        always(Structs(&[always(I32), always(I64), since(6, I32), always(Text)])),
    ])),
];

const OFFSET_FETCH: &[Field] = &[
    through(7, Text),
    through(7, Structs(&[always(Text), always(I32S)])),
    since(
        8,
        Structs(&[
            always(Text),
            since(9, Text),
            since(9, I32),
            always(Structs(&[always(Text), always(I32S)])),
        ]),
    ),
    since(7, BOOL),
];

const OFFSET_DELETE: &[Field] =
    &[always(Text), always(Structs(&[always(Text), always(Structs(&[always(I32)]))]))];

const DESCRIBE_GROUPS: &[Field] = &[always(TEXTS), since(3, BOOL)];

const LIST_GROUPS: &[Field] = &[since(4, TEXTS), since(5, TEXTS)];

const DELETE_GROUPS: &[Field] = &[always(TEXTS)];

const CREATE_TOPICS: &[Field] = &[
    always(Structs(&[
        always(Text),
        always(I32),
        always(I16),
        always(Structs(&[always(I32), always(I32S)])),
        always(Structs(&[always(Text), always(Text)])),
    ])),
    always(I32),
    always(BOOL),
];

const DELETE_TOPICS: &[Field] =
    &[since(6, Structs(&[always(Text), always(UUID)])), through(5, TEXTS), always(I32)];

const CREATE_PARTITIONS: &[Field] = &[
    always(Structs(&[always(Text), always(I32), always(Structs(&[always(I32S)]))])),
    always(I32),
    always(BOOL),
];

const DELETE_RECORDS: &[Field] =
    &[always(Structs(&[always(Text), always(Structs(&[always(I32), always(I64)]))])), always(I32)];

const INIT_PRODUCER_ID: &[Field] = &[always(Text), always(I32), since(3, I64), since(3, I16)];

const DESCRIBE_CONFIGS: &[Field] =
    &[always(Structs(&[always(I8), always(Text), always(TEXTS)])), always(BOOL), since(3, BOOL)];

const ALTER_CONFIGS: &[Field] = &[
    always(Structs(&[always(I8), always(Text), always(Structs(&[always(Text), always(Text)]))])),
    always(BOOL),
];

const INCREMENTAL_ALTER_CONFIGS: &[Field] = &[
    always(Structs(&[
        always(I8),
        always(Text),
        always(Structs(&[always(Text), always(I8), always(Text)])),
    ])),
    always(BOOL),
];

const DESCRIBE_CLUSTER: &[Field] = &[always(BOOL), since(1, I8), since(2, BOOL)];

const DESCRIBE_TOPIC_PARTITIONS: &[Field] = &[
    always(Structs(&[always(Text)])),
    always(I32),
    always(Nullable(&[always(Text), always(I32)])),
];

const DESCRIBE_LOG_DIRS: &[Field] = &[always(Structs(&[always(Text), always(I32S)]))];

const DESCRIBE_PRODUCERS: &[Field] = &[always(Structs(&[always(Text), always(I32S)]))];

/// Bindings that are made, described and deleted have the same fields.
const ACL_FILTER: &[Field] =
    &[always(I8), always(Text), always(I8), always(Text), always(Text), always(I8), always(I8)];

const CREATE_ACLS: &[Field] = &[always(Structs(ACL_FILTER))];

const DELETE_ACLS: &[Field] = &[always(Structs(ACL_FILTER))];

const DESCRIBE_USER_SCRAM_CREDENTIALS: &[Field] = &[always(Structs(&[always(Text)]))];

const DESCRIBE_CLIENT_QUOTAS: &[Field] =
    &[always(Structs(&[always(Text), always(I8), always(Text)])), always(BOOL)];

const ALTER_CLIENT_QUOTAS: &[Field] = &[
    always(Structs(&[
        always(Structs(&[always(Text), always(Text)])),
        always(Structs(&[always(Text), always(F64), always(BOOL)])),
    ])),
    always(BOOL),
];

const ALTER_USER_SCRAM_CREDENTIALS: &[Field] = &[
    always(Structs(&[always(Text), always(I8)])),
    always(Structs(&[always(Text), always(I8), always(I32), always(Blob), always(Blob)])),
];
