//! The store's conformance suite, run on every engine.

use std::sync::Arc;

use panvault::store::memory::MemoryStore;
use panvault::store::sled::SledStore;
use panvault::store::{Config, Store, conformance};
use panvault::telemetry::Metrics;

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_conforms() {
    let fresh = || async {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        store
    };
    conformance::run(fresh).await.unwrap();
}

/// With a window of 50 audit records and segments of 8 KiB, so that the suite reads across many files.
#[tokio::test(flavor = "multi_thread")]
async fn sled_conforms() {
    let temp = tempfile::tempdir().unwrap();
    let made = std::cell::Cell::new(0);
    let fresh = || {
        made.set(made.get() + 1);
        let config = Config {
            create: true,
            min_free_bytes: 1 << 20,
            audit_window: 50,
            audit_segment_bytes: 8 << 10,
            ..Config::new(temp.path().join(made.get().to_string()))
        };
        async move {
            let store: Arc<dyn Store> = Arc::new(SledStore::open(config, Metrics::new().unwrap()).unwrap());
            store
        }
    };
    conformance::run(fresh).await.unwrap();
}
