//! The house has floors (src/lib.rs): a module names only modules of the floors below its own. This test reads every
//! source file and keeps that, and with it which crates are named where, where `unsafe` may stand, and how long a
//! file may be.

#[path = "floors/check.rs"]
mod check;
#[path = "floors/source.rs"]
mod source;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use check::check;

/// Every top-level module and its floor.
pub(crate) const FLOORS: &[(&str, u8)] = &[
    ("main", 7),
    ("cli", 7),
    ("config", 7),
    ("server", 6),
    ("api", 5),
    ("ops", 5),
    ("payment", 4),
    ("custody", 4),
    ("transfer", 4),
    ("vault", 3),
    ("keys", 2),
    ("audit", 2),
    ("jose", 2),
    ("hsm", 1),
    ("store", 1),
    ("card", 0),
    ("id", 0),
    ("telemetry", 0),
];

/// Who may see whom on one floor.
pub(crate) const SEEN_ON_THE_SAME_FLOOR: &[(&str, &str)] = &[("main", "cli"), ("cli", "config")];

/// Crates that have a place, and the modules that may name them.
pub(crate) const CRATES: &[(&str, &[&str])] = &[
    ("cryptoki", &["hsm"]),
    ("cryptoki_sys", &["hsm"]),
    ("sled", &["store"]),
    ("blahaj", &["hsm"]),
    ("rustix", &["hsm"]),
    ("axum", &["api", "ops", "server"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("hyper_rustls", &["payment::outgoing"]),
    ("rustls", &["payment::psp", "payment::trust"]),
    ("webpki_roots", &["payment::trust"]),
    ("sd_notify", &["server"]),
    ("listenfd", &["server"]),
    ("toml", &["config", "vault::policy", "cli"]),
];

/// The one file that may say `unsafe`.
pub(crate) const UNSAFE: &str = "src/hsm/pkcs11/raw.rs";

/// The one file with a `#[path]`: the crate's own tests make their token, and what clients encrypt to it, as the tests
/// beside the crate do.
pub(crate) const PATH: &str = "src/hsm/on_softhsm/mod.rs";

/// Lines a file may have. Tests may have more, and so may [`UNSAFE`]: a second file would break the rule that there is
/// one.
pub(crate) const LINES: usize = 350;

#[test]
fn the_house_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files).unwrap();
    assert!(files.len() > 10, "the sources are found");

    let mut faults = Vec::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        faults.extend(check(&name, &fs::read_to_string(&file).unwrap()));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Every `.rs` file below `directory`, in order.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for path in entries.iter().map(fs::DirEntry::path) {
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Checks a made-up file and gives the places and what is said of them.
fn faults(name: &str, text: &str) -> Vec<String> {
    check(name, text)
        .iter()
        .map(|fault| fault.strip_prefix(name).unwrap_or(fault).to_owned())
        .collect()
}

#[test]
fn what_climbs_is_found() {
    for (name, text, line) in [
        ("src/vault/mod.rs", "use crate::api::native;", 1),
        (
            "src/vault/mod.rs",
            "\n\nuse crate::{\n    id,\n    card::Pan,\n    server::{drain},\n};",
            6,
        ),
        ("src/vault/mod.rs", "use crate::server::{self};", 1),
        ("src/vault/mod.rs", "fn f() -> crate::config::Config {}", 1),
        ("src/vault/mod.rs", "fn f(x: Vec<crate::api::X>) {}", 1),
        (
            "src/vault/mod.rs",
            "fn f() { g::<crate::api::X>(\"\\\"\", '\"', 'a'); }",
            1,
        ),
        ("src/vault/mod.rs", "fn f<'a>(x: &'a str) { crate::api::g(x) }", 1),
        ("src/vault/mod.rs", "macro_rules! m { () => { $crate::api::f() } }", 1),
        ("src/vault/mod.rs", "pub(in crate::api) fn f() {}", 1),
        ("src/vault/mod.rs", "use super::api;", 1),
        ("src/vault/mod.rs", "use panvault::api;", 1),
        ("src/vault/mod.rs", "use ::panvault::api;", 1),
        ("src/vault/deep/down.rs", "use super::super::super::ops::X as Y;", 1),
        ("src/vault/deep/mod.rs", "use super::super::{types, vault};", 1),
        ("src/id.rs", "mod tests {\n    use super::super::vault;\n}", 2),
        (
            "src/id.rs",
            "#[cfg(test)]\nmod tests {\n    fn f() {}\n}\nuse super::vault;",
            5,
        ),
        ("src/id.rs", "use crate::card::Pan;", 1),
        ("src/hsm/job.rs", "use crate::store;", 1),
        ("src/config/mod.rs", "use crate::cli;", 1),
        ("src/cli/mod.rs", "fn f() { crate::main::g() }", 1),
        ("src/vault/mod.rs", "use crate::unheard_of;", 1),
        ("src/vault/mod.rs", "use crate::*;", 1),
        ("src/vault/mod.rs", "use super::*;", 1),
        ("src/vault/mod.rs", "use crate as all;", 1),
        ("src/vault/mod.rs", "use super::{self as all};", 1),
        ("src/vault/mod.rs", "/* a /* b */ c */ use\ncrate::api;", 2),
        ("src/vault/mod.rs", "const A: &str = r#\"\"//\"#; use crate::api;", 1),
        (
            "src/main.rs",
            "fn main() { panvault::server::run() } // and\nuse panvault::config::Config;",
            2,
        ),
    ] {
        let found = faults(name, text);
        assert_eq!(found.len(), 1, "{name}: {text}: {found:?}");
        assert!(found[0].starts_with(&format!(":{line}: ")), "{text}: {found:?}");
    }
}

#[test]
fn what_keeps_to_its_floor_is_left_alone() {
    for (name, text) in [
        (
            "src/vault/mod.rs",
            "use crate::card::{Expiry, Pan};\nuse crate::{audit, keys::Keys};\nmod types;",
        ),
        (
            "src/vault/types.rs",
            "use super::access::X;\nuse crate::vault::Y;\npub(crate) struct Z;\npub(super) fn f() {}",
        ),
        (
            "src/vault/mod.rs",
            "mod tests {\n    use super::*;\n    mod more { use super::super::*; }\n}\nuse self::types::X;",
        ),
        (
            "src/vault/mod.rs",
            "// use crate::api;\n/// [`crate::api`]\nconst A: &str = \"crate::api\"; const B: char = ':';",
        ),
        (
            "src/vault/mod.rs",
            "fn f() -> impl Iterator + use<'_> { server::x(); std::fs::read(api) }",
        ),
        (
            "src/cli/mod.rs",
            "use crate::config::Config;\nuse clap::Parser;\nuse crate::server;",
        ),
        (
            "src/main.rs",
            "use crate::inner::X;\nmod inner {}\nfn main() { panvault::cli::main() }",
        ),
        (
            "src/store/sled/mod.rs",
            "use ::sled::Db;\nuse super::X;\nuse sled::Tree;",
        ),
        ("src/vault/policy.rs", "use toml::Value;"),
        ("src/vault/policy/read.rs", "fn f() { toml::from_str(x) }"),
        ("src/vault/mod.rs", "fn f(sled: u8, toml: &str) { g(sled, toml.len()) }"),
        (
            "src/hsm/pkcs11/raw.rs",
            "#![allow(unsafe_code)]\nunsafe fn f() { cryptoki_sys::g() }",
        ),
        ("src/lib.rs", "//! [`vault`]\n\npub mod api;\npub mod vault;\n"),
    ] {
        assert_eq!(faults(name, text), Vec::<String>::new(), "{name}: {text}");
    }
}

#[test]
fn what_is_out_of_place_is_found() {
    for (name, text, word) in [
        ("src/vault/mod.rs", "use sled::Db;", "`sled`"),
        ("src/vault/mod.rs", "use {std::fs, sled as engine};", "`sled`"),
        ("src/vault/mod.rs", "fn f() { ::sled::open(x) }", "`sled`"),
        ("src/vault/mod.rs", "fn f() -> Result<toml::Value, E> {}", "`toml`"),
        ("src/vault/policy2.rs", "use toml::Value;", "`toml`"),
        ("src/keys/mod.rs", "use cryptoki::context;", "`cryptoki`"),
        ("src/store/mod.rs", "use cryptoki_sys::CK_RV;", "`cryptoki_sys`"),
        ("src/cli/mod.rs", "use axum::Router;", "`axum`"),
        ("src/config/mod.rs", "#[derive(clap::Parser)] struct X;", "`clap`"),
        ("src/hsm/pkcs11/mod.rs", "fn f() { unsafe { g() } }", "`unsafe`"),
        ("src/vault/mod.rs", "extern crate sled;", "`extern crate`"),
        ("src/vault/mod.rs", "#[path = \"x.rs\"] mod x;", "`#[path]`"),
        ("src/utils.rs", "", "`utils`"),
        ("src/helpers/mod.rs", "", "`helpers`"),
        ("src/lib.rs", "pub mod api;\npub mod utils;", "`utils`"),
        ("src/lib.rs", "pub use vault::X;", "something else"),
    ] {
        let found = faults(name, text);
        assert_eq!(found.len(), 1, "{name}: {text}: {found:?}");
        assert!(found[0].contains(word), "{text}: {found:?}");
    }
    assert_eq!(faults("src/vault/mod.rs", &"\n".repeat(LINES)), Vec::<String>::new());
    assert_eq!(faults("src/vault/mod.rs", &"\n".repeat(LINES + 1)).len(), 1);
    for name in ["src/vault/tests.rs", "src/vault/tests/search.rs", UNSAFE] {
        assert_eq!(faults(name, &"\n".repeat(LINES + 1)), Vec::<String>::new(), "{name}");
    }
}
