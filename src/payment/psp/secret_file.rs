//! The key of an account at a provider: read once, from a file that nobody else can read.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// The key: 8 to 255 visible characters of ASCII.
pub(super) struct ApiKey(SecretString);

impl ApiKey {
    /// Reads it. One newline at the end is not part of it.
    ///
    /// # Errors
    /// For operators; never with any of the file's contents.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        // systemd grants the service's user by an ACL, whose mask shows as the group's bits
        let others = match std::env::var_os("CREDENTIALS_DIRECTORY") {
            Some(directory) if path.starts_with(&directory) => 0o007,
            Some(_) | None => 0o077,
        };
        let file = fs::File::open(path).map_err(|error| error.to_string())?;
        let about = file.metadata().map_err(|error| error.to_string())?;
        if !about.is_file() {
            return Err("is not a file".to_owned());
        }
        if about.mode() & others != 0 {
            return Err(format!(
                "its mode {:o} lets others than its owner at it: set 0400 or 0600",
                about.mode() & 0o777
            ));
        }
        // room for all of it at once: a string that grows leaves its old bytes behind
        let mut text = Zeroizing::new(String::with_capacity(1024));
        file.take(READ_MAX)
            .read_to_string(&mut text)
            .map_err(|_| "cannot be read as text".to_owned())?;
        let key = text.strip_suffix('\n').unwrap_or(&text);
        let good = (8..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        if !good {
            return Err("does not hold one key: 8 to 255 visible characters".to_owned());
        }
        Ok(Self(SecretString::from(key)))
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Characters of a key.
const LONGEST_KEY: usize = 255;
/// Bytes of a file: enough to see that there is more than a key and a newline.
const READ_MAX: u64 = 257;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(text: &str, mode: u32) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        ApiKey::read(file.path()).map(|key| key.expose().to_owned())
    }

    #[test]
    fn a_key_is_one_line_that_only_its_owner_can_read() {
        assert_eq!(read("sk_test_1\n", 0o600).unwrap(), "sk_test_1");
        assert_eq!(read("sk_test_1", 0o400).unwrap(), "sk_test_1");
        let longest = "k".repeat(255);
        assert_eq!(read(&format!("{longest}\n"), 0o600).unwrap(), longest);
        for (text, mode) in [
            ("sk_test_1\n", 0o640),
            ("sk_test_1\n", 0o604),
            ("", 0o600),
            ("sk_test_1\n\n", 0o600),
            ("sk_test 1\n", 0o600),
            ("short\n", 0o600),
            (&"k".repeat(256), 0o600),
            (&"k".repeat(4096), 0o600),
        ] {
            let fault = read(text, mode).unwrap_err();
            assert!(!fault.contains("sk_test") && !fault.contains("kkk"), "{fault}");
        }
        assert!(ApiKey::read(Path::new("/no/such/file")).is_err());
        assert!(ApiKey::read(Path::new("/tmp")).is_err());
    }
}
