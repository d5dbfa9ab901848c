//! Segment files: where the engine keeps the lines that left its window.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::line::LINE_MAX;
use super::verifier::Verifier;

/// The segment files (`*.jsonl`) of a directory in the order of their names, which is the order of their lines.
///
/// # Errors
/// The directory cannot be read, or one of those names is not a plain file.
pub fn segment_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            if !entry.file_type()?.is_file() {
                let what = format!("{} is not a plain file", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Hands all lines of these files to `verifier`, a line at a time.
///
/// # Errors
/// A file cannot be read. What is wrong with its lines is the verifier's finding.
pub fn read_segments(files: &[PathBuf], verifier: &mut Verifier) -> io::Result<()> {
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        verifier.source(&name);
        let file = File::open(path).map_err(|error| named(path, &error))?;
        read_lines(&mut BufReader::with_capacity(1 << 18, file), verifier).map_err(|error| named(path, &error))?;
    }
    Ok(())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn read_lines(from: &mut impl BufRead, verifier: &mut Verifier) -> io::Result<()> {
    let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut line = Vec::new();
    loop {
        line.clear();
        if from.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.pop_if(|last| *last == b'\n').is_some() {
            verifier.line(&line);
        } else if line.len() > LINE_MAX {
            verifier.broken(&line, "it is too long for a record");
            from.skip_until(b'\n')?;
        } else {
            verifier.broken(&line, "it has no end: it was cut off");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Fault, Head};
    use super::*;

    fn chain(len: usize) -> (Vec<u8>, Vec<usize>) {
        let (mut head, mut text, mut ends) = (Head::START, Vec::new(), Vec::new());
        for _ in 0..len {
            head.append(&Event::new("tokenize", "ok").encode(), &mut text);
            text.push(b'\n');
            ends.push(text.len());
        }
        (text, ends)
    }

    fn verified(files: &[(&str, &[u8])]) -> super::super::Report {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(dir.path().join(name), content).unwrap();
        }
        let mut verifier = Verifier::new();
        read_segments(&segment_files(dir.path()).unwrap(), &mut verifier).unwrap();
        verifier.finish()
    }

    #[test]
    fn fifty_files_in_order_are_one_chain() {
        let (text, ends) = chain(100);
        let mut start = 0;
        let names: Vec<String> = (0..50).rev().map(|n| format!("audit-{:020}.jsonl", 50 - n)).collect();
        let files: Vec<(&str, &[u8])> = names
            .iter()
            .zip(ends.iter().skip(1).step_by(2))
            .map(|(name, end)| (name.as_str(), &text[std::mem::replace(&mut start, *end)..*end]))
            .chain([("notes.txt", &b"other files are passed over"[..])])
            .collect();
        let report = verified(&files);
        assert_eq!(
            (report.findings.as_slice(), report.lines, report.head.seq),
            (&[][..], 100, 100)
        );
        let without = verified(&files[1..]);
        assert_eq!(without.findings[0].fault, Fault::Removed { from: 1, to: 2 });
        assert_eq!(
            without.findings[0].to_string(),
            "audit-00000000000000000002.jsonl line 1: records 1 to 2 were removed before this line"
        );
    }

    #[test]
    fn torn_and_endless_lines_are_named() {
        let (text, ends) = chain(3);
        let report = verified(&[("a.jsonl", &text[..ends[2] - 1])]);
        let why = "it has no end: it was cut off";
        assert_eq!(report.findings[0].fault, Fault::NotARecord { record: 3, why });

        let endless = [&text[..ends[0]], &[b'x'; 3 * LINE_MAX], b"\n", &text[ends[1]..]].concat();
        let report = verified(&[("a.jsonl", &endless)]);
        let why = "it is too long for a record";
        assert_eq!(report.findings.len(), 1);
        assert_eq!(report.findings[0].fault, Fault::NotARecord { record: 2, why });
        assert_eq!((report.lines, report.head.seq), (3, 3));
    }

    #[test]
    fn the_longest_record_is_read() {
        let mut text = Vec::new();
        let event = format!("{{\"at\":1,\"x\":\"{}\"}}", "x".repeat(crate::store::EVENT_MAX - 15));
        assert_eq!(event.len(), crate::store::EVENT_MAX);
        Head {
            seq: u64::MAX - 1,
            hash: [0; 32],
        }
        .append(event.as_bytes(), &mut text);
        assert!(text.len() <= LINE_MAX);
    }

    #[test]
    fn what_is_not_a_plain_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a.jsonl")).unwrap();
        assert!(segment_files(dir.path()).is_err());
    }
}
