//! The policy file: TOML, every key checked, names resolved when it is read.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use data_encoding::HEXLOWER;
use nix::unistd::{Group, User, geteuid};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use toml::Spanned;

use super::{CallerMatch, Grant, Policy, Set};
use crate::id::RepositoryName;
use crate::vault::caps::CapOverrides;
use crate::vault::types::{Dialect, Operation};

/// Why a policy file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// A value cannot be taken.
    #[error("line {line}: {key}: {reason}")]
    Field {
        /// Counted from 1.
        line: usize,
        /// Which key of the grant, or `grant`, `version`.
        key: &'static str,
        /// Why.
        reason: String,
    },
    /// The file cannot be read, or others may write it.
    #[error("{0}")]
    File(String),
    /// Not the TOML that a policy is; the text shows line and key.
    #[error("{0}")]
    Syntax(String),
}

#[derive(Deserialize)]
struct Versioned {
    version: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    #[serde(rename = "version")]
    _version: u32,
    #[serde(default)]
    grant: Vec<Spanned<GrantSpec>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantSpec {
    name: Option<Spanned<String>>,
    user: Option<Spanned<String>>,
    uid: Option<Spanned<u32>>,
    group: Option<Spanned<String>>,
    gid: Option<Spanned<u32>>,
    #[serde(default)]
    dialects: Vec<Spanned<String>>,
    #[serde(default)]
    repositories: Vec<Spanned<String>>,
    #[serde(default)]
    operations: Vec<Spanned<String>>,
    #[serde(default)]
    caps: CapOverrides,
}

/// The text, to tell lines.
struct Source<'a>(&'a str);

impl Policy {
    /// Reads the file at `path`. Users and groups are looked up by name now, not at each request.
    ///
    /// # Errors
    /// [`BadPolicy`]; a file that others than root and the daemon's user may write is one.
    pub fn load(path: &Path) -> Result<Self, BadPolicy> {
        let unreadable = |e: std::io::Error| BadPolicy::File(format!("{}: {e}", path.display()));
        let mut file = File::open(path).map_err(unreadable)?;
        let meta = file.metadata().map_err(unreadable)?;
        if meta.mode() & 0o022 != 0 {
            return Err(BadPolicy::File(format!(
                "{}: others than its owner may write it; take that away (chmod go-w)",
                path.display()
            )));
        }
        if !trusted(meta.uid(), geteuid().as_raw()) {
            return Err(BadPolicy::File(format!(
                "{}: belongs to user {}, who is neither root nor the one that panvault runs as; chown it to root",
                path.display(),
                meta.uid()
            )));
        }
        let mut text = String::new();
        file.by_ref()
            .take(MAX_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        Self::parse(&text).map_err(|e| BadPolicy::File(format!("{}: {e}", path.display())))
    }

    /// Reads the text of a policy file.
    ///
    /// # Errors
    /// [`BadPolicy`].
    pub fn parse(text: &str) -> Result<Self, BadPolicy> {
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_BYTES {
            return Err(BadPolicy::File(format!("is larger than {MAX_BYTES} bytes")));
        }
        let source = Source(text);
        let syntax = |e: toml::de::Error| BadPolicy::Syntax(e.to_string().trim_end().to_owned());
        // first, so that a file of another version is called that and not a file of unknown keys
        let Versioned { version } = toml::from_str(text).map_err(syntax)?;
        match version {
            None => return Err(source.at(0, "version", "is missing; this program reads version 1")),
            Some(version) if *version.get_ref() != 1 => {
                return Err(source.at(version.span().start, "version", "this program reads version 1"));
            }
            Some(_) => {}
        }
        let spec: Spec = toml::from_str(text).map_err(syntax)?;
        if spec.grant.len() > MAX_GRANTS {
            return Err(source.at(0, "grant", format!("more than {MAX_GRANTS}")));
        }
        spec.grant
            .into_iter()
            .enumerate()
            .map(|(index, grant)| source.grant(index, grant))
            .collect::<Result<_, _>>()
            .map(|grants| Self {
                grants,
                digest: HEXLOWER.encode(digest(&SHA256, text.as_bytes()).as_ref()),
            })
    }
}

impl Source<'_> {
    fn grant(&self, index: usize, spec: Spanned<GrantSpec>) -> Result<Grant, BadPolicy> {
        let start = spec.span().start;
        let spec = spec.into_inner();
        let caller = self.caller(&spec, start)?;
        let name = match spec.name {
            None => format!("grant {}", index + 1),
            Some(name) if !(1..=64).contains(&name.get_ref().chars().count()) => {
                return Err(self.at(name.span().start, "name", "must have 1 to 64 characters"));
            }
            Some(name) => name.into_inner(),
        };
        Ok(Grant {
            name,
            caller,
            dialects: self.set("dialects", spec.dialects, |text| {
                Dialect::parse(text).ok_or_else(|| unknown(text, Dialect::ALL.map(Dialect::as_str)))
            })?,
            repositories: self.set("repositories", spec.repositories, |text| {
                RepositoryName::parse(text).map_err(|e| e.to_string())
            })?,
            operations: self.set("operations", spec.operations, |text| {
                Operation::parse(text).ok_or_else(|| unknown(text, Operation::ALL.map(Operation::as_str)))
            })?,
            caps: spec.caps,
        })
    }

    fn caller(&self, spec: &GrantSpec, start: usize) -> Result<CallerMatch, BadPolicy> {
        let user = self.look_up("user", spec.user.as_ref(), |name| {
            User::from_name(name).map(|found| found.map(|user| user.uid.as_raw()))
        })?;
        let group = self.look_up("group", spec.group.as_ref(), |name| {
            Group::from_name(name).map(|found| found.map(|group| group.gid.as_raw()))
        })?;
        let both = |key, by_name: Option<u32>, by_id: Option<&Spanned<u32>>| match (by_name, by_id) {
            (Some(named), Some(id)) if named != *id.get_ref() => Err(self.at(
                id.span().start,
                key,
                format!("the name beside it has number {named}: this grant would match nobody"),
            )),
            (named, id) => Ok(named.or(id.map(|id| *id.get_ref()))),
        };
        let caller = CallerMatch {
            uid: both("uid", user, spec.uid.as_ref())?,
            gid: both("gid", group, spec.gid.as_ref())?,
        };
        if caller.uid.is_none() && caller.gid.is_none() {
            return Err(self.at(
                start,
                "grant",
                "names no caller: one of user, uid, group, gid is needed",
            ));
        }
        Ok(caller)
    }

    fn look_up(
        &self,
        key: &'static str,
        name: Option<&Spanned<String>>,
        find: impl Fn(&str) -> nix::Result<Option<u32>>,
    ) -> Result<Option<u32>, BadPolicy> {
        let Some(name) = name else {
            return Ok(None);
        };
        match find(name.get_ref()) {
            Ok(Some(id)) => Ok(Some(id)),
            Ok(None) => Err(self.at(name.span().start, key, format!("no {key} {:?}", name.get_ref()))),
            Err(e) => Err(self.at(name.span().start, key, format!("cannot be looked up: {e}"))),
        }
    }

    fn set<T>(
        &self,
        key: &'static str,
        texts: Vec<Spanned<String>>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Set<T>, BadPolicy> {
        if texts.len() > MAX_LISTED {
            let start = texts.first().map_or(0, |text| text.span().start);
            return Err(self.at(start, key, format!("more than {MAX_LISTED} values")));
        }
        if let [only] = texts.as_slice()
            && only.get_ref() == "*"
        {
            return Ok(Set::Any);
        }
        texts
            .iter()
            .map(|text| {
                let refused = |reason: String| self.at(text.span().start, key, reason);
                if text.get_ref() == "*" {
                    return Err(refused("\"*\" stands alone".to_owned()));
                }
                parse(text.get_ref()).map_err(refused)
            })
            .collect::<Result<_, _>>()
            .map(Set::Listed)
    }

    fn at(&self, byte: usize, key: &'static str, reason: impl Into<String>) -> BadPolicy {
        let before = self.0.get(..byte).unwrap_or_default();
        BadPolicy::Field {
            line: before.matches('\n').count() + 1,
            key,
            reason: reason.into(),
        }
    }
}

/// Whoever may write the policy may grant himself everything.
pub(super) fn trusted(owner: u32, daemon: u32) -> bool {
    owner == 0 || owner == daemon
}

fn unknown<const N: usize>(text: &str, known: [&str; N]) -> String {
    format!("{text:?} is none of {}", known.join(", "))
}

const MAX_BYTES: u64 = 1 << 20;
const MAX_GRANTS: usize = 1_000;
const MAX_LISTED: usize = 10_000;
