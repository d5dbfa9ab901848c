//! What a verification came to, in words.

use crate::audit::{Report, SignedPart};
use crate::cli::{Exit, terminal};

/// Prints what came of it.
pub(in crate::cli) fn tell(report: &Report, json: bool) -> anyhow::Result<Exit> {
    if json {
        let mut value = serde_json::to_value(report)?;
        if let Some(members) = value.as_object_mut() {
            members.insert("verdict".to_owned(), verdict(report).into());
        }
        terminal::json(&value)?;
    } else {
        for line in lines(report) {
            terminal::say(line);
        }
    }
    Ok(if report.is_sound() { Exit::Ok } else { Exit::Fault })
}

fn verdict(report: &Report) -> &'static str {
    match (report.is_sound(), report.is_authentic()) {
        (false, _) => "faulty",
        (true, true) => "authentic",
        (true, false) => "consistent, not authenticated",
    }
}

fn lines(report: &Report) -> Vec<String> {
    if !report.is_sound() {
        let findings = report.findings.iter().map(ToString::to_string);
        let end = format!("{} records, {} faults", report.lines, report.findings.len());
        return findings.chain([end]).collect();
    }
    let mut lines = vec![format!(
        "{} records: {}; head {}",
        report.lines,
        verdict(report),
        report.head
    )];
    match (&report.signed, &report.key) {
        (Some(SignedPart { through, record, at }), Some(key)) => {
            lines.push(format!(
                "{} signed heads of key {key}; the last one, record {record} of {at}, covers all up to record {through}",
                report.signed_heads
            ));
            if report.handed > 0 {
                lines.push(format!(
                    "the audit key was changed {} times on the way, each named by the one before it: keep {key} as well",
                    report.handed
                ));
            }
            if report.unsigned > 0 {
                let to = report.to.map(|at| format!(", to {at},")).unwrap_or_default();
                lines.push(format!(
                    "{} records after it{to} are not covered by a signed head",
                    report.unsigned
                ));
            }
        }
        _ => lines.push("no signed head covers them".to_owned()),
    }
    if !report.pinned && report.lines > 0 {
        lines.push("give --key SHA256:… (as `init` printed it) to know whose key that is".to_owned());
    }
    lines.push(
        "Records that were cut off the end together with their signed heads show only against a head that was noted or \
         forwarded: give it with --expect."
            .to_owned(),
    );
    lines
}
