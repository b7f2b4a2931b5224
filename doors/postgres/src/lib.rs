//! The Postgres door: SQL over topics and files through the Postgres wire protocol.
