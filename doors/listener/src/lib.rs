//! What every door shares: bound listeners, connection limits and graceful drain. Knows no protocol.
