use super::*;

fn pan(digits: &str) -> Pan {
    Pan::parse(digits).unwrap()
}

fn active(number: &str, year: u16, account: char) -> Kept {
    Kept::Active {
        card: pan("4111111111111111"),
        token: Provisioned {
            number: pan(number),
            expiry: Expiry::new(1, year).unwrap(),
            account_reference: PaymentAccountReference::parse(&account.to_string().repeat(29)).unwrap(),
        },
    }
}

fn pending(handle: &str) -> Kept {
    Kept::Pending {
        card: pan("4111111111111111"),
        handle: Zeroizing::new(handle.to_owned()),
    }
}

fn refused() -> Kept {
    Kept::Refused(ProvisionRefusal {
        error_code: "301".to_owned(),
        provider_error_code: "403".to_owned(),
        source: "a \"source\"".to_owned(),
        context: String::new(),
        message: "no".to_owned(),
    })
}

#[test]
fn what_is_kept_comes_back() {
    for kept in [
        active("4895370012003478", 2040, 'A'),
        pending("a \"handle\" \u{1}"),
        refused(),
    ] {
        let secret = kept.encode().unwrap();
        let read = Kept::decode(&secret).unwrap();
        assert_eq!(read.encode().unwrap().expose(), secret.expose());
        let masked = Masked::new(&pan("4111111111111111"), 8);
        let stored = Stored::new(&masked, Expiry::new(1, 2039).unwrap(), &kept);
        let stored = Stored::decode(&stored.encode().unwrap()).unwrap();
        assert!(stored.fits(&read));
        assert_eq!(
            (stored.first_six.as_str(), stored.last_four.as_str()),
            ("411111", "1111")
        );
    }
    assert!(Kept::decode(&SecretBytes::new(b"{}".to_vec())).is_err());
}

#[test]
fn a_long_handle_leaves_no_copy_behind() {
    let kept = pending(&"\u{1}".repeat(500));
    let secret = kept.encode().unwrap().into_zeroizing();
    assert!(
        secret.len() > 3_000 && secret.capacity() <= 256 + 6 * 500,
        "it did not grow"
    );
}

#[test]
fn what_is_new_is_told_from_what_is_there() {
    let there = active("4895370012003478", 2040, 'A');
    assert!(there.stays(&active("4895370012003478", 2040, 'A'), true));
    assert!(!there.stays(&active("4895370012003478", 2040, 'A'), false));
    for same in [true, false] {
        assert!(there.stays(&pending("x"), same), "it is there");
    }
    for new in [
        active("5204240250197840", 2040, 'A'),
        active("4895370012003478", 2041, 'A'),
        active("4895370012003478", 2040, 'B'),
        refused(),
    ] {
        assert!(!there.stays(&new, true));
    }
    assert!(pending("x").stays(&pending("x"), true));
    assert!(!pending("x").stays(&pending("x"), false));
    for new in [pending("y"), active("4895370012003478", 2040, 'A'), refused()] {
        assert!(!pending("x").stays(&new, true));
    }
}

#[test]
fn only_what_is_no_network_token_goes_by_itself() {
    let now = UnixMillis(1_000);
    assert_eq!(active("4895370012003478", 2040, 'A').expires_at(now), None);
    for kept in [pending("x"), refused()] {
        assert_eq!(kept.expires_at(now), Some(UnixMillis(86_401_000)));
    }
}

#[test]
fn of_a_short_number_only_the_end_is_shown() {
    let short = pan("500000000009");
    let stored = Stored::new(&Masked::new(&short, 6), Expiry::new(1, 2039).unwrap(), &refused());
    assert_eq!((stored.first_six.as_str(), stored.last_four.as_str()), ("", "0009"));
}
