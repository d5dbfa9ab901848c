//! What is answered, named as the contract names it. What there is nothing to say of is `null`, not left out.

mod customer;
mod method;
mod outcome;
mod raw;

use serde::Serialize;

pub(super) use self::customer::{Counted, customer, redacted};
pub(super) use self::method::{added, default, method, saved};

/// A payment method that was deleted.
#[derive(Serialize)]
pub(super) struct Deleted<'a> {
    pub(super) id: &'a str,
}

/// How many payment methods there are.
#[derive(Serialize)]
pub(super) struct Total {
    pub(super) total_count: usize,
}
