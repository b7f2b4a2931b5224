//! What an operator may set about the Postgres door.

use std::time::Duration;

use posthouse_listener::ConnectionLimits;

/// Whether clients may, or must, encrypt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// TLS is declined.
    Off,
    /// Whoever asks for TLS gets it, when there is a certificate.
    #[default]
    Allow,
    /// Whoever does not is refused.
    Require,
}

/// Settings of the Postgres door. Every limit is per connection unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresConfig {
    /// How many clients over the whole door, and how long they may take to end. The next one is
    /// told `53300` and closed.
    pub connections: ConnectionLimits,
    /// Whether clients may, or must, encrypt.
    pub encryption: Encryption,
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
            connections: ConnectionLimits { connections_max: 500, ..ConnectionLimits::default() },
            encryption: Encryption::default(),
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
