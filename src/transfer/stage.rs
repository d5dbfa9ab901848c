//! Where a restoration is built, and how it gets its place. It is built beside its place and proved there, so that one that
//! is cut leaves nothing that a daemon would serve; the keyring, without which none starts, comes last.
//!
//! `restoring/PROVED` names the backup from the moment on where parts get their places: a restoration that is cut after it
//! only has the rest to put in place.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::Flock;

use super::Error;
use super::files::{failed, is_free, lock, make_dir, new_file, remove, sync_dir, sync_tree};
use crate::store;

/// The directory in the state directory where it is built.
const STAGE: &str = "restoring";
/// The name of the mark.
const PROVED: &str = "PROVED";

/// Where a vault's state goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// What the rest is in.
    pub state_dir: PathBuf,
    /// The store.
    pub store: store::Config,
    /// The keyring's file.
    pub keyring: PathBuf,
    /// What stands there already and may: the keyring that is restored.
    pub keyring_there: Option<Vec<u8>>,
    /// A file that says that the store was made once, and its text.
    pub made: (PathBuf, String),
}

/// A restoration under way.
pub(super) struct Stage {
    dir: PathBuf,
    target: Target,
    _lock: Flock<File>,
}

/// How far a restoration is.
pub(super) enum Begun {
    /// At its beginning.
    Anew(Stage),
    /// The one before was cut when it got its place: nothing is left but that.
    Proved(Stage),
}

impl Stage {
    /// Begins, or takes up one that was cut.
    ///
    /// # Errors
    /// There is a vault's state, or another backup is being put there; nothing was changed.
    pub(super) fn begin(target: &Target, digest: &str) -> Result<Begun, Error> {
        make_dir(&target.state_dir)?;
        let stage = Self {
            dir: target.state_dir.join(STAGE),
            target: target.clone(),
            _lock: lock(&target.state_dir)?,
        };
        match stage.proved()? {
            Some(before) if before == digest => return Ok(Begun::Proved(stage)),
            Some(_) => {
                return Err(Error::InTheWay(format!(
                    "another backup is half put in place in {}: run `restore` with that one again, or move all of the \
                     directory away",
                    target.state_dir.display()
                )));
            }
            None => {}
        }
        for place in stage.places() {
            if !is_free(&place)? && !stage.may_stand(&place)? {
                return Err(Error::InTheWay(format!(
                    "{} is there: nothing is restored over a vault's state, and nothing was changed; stop the daemon, \
                     move {} away and make it again, empty",
                    place.display(),
                    target.state_dir.display()
                )));
            }
        }
        // of a run that was cut before it had proved anything
        remove(&stage.dir)?;
        make_dir(&stage.dir)?;
        Ok(Begun::Anew(stage))
    }

    /// How the store is opened while it is here.
    pub(super) fn store(&self) -> store::Config {
        store::Config {
            dir: self.dir.join("store"),
            audit_dir: Some(self.dir.join("audit")),
            create: false,
            ..self.target.store.clone()
        }
    }

    /// Adds the keyring.
    pub(super) fn keyring(&self, text: &[u8]) -> Result<(), Error> {
        self.write("keyring", text)
    }

    /// Says that all is here and is what it must be.
    pub(super) fn prove(&self, digest: &str) -> Result<(), Error> {
        self.write("made", self.target.made.1.as_bytes())?;
        sync_tree(&self.dir)?;
        self.write("proof", digest.as_bytes())?;
        let (from, to) = (self.dir.join("proof"), self.dir.join(PROVED));
        fs::rename(&from, &to).map_err(failed("cannot write", &to))?;
        sync_dir(&self.dir)
    }

    /// Puts everything in its place that is not there yet.
    pub(super) fn place(self) -> Result<(), Error> {
        for (name, place) in ["store", "audit", "made", "keyring"].into_iter().zip(self.places()) {
            let from = self.dir.join(name);
            if !from.exists() {
                continue;
            }
            if !is_free(&place)? && !self.may_stand(&place)? {
                return Err(Error::InTheWay(format!(
                    "{} came to be while a backup was put in place: move {} away and restore again",
                    place.display(),
                    self.target.state_dir.display()
                )));
            }
            if let Some(above) = place.parent() {
                make_dir(above)?;
            }
            fs::rename(&from, &place).map_err(failed("cannot put in place", &place))?;
            place.parent().map_or(Ok(()), sync_dir)?;
            sync_dir(&self.dir)?;
        }
        self.drop_it()
    }

    /// Removes what was built.
    pub(super) fn drop_it(self) -> Result<(), Error> {
        // out of its place first: without its mark a part of it is of no use
        remove(&self.dir.join(PROVED))?;
        remove(&self.dir)?;
        sync_dir(&self.target.state_dir)
    }

    /// Store, audit trail, mark, keyring: in this order they get there.
    fn places(&self) -> [PathBuf; 4] {
        let store = self.target.store.dir.clone();
        let audit = self.target.store.audit_dir.clone();
        [
            store.clone(),
            audit.unwrap_or_else(|| store.join("audit")),
            self.target.made.0.clone(),
            self.target.keyring.clone(),
        ]
    }

    /// Whether it is the keyring that comes there anyhow.
    fn may_stand(&self, place: &Path) -> Result<bool, Error> {
        match &self.target.keyring_there {
            Some(text) if place == self.target.keyring => {
                let there = fs::read(place).map_err(failed("cannot read", place))?;
                Ok(there == *text)
            }
            _ => Ok(false),
        }
    }

    fn proved(&self) -> Result<Option<String>, Error> {
        let path = self.dir.join(PROVED);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("cannot read", &path)(error)),
        };
        let mut text = String::new();
        let read = file.take(1024).read_to_string(&mut text);
        read.map_err(failed("cannot read", &path))?;
        Ok(Some(text))
    }

    fn write(&self, name: &str, text: &[u8]) -> Result<(), Error> {
        let path = self.dir.join(name);
        remove(&path)?;
        let mut file = new_file(&path)?;
        let written = file.write_all(text).and_then(|()| file.sync_all());
        written.map_err(failed("cannot write", &path))?;
        sync_dir(&self.dir)
    }
}

/// Whether a restoration was cut there, so that nothing may be made there but by another.
pub fn is_half_restored(state_dir: &Path) -> bool {
    state_dir.join(STAGE).join(PROVED).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(dir: &Path) -> Target {
        let mut store = store::Config::new(dir.join("store"));
        store.audit_dir = Some(dir.join("audit"));
        Target {
            state_dir: dir.to_owned(),
            store,
            keyring: dir.join("keyring.json"),
            keyring_there: None,
            made: (dir.join("store-made"), "made\n".to_owned()),
        }
    }

    fn anew(target: &Target) -> Stage {
        match Stage::begin(target, "one").unwrap() {
            Begun::Anew(stage) => stage,
            Begun::Proved(_) => panic!("nothing was proved"),
        }
    }

    fn fill(stage: &Stage) {
        for name in ["store", "audit"] {
            make_dir(&stage.dir.join(name)).unwrap();
            fs::write(stage.dir.join(name).join("file"), name).unwrap();
        }
        stage.keyring(b"keys").unwrap();
        stage.prove("one").unwrap();
    }

    #[test]
    fn a_stage_is_taken_up_wherever_its_placing_was_cut() {
        for done in 0..=4 {
            let temp = tempfile::tempdir().unwrap();
            let target = target(temp.path());
            let stage = anew(&target);
            fill(&stage);
            for (name, place) in ["store", "audit", "made", "keyring"]
                .into_iter()
                .zip(stage.places())
                .take(done)
            {
                fs::rename(stage.dir.join(name), place).unwrap();
            }
            drop(stage);
            assert!(is_half_restored(temp.path()));
            assert!(
                matches!(Stage::begin(&target, "two"), Err(Error::InTheWay(_))),
                "{done}"
            );
            let Begun::Proved(stage) = Stage::begin(&target, "one").unwrap() else {
                panic!("it was proved");
            };
            stage.place().unwrap();
            assert_eq!(fs::read(temp.path().join("keyring.json")).unwrap(), b"keys", "{done}");
            assert_eq!(fs::read(temp.path().join("audit/file")).unwrap(), b"audit");
            assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 4);
        }
    }

    #[test]
    fn what_was_not_proved_is_made_anew_and_live_state_stays() {
        let temp = tempfile::tempdir().unwrap();
        let target = target(temp.path());
        fs::write(anew(&target).dir.join("half"), "").unwrap();
        let stage = anew(&target);
        assert!(!stage.dir.join("half").exists());
        assert!(Stage::begin(&target, "one").is_err(), "one at a time");
        drop(stage);
        for name in ["keyring.json", "store-made", "store"] {
            fs::write(temp.path().join(name), "live").unwrap();
            let Err(Error::InTheWay(text)) = Stage::begin(&target, "one") else {
                panic!("{name} is in the way");
            };
            assert!(text.contains(name) && text.contains("move"), "{text}");
            assert_eq!(fs::read(temp.path().join(name)).unwrap(), b"live");
            fs::remove_file(temp.path().join(name)).unwrap();
        }
    }
}
