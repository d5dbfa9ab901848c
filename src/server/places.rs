//! Places for connections under a listener's caps, and who gives one up when all are taken.
//!
//! Who comes then gets the place of the connection that has had no request for the longest time. So connections that do
//! nothing, or send a head slowly, keep nobody out. One user's connections, whatever they do, have only their share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;
use tokio::sync::Notify;

/// A user's share is half of the places, and not less than this.
const SHARE_MIN: usize = 64;

/// A listener's places.
pub(super) struct Places {
    cap: AtomicUsize,
    open: Mutex<Open>,
    /// A place may have become free, or its connection idle.
    changed: Notify,
    gauge: IntGauge,
}

/// A connection's place; given back when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
    leave: Arc<Notify>,
}

/// Keeps a connection from being told to leave.
pub(super) struct Busy(Arc<Place>);

#[derive(Default)]
struct Open {
    taken: HashMap<u64, Taken>,
    /// Counts places and ends of requests: puts them in order.
    clock: u64,
}

struct Taken {
    user: Option<u32>,
    state: State,
    leave: Arc<Notify>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many requests and answers under way.
    Busy(usize),
    /// None, since this moment of [`Open::clock`].
    Idle(u64),
    /// None, and told to leave.
    Leaving,
}

/// What came of looking for a place.
enum Outcome {
    Found(Place),
    /// The next change may bring one.
    Wait,
    /// The user's share is in use.
    Refused,
}

impl Places {
    pub(super) fn new(cap: usize, gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self {
            cap: AtomicUsize::new(cap),
            open: Mutex::default(),
            changed: Notify::new(),
            gauge,
        })
    }

    /// Changes how many there are. Connections that are open stay; while they are too many, no more are let in.
    pub(super) fn resize(&self, cap: usize) {
        self.cap.store(cap, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Waits for a place, for one caller at a time. `None`: all of the user's share is in use. A caller without a user
    /// has no share.
    pub(super) async fn take(self: &Arc<Self>, user: Option<u32>) -> Option<Place> {
        loop {
            match self.look(user) {
                Outcome::Found(place) => return Some(place),
                Outcome::Wait => self.changed.notified().await,
                Outcome::Refused => return None,
            }
        }
    }

    fn look(self: &Arc<Self>, user: Option<u32>) -> Outcome {
        let cap = self.cap.load(Ordering::Relaxed);
        let share = (cap / 2).max(SHARE_MIN);
        let mut open = self.open();
        // none where it would be all
        if user.is_some() && share < cap {
            let own = |taken: &Taken| taken.user == user;
            if open.taken.values().filter(|taken| own(taken)).count() >= share {
                return match open.make_room(own) {
                    true => Outcome::Wait,
                    false => Outcome::Refused,
                };
            }
        }
        if open.taken.len() >= cap {
            open.make_room(|_| true);
            return Outcome::Wait;
        }
        let leave = Arc::new(Notify::new());
        let id = open.tick();
        let taken = Taken {
            user,
            state: State::Idle(id),
            leave: Arc::clone(&leave),
        };
        open.taken.insert(id, taken);
        self.gauge.inc();
        Outcome::Found(Place {
            places: Arc::clone(self),
            id,
            leave,
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Tells the longest idle one `among` them to leave, unless one is leaving already; false when all are busy.
    fn make_room(&mut self, among: impl Fn(&Taken) -> bool) -> bool {
        let mut longest: Option<(u64, &mut Taken)> = None;
        for taken in self.taken.values_mut().filter(|taken| among(taken)) {
            match taken.state {
                State::Busy(_) => {}
                State::Leaving => return true,
                State::Idle(since) if longest.as_ref().is_some_and(|(other, _)| *other <= since) => {}
                State::Idle(since) => longest = Some((since, taken)),
            }
        }
        let Some((_, taken)) = longest else { return false };
        taken.state = State::Leaving;
        taken.leave.notify_one();
        true
    }
}

impl Place {
    /// Returns when this connection is to end. A request that came in between keeps it.
    pub(super) async fn left(&self) {
        loop {
            self.leave.notified().await;
            let open = self.places.open();
            if open.taken.get(&self.id).is_some_and(|own| own.state == State::Leaving) {
                return;
            }
        }
    }

    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        let mut open = self.places.open();
        if let Some(own) = open.taken.get_mut(&self.id) {
            own.state = match own.state {
                State::Busy(count) => State::Busy(count + 1),
                State::Idle(_) => State::Busy(1),
                State::Leaving => {
                    // Another one must go instead.
                    self.places.changed.notify_one();
                    State::Busy(1)
                }
            };
        }
        Busy(Arc::clone(self))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Place { places, id, .. } = &*self.0;
        let mut open = places.open();
        let now = open.tick();
        if let Some(own) = open.taken.get_mut(id) {
            own.state = match own.state {
                State::Busy(count) if count > 1 => State::Busy(count - 1),
                _ => State::Idle(now),
            };
        }
        drop(open);
        places.changed.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.open().taken.remove(&self.id);
        self.places.gauge.dec();
        self.places.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn places(cap: usize) -> Arc<Places> {
        Places::new(cap, IntGauge::new("connections", "connections").unwrap())
    }

    async fn soon<T>(future: impl Future<Output = T>) -> Option<T> {
        timeout(Duration::from_millis(50), future).await.ok()
    }

    #[tokio::test]
    async fn the_longest_idle_makes_room_and_a_busy_one_never() {
        let places = places(3);
        let mut held = Vec::new();
        for user in 1..=3 {
            held.push(Arc::new(places.take(Some(user)).await.unwrap()));
        }
        let busy = held[0].busy();
        drop(held[1].busy());
        // The third has been idle since before the second's request.
        assert!(soon(places.take(Some(4))).await.is_none(), "three of three are taken");
        assert!(soon(held[0].left()).await.is_none() && soon(held[1].left()).await.is_none());
        assert!(soon(held[2].left()).await.is_some());
        held.pop();
        held.push(Arc::new(soon(places.take(Some(4))).await.unwrap().unwrap()));
        assert_eq!(places.gauge.get(), 3);

        let rest = [held[1].busy(), held[2].busy()];
        assert!(soon(places.take(Some(5))).await.is_none());
        for place in &held {
            assert!(soon(place.left()).await.is_none(), "busy ones stay");
        }
        drop((busy, rest));
        drop(held);
        assert_eq!(places.gauge.get(), 0);
    }

    #[tokio::test]
    async fn fewer_places_let_nobody_in_and_more_do_at_once() {
        let places = places(2);
        let held = [places.take(None).await.unwrap(), places.take(None).await.unwrap()].map(Arc::new);
        let busy = [held[0].busy(), held[1].busy()];
        places.resize(1);
        assert!(soon(places.take(None)).await.is_none());
        let waiting = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take(None).await.is_some() }
        });
        tokio::task::yield_now().await;
        places.resize(3);
        assert!(soon(waiting).await.unwrap().unwrap());
        drop(busy);
    }

    #[tokio::test]
    async fn a_request_that_comes_in_between_keeps_its_connection() {
        let places = places(2);
        let first = Arc::new(places.take(None).await.unwrap());
        let second = Arc::new(places.take(None).await.unwrap());
        let third = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take(None).await }
        });
        // Not let in: a single thread gives it its turn here.
        tokio::task::yield_now().await;
        let busy = first.busy();
        assert!(soon(first.left()).await.is_none());
        assert!(soon(second.left()).await.is_some(), "the next one goes instead");
        drop(second);
        assert!(third.await.unwrap().is_some());
        drop(busy);
    }

    #[tokio::test]
    async fn one_user_has_a_share_and_others_find_a_place() {
        let places = places(200);
        let mut held = Vec::new();
        for _ in 0..100 {
            let place = Arc::new(soon(places.take(Some(7))).await.unwrap().unwrap());
            held.push((place.busy(), place));
        }
        assert!(soon(places.take(Some(7))).await.unwrap().is_none(), "refused at once");
        let other = soon(places.take(Some(8))).await.unwrap();
        assert!(other.is_some());
        held.pop();
        assert!(soon(places.take(Some(7))).await.unwrap().is_some());
    }
}
