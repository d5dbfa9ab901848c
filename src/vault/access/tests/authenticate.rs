use super::*;

#[tokio::test]
async fn a_good_key_acts_for_its_merchant() {
    let bench = Bench::dev().await;
    let actor = bench.actor();
    assert_eq!((actor.merchant, actor.repository_name.as_str()), (shop(), "shop"));
    let lower = bench.good_header().replacen("Bearer", "bearer", 1);
    assert!(bench.log_in(&lower).is_ok());
    bench.access.accounts().flush_uses().await.unwrap();
    assert!(bench.access.accounts().credentials(None)[0].last_used_at.is_some());
}

#[tokio::test]
async fn whatever_is_wrong_with_a_credential_the_answer_is_one() {
    let bench = Bench::dev().await;
    let key = bench.key.expose_secret().to_owned();
    let secret = key.rsplit('_').next().unwrap();
    let wrong_secret = if secret.starts_with('a') { "b" } else { "a" }.to_owned() + &secret[1..];
    for header in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        key.clone(),
        format!("Basic {key}"),
        "Bearer pv_é_é".to_owned(),
        format!("Bearer {}", key.replace(secret, &wrong_secret)),
        format!("Bearer {}", &key[..key.len() - 1]),
        format!("Bearer pv_unknown_{secret}"),
    ] {
        assert_eq!(
            bench.log_in(&header).unwrap_err(),
            PolicyError::BadCredential,
            "{header:?}"
        );
        assert!(bench.log_in(&bench.good_header()).is_ok());
    }
    assert_eq!(
        bench.counted().await,
        [
            counted("auth-failed", "malformed", 7),
            counted("auth-failed", "wrong", 2)
        ]
    );
    assert_eq!(
        bench.access.metrics.auth_failures.with_label_values(&["native"]).get(),
        9
    );
}

#[tokio::test]
async fn suspended_expired_and_removed_keys_are_bad() {
    let bench = Bench::dev().await;
    let accounts = bench.access.accounts();
    let id = accounts.credentials(None)[0].id.clone();
    accounts.suspend_credential(ADMIN, &id).await.unwrap();
    assert_eq!(
        bench.log_in(&bench.good_header()).unwrap_err(),
        PolicyError::BadCredential
    );
    accounts.resume_credential(ADMIN, &id).await.unwrap();
    assert!(bench.log_in(&bench.good_header()).is_ok());
    accounts.remove_credential(ADMIN, &id).await.unwrap();
    assert_eq!(
        bench.log_in(&bench.good_header()).unwrap_err(),
        PolicyError::BadCredential
    );

    let short = issue(&bench.access, Some(UnixMillis::now().plus(300))).await;
    let short = format!("Bearer {}", short.expose_secret());
    assert!(bench.log_in(&short).is_ok());
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(bench.log_in(&short).unwrap_err(), PolicyError::BadCredential);
    assert_eq!(
        bench.counted().await,
        [
            counted("auth-failed", "expired", 1),
            counted("auth-failed", "suspended", 1),
            counted("auth-failed", "wrong", 1)
        ]
    );
}

#[tokio::test]
async fn ten_failures_pause_a_caller_and_no_other() {
    let bench = Bench::dev().await;
    for _ in 0..50 {
        assert_eq!(
            log_in(&bench.access, PEER, None).unwrap_err(),
            PolicyError::NoCredential,
            "not counted"
        );
    }
    for _ in 0..10 {
        assert_eq!(bench.log_in("Bearer x").unwrap_err(), PolicyError::BadCredential);
    }
    assert_eq!(
        bench.log_in("Bearer x").unwrap_err(),
        PolicyError::LoginThrottled { retry_after_s: 30 }
    );
    let other = Peer { uid: 1001, ..PEER };
    assert_eq!(
        log_in(&bench.access, other, Some("Bearer x")).unwrap_err(),
        PolicyError::BadCredential
    );
    assert_eq!(
        bench.counted().await,
        [
            counted("auth-failed", "malformed", 1),
            counted("auth-failed", "malformed", 10),
            counted("auth-failed", "throttled", 1)
        ]
    );
}

#[tokio::test]
async fn no_number_of_failures_keeps_a_good_key_out() {
    let bench = Bench::dev().await;
    let other = format!("Bearer {}", issue(&bench.access, None).await.expose_secret());
    let wrong_secret = |header: &str| {
        let (id, secret) = header.rsplit_once('_').unwrap();
        format!(
            "{id}_{}",
            if secret.starts_with('a') { "b" } else { "a" }.to_owned() + &secret[1..]
        )
    };
    let wrong = wrong_secret(&bench.good_header());
    for header in ["Bearer x", wrong.as_str()] {
        for _ in 0..10 {
            assert_eq!(
                bench.log_in(header).unwrap_err(),
                PolicyError::BadCredential,
                "{header}"
            );
        }
        let paused = bench.log_in(header).unwrap_err();
        assert_eq!(paused, PolicyError::LoginThrottled { retry_after_s: 30 });
        assert!(bench.log_in(&other).is_ok());
        assert_eq!(
            bench.log_in(header).unwrap_err(),
            paused,
            "another key's success changes nothing"
        );
    }
    // one key's pause is not another's
    assert_eq!(
        bench.log_in(&wrong_secret(&other)).unwrap_err(),
        PolicyError::BadCredential
    );
    assert!(bench.log_in(&bench.good_header()).is_ok());
}
