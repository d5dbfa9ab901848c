//! Work that must not stop half-way: a caller's connection may close at any time, and its future is dropped then.

use std::future::Future;

use super::types::{DependencyError, Error};

/// Runs `work` to its end even where the caller stops waiting for it.
///
/// # Errors
/// The work's; [`DependencyError::StoreUnavailable`] where it ended without a result, as when the daemon is ending.
pub(crate) async fn to_its_end<T, E>(work: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    tokio::spawn(work)
        .await
        .unwrap_or_else(|_| Err(Error::Dependency(DependencyError::StoreUnavailable).into()))
}
