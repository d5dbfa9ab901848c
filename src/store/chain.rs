//! The audit chain: how an event becomes a line that names the line before it, and how a line is checked.

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use serde::de::IgnoredAny;

use super::AuditLine;

/// The end of a chain: what the next line must follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last line's number; 0 before the first.
    pub seq: u64,
    /// SHA-256 of the last line; zeros before the first.
    pub hash: [u8; 32],
}

/// Why a line does not follow a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The line's number or `prev` is not the one that must come next, or it is not in the line format.
    #[error("line {0} is missing, out of place or does not name the line before it")]
    Place(u64),
    /// The line is not JSON.
    #[error("line {0} is not JSON")]
    Json(u64),
}

impl Head {
    /// Before the first line.
    pub const START: Self = Self { seq: 0, hash: [0; 32] };

    /// The head after `line`, taken on trust.
    pub fn after(line: &AuditLine) -> Self {
        Self {
            seq: line.seq,
            hash: sha256(&line.line),
        }
    }

    /// Appends the line of `event` to `out`, without a newline, and moves on to it.
    pub fn append(&mut self, event: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.next_prefix().as_bytes());
        out.extend_from_slice(event);
        out.push(b'}');
        self.advance(out.get(start..).unwrap_or_default());
    }

    /// Checks that `line` (without its newline) is the next one, and moves on to it.
    ///
    /// # Errors
    /// [`Broken`]; the head stays where it was.
    pub fn follow(&mut self, line: &[u8]) -> Result<(), Broken> {
        let seq = self.seq.saturating_add(1);
        if !line.starts_with(self.next_prefix().as_bytes()) || line.last() != Some(&b'}') {
            return Err(Broken::Place(seq));
        }
        if serde_json::from_slice::<IgnoredAny>(line).is_err() {
            return Err(Broken::Json(seq));
        }
        self.advance(line);
        Ok(())
    }

    fn next_prefix(&self) -> String {
        format!(
            "{{\"seq\":{},\"prev\":\"{}\",\"event\":",
            self.seq.saturating_add(1),
            BASE64URL_NOPAD.encode(&self.hash)
        )
    }

    fn advance(&mut self, line: &[u8]) {
        self.seq = self.seq.saturating_add(1);
        self.hash = sha256(line);
    }
}

/// The number a line gives itself, `None` if it does not begin as a line does.
pub fn seq_of(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(b"{\"seq\":")?;
    let end = rest.iter().position(|b| *b == b',')?;
    std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()
}

/// When a line's event happened, in milliseconds since 1970, where the event has a number `at` that says.
pub fn at_of(line: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Line {
        event: Event,
    }
    #[derive(serde::Deserialize)]
    struct Event {
        at: u64,
    }
    serde_json::from_slice::<Line>(line).ok().map(|line| line.event.at)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(events: &[&str]) -> Vec<Vec<u8>> {
        let mut head = Head::START;
        events
            .iter()
            .map(|event| {
                let mut line = Vec::new();
                head.append(event.as_bytes(), &mut line);
                line
            })
            .collect()
    }

    #[test]
    fn a_line_names_the_one_before() {
        let lines = lines(&[r#"{"a":1}"#, r#"{"b":2}"#]);
        let first = format!(r#"{{"seq":1,"prev":"{}","event":{{"a":1}}}}"#, "A".repeat(43));
        assert_eq!(lines[0], first.as_bytes());
        let hash = BASE64URL_NOPAD.encode(digest(&SHA256, &lines[0]).as_ref());
        let second = format!(r#"{{"seq":2,"prev":"{hash}","event":{{"b":2}}}}"#);
        assert_eq!(lines[1], second.as_bytes());
        assert_eq!(seq_of(&lines[1]), Some(2));
    }

    #[test]
    fn any_change_breaks_the_chain() {
        let lines = lines(&[r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#]);
        let mut head = Head::START;
        for line in &lines {
            head.follow(line).unwrap();
        }
        assert_eq!(head.seq, 3);

        let mut head = Head::START;
        assert_eq!(head.follow(&lines[1]), Err(Broken::Place(1)));
        let mut changed = lines[0].clone();
        changed[60] ^= 1;
        if head.follow(&changed).is_ok() {
            assert_eq!(head.follow(&lines[1]), Err(Broken::Place(2)));
        }
        let mut head = Head::START;
        let cut = [&lines[0][..lines[0].len() - 2], b"}"].concat();
        assert_eq!(head.follow(&cut), Err(Broken::Json(1)));
    }
}
