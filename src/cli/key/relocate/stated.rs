//! What a move states: in the audit trail, and in the transcript that the daemon signs which starts in the new HSM.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::Sides;
use crate::cli::transcript;
use crate::custody::{Guarded, OfflineCeremony};
use crate::id::UnixMillis;
use crate::keys::Keyring;
use crate::vault::Relocated;

/// Who agreed, in the trail.
pub(super) fn by(names: Option<&str>) -> String {
    names.map(|names| format!(", approved by {names}")).unwrap_or_default()
}

/// The end, in the trail; the transcript is signed only where it stands there.
pub(in crate::cli) fn detail((from, to): (&str, &str), names: Option<&str>) -> String {
    format!("the token with serial {to} in the place of {from}{}", by(names))
}

/// Leaves the transcript for the daemon; gives its file. None where nobody knows any more how the move began.
pub(super) fn leave(
    sides: &Sides<'_>,
    subject: &Map<String, Value>,
    keyring: &Keyring,
    done: &Relocated,
) -> anyhow::Result<Option<PathBuf>> {
    let Some(journal) = sides.files.begun()? else {
        return Ok(None);
    };
    let mut result = Map::new();
    result.insert("from".to_owned(), keyring.keyset().token_serial.clone().into());
    for (name, count) in [
        ("moved", done.moved),
        ("dead", done.dead),
        ("left", done.left),
        ("faults", done.faults),
    ] {
        result.insert(name.to_owned(), count.into());
    }
    let says = OfflineCeremony {
        operation: Guarded::KeyMove,
        subject,
        approved_by: journal.approved_by.as_deref(),
        acted_at: journal.begun_at,
        done_at: UnixMillis::now(),
        result,
    };
    let (state_dir, name) = (&sides.old.state_dir, Guarded::KeyMove.as_str());
    transcript::leave(state_dir, name, journal.begun_at, says.says()).map(Some)
}
