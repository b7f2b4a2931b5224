//! The table of settings.
//!
//! A setting's key is its table and name in the file: `broker.default_partitions`. Its environment
//! variable follows from the key: `POSTHOUSE_BROKER_DEFAULT_PARTITIONS`.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use posthouse_kafka::PlainPolicy;
use posthouse_listener::ClientCertificates;
use posthouse_log::{CleanupPolicy, Durability, TimestampType};
use posthouse_postgres::Encryption;
use posthouse_query::{FileAccess, QueryConfig};
use posthouse_redis::KeysDurability;
use posthouse_types::ByteSize;

use super::value::SettingValue;
use super::{Config, DoorAddress, EngineKind, HostPort, LogFormat};

/// One setting.
pub(crate) struct Setting {
    /// Its key, dotted.
    pub(crate) key: &'static str,
    /// What it holds, for people.
    pub(crate) kind: &'static str,
    /// What it does, in a sentence or two.
    pub(crate) doc: &'static str,
    /// The flag of `posthouse serve` that sets it, where it has its own.
    pub(crate) flag: Option<&'static str>,
    /// Whether TOML writes its value without quotes.
    pub(crate) bare: bool,
    pub(crate) show: fn(&Config) -> String,
    pub(crate) set: fn(&mut Config, &str) -> Result<(), String>,
}

impl Setting {
    /// The environment variable that sets it.
    pub(crate) fn variable(&self) -> String {
        format!("POSTHOUSE_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// Its value as TOML writes it.
    pub(crate) fn show_toml(&self, config: &Config) -> String {
        let text = (self.show)(config);
        if self.bare { text } else { toml::Value::String(text).to_string() }
    }
}

/// The setting called `key`.
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The key most like `key`, when any is near enough to be meant.
pub(crate) fn nearest(key: &str) -> Option<&'static str> {
    let distance = |setting: &Setting| strsim::damerau_levenshtein(setting.key, key);
    let best = SETTINGS.iter().min_by_key(|setting| distance(setting))?;
    let name = key.rsplit('.').next().unwrap_or(key);
    let same_name = SETTINGS.iter().find(|setting| setting.key.rsplit('.').next() == Some(name));
    if distance(best) <= 3 { Some(best.key) } else { same_name.map(|setting| setting.key) }
}

macro_rules! setting {
    ($key:literal, $($field:ident).+ : $type:ty, $doc:literal $(, flag $flag:literal)? $(, from $min:literal $(to $max:expr)?)?) => {
        Setting {
            key: $key,
            kind: <$type as SettingValue>::KIND,
            doc: $doc,
            flag: setting!(@flag $($flag)?),
            bare: <$type as SettingValue>::BARE,
            show: |config| config.$($field).+.show(),
            set: |config, text| {
                let value = <$type as SettingValue>::parse(text)?;
                $(if value < $min {
                    return Err(format!("is below {}, the least that makes sense", $min));
                }
                $(if value > $max {
                    return Err(format!("is above {}, the most that makes sense", $max));
                })?)?
                config.$($field).+ = value;
                Ok(())
            },
        }
    };
    (@flag) => { None };
    (@flag $flag:literal) => { Some($flag) };
}

/// What a setting that the machine decides is called.
const AUTO: &str = "auto";

/// LIMIT: threads that a setting may ask for.
const THREADS_MAX: usize = 1024;

/// Every setting, in the order in which they are shown.
pub(crate) static SETTINGS: &[Setting] = &[
    setting!("data_dir", node.data_dir: PathBuf,
        "Where everything is kept. Made when it does not exist; used by one process at a time.",
        flag "--data-dir"),
    setting!("engine", node.engine: EngineKind,
        "What keeps the logs: segment files in `data_dir`, or memory, which keeps nothing and is for tests.",
        flag "--engine"),
    setting!("ready_file", node.ready_file: Option<PathBuf>,
        "A JSON object of door name to bound address, written once every door is open and removed at exit.",
        flag "--ready-file"),
    setting!("grace_period", node.grace_period: Duration,
        "How long connections may take to finish what they have begun after SIGTERM or SIGINT.",
        flag "--grace-period"),
    setting!("allow_unauthenticated", node.allow_unauthenticated: bool,
        "Accepts addresses other than loopback although nobody is asked who they are.",
        flag "--allow-unauthenticated"),
    setting!("authentication.required", broker.authentication.required: bool,
        "Asks every client who it is, and allows it only what rules allow. At the first start it makes a superuser `admin`.",
        flag "--authentication"),
    setting!("authentication.admin_password_file", node.administrator_password_file: Option<PathBuf>,
        "The file that holds the password of `admin` when it is made; one is made up and printed once when `none`.",
        flag "--admin-password-file"),
    setting!("authentication.scram_iterations", broker.authentication.iterations: u32,
        "How often a new password is hashed, from 4096 to 16384. Each login costs its client so much; those of existing passwords stay.", from 4096),
    setting!("authentication.failure_delay_max", broker.authentication.attempts.delay_max: Duration,
        "Longest that an answer to a login waits because earlier ones by the same user from the same address failed."),
    setting!("authentication.login_timeout", broker.authentication.login_timeout: Duration,
        "How long a client may be connected before it has logged in, whichever door it came by; then it is closed."),
    setting!("authentication.user_connections_max", broker.authentication.connections_max: usize,
        "Connections that one user may have at once, over all doors; further ones are closed after they have logged in.", from 1),
    setting!("authentication.user_write_rate", broker.authentication.write_rate: Option<ByteSize>,
        "Bytes of records that one user may write in a second, whichever doors it uses; above it, its writes wait."),
    setting!("authentication.user_read_rate", broker.authentication.read_rate: Option<ByteSize>,
        "Bytes of records that one user may read in a second, whichever doors it uses; above it, its reads wait."),
    setting!("authentication.user_request_rate", broker.authentication.request_rate: Option<NonZeroU32>,
        "Requests that one user who has logged in may make in a second at the Kafka, Redis, HTTP and Postgres doors together; above it, they wait."),
    setting!("logging.filter", node.log_filter: String,
        "What is logged: `error`, `warn`, `info`, `debug` or `trace`, for all or for one target: `info,posthouse_kafka=debug`.",
        flag "--log"),
    setting!("logging.format", node.log_format: LogFormat,
        "How log lines look on standard error: for people, or one JSON object a line.",
        flag "--log-format"),
    setting!("connections.per_address_max", node.connections_per_address_max: usize,
        "Connections that one address, or one IPv6 network (/64), may have to each door at once; further ones are closed.",
        from 1),
    setting!("tls.certificate", node.tls.certificate: Option<PathBuf>,
        "The certificate of every door that speaks TLS: a file (PEM) with the node's own first, then those between it and its authority. Watched, and replaced without dropping connections.",
        flag "--tls-certificate"),
    setting!("tls.key", node.tls.key: Option<PathBuf>,
        "The certificate's private key: a file (PEM), not encrypted.", flag "--tls-key"),
    setting!("tls.client_authorities", node.tls.client_authorities: Option<PathBuf>,
        "The authorities that client certificates are checked against: a file of certificates (PEM)."),
    setting!("tls.client_certificates", node.tls.client_certificates: ClientCertificates,
        "Whether clients show a certificate: they are not asked (`off`), they may (`request`; a wrong one is refused), or they must (`require`)."),
    setting!("tls.reload_interval", node.tls.reload_interval: Duration,
        "How often the files are looked at. New connections get a new certificate at once; one that cannot be used is refused loudly, and the one before stays."),
    setting!("tls.handshake_timeout", node.tls.handshake_timeout: Duration,
        "How long a client may take for its TLS handshake."),
    setting!("tls.handshakes_max", node.tls.handshakes_max: usize,
        "Connections of a door whose handshake is unfinished, at most; for a further one the oldest is dropped of those that come from the address with the most and have got equally far. They do not count as connections.",
        from 1),
    setting!("kafka.address", node.kafka_address: DoorAddress,
        "Where Kafka clients connect.", flag "--kafka"),
    setting!("kafka.advertise", node.kafka_advertise: Option<HostPort>,
        "The address that Kafka clients are told to connect to; the bound one when `none`.",
        flag "--kafka-advertise"),
    setting!("kafka.tls_address", node.kafka_tls_address: DoorAddress,
        "Where Kafka clients connect with TLS (`security.protocol=SSL`)."),
    setting!("kafka.tls_advertise", node.kafka_tls_advertise: Option<HostPort>,
        "The address that Kafka clients with TLS are told to connect to; the bound one when `none`."),
    setting!("kafka.rack", kafka.rack: Option<String>,
        "Announced as this node's rack. Kafka's `broker.rack`."),
    setting!("kafka.connections_max", kafka.connections.connections_max: usize,
        "Connections at once; further ones are closed.", from 1),
    setting!("kafka.request_bytes_max", kafka.request_bytes_max: ByteSize,
        "A larger request ends its connection. Kafka's `socket.request.max.bytes`."),
    setting!("kafka.connection_bytes_max", kafka.connection_bytes_max: ByteSize,
        "Most bytes of requests that one connection may have unanswered; above it the door stops reading from it."),
    setting!("kafka.requests_bytes_max", kafka.requests_bytes_max: ByteSize,
        "Most bytes of large requests (above 64 KiB) that all connections together may have unanswered; further ones wait. Kafka's `queued.max.request.bytes`."),
    setting!("kafka.unsent_bytes_max", kafka.unsent_bytes_max: ByteSize,
        "Most bytes of responses that wait for a client to read them before its next request is begun."),
    setting!("kafka.requests_in_flight_max", kafka.requests_in_flight_max: usize,
        "Most requests that one connection may have unanswered.", from 1),
    setting!("kafka.fetch_bytes_max", kafka.fetch_bytes_max: ByteSize,
        "Most bytes of records in one fetch response. Kafka's `fetch.max.bytes`."),
    setting!("kafka.fetch_wait_max", kafka.fetch_wait_max: Duration,
        "Longest that a fetch waits, whatever the client asks for."),
    setting!("kafka.sasl_plain", kafka.sasl_plain: PlainPolicy,
        "Where SASL's PLAIN, which sends the password as it is, is offered: over TLS only (`tls`), also without TLS from this machine (`loopback`), or anywhere (`always`)."),
    setting!("kafka.oauth_jwks", kafka.oauth.jwks: Option<String>,
        "The keys of whoever issues OAuth tokens (SASL's OAUTHBEARER): the path of a JWK set, or an `https://` URL. Tokens are offered where `kafka.sasl_plain` lets a password through."),
    setting!("kafka.oauth_issuer", kafka.oauth.issuer: Option<String>,
        "What an OAuth token's `iss` must be; anything when `none`."),
    setting!("kafka.oauth_audience", kafka.oauth.audience: Option<String>,
        "What an OAuth token's `aud` must have; anything when `none`."),
    setting!("kafka.oauth_subject_claim", kafka.oauth.subject_claim: String,
        "The claim of an OAuth token that names the user."),
    setting!("kafka.reauthenticate_after", kafka.reauthenticate_after: Option<Duration>,
        "A client that has not proven again who it is after so long is disconnected; clients of Kafka 2.2 and later do it by themselves. Kafka's `connections.max.reauth.ms`."),
    setting!("redis.address", node.redis_address: DoorAddress,
        "Where Redis clients connect.", flag "--redis"),
    setting!("redis.tls_address", node.redis_tls_address: DoorAddress,
        "Where Redis clients connect with TLS."),
    setting!("redis.connections_max", redis.connections.connections_max: usize,
        "Connections at once; further ones are closed. Redis's `maxclients`.", from 1),
    setting!("redis.threads", redis.threads: usize,
        "Threads that serve Redis clients. One is the fastest where commands on keys are most of the work, because those run one at a time, and where messages go to many subscribers, because they gather; more of them share what TLS and long values take. Redis's `io-threads`.", from 1 to THREADS_MAX),
    setting!("redis.keys_durability", redis.keys_durability: KeysDurability,
        "When a command that changed keys is answered: at once, its change being on the disk within a second (`everysec`), or when it is there (`always`). Redis's `appendfsync`."),
    setting!("redis.keys_bytes_max", redis.keys_bytes_max: ByteSize,
        "Commands that would store more are refused while keys take more memory than this; 0 for no limit. Redis's `maxmemory`, without eviction."),
    setting!("redis.argument_bytes_max", redis.argument_bytes_max: ByteSize,
        "A longer argument ends its connection. Redis's `proto-max-bulk-len`."),
    setting!("redis.request_bytes_max", redis.request_bytes_max: ByteSize,
        "A longer request ends its connection. Redis's `client-query-buffer-limit`."),
    setting!("redis.unread_bytes_max", redis.unread_bytes_max: ByteSize,
        "A client with more replies that it has not read is disconnected. Redis's `client-output-buffer-limit normal`, hard."),
    setting!("redis.subscriber_bytes_max", redis.subscriber_bytes_max: ByteSize,
        "A subscriber with more messages that it has not read is disconnected. Redis's `client-output-buffer-limit pubsub`, hard."),
    setting!("redis.subscriber_bytes_soft", redis.subscriber_bytes_soft: ByteSize,
        "A subscriber with more for `redis.subscriber_soft_time` is disconnected. Redis's `client-output-buffer-limit pubsub`, soft."),
    setting!("redis.subscriber_soft_time", redis.subscriber_soft_time: Duration,
        "How long a subscriber may be above `redis.subscriber_bytes_soft`, in whole seconds."),
    setting!("http.address", node.http_address: DoorAddress,
        "Where HTTP clients and the command line connect.", flag "--http"),
    setting!("http.tls_address", node.http_tls_address: DoorAddress,
        "Where HTTP clients and the command line connect with TLS (`https`)."),
    setting!("http.connections_max", http.connections.connections_max: usize,
        "Connections at once; further ones are closed.", from 1),
    setting!("http.header_timeout", http.header_timeout: Duration,
        "How long a client may take to send a request's head, and how long a connection may be idle."),
    setting!("http.body_timeout", http.body_timeout: Duration,
        "How long a client may pause inside a request's body."),
    setting!("http.body_bytes_max", http.body_bytes_max: ByteSize,
        "Largest body that is held in memory: one record, a JSON array of records, a query; and the longest line of a body that is streamed."),
    setting!("http.wait_max", http.wait_max: Duration,
        "Longest `wait_ms` that a reader may ask for; a longer one is cut to it."),
    setting!("http.event_heartbeat", http.event_heartbeat: Duration,
        "An event stream without records sends a comment this often, so that whoever is between knows it is alive."),
    setting!("http.session_idle_max", http.session_idle_max: Duration,
        "How long a page that has logged in may be unused before it has to log in again."),
    setting!("http.refuse_cross_site", http.refuse_cross_site: bool,
        "Requests that a browser sends for a page of another site are refused."),
    setting!("webhooks.ca_file", outlets.webhooks_ca_file: Option<PathBuf>,
        "A file of certificates (PEM) of authorities that webhooks trust beside those of the machine."),
    setting!("file_sink.directory", outlets.sinks_directory: Option<PathBuf>,
        "The directory that file sinks write in, and below it; without one there are none."),
    setting!("postgres.address", node.postgres_address: DoorAddress,
        "Where Postgres clients connect.", flag "--postgres"),
    setting!("postgres.tls", postgres.encryption: Encryption,
        "Whether Postgres clients may encrypt (`allow`, when there is a certificate), must (`require`), or are told that they cannot (`off`)."),
    setting!("postgres.connections_max", postgres.connections.connections_max: usize,
        "Connections at once; the next one is told so and closed.", from 1),
    setting!("postgres.startup_timeout", postgres.startup_timeout: Duration,
        "How long a client may take from connecting to being ready."),
    setting!("postgres.statement_timeout", postgres.statement_timeout: Duration,
        "The `statement_timeout` that a session begins with; `0 ms` is none. A client may `SET` it for itself."),
    setting!("postgres.message_bytes_max", postgres.message_bytes_max: usize,
        "Largest message accepted from a client, in bytes.", from 1024),
    setting!("postgres.statements_max", postgres.statements_max: usize,
        "Prepared statements that one client may hold.", from 1),
    setting!("postgres.statement_bytes_max", postgres.statement_bytes_max: usize,
        "Bytes of SQL in all prepared statements of one client.", from 1024),
    setting!("postgres.portals_max", postgres.portals_max: usize,
        "Open portals and cursors that one client may hold.", from 1),
    setting!("postgres.database", postgres.database: String,
        "The database that Postgres clients see."),
    setting!("broker.auto_create_topics", broker.auto_create_topics: bool,
        "Producing to an unknown topic, or asking for its metadata, makes it. Kafka's `auto.create.topics.enable`."),
    setting!("broker.default_partitions", broker.default_partitions: u32,
        "Partitions of a topic that does not say. Kafka's `num.partitions`.", from 1),
    setting!("broker.partitions_per_topic_max", broker.partitions_per_topic_max: u32,
        "Most partitions that one topic may have.", from 1),
    setting!("broker.session_timeout_min", broker.session_timeout_min: Duration,
        "Shortest session timeout a group member may ask for. Kafka's `group.min.session.timeout.ms`."),
    setting!("broker.session_timeout_max", broker.session_timeout_max: Duration,
        "Longest session timeout a group member may ask for. Kafka's `group.max.session.timeout.ms`."),
    setting!("broker.initial_rebalance_delay", broker.initial_rebalance_delay: Duration,
        "How long a new group waits for more members before it first assigns. Kafka's `group.initial.rebalance.delay.ms`."),
    setting!("broker.group_members_max", broker.group_members_max: usize,
        "Most members of one group. Kafka's `group.max.size`.", from 1),
    setting!("broker.offsets_retention", broker.offsets_retention: Duration,
        "Committed offsets of a group without members are forgotten after this long. Kafka's `offsets.retention.minutes`."),
    setting!("broker.offset_metadata_bytes_max", broker.offset_metadata_bytes_max: usize,
        "Most bytes of a client's own text with a committed offset. Kafka's `offset.metadata.max.bytes`."),
    setting!("broker.maintenance_interval", broker.maintenance_interval: Duration,
        "How often retention and compaction look for work. Kafka's `log.retention.check.interval.ms`."),
    setting!("broker.opening_wait", broker.opening_wait: Duration,
        "How long the start waits for partitions to open; those that take longer open while the node serves."),
    setting!("broker.in_flight_bytes_max", broker.in_flight_bytes_max: ByteSize,
        "Most bytes accepted and not yet durable, over all topics; producers wait above it."),
    setting!("topic.segment_bytes", broker.topic_defaults.segment_bytes: ByteSize,
        "A segment file is closed before it would exceed this. A topic's `segment.bytes`."),
    setting!("topic.segment_age", broker.topic_defaults.segment_age: Duration,
        "A segment file is closed when its first record is this old. A topic's `segment.ms`."),
    setting!("topic.retention_bytes", broker.topic_defaults.retention_bytes: Option<ByteSize>,
        "The oldest segments of a partition are deleted while the rest still holds this much. A topic's `retention.bytes`."),
    setting!("topic.retention_age", broker.topic_defaults.retention_age: Option<Duration>,
        "Segments are deleted when their newest record is this old. A topic's `retention.ms`."),
    setting!("topic.cleanup", broker.topic_defaults.cleanup: CleanupPolicy,
        "What happens to old records: deleted, or compacted to the last one of each key. A topic's `cleanup.policy`."),
    setting!("topic.tombstone_age", broker.topic_defaults.tombstone_age: Duration,
        "How long a deletion stays readable in a compacted topic. A topic's `delete.retention.ms`."),
    setting!("topic.dirty_ratio_permille", broker.topic_defaults.dirty_ratio_permille: u32,
        "Compaction starts above this share of uncompacted bytes, in thousandths. A topic's `min.cleanable.dirty.ratio`."),
    setting!("topic.compaction_lag", broker.topic_defaults.compaction_lag: Duration,
        "Records younger than this are not compacted. A topic's `min.compaction.lag.ms`."),
    setting!("topic.batch_bytes_max", broker.topic_defaults.batch_bytes_max: ByteSize,
        "A larger record batch is refused. A topic's `max.message.bytes`."),
    setting!("topic.timestamps", broker.topic_defaults.timestamps: TimestampType,
        "Whose clock a record's timestamp is: the producer's, or the log's. A topic's `message.timestamp.type`."),
    setting!("topic.durability", broker.topic_defaults.durability: Durability,
        "When a record is durable, acknowledged at `acks=all` and readable: after an `fsync` shared with what else was waiting, or once the operating system has it. A topic's `posthouse.durability`."),
    setting!("topic.producer_age", broker.topic_defaults.producer_age: Duration,
        "An idempotent producer idle for longer is forgotten. Kafka's `producer.id.expiration.ms`."),
    setting!("log.tail_cache", local.tail_cache: ByteSize,
        "Memory for the newest batches of all partitions together, from which readers that keep up are served."),
    setting!("log.commit_threads", local.commit_threads: usize,
        "Partitions that are written and forced to disk at the same time, at most.", from 1 to THREADS_MAX),
    setting!("log.open_files_max", local.open_files_max: usize,
        "Segment files kept open for readers, at most, beside those that are written.", from 1),
    // The machine decides, so the default has a name instead of a number.
    Setting {
        key: "query.threads",
        kind: "number, or `auto`: the machine's cores",
        doc: "Threads that run queries, and the parts that a scan is split into.",
        flag: None,
        bare: false,
        show: |config| {
            let threads = config.query.threads;
            if threads == QueryConfig::default().threads {
                AUTO.to_owned()
            } else {
                threads.to_string()
            }
        },
        set: |config, text| {
            config.query.threads = match text.trim() {
                AUTO => QueryConfig::default().threads,
                number => usize::parse(number)
                    .ok()
                    .filter(|threads| (1..=THREADS_MAX).contains(threads))
                    .ok_or_else(|| {
                        format!("is neither {AUTO} nor a whole number from 1 to {THREADS_MAX}")
                    })?,
            };
            Ok(())
        },
    },
    setting!("query.niceness", query.niceness: u8,
        "How much the query threads yield to the rest of the node: 0 not at all, 19 entirely."),
    setting!("query.memory", query.memory: ByteSize,
        "Memory that all queries together may hold; one that needs more spills to disk or fails."),
    setting!("query.spill_directory", query.spill_directory: Option<PathBuf>,
        "Where queries spill; the system's temporary directory when `none`."),
    setting!("query.spill_bytes_max", query.spill_bytes_max: ByteSize,
        "Most bytes that all queries together may spill."),
    setting!("query.concurrent_queries_max", query.concurrent_queries_max: usize,
        "Queries that run at once; others wait for their turn.", from 1),
    setting!("query.statement_timeout", query.statement_timeout: Option<Duration>,
        "How long one statement may take, waiting included. A session changes its own with `SET statement_timeout`."),
    setting!("query.batch_rows", query.batch_rows: usize,
        "Rows in a batch, before filters.", from 1),
    setting!("query.batches_ahead_max", query.batches_ahead_max: usize,
        "Batches that wait for a slow reader before the query itself waits.", from 1),
    setting!("query.read_bytes", query.read_bytes: ByteSize,
        "Stored bytes that one part of a scan asks the log for at a time."),
    setting!("query.expanded_batch_bytes_max", query.expanded_batch_bytes_max: ByteSize,
        "What one stored batch may decompress to; a larger one fails the query."),
    setting!("query.files", query.files: FileAccess,
        "Which files of the node's machine `SELECT … FROM 'file.csv'` may read: those in a directory and below it, all, or none."),
    setting!("query.csv_null_regex", query.csv_null_regex: String,
        "Unquoted CSV fields that match are NULL."),
];
