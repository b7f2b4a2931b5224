//! What must hold of queues whatever happens, what each call does, and what is stored.

mod harness;
mod invariants;
mod stored;
mod transitions;
