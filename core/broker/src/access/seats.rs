//! How many connections each user has.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use posthouse_types::Principal;

/// The seats of all users. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Seats {
    max: usize,
    taken: Arc<Mutex<HashMap<Principal, usize>>>,
}

/// One connection's seat; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    principal: Principal,
    within: bool,
}

impl Seats {
    pub(super) fn new(max: usize) -> Seats {
        Seats { max, taken: Arc::default() }
    }

    pub(super) fn take(&self, principal: &Principal) -> Seat {
        let mut taken = self.taken.lock();
        let count = taken.entry(principal.clone()).or_default();
        *count += 1;
        let within = *count <= self.max;
        Seat { seats: self.clone(), principal: principal.clone(), within }
    }
}

impl Seat {
    /// Whether the user had room for it.
    pub(super) fn is_within(&self) -> bool {
        self.within
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        if let Some(count) = taken.get_mut(&self.principal) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_when_its_connection_has_gone() {
        let (seats, alice) = (Seats::new(1), Principal::user("alice"));
        let first = seats.take(&alice);
        assert!(first.is_within());
        assert!(!seats.take(&alice).is_within());
        assert!(seats.take(&Principal::user("bob")).is_within());
        drop(first);
        assert!(seats.take(&alice).is_within());
        assert!(seats.taken.lock().is_empty());
    }
}
