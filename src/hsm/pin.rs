//! The user PIN: read late, kept short, and never tried again once the token refused it.

use std::fs;
use std::io::{Read, Write};
use std::num::NonZeroU32;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use ring::pbkdf2;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::PinSource;
use super::keeper::{receive_pin, take_stdout};
use crate::id::fill_random;

/// The longest PIN file read.
const LONGEST: u64 = 1024;
/// Refused PINs remembered; the oldest give way.
const REMEMBERED: usize = 32;
/// PBKDF2 rounds, some 80 ms. Only paid while a refused PIN is remembered. What they protect is a PIN that is wrong.
const ROUNDS: u32 = 200_000;

/// What a command says that would log in by itself.
pub(crate) const NO_PIN: &str = "no PIN is stored (hsm.unseal = \"ceremony\"): ask the daemon that serves, or, while none \
                                 does, name a file with --pin-file";

/// Where a process takes the PIN from.
pub(super) enum PinFrom {
    /// Where the configuration says.
    Configured,
    /// The keeper, at the other end.
    Keeper(UnixStream),
}

impl PinFrom {
    /// For a worker: with a keeper its stdout is the descriptor of which it reads. To be called before the module is loaded.
    pub(super) fn inherited(source: &PinSource) -> std::io::Result<Self> {
        Ok(match source {
            PinSource::Keeper => Self::Keeper(take_stdout()?.into()),
            PinSource::Credential(_) | PinSource::File(_) => Self::Configured,
        })
    }

    /// Reads the PIN.
    ///
    /// # Errors
    /// For operators; never with any of the PIN.
    pub(super) fn read(self, source: &PinSource) -> Result<SecretString, String> {
        match self {
            Self::Configured => read(source),
            Self::Keeper(keeper) => match receive_pin(&keeper) {
                Ok(Some(pin)) => Ok(pin),
                Ok(None) => Err("the vault is sealed".to_owned()),
                Err(error) => Err(format!("the pin keeper gave no PIN: {error}")),
            },
        }
    }
}

/// Reads the PIN.
///
/// # Errors
/// For operators; never with any of the file's contents.
pub(crate) fn read(source: &PinSource) -> Result<SecretString, String> {
    let (path, others) = match source {
        PinSource::File(path) => (path.clone(), 0o077),
        PinSource::Keeper => {
            return Err(NO_PIN.to_owned());
        }
        PinSource::Credential(name) => {
            // A credential is a plain name, so that it cannot lead out of the directory.
            if name.is_empty() || name.contains('/') || name == "." || name == ".." {
                return Err("the credential's name must be a plain file name".to_owned());
            }
            let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
                return Err(format!(
                    "the PIN is the credential '{name}', but $CREDENTIALS_DIRECTORY is not set: was this started by \
                     systemd with LoadCredential?"
                ));
            };
            // systemd grants the service's user by an ACL, whose mask shows as the group's bits.
            (PathBuf::from(directory).join(name), 0o007)
        }
    };
    read_file(&path, others).map_err(|e| format!("PIN file {}: {e}", path.display()))
}

/// `others`: the mode bits that must not be set.
fn read_file(path: &Path, others: u32) -> Result<SecretString, String> {
    let file = fs::File::open(path).map_err(|e| e.to_string())?;
    let about = file.metadata().map_err(|e| e.to_string())?;
    if !about.is_file() {
        return Err("is not a file".to_owned());
    }
    if about.mode() & others != 0 {
        return Err(format!(
            "its mode {:o} lets others than its owner at it: set 0400 or 0600",
            about.mode() & 0o777
        ));
    }
    let mut text = Zeroizing::new(String::with_capacity(2048));
    file.take(LONGEST + 1)
        .read_to_string(&mut text)
        .map_err(|e| e.to_string())?;
    if text.len() > usize::try_from(LONGEST).unwrap_or(usize::MAX) {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    let pin = text.strip_suffix('\n').unwrap_or(&text);
    if pin.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(SecretString::from(pin))
}

/// What is kept of refused PINs: slow salted hashes, because a refused PIN may be close to the right one.
#[derive(Serialize, Deserialize)]
struct Remembered {
    salt: String,
    refused: Vec<String>,
}

/// The memory of refused PINs, a file in the state directory. It outlives restarts, because each try counts towards
/// the token's lock.
pub(crate) struct RefusedPins {
    path: PathBuf,
}

impl RefusedPins {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self {
            path: state_dir.join("refused-pins.json"),
        }
    }

    /// Whether the token with this serial number refused this PIN before.
    ///
    /// # Errors
    /// The memory cannot be read: then nothing may be tried.
    pub(crate) fn contains(&self, serial: &str, pin: &SecretString) -> Result<bool, String> {
        let Some(memory) = self.load()? else { return Ok(false) };
        let hash = hash(&memory.salt, serial, pin);
        Ok(memory.refused.contains(&hash))
    }

    /// Remembers, durably.
    pub(crate) fn remember(&self, serial: &str, pin: &SecretString) -> Result<(), String> {
        let mut memory = match self.load()? {
            Some(memory) => memory,
            None => {
                let mut salt = [0u8; 16];
                fill_random(&mut salt).map_err(|e| e.to_string())?;
                Remembered {
                    salt: data_encoding::HEXLOWER.encode(&salt),
                    refused: Vec::new(),
                }
            }
        };
        memory.refused.push(hash(&memory.salt, serial, pin));
        let excess = memory.refused.len().saturating_sub(REMEMBERED);
        memory.refused.drain(..excess);
        let text = serde_json::to_vec(&memory).map_err(|e| e.to_string())?;
        self.write(&text).map_err(|e| format!("{}: {e}", self.path.display()))
    }

    /// Forgets: the token took a PIN.
    pub(crate) fn forget(&self) {
        // If it stays, a PIN that is right again after being wrong is refused with a text that names the file.
        let _ = fs::remove_file(&self.path);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn load(&self) -> Result<Option<Remembered>, String> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(format!("{}: {e}", self.path.display())),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|e| format!("{} is damaged: {e}", self.path.display()))
    }

    fn write(&self, text: &[u8]) -> std::io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        fs::File::open(directory)?.sync_all()
    }
}

fn hash(salt: &str, serial: &str, pin: &SecretString) -> String {
    let salt = format!("panvault refused PIN v1\0{salt}\0{serial}");
    let mut out = [0u8; 32];
    let rounds = NonZeroU32::new(ROUNDS).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        salt.as_bytes(),
        pin.expose_secret().as_bytes(),
        &mut out,
    );
    data_encoding::HEXLOWER.encode(&out)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn pin_file(directory: &Path, text: &str, mode: u32) -> PathBuf {
        let path = directory.join("pin");
        let _ = fs::remove_file(&path);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn one_trailing_newline_is_not_part_of_the_pin() {
        let directory = tempfile::tempdir().unwrap();
        for (text, pin) in [
            ("1234", "1234"),
            ("1234\n", "1234"),
            ("1234\n\n", "1234\n"),
            (" 12 ", " 12 "),
        ] {
            let path = pin_file(directory.path(), text, 0o400);
            assert_eq!(read(&PinSource::File(path)).unwrap().expose_secret(), pin);
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_and_not_echoed() {
        let directory = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o620] {
            let path = pin_file(directory.path(), "87654321", mode);
            let fault = read(&PinSource::File(path)).unwrap_err();
            assert!(fault.contains("0600") && !fault.contains("87654321"), "{fault}");
        }
    }

    #[test]
    fn empty_long_and_missing_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["", "\n"] {
            let path = pin_file(directory.path(), text, 0o600);
            assert!(read(&PinSource::File(path)).unwrap_err().contains("is empty"));
        }
        let path = pin_file(directory.path(), &"1".repeat(1025), 0o600);
        assert!(read(&PinSource::File(path)).unwrap_err().contains("is longer"));
        assert!(read(&PinSource::File(directory.path().join("none"))).is_err());
        assert!(
            read(&PinSource::Credential("../pin".to_owned()))
                .unwrap_err()
                .contains("plain file name")
        );
    }

    #[test]
    fn a_refused_pin_is_known_again_and_another_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let refused = RefusedPins::new(directory.path());
        let (one, two) = (SecretString::from("1111"), SecretString::from("2222"));
        assert!(!refused.contains("S1", &one).unwrap());
        refused.remember("S1", &one).unwrap();
        // Another handle, as after a restart.
        let refused = RefusedPins::new(directory.path());
        assert!(refused.contains("S1", &one).unwrap());
        assert!(!refused.contains("S1", &two).unwrap());
        assert!(!refused.contains("S2", &one).unwrap());
        let text = fs::read_to_string(refused.path()).unwrap();
        assert!(!text.contains("1111"));
        assert_eq!(fs::metadata(refused.path()).unwrap().mode() & 0o777, 0o600);
        refused.forget();
        assert!(!refused.contains("S1", &one).unwrap());
    }

    #[test]
    fn a_damaged_memory_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let refused = RefusedPins::new(directory.path());
        fs::write(refused.path(), "{").unwrap();
        assert!(
            refused
                .contains("S1", &SecretString::from("1"))
                .unwrap_err()
                .contains("damaged")
        );
    }
}
