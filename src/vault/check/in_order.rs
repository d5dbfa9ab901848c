//! Several things under way at once, whose outcomes come in the order in which they were begun.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// A thing under way.
pub(super) type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// They. What is dropped with them ends where it waits.
pub(super) struct InOrder<'a, T>(VecDeque<Slot<'a, T>>);

enum Slot<'a, T> {
    Running(Work<'a, T>),
    Done(T),
}

impl<'a, T> InOrder<'a, T> {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Begins another one.
    pub(super) fn push(&mut self, work: Work<'a, T>) {
        self.0.push_back(Slot::Running(work));
    }

    /// How many outcomes were not taken yet.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The outcome of the oldest one, while all go on; `None` where there is none. Given up it loses nothing.
    pub(super) async fn next(&mut self) -> Option<T> {
        poll_fn(|context| {
            for slot in &mut self.0 {
                if let Slot::Running(work) = slot
                    && let Poll::Ready(outcome) = work.as_mut().poll(context)
                {
                    *slot = Slot::Done(outcome);
                }
            }
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(Slot::Done(outcome)) => Poll::Ready(Some(outcome)),
                Some(running @ Slot::Running(_)) => {
                    self.0.push_front(running);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn outcomes_come_in_order_and_all_are_under_way() {
        let running = AtomicUsize::new(0);
        let running = &running;
        let mut all = InOrder::new();
        assert_eq!(all.next().await, None);
        // the first takes longest
        for n in 0..20_u64 {
            all.push(Box::pin(async move {
                running.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(200 - 10 * n)).await;
                n
            }));
        }
        let since = std::time::Instant::now();
        // one that does not wait for it loses nothing
        tokio::select! {
            _ = all.next() => panic!("nothing is done yet"),
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
        assert_eq!((running.load(Ordering::Relaxed), all.len()), (20, 20));
        for n in 0..20 {
            assert_eq!(all.next().await, Some(n));
        }
        // one after another it would take two seconds
        assert!(since.elapsed() < Duration::from_millis(1500));
        assert_eq!(all.next().await, None);
    }
}
