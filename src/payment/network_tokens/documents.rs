//! The documents of a network token, and the ways to it.

use data_encoding::HEXLOWER;

use super::stored::{Kept, Stored};
use super::{NetworkToken, event};
use crate::card::Pan;
use crate::hsm::framed;
use crate::id::UnixMillis;
use crate::keys::SecretBytes;
use crate::payment::{Error, Payments};
use crate::vault::types::{Actor, Document, DocumentEvent, DocumentKind, DocumentWrite, Expect, Secret, Written};

/// Ways read at once.
const PAGE: u32 = 1_000;

/// A network token as it was read.
pub(super) struct Held {
    pub(super) reference: String,
    rev: u64,
    pub(super) stored: Stored,
    pub(super) kept: Kept,
    /// It is past its repository's retention.
    pub(super) is_over: bool,
}

/// The way from a number to a network token.
pub(super) struct Way {
    name: String,
    rev: u64,
    reference: String,
}

/// A network token, and the way on which it was found.
pub(super) struct Found {
    pub(super) way: Way,
    pub(super) held: Held,
}

/// A network token to be written.
pub(super) struct New<'a> {
    pub(super) reference: &'a str,
    pub(super) stored: &'a Stored,
    pub(super) kept: &'a Kept,
    /// What the way from its card is called; none where the card is not kept.
    pub(super) by_card: Option<&'a str>,
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrote {
    /// All is written.
    Done,
    /// Others changed it first; nothing was written.
    Changed,
    /// Its number leads to another network token, or did a moment ago; nothing was written.
    NumberTaken,
}

impl Held {
    pub(super) fn view(self) -> NetworkToken {
        self.stored.view(self.reference, self.kept)
    }
}

impl Payments {
    /// The network token of that reference, unless it is past its repository's retention.
    pub(super) async fn held(&self, actor: &Actor, reference: &str) -> Result<Option<Held>, Error> {
        let held = self.held_ever(actor, reference).await?;
        Ok(held.filter(|held| !held.is_over))
    }

    /// The same, also past that: it is ended soon.
    pub(super) async fn held_ever(&self, actor: &Actor, reference: &str) -> Result<Option<Held>, Error> {
        let found = self
            .vault
            .document(actor, DocumentKind::NetworkToken, reference)
            .await?;
        let Some(document) = found else {
            return Ok(None);
        };
        let secret = self.vault.document_secret(&document).await?;
        let life = self.vault.longest_life_of(&document);
        let kept = Kept::decode(&secret.ok_or_else(Error::damaged)?)?;
        let Document { name, rev, clear, .. } = document;
        let stored = Stored::decode(&clear)?;
        if !stored.fits(&kept) {
            return Err(Error::damaged());
        }
        let ends_at = life.zip(stored.made_at).map(|(life, made_at)| made_at.plus(life));
        Ok(Some(Held {
            is_over: ends_at.is_some_and(|at| at <= UnixMillis::now()),
            reference: name,
            rev,
            stored,
            kept,
        }))
    }

    /// The network token of that number.
    pub(super) async fn of_number(&self, actor: &Actor, number: &Pan) -> Result<Option<Found>, Error> {
        let name = self.name_by_number(actor, number).await?;
        self.along(actor, &name, number, Kept::number).await
    }

    /// The network token of that card; `name` is what [`Self::name_by_card`] gives for it.
    pub(super) async fn of_card(&self, actor: &Actor, name: &str, card: &Pan) -> Result<Option<Found>, Error> {
        self.along(actor, name, card, Kept::card).await
    }

    /// Where the way of that name leads to. None too where it was removed meanwhile.
    ///
    /// # Errors
    /// It leads to a network token that does not have this number.
    async fn along(
        &self,
        actor: &Actor,
        name: &str,
        number: &Pan,
        number_in: fn(&Kept) -> Option<&Pan>,
    ) -> Result<Option<Found>, Error> {
        let Some(way) = self.way(actor, name).await? else {
            return Ok(None);
        };
        let Some(held) = self.held_ever(actor, &way.reference).await? else {
            return Ok(None);
        };
        match number_in(&held.kept) {
            Some(there) if there.expose() == number.expose() => Ok(Some(Found { way, held })),
            Some(_) | None => Err(Error::damaged()),
        }
    }

    async fn way(&self, actor: &Actor, name: &str) -> Result<Option<Way>, Error> {
        let found = self
            .vault
            .document(actor, DocumentKind::NetworkTokenNumber, name)
            .await?;
        let way = |document: Document| {
            Ok(Way {
                name: document.name,
                rev: document.rev,
                reference: String::from_utf8(document.clear).map_err(|_| Error::damaged())?,
            })
        };
        found.map(way).transpose()
    }

    /// The way of that name, if it leads to that network token.
    async fn way_to(&self, actor: &Actor, name: &str, reference: &str) -> Result<Option<Way>, Error> {
        let way = self.way(actor, name).await?;
        Ok(way.filter(|way| way.reference == reference))
    }

    /// What the way from a card is called. A keyed MAC: an unkeyed hash of a number would be found by trying all.
    pub(in crate::payment) async fn name_by_card(&self, actor: &Actor, card: &Pan) -> Result<String, Error> {
        self.name(b"network token by card", actor, card).await
    }

    async fn name_by_number(&self, actor: &Actor, number: &Pan) -> Result<String, Error> {
        self.name(b"network token by number", actor, number).await
    }

    async fn name(&self, label: &[u8], actor: &Actor, number: &Pan) -> Result<String, Error> {
        let merchant = actor.merchant.as_str().as_bytes();
        let named = framed(&[label, merchant, number.expose().as_bytes()]);
        let mac = self.vault.request_mac(SecretBytes::new(named)).await?;
        Ok(HEXLOWER.encode(&mac))
    }

    /// Writes a network token and the ways to it, in place of what there was `before`, found by its card.
    pub(super) async fn write_network_token(
        &self,
        actor: &Actor,
        new: New<'_>,
        before: Option<&Found>,
        event: DocumentEvent,
    ) -> Result<Wrote, Error> {
        let expires_at = new.kept.expires_at(UnixMillis::now());
        let mut writes = vec![DocumentWrite {
            kind: DocumentKind::NetworkToken,
            name: new.reference.to_owned(),
            expect: before.map_or(Expect::Absent, |before| Expect::Rev(before.held.rev)),
            clear: match before {
                // a life is not begun anew, but by who asks when it was over
                Some(before) if !before.held.is_over => new.stored.since(before.held.stored.made_at).encode()?,
                _ => new.stored.encode()?,
            },
            secret: Secret::Seal(new.kept.encode()?),
            expires_at,
        }];
        let way = |name: &str, expect| DocumentWrite {
            kind: DocumentKind::NetworkTokenNumber,
            name: name.to_owned(),
            expect,
            clear: new.reference.as_bytes().to_vec(),
            secret: Secret::Nothing,
            expires_at,
        };
        match (before, new.by_card) {
            (Some(before), Some(name)) => writes.push(way(name, Expect::Rev(before.way.rev))),
            (Some(before), None) => writes.push(before.way.removal()),
            (None, Some(name)) => writes.push(way(name, Expect::Absent)),
            (None, None) => {}
        }
        let old = before.and_then(|before| before.held.kept.number());
        let number = new.kept.number();
        if old.map(Pan::expose) != number.map(Pan::expose) {
            if let Some(old) = old {
                let name = self.name_by_number(actor, old).await?;
                let way = self.way_to(actor, &name, new.reference).await?;
                writes.extend(way.as_ref().map(Way::removal));
            }
            if let Some(number) = number {
                let name = self.name_by_number(actor, number).await?;
                if self.way(actor, &name).await?.is_some() {
                    return Ok(Wrote::NumberTaken);
                }
                writes.push(way(&name, Expect::Absent));
            }
        }
        self.write_all(actor, writes, event).await
    }

    /// Writes what became of `held`, which was not ready.
    pub(super) async fn write_settled(&self, actor: &Actor, held: Held, now: &Kept) -> Result<Wrote, Error> {
        let card = held.kept.card().ok_or_else(Error::damaged)?;
        let name = self.name_by_card(actor, card).await?;
        let Some(way) = self.way_to(actor, &name, &held.reference).await? else {
            return Ok(Wrote::Changed);
        };
        let stored = held.stored.with(now);
        let reference = held.reference.clone();
        let new = New {
            reference: &reference,
            stored: &stored,
            kept: now,
            by_card: now.card().map(|_| name.as_str()),
        };
        let event = event("network-token-provision", now.outcome(), &reference);
        self.write_network_token(actor, new, Some(&Found { way, held }), event)
            .await
    }

    /// Removes a network token that was found by its number, and the ways to it.
    pub(super) async fn remove_network_token(&self, actor: &Actor, found: &Found) -> Result<Wrote, Error> {
        let Found { way, held } = found;
        let card = held.kept.card().ok_or_else(Error::damaged)?;
        let name = self.name_by_card(actor, card).await?;
        let by_card = self.way_to(actor, &name, &held.reference).await?;
        let document = removal(DocumentKind::NetworkToken, &held.reference, held.rev);
        let mut writes = vec![document, way.removal()];
        writes.extend(by_card.as_ref().map(Way::removal));
        let event = event("network-token-delete", "ok", &held.reference);
        self.write_all(actor, writes, event).await
    }

    /// Removes one that has no number, found by its card.
    pub(super) async fn remove_unready(&self, actor: &Actor, found: &Found) -> Result<Wrote, Error> {
        let Found { way, held } = found;
        let writes = vec![
            removal(DocumentKind::NetworkToken, &held.reference, held.rev),
            way.removal(),
        ];
        let event = event("network-token-delete", "ok", &held.reference);
        self.write_all(actor, writes, event).await
    }

    /// Removes a network token whose KEK was destroyed, found by its card, and the ways to it.
    pub(super) async fn forget_dead(&self, actor: &Actor, by_card: &str) -> Result<(), Error> {
        match self.way(actor, by_card).await? {
            Some(Way { reference, .. }) => self.forget_unopened(actor, &reference).await,
            None => Ok(()),
        }
    }

    /// The same, by its reference.
    pub(super) async fn forget_unopened(&self, actor: &Actor, reference: &str) -> Result<(), Error> {
        let dead = self
            .vault
            .document(actor, DocumentKind::NetworkToken, reference)
            .await?;
        let mut writes: Vec<_> = dead
            .map(|dead| removal(DocumentKind::NetworkToken, &dead.name, dead.rev))
            .into_iter()
            .collect();
        let mut after = None;
        // its number does not open, and what the way from it is called is made of that
        loop {
            let page = self
                .vault
                .documents(actor, DocumentKind::NetworkTokenNumber, "", after.as_deref(), PAGE)
                .await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            let ways = page.iter().filter(|way| way.clear == reference.as_bytes());
            writes.extend(ways.map(|way| removal(DocumentKind::NetworkTokenNumber, &way.name, way.rev)));
        }
        let event = event("network-token-delete", "key-destroyed", reference);
        // what was changed in between is met again
        self.write_all(actor, writes, event).await.map(|_| ())
    }

    async fn write_all(&self, actor: &Actor, writes: Vec<DocumentWrite>, event: DocumentEvent) -> Result<Wrote, Error> {
        Ok(match self.vault.write_documents(actor, writes, event).await? {
            Written::Done { .. } => Wrote::Done,
            Written::Changed => Wrote::Changed,
        })
    }
}

impl Way {
    fn removal(&self) -> DocumentWrite {
        removal(DocumentKind::NetworkTokenNumber, &self.name, self.rev)
    }
}

fn removal(kind: DocumentKind, name: &str, rev: u64) -> DocumentWrite {
    DocumentWrite {
        kind,
        name: name.to_owned(),
        expect: Expect::Rev(rev),
        clear: Vec::new(),
        secret: Secret::Nothing,
        // a time that is past removes it
        expires_at: Some(UnixMillis(1)),
    }
}
