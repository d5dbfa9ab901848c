//! What is answered, named as the contract names it. What there is nothing to say of is `null`, not left out.

mod customer;
mod method;
mod outcome;
mod raw;
mod session;

use serde::Serialize;

pub(super) use self::customer::{Counted, customer, redacted};
pub(super) use self::method::{added, default, intent, method, saved};
pub(super) use self::session::{SessionDeleted, confirmed, session, session_list};

/// A payment method that was deleted.
#[derive(Serialize)]
pub(super) struct Deleted<'a> {
    pub(super) id: &'a str,
}

/// A temporary name, and whose it is.
#[derive(Serialize)]
pub(super) struct Named<'a> {
    pub(super) id: &'a str,
    pub(super) payment_method_token: &'a str,
}

/// How many payment methods there are.
#[derive(Serialize)]
pub(super) struct Total {
    pub(super) total_count: usize,
}
