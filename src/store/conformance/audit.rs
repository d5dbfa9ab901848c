//! The audit chain, across whatever places the engine keeps it in.

use std::sync::Arc;

use super::{Fault, done, puts, same, text};
use crate::store::chain::Head;
use crate::store::{AuditLine, Commit, Depth, SCAN_MAX, Store};

/// 600 events: with a window of less the oldest are in segment files by the end.
pub(super) async fn the_audit_chain_holds(store: &Arc<dyn Store>) -> Result<(), Fault> {
    same(store.audit(1, 10).await, Ok(Vec::new()), "an empty chain")?;
    for round in 0..6u32 {
        let mut tasks = Vec::new();
        for n in 0..100u32 {
            let store = store.clone();
            let event = format!("{{\"n\":{}}}", round * 100 + n).into_bytes();
            tasks.push(tokio::spawn(async move {
                let name = (round * 100 + n).to_be_bytes();
                done(
                    store
                        .commit(Commit {
                            event: Some(event),
                            ..puts(&[(&name, b"x")])
                        })
                        .await,
                )
            }));
        }
        for task in tasks {
            task.await.map_err(text)??;
        }
        let lines = all_lines(store, 64).await?;
        same(
            lines.len(),
            usize::try_from((round + 1) * 100).unwrap_or(0),
            "lines so far",
        )?;
        let mut head = Head::START;
        for line in &lines {
            head.follow(&line.line).map_err(text)?;
            same(head.seq, line.seq, "the line's number")?;
        }
    }
    let lines = all_lines(store, SCAN_MAX).await?;
    let mut events: Vec<_> = lines
        .iter()
        .map(|line| {
            String::from_utf8_lossy(&line.line)
                .split_once("\"event\":")
                .map(|(_, event)| event.to_owned())
        })
        .collect();
    events.sort_unstable();
    events.dedup();
    same(events.len(), 600, "different events")?;
    let middle = store.audit(250, 3).await.map_err(text)?;
    same(
        middle.as_slice(),
        lines.get(249..252).unwrap_or_default(),
        "a read from the middle",
    )?;
    same(store.audit(601, 5).await, Ok(Vec::new()), "a read past the end")?;
    same(store.health().audit_seq, 600, "the last number")?;
    let report = store.verify(Depth::Full).await.map_err(text)?;
    same(
        (report.audit_lines, report.faults),
        (600, Vec::new()),
        "what verify found",
    )
}

async fn all_lines(store: &Arc<dyn Store>, step: u32) -> Result<Vec<AuditLine>, Fault> {
    let mut lines: Vec<AuditLine> = Vec::new();
    loop {
        let from = lines.last().map_or(1, |line| line.seq + 1);
        let more = store.audit(from, step).await.map_err(text)?;
        if more.is_empty() {
            return Ok(lines);
        }
        lines.extend(more);
    }
}
