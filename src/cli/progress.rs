//! How far a command is, on a terminal; elsewhere nothing.

use indicatif::{ProgressBar, ProgressStyle};

/// A line that changes.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Nothing done yet.
    pub(super) fn start() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// What is being done.
    pub(super) fn say(&self, text: impl Into<String>) {
        self.0.set_message(text.into());
        self.0.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
