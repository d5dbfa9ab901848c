//! Composed searches. A filter is a sequence of branches, one for each part of a topmost [`Filter::Any`]; each is served
//! by its narrowest index, one after another, and leaves out what fits an earlier one.

mod cursor;
mod filter;

use std::ops::Bound;

pub(super) use self::cursor::CursorKey;
use self::cursor::{Position, Resumed};
use self::filter::{Branch, Plan, Test};
use super::search::check_limit;
use super::tables::PanIndex;
use super::types::{Actor, CallerError, Error, Filter, Found, IntegrityError, Operation, Search, View};
use super::walk::{Index, Room, Walked};
use super::{Vault, event};
use crate::hsm::Generation;
use crate::id::{Token, UnixMillis};

impl Vault {
    /// A page of the tokens that fit, in the order of the index that served it; a page may hold fewer than asked for, or
    /// none, and still have a `next`. Tokens that come and go in between shift nothing. A filter with a card number is
    /// the right `search-by-pan`, audited; any other is `search`, and so is what such a filter finds by other means.
    ///
    /// # Errors
    /// As [`Vault::search`].
    pub async fn find_tokens(&self, actor: &Actor, search: Search) -> Result<Found, Error> {
        let mut op = Operation::Search;
        let result = self.find_page(actor, search, &mut op).await;
        self.conclude(actor, op, None, "ok", result).await
    }

    async fn find_page(&self, actor: &Actor, search: Search, op: &mut Operation) -> Result<Found, Error> {
        let (resumed, asked) = match search {
            Search::Begin { filter, limit, opened } => {
                check_limit(limit)?;
                let pans = filter::check(&filter)?;
                let volume = match pans {
                    0 => 1,
                    _ => {
                        *op = Operation::SearchByPan;
                        u64::try_from(pans.saturating_sub(opened)).unwrap_or(u64::MAX)
                    }
                };
                self.access.permit(actor, *op, volume)?;
                let (test, under) = self.test(actor, filter).await?;
                let resumed = Resumed {
                    test,
                    limit,
                    under: under.0,
                    position: Position::default(),
                };
                (resumed, true)
            }
            Search::Resume { cursor } => (self.resume(actor, &cursor).await?, false),
        };
        let Resumed {
            test,
            limit,
            under,
            position,
        } = resumed;
        if test.has_pan() {
            *op = Operation::SearchByPan;
            // the filter knows the card under keys of before, and tokens have moved since
            if under != self.generations().await?.active().0 {
                return Err(CallerError::BadCursor.into());
            }
        }
        let branches = test.branches();
        // what the PAN index does not serve is a search like any other
        let wide = *op == Operation::SearchByPan && branches.iter().any(Branch::is_wide);
        if !asked {
            self.access.permit(actor, *op, 1)?;
        }
        if wide {
            self.access.permit(actor, Operation::Search, 1)?;
        }
        let (tokens, examined, next) = self.page(actor, &branches, limit, position).await?;
        let next = match next {
            Some(position) => {
                let search = Resumed {
                    test,
                    limit,
                    under,
                    position,
                };
                Some(self.cursor(actor, &search).await?)
            }
            None => None,
        };
        if *op == Operation::SearchByPan {
            let mut event = event(actor, *op, "ok", None);
            event.count = u64::try_from(tokens.len()).ok();
            self.note(event).await?;
        }
        if wide || *op == Operation::Search {
            self.charge_page(actor, tokens.len(), examined);
        }
        Ok(Found { tokens, next })
    }

    /// The tokens, how many entries were looked at, and where to go on.
    async fn page(
        &self,
        actor: &Actor,
        branches: &[Branch<'_>],
        limit: u32,
        start: Position,
    ) -> Result<(Vec<View>, usize, Option<Position>), Error> {
        let (mut room, mut from) = (Room::for_page(limit), (start.index, start.after));
        let (mut tokens, mut examined) = (Vec::new(), 0);
        for (at, branch) in branches.iter().enumerate().skip(start.branch) {
            if room.is_used_up() {
                let next = Position {
                    branch: at,
                    ..Position::default()
                };
                return Ok((tokens, examined, Some(next)));
            }
            let begin = std::mem::take(&mut from);
            let (walked, stopped) = self.branch(actor, branch, begin, room).await?;
            room = room.less(&walked);
            examined += walked.examined;
            tokens.extend(walked.tokens);
            if let Some((index, after)) = stopped {
                let next = Position {
                    branch: at,
                    index,
                    after,
                };
                return Ok((tokens, examined, Some(next)));
            }
        }
        Ok((tokens, examined, None))
    }

    /// What was found, and where it stopped before the branch's end: in which of its indexes, and where in that.
    async fn branch(
        &self,
        actor: &Actor,
        branch: &Branch<'_>,
        (first, after): (usize, Option<Vec<u8>>),
        room: Room,
    ) -> Result<(Walked, Option<(usize, Option<Vec<u8>>)>), Error> {
        let (index, start) = match branch.plan() {
            Plan::Nothing => return Ok((Walked::default(), None)),
            Plan::Token(token) => return Ok((self.single(actor, branch, token).await?, None)),
            Plan::Pan(pans) => return self.card(actor, branch, pans, (first, after), room).await,
            Plan::UpdatedAfter(at) => {
                let from = at.plus(1).0.to_be_bytes().to_vec();
                (Index::updated(actor.repository), Bound::Included(from))
            }
            Plan::All => (Index::records(actor.repository), Bound::Unbounded),
        };
        let from = after.map_or(start, Bound::Excluded);
        let walked = self.walk(&index, from, room, &|record| branch.fits(record)).await?;
        let stopped = walked.stopped.clone().map(|after| (0, Some(after)));
        Ok((walked, stopped))
    }

    /// A card's tokens, of those under older fingerprint keys first, as [`Vault::search`] finds them.
    async fn card(
        &self,
        actor: &Actor,
        branch: &Branch<'_>,
        pans: &[PanIndex],
        (first, mut after): (usize, Option<Vec<u8>>),
        mut room: Room,
    ) -> Result<(Walked, Option<(usize, Option<Vec<u8>>)>), Error> {
        let mut all = Walked::default();
        for (at, pan) in pans.iter().enumerate().skip(first) {
            if room.is_used_up() {
                return Ok((all, Some((at, None))));
            }
            let index = Index::pan(actor.repository, *pan);
            let from = after.take().map_or(Bound::Unbounded, Bound::Excluded);
            let walked = self.walk(&index, from, room, &|record| branch.fits(record)).await?;
            room = room.less(&walked);
            all.examined += walked.examined;
            for view in walked.tokens {
                if all.tokens.iter().all(|there| there.token != view.token) {
                    all.tokens.push(view);
                }
            }
            if walked.stopped.is_some() {
                return Ok((all, Some((at, walked.stopped))));
            }
        }
        Ok((all, None))
    }

    async fn single(&self, actor: &Actor, branch: &Branch<'_>, token: &Token) -> Result<Walked, Error> {
        let mut walked = Walked {
            examined: 1,
            ..Walked::default()
        };
        match self.load(actor.repository, token).await {
            Ok(held) if !self.is_over(&held.record, UnixMillis::now()) && branch.fits(&held.record) => {
                walked.tokens.push(self.view(&held.record).await?);
            }
            Ok(_) | Err(Error::Caller(CallerError::UnknownToken)) => {}
            Err(error) => return Err(error),
        }
        Ok(walked)
    }

    /// The filter with its card numbers as the index knows them.
    async fn test(&self, actor: &Actor, filter: Filter) -> Result<(Test, Generation), Error> {
        let mut pans = Vec::new();
        let mut under = self.generations().await?.active();
        for pan in filter.pans() {
            let prints = self.card_prints(actor.repository, pan).await?;
            // those of an earlier card do not know of a step taken since
            under = under.min(prints.generations.active());
            let oldest_first = prints.made.iter().rev();
            pans.push(oldest_first.map(|(_, fingerprint)| PanIndex::of(fingerprint)).collect());
        }
        let test = Test::of(filter, &mut pans.into_iter()).ok_or(IntegrityError::Damaged)?;
        cursor::check(&test)?;
        Ok((test, under))
    }
}
