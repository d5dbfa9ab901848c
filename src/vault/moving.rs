//! What moves all records under another key, whichever key that is: page by page, at a pace, in commits of bounded size.

use std::time::Duration;

use super::types::Error;

/// Entries that are looked at together.
pub(super) const PAGE: u32 = 32;
/// After a failure it is tried again so much later.
pub(super) const PAUSE: Duration = Duration::from_secs(2);
/// The most bytes in a commit: a document may have a megabyte.
const COMMIT_BYTES: usize = 4 << 20;

/// What came of a page.
#[derive(Default)]
pub(super) struct Page {
    pub(super) moved: u64,
    pub(super) faults: u64,
    /// Others changed an entry in between, and perhaps from what they had read before.
    pub(super) contested: bool,
}

impl Page {
    /// With what came of the next one.
    pub(super) fn add(&mut self, next: &Self) {
        self.moved += next.moved;
        self.faults += next.faults;
        self.contested |= next.contested;
    }

    /// Those that are to be moved; what does not open is counted and stays where it is: the alarm was raised, and the others
    /// must not wait for it.
    ///
    /// # Errors
    /// The first that is none of the entry's own.
    pub(super) fn sorted<T>(&mut self, results: Vec<Result<Option<T>, Error>>) -> Result<Vec<T>, Error> {
        let mut moved = Vec::new();
        for result in results {
            match result {
                Ok(entry) => moved.extend(entry),
                Err(Error::Integrity(_)) => self.faults += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(moved)
    }

    /// Waits so that no more than `per_second` are moved; 0: as many as the HSM can.
    pub(super) async fn pace(&self, per_second: u32) {
        if per_second > 0 && self.moved > 0 {
            let took = Duration::from_secs(1).saturating_mul(u32::try_from(self.moved).unwrap_or(u32::MAX));
            tokio::time::sleep(took / per_second).await;
        }
    }
}

/// In groups that a commit takes; the last one, which may be empty, is there always.
pub(super) fn groups<T>(entries: Vec<T>, bytes_of: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut groups = vec![Vec::new()];
    let mut bytes = 0;
    for entry in entries {
        if bytes + bytes_of(&entry) > COMMIT_BYTES {
            groups.push(Vec::new());
            bytes = 0;
        }
        bytes += bytes_of(&entry);
        if let Some(group) = groups.last_mut() {
            group.push(entry);
        }
    }
    groups
}
