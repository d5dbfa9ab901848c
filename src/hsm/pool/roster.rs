//! Who is there: a slot for each worker wanted, the one that starts, and those that drain.

use std::collections::VecDeque;
use std::time::Instant;

use super::WorkerId;
use super::lanes::Outgoing;
use super::launch::Process;
use crate::hsm::WorkerState;

/// A worker process.
pub(super) struct Worker<P> {
    pub(super) id: WorkerId,
    pub(super) process: P,
    /// When it was started; from then on when it came up.
    pub(super) since: Instant,
}

/// A worker that has not told yet whether it can work.
pub(super) struct Starting<P> {
    pub(super) worker: Worker<P>,
    /// Where it belongs; a worker that is there is replaced.
    pub(super) slot: usize,
    pub(super) outgoing: Outgoing,
}

/// All workers but those whose end was ordered or noticed.
pub(super) struct Roster<P> {
    /// `None` waits for a start.
    slots: Vec<Option<Worker<P>>>,
    pub(super) starting: Option<Starting<P>>,
    /// Replaced workers with jobs left.
    draining: Vec<Worker<P>>,
    /// Workers that want a successor, first come first served.
    recycle: VecDeque<WorkerId>,
}

impl<P: Process> Roster<P> {
    pub(super) fn new(wanted: usize) -> Self {
        Self {
            slots: std::iter::repeat_with(|| None).take(wanted).collect(),
            starting: None,
            draining: Vec::new(),
            recycle: VecDeque::new(),
        }
    }

    /// The slot that the next worker is started for, if one is wanted and none starts already.
    pub(super) fn vacancy(&mut self) -> Option<usize> {
        if self.starting.is_some() {
            return None;
        }
        let slots = &self.slots;
        let slot_of = |id: &WorkerId| {
            slots
                .iter()
                .position(|slot| slot.as_ref().is_some_and(|worker| worker.id == *id))
        };
        // One that ended meanwhile wants nothing any more.
        self.recycle.retain(|id| slot_of(id).is_some());
        slots
            .iter()
            .position(Option::is_none)
            .or_else(|| self.recycle.front().and_then(slot_of))
    }

    /// A worker wants a successor.
    pub(super) fn recycle(&mut self, id: WorkerId) {
        self.recycle.push_back(id);
    }

    /// A started worker takes its place; names the one that drains now, if there was one.
    pub(super) fn put(&mut self, slot: usize, worker: Worker<P>) -> Option<WorkerId> {
        let old = self.slots.get_mut(slot)?.replace(worker)?;
        let id = old.id;
        self.draining.push(old);
        Some(id)
    }

    /// Takes the starting worker out, if it is this one.
    pub(super) fn take_starting(&mut self, id: WorkerId) -> Option<Starting<P>> {
        self.starting.take_if(|starting| starting.worker.id == id)
    }

    /// Takes a worker that works or drains out of its place.
    pub(super) fn take(&mut self, id: WorkerId) -> Option<Worker<P>> {
        if let Some(at) = self.draining.iter().position(|worker| worker.id == id) {
            return Some(self.draining.swap_remove(at));
        }
        self.slots
            .iter_mut()
            .find_map(|slot| slot.take_if(|worker| worker.id == id))
    }

    /// Takes all that work or drain.
    pub(super) fn take_all(&mut self) -> Vec<Worker<P>> {
        let mut all = std::mem::take(&mut self.draining);
        all.extend(self.slots.iter_mut().filter_map(Option::take));
        all
    }

    /// By slot, then those that drain.
    pub(super) fn states(&self) -> Vec<WorkerState> {
        let starting = self.starting.as_ref().map(|starting| starting.slot);
        let slots = self.slots.iter().enumerate().map(|(slot, worker)| match worker {
            Some(_) => WorkerState::Up,
            None if starting == Some(slot) => WorkerState::Starting,
            None => WorkerState::Down,
        });
        slots
            .chain(self.draining.iter().map(|_| WorkerState::Draining))
            .collect()
    }

    /// Those that work and do not drain, by slot.
    pub(super) fn working(&self) -> Vec<WorkerId> {
        self.slots.iter().flatten().map(|worker| worker.id).collect()
    }

    /// All that are here.
    pub(super) fn ids(&self) -> impl Iterator<Item = WorkerId> {
        let starting = self.starting.iter().map(|starting| &starting.worker);
        let all = self.slots.iter().flatten().chain(starting).chain(&self.draining);
        all.map(|worker| worker.id)
    }

    /// Of all that are here: by slot, then the starting one, then those that drain.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        let starting = self.starting.iter().map(|starting| &starting.worker);
        self.slots
            .iter()
            .flatten()
            .chain(starting)
            .chain(&self.draining)
            .map(|worker| worker.process.id())
    }
}
