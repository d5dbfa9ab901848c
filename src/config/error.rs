//! What is wrong with a configuration.

use std::path::PathBuf;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML of the right shape; the text names line and key.
    #[error("{}: {text}", path.display())]
    Shape {
        /// Which file.
        path: PathBuf,
        /// The parser's words.
        text: String,
    },
    /// A value that cannot be.
    #[error("{}: {key}: {reason}", path.display())]
    Value {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// Why.
        reason: String,
    },
}
