//! The record by which one audit key names the next, as it stands in a line of the chain.

use super::event::Event;
use super::line::event_of;
use crate::hsm::Handover;

/// What a line holds that calls itself a handover.
///
/// # Errors
/// Why it is not one as the daemon writes them: the signature covers the whole record.
pub(super) fn of_line(line: &[u8]) -> Result<Box<Handover>, &'static str> {
    let event = event_of(line).ok_or("it does not have the form of a record")?;
    let read: Event = serde_json::from_slice(event).map_err(|_| "its handover is malformed")?;
    let handover = read.handover.ok_or("it holds no handover")?;
    if Event::handover((*handover).clone()).encode() != event {
        return Err("it is not written as a handover is");
    }
    Ok(handover)
}
