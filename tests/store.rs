//! The store's conformance suite, run on every engine.

use std::sync::Arc;

use panvault::store::memory::MemoryStore;
use panvault::store::{Store, conformance};

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_conforms() {
    let fresh = || async {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        store
    };
    conformance::run(fresh).await.unwrap();
}
