//! Other keys for all workers: each is replaced by one that was started with them, as when it is recycled.

use tokio::sync::oneshot;

use super::Supervisor;
use crate::hsm::Keyset;
use crate::hsm::message::Hello;
use crate::hsm::pool::WorkerId;
use crate::hsm::pool::launch::Launch;

/// Who waits until no worker is left that was started before.
#[derive(Default)]
pub(super) struct Renewals {
    /// The last one that was started with other keys than those in force.
    before: Option<WorkerId>,
    /// Up to which one, and whom to tell.
    waiting: Vec<(WorkerId, oneshot::Sender<()>)>,
}

impl Renewals {
    /// Whether anyone waits.
    pub(super) fn wait(&self) -> bool {
        !self.waiting.is_empty()
    }
}

impl<L: Launch> Supervisor<L> {
    /// Workers get these keys from now on; `done` hears of it when the last one with others has ended and one is up.
    pub(super) fn renew(&mut self, keyset: Keyset, done: oneshot::Sender<()>) {
        self.hello = std::sync::Arc::new(Hello {
            keyset,
            ..(*self.hello).clone()
        });
        let last = WorkerId(self.started);
        for id in self.roster.working() {
            self.roster.recycle(id);
        }
        self.renewals.before = Some(last);
        self.renewals.waiting.push((last, done));
    }

    /// A worker that is up now was perhaps started with other keys.
    pub(super) fn renew_started(&mut self, id: WorkerId) {
        if self.renewals.before.is_some_and(|last| id <= last) {
            self.roster.recycle(id);
        }
    }

    /// Tells those whose workers are all new.
    pub(super) fn settle_renewals(&mut self) {
        let Self {
            roster,
            endings,
            renewals,
            ..
        } = self;
        let oldest = roster.ids().chain(endings.ids()).min();
        let up = roster.working().last().is_some();
        let settled = |last: &WorkerId| up && oldest.is_none_or(|oldest| oldest > *last);
        let all = std::mem::take(&mut renewals.waiting).into_iter();
        let (done, mut waiting): (Vec<_>, Vec<_>) = all.partition(|(last, _)| settled(last));
        for (_, done) in done {
            // who asked may have left
            let _ = done.send(());
        }
        waiting.retain(|(_, done)| !done.is_closed());
        renewals.waiting = waiting;
    }
}
