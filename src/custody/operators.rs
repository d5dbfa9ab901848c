//! Who is an operator.

use secrecy::{ExposeSecret, SecretString};

use super::approval::approval_key;
use super::operator::{ACKNOWLEDGEMENT, Enrolled, Operator, OperatorView};
use super::table::{Held, Row, all, commit, put, read};
use super::{Asking, Custody, Error};
use crate::audit::Event;
use crate::id::{CredentialId, OperatorName, UnixMillis};
use crate::store::{Cond, Store, Write};
use crate::vault::credential::{Fresh, Presented};
use crate::vault::types::Peer;

/// A person who is to become an operator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOperator {
    /// How others know them.
    pub name: OperatorName,
    /// Their user of the host.
    pub uid: u32,
}

/// An operator who asks, by user and credential.
pub(super) struct Known {
    pub(super) name: OperatorName,
    pub(super) uid: u32,
    pub(super) credential: CredentialId,
}

/// Whether there are any.
///
/// # Errors
/// The store does not work.
pub async fn has_operators(store: &dyn Store) -> Result<bool, Error> {
    Ok(!all::<Operator>(store).await?.is_empty())
}

/// Adds the first operators of a vault that is not being served and has none yet, or, to `replace` them, takes away those it
/// has.
///
/// # Errors
/// There are some and they are not to be replaced; not persons, or the same one twice; the store does not work.
pub async fn first_operators(store: &dyn Store, own: Peer, new: &[NewOperator], replace: bool) -> Result<(), Error> {
    let there = all::<Operator>(store).await?;
    if !there.is_empty() && !replace {
        return Err(Error::NotTheFirst);
    }
    let mut rows: Vec<Operator> = Vec::new();
    for one in new {
        let row = checked(&rows, own, one)?;
        rows.push(row);
    }
    let mut writes: Vec<Write> = there.iter().map(|held| Write::Del(held.row.key())).collect();
    for row in &rows {
        writes.push(put(row)?);
    }
    let named = |row: &Operator| format!("{} (uid {})", row.name, row.uid);
    let names = rows.iter().map(named).collect::<Vec<_>>().join(", ");
    let gone = there.iter().map(|held| named(&held.row)).collect::<Vec<_>>().join(", ");
    let (action, detail) = match there.is_empty() {
        true => ("operator-add", format!("the first: {names}")),
        false => (
            "operators-replace",
            format!("by the security officer: {names} instead of {gone}"),
        ),
    };
    let event = Event {
        peer: Some(own),
        detail: Some(detail),
        ..Event::new(action, "ok")
    };
    commit(store, Vec::new(), writes, event).await
}

impl Custody {
    /// Whether any operator is of this user.
    pub async fn is_operator(&self, uid: u32) -> bool {
        let rows = all::<Operator>(self.store.as_ref()).await;
        rows.is_ok_and(|rows| rows.iter().any(|held| held.row.uid == uid))
    }

    /// All operators, by name.
    ///
    /// # Errors
    /// The store does not work.
    pub async fn operators(&self) -> Result<Vec<OperatorView>, Error> {
        let rows = all::<Operator>(self.store.as_ref()).await?;
        Ok(rows.iter().map(|held| held.row.view()).collect())
    }

    /// Adds one. Ask for authority first.
    ///
    /// # Errors
    /// Not a person, or known already; the store does not work.
    pub async fn add_operator(&self, by: Peer, own: Peer, new: &NewOperator) -> Result<OperatorView, Error> {
        let _turn = self.changing.lock().await;
        let rows: Vec<Operator> = self.operator_rows().await?;
        let row = checked(&rows, own, new)?;
        let event = about(&row, "operator-add", by);
        commit(
            self.store.as_ref(),
            vec![Cond::Absent(row.key())],
            vec![put(&row)?],
            event,
        )
        .await?;
        Ok(row.view())
    }

    /// Removes one; the approvals that they gave and nobody used yet go with them. Ask for authority first.
    ///
    /// # Errors
    /// None of that name; fewer than two would be left under dual control; the store does not work.
    pub async fn remove_operator(&self, by: Peer, name: &OperatorName) -> Result<(), Error> {
        let _turn = self.changing.lock().await;
        let held = self.operator(name).await?;
        self.leaves_two(&held.row).await?;
        let event = about(&held.row, "operator-remove", by);
        let conds = vec![Cond::Rev(held.row.key(), held.rev)];
        commit(self.store.as_ref(), conds, vec![Write::Del(held.row.key())], event).await
    }

    /// Takes an operator's credential away, who can come for another. Ask for authority first.
    ///
    /// # Errors
    /// As [`Custody::remove_operator`].
    pub async fn reset_operator(&self, by: Peer, name: &OperatorName) -> Result<OperatorView, Error> {
        let held = self.operator(name).await?;
        let next = Operator {
            enrolled: None,
            ..held.row.clone()
        };
        let event = about(&next, "operator-reset", by);
        let conds = vec![Cond::Rev(held.row.key(), held.rev)];
        commit(self.store.as_ref(), conds, vec![put(&next)?], event).await?;
        Ok(next.view())
    }

    /// The credential of the operator whose user asks, made now and shown once. The kernel's word on the user is enough for
    /// this one time: there is no credential yet, and it goes to nobody but that user.
    ///
    /// # Errors
    /// No operator's user, or it has one; not accepted; no random bytes; the store does not work.
    pub async fn enroll(&self, peer: Peer, accepted: bool) -> Result<(OperatorView, SecretString), Error> {
        let held = self.of_user(peer.uid).await?;
        if held.row.enrolled.is_some() {
            self.vault.count_admin("operator-enroll", "denied", peer);
            return Err(Error::Enrolled(held.row.name));
        }
        if !accepted {
            return Err(Error::NotAccepted);
        }
        let fresh = Fresh::operator()?;
        let next = Operator {
            enrolled: Some(Enrolled {
                credential: fresh.id,
                hash: fresh.hash,
                approval_key: approval_key(fresh.text.expose_secret())?,
                at: UnixMillis::now(),
            }),
            ..held.row.clone()
        };
        let event = Event {
            detail: Some(format!("{} (uid {}) accepted: {ACKNOWLEDGEMENT}", next.name, next.uid)),
            ..about(&next, "operator-enroll", peer)
        };
        let conds = vec![Cond::Rev(held.row.key(), held.rev)];
        commit(self.store.as_ref(), conds, vec![put(&next)?], event).await?;
        Ok((next.view(), fresh.text))
    }

    /// The operator who asks, if user and credential are of one.
    pub(super) async fn known(&self, asking: &Asking<'_>) -> Result<Known, Error> {
        let Some(text) = asking.credential else {
            return Err(Error::NoCredential);
        };
        let bad = Error::BadCredential(asking.peer.uid);
        let shown = Presented::parse_operator(text);
        let row = match self.of_user(asking.peer.uid).await {
            Ok(held) => Some(held.row),
            Err(Error::NoOperator(_)) => None,
            Err(error) => return Err(error),
        };
        let enrolled = row.as_ref().and_then(|row| row.enrolled.as_ref());
        let holds = shown.is_some_and(|shown| {
            let same = enrolled.filter(|enrolled| enrolled.credential == shown.id);
            self.comparison.holds(same.map(|enrolled| &enrolled.hash), &shown.hash)
        });
        let known = row
            .as_ref()
            .zip(enrolled)
            .filter(|_| holds)
            .map(|(row, enrolled)| Known {
                name: row.name.clone(),
                uid: row.uid,
                credential: enrolled.credential.clone(),
            });
        match known {
            Some(known) => Ok(known),
            None => {
                self.vault.count_admin("operator-login", "denied", asking.peer);
                Err(bad)
            }
        }
    }

    pub(super) async fn operator(&self, name: &OperatorName) -> Result<Held<Operator>, Error> {
        let held = read(self.store.as_ref(), &Operator::key_of(name.as_str())).await?;
        held.ok_or_else(|| Error::Unknown(name.clone()))
    }

    /// Whether two can act, also `without` one of them.
    pub(super) async fn two_at_least(&self, what: &'static str, without: Option<&OperatorName>) -> Result<(), Error> {
        let rows = self.operator_rows().await?;
        let able = rows
            .iter()
            .filter(|row| row.enrolled.is_some() && Some(&row.name) != without)
            .count();
        if able < 2 {
            Err(Error::TooFew(what, able))
        } else {
            Ok(())
        }
    }

    async fn leaves_two(&self, leaving: &Operator) -> Result<(), Error> {
        if !self.guards(super::Guarded::Operators) || leaving.enrolled.is_none() {
            return Ok(());
        }
        match self.two_at_least("", Some(&leaving.name)).await {
            Err(Error::TooFew(..)) => Err(Error::LastTwo),
            other => other,
        }
    }

    async fn of_user(&self, uid: u32) -> Result<Held<Operator>, Error> {
        let rows = all::<Operator>(self.store.as_ref()).await?;
        let found = rows.into_iter().find(|held| held.row.uid == uid);
        found.ok_or(Error::NoOperator(uid))
    }

    async fn operator_rows(&self) -> Result<Vec<Operator>, Error> {
        let rows = all::<Operator>(self.store.as_ref()).await?;
        Ok(rows.into_iter().map(|held| held.row).collect())
    }
}

/// The row of a person who is none of these yet.
fn checked(rows: &[Operator], own: Peer, new: &NewOperator) -> Result<Operator, Error> {
    if new.uid == 0 || new.uid == own.uid {
        return Err(Error::NotAPerson(new.uid));
    }
    if rows.len() >= OPERATORS_MAX {
        return Err(Error::TooMany(OPERATORS_MAX, "operators"));
    }
    if let Some(there) = rows.iter().find(|row| row.name == new.name || row.uid == new.uid) {
        return Err(Error::Exists(there.name.clone(), there.uid));
    }
    Ok(Operator {
        name: new.name.clone(),
        uid: new.uid,
        added_at: UnixMillis::now(),
        enrolled: None,
    })
}

fn about(row: &Operator, action: &str, by: Peer) -> Event {
    Event {
        peer: Some(by),
        detail: Some(format!("{} (uid {})", row.name, row.uid)),
        ..Event::new(action, "ok")
    }
}

const OPERATORS_MAX: usize = 100;
