//! Unix sockets as files: who may open them, and what to do with one that is there already.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::Group;
use tokio::net::{UnixListener, UnixStream};

use super::Error;

/// A Unix socket to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Its file. A missing directory is made (0755).
    pub path: PathBuf,
    /// Its permission bits, e.g. `0o660`.
    pub mode: u32,
    /// Its group, by name; the daemon's own when not given.
    pub group: Option<String>,
}

/// A socket that was made; its file goes when this is dropped, if it is still the same file.
#[derive(Debug)]
pub struct BoundSocket {
    /// Accepts.
    pub listener: UnixListener,
    /// The file.
    pub file: SocketFile,
}

/// The file of a socket.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Socket {
    /// Makes it. A socket file on which nobody listens is replaced; the new one appears in its place at once with its
    /// final owner and mode.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn bind(&self) -> Result<BoundSocket, Error> {
        let gid = match &self.group {
            Some(name) => Some(
                Group::from_name(name)
                    .map_err(|e| failed(&self.path, e.into()))?
                    .ok_or_else(|| Error::UnknownGroup(name.clone()))?
                    .gid
                    .as_raw(),
            ),
            None => None,
        };
        self.prepare_directory()?;
        self.prove_unused().await?;

        // The name beside the final one keeps the socket from being opened before owner and mode are right.
        let mut name = self.path.clone().into_os_string();
        name.push("~");
        let fresh = PathBuf::from(name);
        match fs::remove_file(&fresh) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(&fresh, e)),
            _ => {}
        }
        let listener = UnixListener::bind(&fresh).map_err(|e| failed(&fresh, e))?;
        let placed = chown(&fresh, None, gid)
            .and_then(|()| fs::set_permissions(&fresh, fs::Permissions::from_mode(self.mode)))
            .and_then(|()| fs::rename(&fresh, &self.path))
            .and_then(|()| fs::symlink_metadata(&self.path));
        match placed {
            Ok(meta) => Ok(BoundSocket {
                listener,
                file: SocketFile {
                    path: self.path.clone(),
                    device: meta.dev(),
                    inode: meta.ino(),
                },
            }),
            Err(e) => {
                let _ = fs::remove_file(&fresh);
                Err(failed(&self.path, e))
            }
        }
    }

    fn prepare_directory(&self) -> Result<(), Error> {
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        match fs::create_dir(directory) {
            // what the daemon's umask took away
            Ok(()) => {
                fs::set_permissions(directory, Permissions::from_mode(0o755)).map_err(|e| failed(directory, e))?
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(failed(directory, e)),
        }
        let mode = fs::metadata(directory).map_err(|e| failed(directory, e))?.mode();
        let (others_write, sticky) = (mode & 0o002 != 0, mode & 0o1000 != 0);
        if others_write && !sticky {
            return Err(Error::OpenDirectory(directory.to_owned()));
        }
        Ok(())
    }

    /// Nothing is there, or a socket that refuses connections because its process is gone.
    async fn prove_unused(&self) -> Result<(), Error> {
        match fs::symlink_metadata(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(failed(&self.path, e)),
            Ok(meta) if !meta.file_type().is_socket() => return Err(Error::NotASocket(self.path.clone())),
            Ok(_) => {}
        }
        match UnixStream::connect(&self.path).await {
            Ok(_) => Err(Error::InUse(self.path.clone())),
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            // A full queue: somebody listens and is slow.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(Error::InUse(self.path.clone())),
            Err(e) => Err(failed(&self.path, e)),
        }
    }
}

impl SocketFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == (self.device, self.inode));
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::Io {
        what: path.display().to_string(),
        source,
    }
}
