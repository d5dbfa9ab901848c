//! The audit trail as it went on after a backup, from segment files that survived.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::Error;
use super::files::failed;
use super::verify::next_line;
use crate::audit::{Head, segment_files};
use crate::store::AuditLine;
use crate::store::chain::seq_of;

/// Segment files (`*.jsonl`) of the same trail.
#[derive(Debug)]
pub struct Later {
    dir: PathBuf,
    files: Vec<PathBuf>,
}

impl Later {
    /// Those in a directory.
    ///
    /// # Errors
    /// It cannot be read, or has none.
    pub fn find(dir: &Path) -> Result<Self, Error> {
        let files = segment_files(dir).map_err(failed("cannot read", dir))?;
        if files.is_empty() {
            return Err(Error::InTheWay(format!(
                "there are no segment files (*.jsonl) in {}: name the directory `audit` of the state directory that was lost, \
                 or a copy of it; nothing was changed",
                dir.display()
            )));
        }
        Ok(Self {
            dir: dir.to_owned(),
            files,
        })
    }

    /// Hands on the lines after `head`, in order. Lines before it are passed over, its own must be just that one. A last
    /// line without an end is the remains of a write that was cut.
    ///
    /// # Errors
    /// They are not the rest of this trail, or some are missing.
    pub(super) fn lines(&self, head: Head, mut take: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let mut head = head;
        for path in &self.files {
            let mut from = BufReader::new(File::open(path).map_err(failed("cannot read", path))?);
            loop {
                let line = match next_line(&mut from) {
                    Ok(Some(line)) => line,
                    Ok(None) => break,
                    Err(e) if e.kind() == io::ErrorKind::InvalidData && Some(path) == self.files.last() => break,
                    Err(e) => return Err(failed("cannot read", path)(e)),
                };
                let Some(seq) = seq_of(&line) else {
                    return Err(self.not_the_rest(&format!("{} has a line that is no record", path.display())));
                };
                if seq < head.seq {
                    continue;
                }
                if seq == head.seq {
                    if Head::after(&AuditLine { seq, line }) != head {
                        return Err(self.not_the_rest(&format!("record {seq} is another than the backup's")));
                    }
                    continue;
                }
                let next = head.seq.saturating_add(1);
                head.follow(&line)
                    .map_err(|_| self.not_the_rest(&format!("record {next} is missing, or what follows is changed")))?;
                take(&line)?;
            }
        }
        Ok(())
    }

    fn not_the_rest(&self, what: &str) -> Error {
        Error::InTheWay(format!(
            "the audit trail in {} does not go on where the backup's ends: {what}; nothing was changed",
            self.dir.display()
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn trail(count: usize) -> (Vec<Vec<u8>>, Vec<Head>) {
        let (mut head, mut lines, mut heads) = (Head::START, Vec::new(), vec![Head::START]);
        for n in 0..count {
            let mut line = Vec::new();
            head.append(format!("{{\"n\":{n}}}").as_bytes(), &mut line);
            lines.push(line);
            heads.push(head);
        }
        (lines, heads)
    }

    fn later(files: &[&[Vec<u8>]], after: Head) -> Result<usize, Error> {
        let dir = tempfile::tempdir().unwrap();
        for (n, lines) in files.iter().enumerate() {
            let text: Vec<u8> = lines
                .iter()
                .flat_map(|line| [line, b"\n".as_slice()].concat())
                .collect();
            fs::write(dir.path().join(format!("{n}.jsonl")), text).unwrap();
        }
        let mut count = 0;
        Later::find(dir.path())?.lines(after, |_| {
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }

    #[test]
    fn what_comes_after_the_head_is_handed_on_and_nothing_else() {
        let (lines, heads) = trail(9);
        let (first, second) = lines.split_at(4);
        assert_eq!(later(&[first, second], heads[0]), Ok(9));
        assert_eq!(later(&[first, second], heads[2]), Ok(7));
        assert_eq!(later(&[second], heads[4]), Ok(5));
        assert_eq!(later(&[first], heads[4]), Ok(0));
        // files that overlap
        assert_eq!(later(&[first, &lines[2..]], heads[1]), Ok(8));
    }

    #[test]
    fn another_trail_and_a_gap_are_refused() {
        let (lines, heads) = trail(9);
        assert!(
            matches!(later(&[&lines[5..]], heads[3]), Err(Error::InTheWay(_))),
            "a gap"
        );
        assert!(matches!(
            later(&[&lines[..3], &lines[4..]], heads[1]),
            Err(Error::InTheWay(_))
        ));
        let other = Head {
            hash: [1; 32],
            ..heads[4]
        };
        assert!(matches!(later(&[&lines], other), Err(Error::InTheWay(_))));
        assert!(matches!(later(&[], heads[0]), Err(Error::InTheWay(_))));
    }
}
