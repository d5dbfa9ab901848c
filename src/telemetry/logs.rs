//! The log: structured events for the journal where stderr is the journal, lines for people on stderr otherwise.
//!
//! No request or response body and no query string is ever logged, at any level.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// What is logged: a level for everything and levels by module, e.g. `info` or `info,panvault::hsm=debug`.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Targets);

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// journald's own protocol, with fields.
    Journal,
    /// Lines on stderr.
    Stderr,
}

/// The running log; its filter can be changed.
#[derive(Clone)]
pub struct Logs {
    filter: reload::Handle<Targets, Registry>,
    sink: Sink,
}

/// Why there is no log, or no new filter.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a filter.
    #[error("log filter: {0}")]
    Filter(#[from] ParseError),
    /// A part that is neither a level nor gives one.
    #[error("log filter: {0:?} is neither a level (off, error, warn, info, debug, trace) nor MODULE=LEVEL")]
    NoLevel(String),
    /// The log was started before, by this process.
    #[error("the log runs already: {0}")]
    Running(#[from] TryInitError),
    /// The log has gone.
    #[error("the log's filter cannot be changed: {0}")]
    Reload(#[from] reload::Error),
}

impl Filter {
    /// Parses a list of `LEVEL` and `MODULE=LEVEL`, parted by commas.
    ///
    /// # Errors
    /// [`Error::Filter`] or [`Error::NoLevel`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        // `Targets` takes a lone name for a module: a mistyped level would silence everything else.
        let unclear = |part: &&str| !part.contains('=') && part.trim().parse::<LevelFilter>().is_err();
        if let Some(part) = text.split(',').find(unclear) {
            return Err(Error::NoLevel(part.to_owned()));
        }
        Ok(Self(text.parse()?))
    }
}

impl Sink {
    /// The journal when `$JOURNAL_STREAM` names the file that stderr is, as systemd sets it; stderr otherwise.
    pub fn detect() -> Self {
        match std::env::var("JOURNAL_STREAM") {
            Ok(stream) if stderr_identity().is_some_and(|is| is == stream) => Self::Journal,
            _ => Self::Stderr,
        }
    }
}

impl Logs {
    /// Starts the log for the whole process. A journal that cannot be reached falls back to stderr.
    ///
    /// # Errors
    /// [`Error::Running`] when called twice.
    pub fn start(filter: Filter, sink: Sink) -> Result<Self, Error> {
        let (filter, handle) = reload::Layer::new(filter.0);
        let (layer, sink) = match sink {
            Sink::Journal => match tracing_journald::layer() {
                Ok(layer) => (layer.with_syslog_identifier("panvault".to_owned()).boxed(), sink),
                Err(_) => (stderr_layer(), Sink::Stderr),
            },
            Sink::Stderr => (stderr_layer(), sink),
        };
        tracing_subscriber::registry().with(filter).with(layer).try_init()?;
        Ok(Self { filter: handle, sink })
    }

    /// Puts another filter in place.
    ///
    /// # Errors
    /// [`Error::Reload`].
    pub fn set_filter(&self, filter: Filter) -> Result<(), Error> {
        Ok(self.filter.reload(filter.0)?)
    }

    /// Where the lines go.
    pub fn sink(&self) -> Sink {
        self.sink
    }
}

fn stderr_layer<S>() -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let terminal = io::stderr().is_terminal();
    fmt::layer().with_writer(io::stderr).with_ansi(terminal).boxed()
}

/// `DEVICE:INODE` of stderr, as `$JOURNAL_STREAM` writes it.
fn stderr_identity() -> Option<String> {
    let stat = nix::sys::stat::fstat(io::stderr()).ok()?;
    Some(format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_filter_names_levels_by_module() {
        let Filter(targets) = Filter::parse("warn,panvault::hsm=debug").unwrap();
        assert!(targets.would_enable("panvault::hsm::client", &Level::DEBUG));
        assert!(targets.would_enable("panvault::api", &Level::WARN));
        assert!(!targets.would_enable("panvault::api", &Level::INFO));
    }

    #[test]
    fn a_level_that_does_not_exist_is_refused() {
        assert!(matches!(Filter::parse("panvault=loud"), Err(Error::Filter(_))));
        for unclear in ["inof", "panvault", "info,loud"] {
            assert!(matches!(Filter::parse(unclear), Err(Error::NoLevel(_))), "{unclear}");
        }
    }

    #[test]
    fn stderr_has_an_identity_of_two_numbers() {
        let identity = stderr_identity().unwrap();
        let (device, inode) = identity.split_once(':').unwrap();
        assert!(device.parse::<u64>().is_ok() && inode.parse::<u64>().is_ok());
    }
}
