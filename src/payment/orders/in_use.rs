//! One operation on an order at a time: the second is refused, not kept waiting.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::MerchantId;

type Order = (MerchantId, String);

/// The orders that operations are under way on.
#[derive(Default)]
pub(in crate::payment) struct OrdersInUse {
    orders: Mutex<HashSet<Order>>,
}

/// The order is in use until this is dropped.
pub(super) struct InUse {
    all: Arc<OrdersInUse>,
    order: Order,
}

impl OrdersInUse {
    /// `None`: the order is in use.
    pub(super) fn take(self: &Arc<Self>, merchant: &MerchantId, order: &str) -> Option<InUse> {
        let order = (merchant.clone(), order.to_owned());
        if !self.orders().insert(order.clone()) {
            return None;
        }
        Some(InUse {
            all: Arc::clone(self),
            order,
        })
    }

    fn orders(&self) -> MutexGuard<'_, HashSet<Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.all.orders().remove(&self.order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_used_by_one_at_a_time() {
        let orders = Arc::new(OrdersInUse::default());
        let (shop, other) = (MerchantId::parse("a").unwrap(), MerchantId::parse("b").unwrap());
        let first = orders.take(&shop, "1");
        assert!(first.is_some());
        assert!(orders.take(&shop, "1").is_none());
        assert!(orders.take(&shop, "2").is_some());
        assert!(orders.take(&other, "1").is_some());
        drop(first);
        assert!(orders.take(&shop, "1").is_some());
        assert!(orders.orders().is_empty());
    }
}
