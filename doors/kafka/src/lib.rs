//! The Kafka door: the protocol's codec, sessions and one file per request.
