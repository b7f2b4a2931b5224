//! Printing to whoever may have gone.

/// Prints a line to standard output; one that nobody reads any more (`posthouse … | head`) is no
/// reason to panic, as `println!` would.
macro_rules! say {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($argument)*);
    }};
}

pub(crate) use say;
