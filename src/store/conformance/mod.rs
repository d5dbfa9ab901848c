//! What every engine must do, as checks against the trait. Each check takes a fresh store.

mod audit;
mod checkpoint;
mod commits;
mod limits;
mod scans;

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use super::{Commit, Error, FIRST_TABLE, Key, Outcome, Part, Store, Write};

/// What an engine did wrong: the check and what was seen.
pub type Fault = String;

const P: Part = Part(0);

/// Runs every check, each on a store of its own from `fresh`. Wants a runtime with more than one thread.
///
/// # Errors
/// The first check that fails, and how.
pub async fn run<F, Fut>(fresh: F) -> Result<(), Fault>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Store>>,
{
    macro_rules! each {
        ($($check:path),+ $(,)?) => {
            $(
                let store = fresh().await;
                $check(&store).await.map_err(|fault| format!("{}: {fault}", stringify!($check)))?;
                store.close().await.map_err(|e| format!("{}: closing: {e}", stringify!($check)))?;
            )+
        };
    }
    each![
        commits::what_was_put_is_there,
        commits::a_failed_condition_writes_nothing,
        commits::writes_apply_in_order,
        commits::revisions_grow,
        scans::scans_keep_to_their_bounds,
        scans::cursors_stand_inserts_and_deletes,
        commits::one_of_many_wins,
        commits::no_update_is_lost,
        audit::the_audit_chain_holds,
        checkpoint::a_checkpoint_is_one_revision_under_load,
        checkpoint::a_checkpoint_that_nobody_takes_ends,
        commits::records_are_counted,
        limits::limits_are_kept,
        limits::the_engines_tables_are_closed,
        limits::closing_ends_writing,
    ];
    Ok(())
}

fn key(name: &[u8]) -> Key {
    Key([&[FIRST_TABLE], name].concat())
}

fn write(writes: Vec<Write>) -> Commit {
    Commit {
        writes,
        ..Commit::default()
    }
}

fn puts(entries: &[(&[u8], &[u8])]) -> Commit {
    write(
        entries
            .iter()
            .map(|(name, value)| Write::Put(key(name), value.to_vec()))
            .collect(),
    )
}

fn done(outcome: Result<Outcome, Error>) -> Result<u64, Fault> {
    match outcome {
        Ok(Outcome::Done { rev }) => Ok(rev),
        other => Err(format!("a commit ended as {other:?}")),
    }
}

fn same<T: PartialEq + Debug>(found: T, wanted: T, what: &str) -> Result<(), Fault> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, wanted {wanted:?}"))
}

fn text(error: impl ToString) -> Fault {
    error.to_string()
}
