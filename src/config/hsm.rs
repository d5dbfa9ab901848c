//! `[hsm]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::custodians::UnsealSpec;
use super::spec::HsmSpec;
use super::{Error, Reader};
use crate::hsm::{self, PinSource};

impl Reader<'_> {
    pub(super) fn hsm(&self, spec: HsmSpec, state_dir: &Path) -> Result<hsm::Config, Error> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers = spec.workers.unwrap_or(cores);
        let variable = |(name, value): (&String, &String)| {
            !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
        };
        if !spec.environment.iter().all(variable) {
            return Err(self.value(
                "hsm.environment",
                "a name may not be empty or hold `=`, and no zero bytes are allowed".to_owned(),
            ));
        }
        Ok(hsm::Config {
            module: self.absolute(&spec.module),
            environment: spec.environment,
            token_label: spec.token,
            token_serial: spec.serial,
            pin: match (spec.unseal, spec.pin_file) {
                (UnsealSpec::Pin, Some(file)) => PinSource::File(self.absolute(&file)),
                (UnsealSpec::Pin, None) => PinSource::Credential("hsm-pin".to_owned()),
                (UnsealSpec::Custodians, None) => PinSource::Keeper,
                (UnsealSpec::Custodians, Some(_)) => {
                    let reason = "no PIN is stored with unseal = \"custodians\": remove this line, and the file";
                    return Err(self.value("hsm.pin_file", reason.to_owned()));
                }
            },
            workers: self.within("hsm.workers", workers, 256)?,
            sessions: self.within("hsm.sessions", spec.sessions, 1024)?,
            queue: self.within("hsm.queue", spec.queue, 1 << 20)?,
            deadline: Duration::from_millis(self.at_least_one("hsm.deadline_ms", spec.deadline_ms)?),
            recycle_after: spec.recycle_after,
            strict: spec.strict,
            pregenerate: spec.pregenerate,
            deferred_destroy: spec.deferred_destroy,
            address_families: spec.address_families,
            open_rate: spec.open_rate,
            state_dir: state_dir.to_owned(),
            program: std::env::current_exe().map_err(|source| Error::Read {
                path: PathBuf::from("/proc/self/exe"),
                source,
            })?,
        })
    }
}
