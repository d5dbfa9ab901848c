use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SHOP_UID: u32 = 1000;

fn shop() -> MerchantId {
    MerchantId::parse("shop").unwrap()
}

fn table(per_second: u32, burst: u32, per_day: u64) -> CapTable {
    CapTable {
        reveal: Cap {
            per_second,
            burst,
            per_day,
        },
        ..CapTable::default()
    }
}

fn start() -> Moment {
    Moment {
        monotonic: Instant::now(),
        // 2027-01-15T08:00:00Z: 16 hours before midnight
        wall: UnixMillis(1_800_000_000_000),
    }
}

fn after(start: Moment, elapsed: Duration) -> Moment {
    Moment {
        monotonic: start.monotonic + elapsed,
        wall: start.wall.plus(u64::try_from(elapsed.as_millis()).unwrap()),
    }
}

fn take(caps: &Caps, table: &CapTable, volume: u64, now: Moment) -> Result<(), Exceeded> {
    caps.take(table.reveal, (SHOP_UID, &shop()), Operation::Reveal, volume, now)
}

#[test]
fn the_burst_then_the_rate() {
    let caps = Caps::new(8);
    let table = table(50, 100, 0);
    let now = start();
    for _ in 0..100 {
        take(&caps, &table, 1, now).unwrap();
    }
    assert_eq!(take(&caps, &table, 1, now), Err(Exceeded { retry_after_s: 1 }));
    assert!(take(&caps, &table, 1, after(now, Duration::from_millis(19))).is_err());
    take(&caps, &table, 1, after(now, Duration::from_millis(20))).unwrap();
    assert!(take(&caps, &table, 1, after(now, Duration::from_millis(20))).is_err());
}

#[test]
fn a_batch_larger_than_the_burst_passes_and_is_paid_for_later() {
    let caps = Caps::new(8);
    let table = table(50, 100, 0);
    let now = start();
    take(&caps, &table, 1_000, now).unwrap();
    assert_eq!(take(&caps, &table, 1, now), Err(Exceeded { retry_after_s: 19 }));
    assert!(take(&caps, &table, 1_000, after(now, Duration::from_secs(19))).is_err());
    take(&caps, &table, 1_000, after(now, Duration::from_secs(20))).unwrap();
}

#[test]
fn the_day_ends_at_midnight_utc() {
    let caps = Caps::new(8);
    let table = table(0, 0, 10);
    let now = start();
    take(&caps, &table, 10, now).unwrap();
    let hours = Duration::from_secs(16 * 3600);
    assert_eq!(
        take(&caps, &table, 1, now),
        Err(Exceeded {
            retry_after_s: hours.as_secs()
        })
    );
    assert!(take(&caps, &table, 1, after(now, hours - Duration::from_millis(1))).is_err());
    let tomorrow = after(now, hours);
    take(&caps, &table, 4, tomorrow).unwrap();
    assert!(
        take(&caps, &table, 7, tomorrow).is_err(),
        "a batch passes as a whole or not at all"
    );
    take(&caps, &table, 6, tomorrow).unwrap();
    assert!(
        take(&caps, &table, 1, now).is_err(),
        "a clock set back gives no new day"
    );
}

#[test]
fn a_refusal_takes_nothing() {
    let caps = Caps::new(8);
    let table = table(10, 10, 15);
    let now = start();
    take(&caps, &table, 10, now).unwrap();
    let later = after(now, Duration::from_secs(1));
    assert!(take(&caps, &table, 6, later).is_err(), "over the day");
    take(&caps, &table, 5, later).unwrap();
}

#[test]
fn only_what_shows_stored_cards_is_capped() {
    for op in Operation::ALL {
        let capped = matches!(
            op,
            Operation::Export | Operation::Reveal | Operation::Search | Operation::SearchByPan
        );
        let effective = |table: CapTable, own| table.effective(&own, op).is_some();
        assert_eq!(
            effective(CapTable::production(), CapOverrides::default()),
            capped,
            "{op:?}"
        );
        assert!(!effective(CapTable::production(), CapOverrides::unlimited()), "{op:?}");
        assert!(!effective(CapTable::default(), CapOverrides::default()), "{op:?}");
    }
}

#[test]
fn a_grant_changes_or_lifts_what_the_configuration_says() {
    let table = table(50, 100, 1_000);
    let own = |per_second, per_day| CapOverrides {
        reveal_per_second: per_second,
        reveal_per_day: per_day,
        ..CapOverrides::default()
    };
    let effective = |own: CapOverrides| table.effective(&own, Operation::Reveal);
    assert_eq!(effective(own(None, None)), Some(table.reveal));
    assert_eq!(
        effective(own(Some(5), None)),
        Some(Cap {
            per_second: 5,
            burst: 0,
            per_day: 1_000
        })
    );
    assert_eq!(effective(own(Some(0), Some(0))), None);
}

#[test]
fn callers_merchants_and_operations_are_counted_apart() {
    let caps = Caps::new(8);
    let cap = table(1, 1, 0).reveal;
    let now = start();
    let other = MerchantId::parse("other").unwrap();
    for (uid, merchant, op) in [
        (1, &shop(), Operation::Reveal),
        (2, &shop(), Operation::Reveal),
        (1, &other, Operation::Reveal),
        (1, &shop(), Operation::Search),
    ] {
        caps.take(cap, (uid, merchant), op, 1, now).unwrap();
        assert!(caps.take(cap, (uid, merchant), op, 1, now).is_err());
    }
}

#[test]
fn memory_is_bounded_and_only_the_idle_are_forgotten() {
    let caps = Caps::new(3);
    let cap = table(1, 1, 0).reveal;
    let now = start();
    let reveal = |uid, now| caps.take(cap, (uid, &shop()), Operation::Reveal, 1, now);
    for uid in 0..3 {
        reveal(uid, now).unwrap();
    }
    assert_eq!(reveal(3, now), Err(Exceeded { retry_after_s: 60 }));
    assert!(reveal(0, now).is_err(), "still remembered");
    // the day's count must outlive the full bucket
    assert!(reveal(3, after(now, Duration::from_secs(1))).is_err());
    let tomorrow = after(now, Duration::from_secs(86_400));
    reveal(3, tomorrow).unwrap();
    assert_eq!(caps.usage.lock().unwrap().entries, 1);
}

#[test]
fn many_threads_take_exactly_the_allowance() {
    let caps = Caps::new(8);
    let table = table(0, 0, 1_000);
    let now = start();
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..500).filter(|_| take(&caps, &table, 1, now).is_ok()).count()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(granted, 1_000);
}

proptest! {
    /// Over any run of requests the bucket grants at most the burst, what time brought, and one oversized request; and
    /// whoever waits as long as told is served.
    #[test]
    fn the_rate_over_time_holds(
        per_second in 1_u32..200,
        burst in 1_u32..300,
        steps in prop::collection::vec((0_u64..3_000, 1_u64..400), 1..60),
    ) {
        let caps = Caps::new(8);
        let table = table(per_second, burst, 0);
        let mut now = start();
        let began = now;
        let mut granted = 0_u64;
        let mut largest = 0;
        for (pause_ms, volume) in steps {
            now = after(now, Duration::from_millis(pause_ms));
            if let Err(Exceeded { retry_after_s }) = take(&caps, &table, volume, now) {
                prop_assert!(retry_after_s >= 1);
                now = after(now, Duration::from_secs(retry_after_s));
                prop_assert_eq!(take(&caps, &table, volume, now), Ok(()));
            }
            granted += volume;
            largest = largest.max(volume);
            let elapsed_ms = now.wall.0 - began.wall.0;
            let earned = u64::from(per_second) * elapsed_ms / 1_000 + 1;
            prop_assert!(granted <= u64::from(burst) + earned + largest);
        }
    }
}
