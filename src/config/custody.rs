//! `[dual_control]`: what needs two operators.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

use super::{Error, Reader};
use crate::custody::{Control, Guarded, NewOperator};
use crate::id::OperatorName;

/// Dual control.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DualControlSpec {
    /// What needs two; nothing where the list is empty.
    pub(super) operations: BTreeSet<Guarded>,
    /// From the opening of a ceremony to what it is for. Minutes, 1 to 1440.
    pub(super) window_minutes: u32,
    /// Users of the host who are the first operators: `init` makes them where there are none.
    pub(super) first_operators: Vec<String>,
}

impl Default for DualControlSpec {
    fn default() -> Self {
        Self {
            // what changes keys, takes cards out, or brings back what was deleted (PCI DSS 3.7.6). Policies are not among
            // them: whoever wants them to be has every change of a file approved before the daemon takes it.
            operations: BTreeSet::from([
                Guarded::KeyAdopt,
                Guarded::KeyDestroy,
                Guarded::KeyMove,
                Guarded::KeyRotate,
                Guarded::Export,
                Guarded::Restore,
            ]),
            window_minutes: 30,
            first_operators: Vec::new(),
        }
    }
}

impl Reader<'_> {
    pub(super) fn first_operators(&self, spec: &DualControlSpec) -> Result<Vec<NewOperator>, Error> {
        const KEY: &str = "dual_control.first_operators";
        if spec.first_operators.len() == 1 {
            return Err(self.value(KEY, "one operator can do nothing alone: name two".to_owned()));
        }
        let named = spec.first_operators.iter().map(|name| {
            Ok(NewOperator {
                name: OperatorName::parse(name).map_err(|fault| self.value(KEY, format!("{name:?} {fault}")))?,
                uid: self.user(KEY, name)?,
            })
        });
        named.collect()
    }

    pub(super) fn dual_control(&self, spec: DualControlSpec) -> Result<Control, Error> {
        let minutes = self.within("dual_control.window_minutes", spec.window_minutes, 24 * 60)?;
        Ok(Control {
            operations: spec.operations,
            window: Duration::from_secs(u64::from(minutes) * 60),
        })
    }
}
