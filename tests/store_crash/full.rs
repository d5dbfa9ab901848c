//! A disk that fills up, on a small file system of its own. Needs the right to mount one.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use panvault::store::{Config, Error, Store};

use crate::skip::skipped;
use crate::writer::{WRITERS, check, write};
use crate::{config, open, random_below};

/// A file system in memory, gone with the value.
struct Small {
    dir: tempfile::TempDir,
}

impl Small {
    /// `None`, and said so, where it may not be mounted.
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        if mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], dir.path()) {
            return Some(Self { dir });
        }
        skipped("store_crash::full: no right to mount a small file system, so a full disk is not tested");
        None
    }

    fn grow(&self, size: &str) {
        assert!(mount(&["-o", &format!("remount,size={size}")], self.dir.path()));
    }

    fn store(&self) -> std::path::PathBuf {
        self.dir.path().join("store")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-l").arg(self.dir.path()).status();
        assert!(done.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn mount(args: &[&str], dir: &Path) -> bool {
    let done = Command::new("mount").args(args).arg(dir).output();
    done.is_ok_and(|output| output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_stop_before_the_disk_is_full_and_go_on_by_themselves() {
    let Some(disk) = Small::mount("48m") else { return };
    let guarded = Config {
        min_free_bytes: 16 << 20,
        ..config(&disk.store())
    };
    let store = Arc::new(open(guarded.clone()).unwrap());
    let (errors, acked) = write(&store, true, false).await;
    assert!(errors.iter().all(|error| *error == Error::Full), "{errors:?}");
    assert!(acked.iter().all(Option::is_some));
    let health = store.health();
    assert!(!health.writable && health.free_bytes < 16 << 20, "{health:?}");
    check(&*store, &acked).await;

    disk.grow("80m");
    let since = Instant::now();
    let more = loop {
        let more = write(&store, true, false).await;
        if more.1 > acked {
            break more;
        }
        assert!(since.elapsed() < Duration::from_secs(5), "it does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(
        more.0.iter().all(|error| *error == Error::Full),
        "full again: {:?}",
        more.0
    );
    check(&*store, &more.1).await;
    store.close().await.unwrap();
    let store = open(guarded).unwrap();
    check(&store, &more.1).await;
    store.close().await.unwrap();
}

/// Another program takes all the room there is, as fast as it can, in the middle of the writing: no batch is torn, and
/// the same store goes on when the room is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_another_program_fills_loses_nothing() {
    let Some(disk) = Small::mount("128m") else { return };
    let rounds = if std::env::var_os("PANVAULT_LONG").is_some() {
        40
    } else {
        3
    };
    let guarded = Config {
        min_free_bytes: 32 << 20,
        ..config(&disk.store())
    };
    for _ in 0..rounds {
        let store = Arc::new(open(guarded.clone()).unwrap());
        let mut acked = [None; WRITERS];
        for _ in 0..2 {
            let hog = disk.dir.path().join("hog");
            let other = std::thread::spawn({
                let hog = hog.clone();
                let wait = Duration::from_millis(100 + random_below(200));
                move || {
                    std::thread::sleep(wait);
                    fill(&hog)
                }
            });
            let (errors, reached) = write(&store, true, false).await;
            assert!(other.join().unwrap() > 0);
            assert!(errors.iter().all(|error| *error == Error::Full), "{errors:?}");
            assert!(reached > acked, "nothing was written: {reached:?}");
            acked = reached;
            std::fs::remove_file(&hog).unwrap();
            // the guard of those who only ask is a measurement of up to 250 ms ago
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        check(&*store, &acked).await;
        store.close().await.unwrap();
        let store = open(guarded.clone()).unwrap();
        check(&store, &acked).await;
        store.close().await.unwrap();
        std::fs::remove_dir_all(disk.store()).unwrap();
    }
}

/// Writes into `path` until the disk is full; how much.
fn fill(path: &Path) -> u64 {
    let mut file = std::fs::File::create(path).unwrap();
    let chunk = vec![1; 1 << 20];
    loop {
        if let Err(error) = std::io::Write::write_all(&mut file, &chunk) {
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
            return file.metadata().unwrap().len();
        }
    }
}
