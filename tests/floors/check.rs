//! What is wrong with one source file.

use crate::source;
use crate::{CRATES, FLOORS, LINES, PATH, SEEN_ON_THE_SAME_FLOOR, UNSAFE};

/// What is wrong with the file called `name` (from the root of the package), each with its place.
pub(crate) fn check(name: &str, text: &str) -> Vec<String> {
    let module = module_of(name);
    let Some(own) = module.first().map(String::as_str) else {
        // lib.rs lists the modules and names nothing else
        return lib_faults(name, text);
    };
    let Some(floor) = floor_of(own) else {
        return vec![format!("{name}:1: module `{own}` has no floor")];
    };

    let mut faults = Vec::new();
    let lines = text.lines().count();
    let may_be_long = name.ends_with("/tests.rs") || name.contains("/tests/") || name == UNSAFE;
    if lines > LINES && !may_be_long {
        faults.push(format!("{name}:{lines}: longer than {LINES} lines"));
    }
    let tokens = source::tokens(text);
    for (at, token) in tokens.iter().enumerate() {
        let line = token.line;
        let follows = |text: &str| tokens.get(at + 1).is_some_and(|next| next.text == text);
        match token.text.as_str() {
            "unsafe" if name != UNSAFE => faults.push(format!("{name}:{line}: `unsafe` outside {UNSAFE}")),
            "extern" if follows("crate") => faults.push(format!("{name}:{line}: `extern crate` hides a name")),
            "path"
                if name != PATH
                    && follows("=")
                    && at >= 1
                    && tokens.get(at - 1).is_some_and(|before| before.text == "[") =>
            {
                faults.push(format!("{name}:{line}: `#[path]` puts a module out of its place"));
            }
            _ => {}
        }
    }
    for path in source::paths(&tokens) {
        let line = path.line;
        if let Some(krate) = crate_out_of_place(&module, &path) {
            faults.push(format!(
                "{name}:{line}: `{own}` names the crate `{krate}`, which is not for it"
            ));
        }
        match target(&module, &path) {
            Target::Inside => {}
            Target::Root => faults.push(format!("{name}:{line}: `{own}` takes in the whole crate")),
            Target::Module(other) => match floor_of(&other) {
                None => faults.push(format!("{name}:{line}: `{own}` names `{other}`, which has no floor")),
                Some(below) if below < floor || other == own => {}
                Some(_) if SEEN_ON_THE_SAME_FLOOR.contains(&(own, other.as_str())) => {}
                Some(other_floor) => faults.push(format!(
                    "{name}:{line}: `{own}` on floor {floor} names `{other}` on floor {other_floor}"
                )),
            },
        }
    }
    faults
}

/// The module that a file is, from the top.
fn module_of(name: &str) -> Vec<String> {
    let inner = name.strip_prefix("src/").unwrap_or(name).trim_end_matches(".rs");
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    inner
        .split('/')
        .filter(|part| *part != "lib")
        .map(str::to_owned)
        .collect()
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn lib_faults(name: &str, text: &str) -> Vec<String> {
    let tokens = source::tokens(text);
    let mut faults = Vec::new();
    for declaration in tokens
        .split(|token| token.text == ";")
        .filter(|tokens| !tokens.is_empty())
    {
        let words: Vec<&str> = declaration.iter().map(|token| token.text.as_str()).collect();
        let line = declaration.first().map_or(0, |token| token.line);
        match words.as_slice() {
            ["pub", "mod", module] if floor_of(module).is_some() => {}
            ["pub", "mod", module] => faults.push(format!("{name}:{line}: module `{module}` has no floor")),
            _ => faults.push(format!("{name}:{line}: something else than `pub mod`")),
        }
    }
    faults
}

/// The crate that `path` names though `module` may not.
fn crate_out_of_place(module: &[String], path: &source::Path) -> Option<&'static str> {
    let first = path.segments.first()?;
    // a lone name outside a `use` is a variable or the like
    if !path.global && !path.imported && path.segments.len() < 2 {
        return None;
    }
    let (krate, places) = CRATES.iter().find(|(krate, _)| krate == first)?;
    let module = module.join("::");
    let within = |place: &str| module == place || module.starts_with(&format!("{place}::"));
    (!places.iter().any(|place| within(place))).then_some(krate)
}

/// Where a path leads.
enum Target {
    /// Nowhere that floors are about: into the module itself, or another crate.
    Inside,
    /// The crate's root, by a glob or an alias.
    Root,
    /// A top-level module.
    Module(String),
}

fn target(module: &[String], path: &source::Path) -> Target {
    let mut place: Vec<&str> = module.iter().chain(&path.inside).map(String::as_str).collect();
    let mut rest = path.segments.iter().map(String::as_str).peekable();
    match rest.peek() {
        _ if path.global && path.segments.first().is_some_and(|krate| krate != "panvault") => return Target::Inside,
        // main.rs is a crate of its own and sees the library by its name
        Some(&"crate") if module.first().is_some_and(|own| own == "main") => return Target::Inside,
        Some(&"crate" | &"panvault") => {
            rest.next();
            place.clear();
        }
        Some(&"self" | &"super") => {
            while let Some(step) = rest.next_if(|step| matches!(*step, "self" | "super")) {
                if step == "super" {
                    place.pop();
                }
            }
        }
        _ => return Target::Inside,
    }
    match (place.first().copied().or_else(|| rest.next()), path.imported) {
        (None | Some("*"), true) => Target::Root,
        // `pub(crate)`, `pub(super)`
        (None, false) => Target::Inside,
        (Some(top), _) => Target::Module(top.to_owned()),
    }
}
