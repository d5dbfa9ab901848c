//! The first operators of a vault, and the last resort.

use secrecy::SecretString;

use super::coded;
use crate::cli::instance::Instance;
use crate::cli::offline::Offline;
use crate::cli::serve::own_peer;
use crate::cli::terminal;
use crate::custody::{NewOperator, first_operators, has_operators};
use crate::hsm::officer::{Officer, OfficerError};
use crate::id::OperatorName;
use crate::keys::init::InitError;

/// Makes the first operators, or says that there are none. With the security officer's PIN they take the place of those
/// there are, once the token has taken that PIN.
pub(super) fn make(
    instance: &Instance,
    new: &[NewOperator],
    user: &SecretString,
    replacing: Option<&SecretString>,
) -> anyhow::Result<()> {
    if let Some(so) = replacing {
        prove(instance, user, so).map_err(|error| coded(InitError::Officer(error)))?;
    }
    let guarded = !instance.config.dual_control.operations.is_empty();
    let store = Offline::open(instance)?;
    let configured = instance.config.first_operators.as_slice();
    let new = match new {
        [] if store.run(has_operators(store.store().as_ref()))? => return Ok(()),
        [] => configured,
        given => given,
    };
    if new.is_empty() {
        if guarded {
            terminal::remark(
                "there are no operators, and what is under dual control needs two: \
                 `panvault init --operator NAME=UID --operator NAME=UID`, or dual_control.first_operators",
            );
        }
        return Ok(());
    }
    store.run(first_operators(
        store.store().as_ref(),
        own_peer(),
        new,
        replacing.is_some(),
    ))?;
    for one in new {
        terminal::remark(format!(
            "user {} is operator {}, and runs `panvault operator enroll`",
            one.uid, one.name
        ));
    }
    Ok(())
}

/// Whether the token takes the security officer's PIN.
fn prove(instance: &Instance, user: &SecretString, so: &SecretString) -> Result<(), OfficerError> {
    let officer = Officer::open(&instance.config.hsm, None, user)?;
    let proved = officer.prove_officer(so);
    officer.close();
    proved
}

/// `NAME=UID`.
pub(super) fn person(text: &str) -> Result<NewOperator, String> {
    let (name, uid) = text.split_once('=').ok_or("not NAME=UID")?;
    Ok(NewOperator {
        name: OperatorName::parse(name).map_err(|fault| format!("the name {fault}"))?,
        uid: uid.parse().map_err(|_| "the uid is not a number".to_owned())?,
    })
}
