//! `hsm.unseal` and `[custodians]`: a vault that starts sealed. A ceremony is what two operators do; both were called so before,
//! and the old spelling is taken.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::spec::ListenSpec;
use super::{Error, Reader};
use crate::hsm::keeper;
use crate::server::Socket;

/// The longest time for which shares wait for others: a day.
const MAX_WINDOW: u64 = 24 * 3_600;

/// Where the user PIN comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum UnsealSpec {
    /// Custodians' shares.
    #[serde(alias = "ceremony")]
    Custodians,
    /// A file or a credential.
    #[default]
    Pin,
}

/// How custodians unseal the vault.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CustodiansSpec {
    /// Users that may give a share; without it everyone who can connect to the socket, but root.
    #[serde(alias = "custodians")]
    pub(super) users: Option<Vec<String>>,
    /// A user gives one share and no more. `false` is for trying: one person can unseal then.
    pub(super) one_share_each: bool,
    /// Shares are forgotten so long after the first. Seconds, 1 to 86400.
    pub(super) window_s: u64,
}

impl Default for CustodiansSpec {
    fn default() -> Self {
        Self {
            users: None,
            one_share_each: true,
            window_s: 30 * 60,
        }
    }
}

impl Reader<'_> {
    pub(super) fn custodians(
        &self,
        spec: CustodiansSpec,
        unseal: UnsealSpec,
        state_dir: &Path,
    ) -> Result<Option<keeper::Settings>, Error> {
        let custodians = match &spec.users {
            None => None,
            Some(names) => {
                let uids: Result<Vec<u32>, Error> =
                    names.iter().map(|name| self.user("custodians.users", name)).collect();
                Some(uids?)
            }
        };
        let window = self.within("custodians.window_s", spec.window_s, MAX_WINDOW)?;
        if unseal == UnsealSpec::Pin {
            return Ok(None);
        }
        Ok(Some(keeper::Settings {
            state_dir: state_dir.to_owned(),
            program: std::env::current_exe().map_err(|source| Error::Read {
                path: PathBuf::from("/proc/self/exe"),
                source,
            })?,
            custodians,
            one_share_each: spec.one_share_each,
            window: Duration::from_secs(window),
        }))
    }

    pub(super) fn unseal_socket(&self, spec: &ListenSpec, unseal: UnsealSpec) -> Result<Option<Socket>, Error> {
        if let Some(name) = &spec.unseal_group {
            self.group("listen.unseal_group", name)?;
        }
        let socket = Socket {
            path: self.absolute(&spec.unseal),
            mode: self.mode("listen.unseal_mode", &spec.unseal_mode)?,
            group: spec.unseal_group.clone(),
        };
        Ok((unseal == UnsealSpec::Custodians).then_some(socket))
    }
}
