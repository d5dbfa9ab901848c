//! Daemons at another time than now.

/// What a daemon is started with to live at `time`, as faketime(1) writes it; `None` where libfaketime is missing.
pub(crate) fn at(time: &str) -> Option<Vec<(String, String)>> {
    const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
    let environment = [
        ("LD_PRELOAD", LIBRARY),
        ("FAKETIME", time),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    std::path::Path::new(LIBRARY).exists().then(|| {
        environment
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    })
}
