//! A disk that fills up, on a small file system of its own. Needs the right to mount one.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use panvault::store::{Config, Depth, Error, Store};

use crate::skip::skipped;
use crate::writer::{check, write};
use crate::{acknowledged, config, open, spawn_writer};

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

/// Without the guard sled meets the full disk itself. That process writes no more. The next one finds everything, or
/// the store is told from a whole one, at its opening or by its verification: in about one of eight runs sled leaves a
/// batch that is torn.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_all_the_same_loses_nothing_untold() {
    let Some(disk) = Small::mount("24m") else { return };
    let mut child = spawn_writer(&disk.store(), true);
    let (acked, said) = acknowledged(&mut child);
    assert!(child.wait().unwrap().success());
    assert!(
        said.iter()
            .any(|line| line.starts_with("refused") && line.contains("OutcomeUnknown")),
        "{said:?}"
    );
    assert!(
        said.iter().any(|line| line.starts_with("then Err(ReadOnly(")),
        "{said:?}"
    );
    assert!(said.contains(&"then false".to_owned()), "{said:?}");
    assert!(acked.iter().any(Option::is_some));
    disk.grow("200m");
    match open(config(&disk.store())) {
        Ok(store) => {
            if store.verify(Depth::Full).await.unwrap().faults.is_empty() {
                check(&store, &acked).await;
            }
            store.close().await.unwrap();
        }
        Err(Error::Corrupt(_)) => {}
        Err(other) => panic!("{other}"),
    }
}
