use std::collections::BTreeMap;
use std::fs;
use std::ops::Bound;
use std::path::Path;

use ring::signature::{Ed25519KeyPair, KeyPair};

use super::*;
use crate::hsm::{PublicKey, signed_form};
use crate::store::memory::MemoryStore;
use crate::store::{Commit, Key, Part, SCAN_MAX, Versioned, Write};
use crate::transfer::{Backup, Writing};
use crate::vault::idle::Idle;

type State = BTreeMap<Key, Versioned>;

/// A vault whose store changes, and the directory of its backup.
struct Place {
    source: Source,
    dir: tempfile::TempDir,
    /// What is random in a test: always the same.
    random: u64,
}

/// What one run came to.
struct Run {
    /// It was not cut.
    manifest: Option<Manifest>,
    kept: u64,
    bytes: u64,
    changed: Vec<FileName>,
}

fn key(n: u64) -> Key {
    // as tokens are: anywhere
    Key([&[0x10], n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().as_slice()].concat())
}

impl Place {
    async fn new() -> Self {
        let idle = Idle::start().await;
        Self {
            source: Source {
                vault: VaultId::parse("vault_1").unwrap(),
                store: Arc::new(MemoryStore::new()),
                keys: idle.keys,
                keyring: PathBuf::from("/nonexistent/keyring.json"),
            },
            dir: tempfile::tempdir().unwrap(),
            random: 1,
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    async fn put(&self, n: u64, value: &[u8]) {
        self.commit(Write::Put(key(n), value.to_vec())).await;
    }

    async fn commit(&self, write: Write) {
        let commit = Commit {
            writes: vec![write],
            event: Some(format!("{{\"note\":\"{}\"}}", "x".repeat(40)).into_bytes()),
            ..Commit::default()
        };
        self.source.store.commit(commit).await.unwrap();
    }

    async fn fill(&self, count: u64) {
        for n in 0..count {
            self.put(n, &[7; 300]).await;
        }
    }

    /// Backs up, until so many pieces were taken.
    async fn run(&self, cut: usize) -> Run {
        let mut writing = Writing::begin(self.path()).unwrap();
        let (kept, source) = (writing.offer().clone(), &self.source);
        let changed = writing.changed().to_vec();
        let (to, mut from) = mpsc::channel(2);
        let send = async {
            let mut out = Outgoing::new(to);
            source.begin(&mut out, b"keys".to_vec()).await?;
            let mark = source.files(&kept, &mut out).await?;
            let (files, to) = out.end();
            let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
            let x = data_encoding::BASE64URL_NOPAD.encode(pair.public_key().as_ref());
            let draft = Draft::new(&source.vault, &mark, files, &PublicKey::Ed25519 { x }).unwrap();
            let signature = pair.sign(&signed_form(Draft::DOMAIN, &draft.signed_bytes()));
            let text = draft.signed(signature.as_ref());
            Outgoing::new(to).send(Piece::Manifest(text)).await
        };
        let write = async move {
            let (mut manifest, mut taken) = (None, 0);
            while let Some(piece) = from.recv().await {
                if taken == cut {
                    break;
                }
                taken += 1;
                manifest = writing.take(piece).unwrap();
            }
            drop(from);
            Run {
                manifest,
                kept: writing.kept(),
                bytes: writing.bytes(),
                changed,
            }
        };
        let (sent, run) = tokio::join!(send, write);
        // the last pieces may have been on their way
        assert!(sent.is_ok() || run.manifest.is_none(), "{sent:?}");
        run
    }

    /// What the backup restores to is what the store has.
    async fn same(&self) {
        let backup = Backup::open(self.path(), None).unwrap();
        let mut state = State::new();
        backup
            .entries(|changes| {
                for Change { key, now } in changes.iter().cloned() {
                    match now {
                        Some(now) => state.insert(key, now),
                        None => state.remove(&key),
                    };
                }
                Ok(())
            })
            .unwrap();
        let all = self
            .source
            .store
            .scan(Part::default(), Bound::Unbounded, Bound::Unbounded, SCAN_MAX);
        assert!(all.await.unwrap().items.into_iter().collect::<State>() == state);
        let mut head = Head::START;
        backup
            .lines(|line| head.follow(line).map_err(|e| Error::Damaged(e.to_string())))
            .unwrap();
        assert_eq!(head, backup.manifest().mark().head);
        assert_eq!(head.seq, self.source.store.health().audit_seq);
        for name in ["BACKUP-UNFINISHED", "manifest.json.new", "store/00000001.entries.new"] {
            assert!(!self.path().join(name).exists(), "{name}");
        }
    }

    /// All files under the directory.
    fn files(&self) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for below in ["", "store", "changes", "audit"] {
            let Ok(entries) = fs::read_dir(self.path().join(below)) else {
                continue;
            };
            for entry in entries {
                let path = entry.unwrap().path();
                if path.is_file() {
                    found.insert(path.clone(), fs::read(&path).unwrap());
                }
            }
        }
        found
    }
}

#[tokio::test]
async fn what_is_there_is_not_sent_again() {
    let place = Place::new().await;
    place.fill(3000).await;
    // all but the manifest
    let mut cut = 0;
    while place.run(cut).await.manifest.is_none() {
        fs::remove_dir_all(place.path()).unwrap();
        cut += 1;
    }
    fs::remove_dir_all(place.path()).unwrap();
    place.run(cut - 1).await;
    place.put(5000, b"new").await;
    place.put(7, b"changed").await;
    place.commit(Write::Del(key(9))).await;
    let run = place.run(usize::MAX).await;
    assert!(run.manifest.is_some() && run.changed.is_empty());
    assert!(
        run.kept * 10 > run.bytes * 8 && run.kept < run.bytes,
        "{} of {} kept",
        run.kept,
        run.bytes
    );
    place.same().await;
}

#[tokio::test]
async fn a_backup_goes_on_wherever_it_was_cut_and_whatever_became_of_it() {
    let mut place = Place::new().await;
    place.fill(2000).await;
    let mut kept = 0;
    for round in 0..40 {
        let _ = fs::remove_dir_all(place.path());
        for _ in 0..=place.random(3) {
            let cut = usize::try_from(place.random(60)).unwrap();
            if place.run(cut).await.manifest.is_some() {
                break;
            }
            for _ in 0..place.random(20) {
                let n = place.random(3000);
                match place.random(3) {
                    0 => place.commit(Write::Del(key(n))).await,
                    _ => place.put(n, &[u8::try_from(n % 251).unwrap(); 250]).await,
                }
            }
            // the whole beginning of the order goes
            if round % 7 == 0 {
                for n in 0..300 {
                    place.commit(Write::Del(key(n))).await;
                }
            }
            damage(&mut place);
        }
        if !place.path().join("manifest.json").exists() {
            kept += place.run(usize::MAX).await.kept;
            place.same().await;
        }
    }
    assert!(kept > 0);
}

/// A file is changed, cut, longer or gone, or none is.
fn damage(place: &mut Place) {
    let files: Vec<_> = place.files().into_keys().collect();
    let at = usize::try_from(place.random(u64::try_from(files.len().max(1)).unwrap())).unwrap();
    let Some(path) = files.get(at).filter(|path| path.extension().is_some()) else {
        return;
    };
    let mut bytes = fs::read(path).unwrap();
    let at = usize::try_from(place.random(u64::try_from(bytes.len().max(1)).unwrap())).unwrap();
    match place.random(6) {
        0 if !bytes.is_empty() => bytes[at] ^= 1,
        1 => bytes.truncate(at),
        2 => bytes.extend([0; 500]),
        3 => return fs::remove_file(path).unwrap(),
        _ => return,
    }
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_piece_that_was_changed_is_named_and_copied_again() {
    let place = Place::new().await;
    place.fill(2000).await;
    let mut cut = 0;
    while place.run(cut).await.manifest.is_none() {
        fs::remove_dir_all(place.path()).unwrap();
        cut += 1;
    }
    for (name, at) in [
        (FileName::Entries(1), 1),
        (FileName::Entries(1), 100_000),
        (FileName::Audit(1), 50_000),
    ] {
        fs::remove_dir_all(place.path()).unwrap();
        place.run(cut - 1).await;
        let path = place.path().join(name.to_string());
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let run = place.run(usize::MAX).await;
        // the last file was not on record as whole yet: just what does not fit in it is copied again
        let whole = matches!(name, FileName::Entries(_));
        assert_eq!(run.changed, if whole { vec![name] } else { vec![] });
        assert!(run.kept > 0, "the rest is kept");
        place.same().await;
    }
}

#[tokio::test]
async fn a_backup_of_another_vault_is_not_gone_on_with() {
    let mut place = Place::new().await;
    place.fill(500).await;
    place.run(5).await;
    let before = place.files();
    place.source.vault = VaultId::parse("vault_2").unwrap();
    let writing = Writing::begin(place.path()).unwrap();
    let refused = place.source.admit(writing.offer()).unwrap_err().to_string();
    assert!(
        refused.contains("vault_1") && refused.contains("nothing was changed"),
        "{refused}"
    );
    drop(writing);
    // and where the maker did not look
    let mut writing = Writing::begin(place.path()).unwrap();
    let refused = writing.take(Piece::Of(place.source.vault.clone())).unwrap_err();
    assert!(refused.to_string().contains("another vault"), "{refused}");
    assert!(place.files() == before);
}
