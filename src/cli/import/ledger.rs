//! What became of each record, and how far an import is: a directory with `tokens.jsonl`, `refused.jsonl` and `progress.json`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use data_encoding::HEXLOWER;
use ring::digest::{Context as Digest, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::source::Item;
use crate::id::fill_random;

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) records: u64,
    pub(super) tokens: u64,
    pub(super) refused: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    version: u32,
    /// Names the import in idempotency keys.
    import: String,
    /// SHA-256 of the file with the cards, hex.
    file: String,
    counts: Counts,
    /// Bytes of the two lists that count; what stands behind was written by a batch that was not noted down.
    tokens_bytes: u64,
    refused_bytes: u64,
}

/// An import's directory.
pub(super) struct Ledger {
    dir: PathBuf,
    progress: Progress,
    tokens: File,
    refused: File,
}

impl Ledger {
    /// Begins, or goes on. A directory of another file's import is refused.
    pub(super) fn open(dir: &Path, file: &Path) -> anyhow::Result<Self> {
        let digest = digest(file)?;
        if !dir.exists() {
            DirBuilder::new()
                .mode(0o700)
                .create(dir)
                .with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let path = dir.join("progress.json");
        let progress = match fs::read(&path) {
            Ok(bytes) => {
                let held: Progress = serde_json::from_slice(&bytes)
                    .with_context(|| format!("{} is not an import's progress", path.display()))?;
                anyhow::ensure!(held.version == 1, "{} was written by a newer version", path.display());
                anyhow::ensure!(
                    held.file == digest,
                    "{} is the directory of another file's import, or that file has changed: name another --out",
                    dir.display()
                );
                held
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                anyhow::ensure!(
                    fs::read_dir(dir)?.next().is_none(),
                    "{} holds something else: name an empty or a new directory",
                    dir.display()
                );
                let mut raw = [0; 16];
                fill_random(&mut raw)?;
                Progress {
                    version: 1,
                    import: HEXLOWER.encode(&raw),
                    file: digest,
                    counts: Counts::default(),
                    tokens_bytes: 0,
                    refused_bytes: 0,
                }
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let list = |name: &str, length: u64| -> anyhow::Result<File> {
            let path = dir.join(name);
            let mut file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .with_context(|| format!("cannot write {}", path.display()))?;
            anyhow::ensure!(
                file.metadata()?.len() >= length,
                "{} has become shorter",
                path.display()
            );
            file.set_len(length)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let ledger = Self {
            tokens: list("tokens.jsonl", progress.tokens_bytes)?,
            refused: list("refused.jsonl", progress.refused_bytes)?,
            dir: dir.to_owned(),
            progress,
        };
        ledger.save()?;
        Ok(ledger)
    }

    /// Records of the file that are done with.
    pub(super) fn records(&self) -> u64 {
        self.progress.counts.records
    }

    pub(super) fn counts(&self) -> Counts {
        self.progress.counts
    }

    /// The idempotency key of a batch: the same whenever it is sent.
    pub(super) fn key_of(&self, items: &[(u64, Item)]) -> String {
        let first = items.first().map_or(0, |(number, _)| *number);
        format!("import-{}-{first}", self.progress.import)
    }

    /// Notes down what became of the records up to `last`, durably.
    pub(super) fn note(
        &mut self,
        items: &[(u64, Item)],
        answers: &[Value],
        unsent: &[(u64, String)],
        last: u64,
    ) -> anyhow::Result<()> {
        let mut refused: Vec<(u64, Value)> = unsent
            .iter()
            .map(|(number, fault)| (*number, json!({"record": number, "fault": fault})))
            .collect();
        let mut tokens = Vec::new();
        for ((number, item), answer) in items.iter().zip(answers) {
            match answer.pointer("/result/token").and_then(Value::as_str) {
                Some(token) => {
                    self.progress.counts.tokens += 1;
                    line(
                        &mut tokens,
                        &json!({"record": number, "ref": item.reference, "token": token}),
                    )?;
                }
                None => {
                    let at = |name: &str| answer.pointer(&format!("/problem/{name}")).cloned().unwrap_or_default();
                    let told =
                        json!({"record": number, "ref": item.reference, "code": at("code"), "fault": at("detail")});
                    refused.push((*number, told));
                }
            }
        }
        refused.sort_by_key(|(number, _)| *number);
        let mut others = Vec::new();
        for (_, told) in &refused {
            self.progress.counts.refused += 1;
            line(&mut others, told)?;
        }
        for (file, bytes, length) in [
            (&mut self.tokens, &tokens, &mut self.progress.tokens_bytes),
            (&mut self.refused, &others, &mut self.progress.refused_bytes),
        ] {
            file.write_all(bytes)?;
            file.sync_data()?;
            *length += u64::try_from(bytes.len())?;
        }
        self.progress.counts.records = last;
        self.save()
    }

    fn save(&self) -> anyhow::Result<()> {
        let (path, new) = (self.dir.join("progress.json"), self.dir.join("progress.json.new"));
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(&self.progress)?)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        Ok(File::open(&self.dir)?.sync_all()?)
    }
}

fn line(to: &mut Vec<u8>, value: &Value) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *to, value)?;
    to.push(b'\n');
    Ok(())
}

fn digest(path: &Path) -> anyhow::Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut digest = Digest::new(&SHA256);
    let mut buffer = zeroize::Zeroizing::new(vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(HEXLOWER.encode(digest.finish().as_ref())),
            read => digest.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}
