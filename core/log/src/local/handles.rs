//! How many segment files are open for readers, over all logs.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::segment::Segment;

/// Closes the file that was opened first when there are too many.
#[derive(Debug)]
pub(crate) struct Handles {
    files_max: usize,
    open: Mutex<VecDeque<Weak<Segment>>>,
}

impl Handles {
    pub(crate) fn new(files_max: usize) -> Handles {
        Handles { files_max: files_max.max(1), open: Mutex::default() }
    }

    /// Counts a segment that is about to be read, unless its file is open already.
    pub(crate) fn touch(&self, segment: &Arc<Segment>) {
        if !segment.is_closed() {
            return;
        }
        let mut open = self.open.lock();
        open.push_back(Arc::downgrade(segment));
        while open.len() > self.files_max {
            if let Some(oldest) = open.pop_front().and_then(|oldest| oldest.upgrade()) {
                oldest.release_file();
            }
        }
    }
}
