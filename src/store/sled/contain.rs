//! sled panics on files it cannot read. A panic elsewhere in the daemon ends it; these become errors instead.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::store::Error;

thread_local! {
    /// This thread is inside [`contain`].
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// How many threads are opening a store: then sled's own threads may panic as well.
static OPENING: AtomicUsize = AtomicUsize::new(0);

/// Runs `work` in sled; a panic in it is [`Error::Corrupt`] and is neither printed nor seen by the daemon's panic hook.
pub(super) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    install();
    let outer = CONTAINED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(outer);
    result.map_err(|payload| Error::Corrupt(format!("the engine gave up: {}", text(payload.as_ref()))))
}

/// As [`contain`], and quiet about sled's own threads while it runs.
pub(super) fn contain_opening<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    OPENING.fetch_add(1, Ordering::SeqCst);
    let result = contain(work);
    OPENING.fetch_sub(1, Ordering::SeqCst);
    result
}

/// Puts a hook before the one the daemon has, once.
fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let sled_opening = OPENING.load(Ordering::SeqCst) > 0
                && thread::current().name().is_some_and(|name| name.starts_with("sled-"));
            if !CONTAINED.get() && !sled_opening {
                next(info);
            }
        }));
    });
}

fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_text() {
        let result = contain(|| -> u32 { panic!("page {} is gone", 7) });
        assert_eq!(
            result,
            Err(Error::Corrupt("the engine gave up: page 7 is gone".to_owned()))
        );
        assert_eq!(contain(|| 5), Ok(5));
    }
}
