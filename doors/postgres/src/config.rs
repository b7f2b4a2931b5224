//! What an operator may set about the Postgres door.

use std::time::Duration;

use posthouse_listener::ConnectionLimits;

/// Settings of the Postgres door. Every limit is per connection unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Clients at once over the whole door; the next one is told `53300` and closed.
    pub connections_max: usize,
    /// How long connections may take to finish once the node drains.
    pub drain_timeout: Duration,
    /// How long a client may take from connecting to being ready; then it is closed.
    pub startup_timeout: Duration,
    /// The `statement_timeout` that a session begins with, from the arrival of a statement to its
    /// last row; zero means none. A client may `SET` it for itself.
    pub statement_timeout: Duration,
    /// Largest message accepted from a client, in bytes.
    pub message_bytes_max: usize,
    /// Prepared statements a client may hold.
    pub statements_max: usize,
    /// Bytes of SQL text in all of a client's prepared statements.
    pub statement_bytes_max: usize,
    /// Open portals and cursors a client may hold.
    pub portals_max: usize,
    /// The database that clients see. It is also the name of the SQL catalog.
    pub database: String,
}

impl Default for PostgresConfig {
    fn default() -> PostgresConfig {
        PostgresConfig {
            connections_max: 500,
            drain_timeout: ConnectionLimits::default().drain_timeout,
            startup_timeout: Duration::from_secs(30),
            statement_timeout: Duration::ZERO,
            message_bytes_max: 64 * 1024 * 1024,
            statements_max: 4096,
            statement_bytes_max: 64 * 1024 * 1024,
            portals_max: 256,
            database: "posthouse".to_owned(),
        }
    }
}
