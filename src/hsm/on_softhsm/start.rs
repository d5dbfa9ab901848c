//! What a start asks of the PIN, the token and the process.

use std::os::unix::fs::PermissionsExt;

use cryptoki::session::UserType;

use super::{Place, SoftHsm, has, scenarios, write_pin};
use crate::hsm::token::Token;
use crate::hsm::{Config, KekMode, Keyset, PinSource, StartFault, Verdict};

fn pin_count_low(place: &Place) -> bool {
    // Without login: a login would reset the flag.
    let config = place.config();
    let module = crate::hsm::pkcs11::Module::open(&config.module, &config.environment, SoftHsm::LABEL, None).unwrap();
    let low = module.token_now().unwrap().user_pin_count_low();
    module.finalize().unwrap();
    low
}

scenarios! {
    fn an_empty_token_is_told_from_a_wrong_one(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        place.intrude(UserType::User, |_, session| {
            crate::hsm::proof::labelled(session).unwrap().into_iter().for_each(|key| session.destroy(key).unwrap());
        });
        let fault = place.try_start(&keyset).unwrap_err();
        assert!(matches!(fault, StartFault::NotInitialised(_)), "{fault}");
        let other = Keyset { token_serial: "0000".to_owned(), ..keyset.clone() };
        let fault = place.try_start(&other).unwrap_err();
        assert!(matches!(&fault, StartFault::Keys(text) if text.contains("0000")), "{fault}");
        let config = Config { token_serial: Some("0001".to_owned()), ..place.config() };
        let fault = Token::start(&config, &keyset).err().unwrap();
        assert!(matches!(&fault, StartFault::Keys(text) if text.contains("adopt")), "{fault}");
    }

    fn a_refused_pin_is_never_tried_again_and_a_new_one_is(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let pin = place.path("user-pin");
        write_pin(&pin, "11111111\n");
        let fault = place.try_start(&keyset).unwrap_err();
        assert!(matches!(&fault, StartFault::PinRefused(text) if text.contains("PinIncorrect")), "{fault}");
        assert!(pin_count_low(place));

        // A login of someone else resets the token's count, so that a second try would show.
        place.intrude(UserType::User, |_, _| ());
        assert!(!pin_count_low(place));
        for _ in 0..2 {
            let fault = place.try_start(&keyset).unwrap_err();
            assert!(matches!(&fault, StartFault::PinRefused(text) if text.contains("before")), "{fault}");
        }
        assert!(!pin_count_low(place), "the PIN was tried again");

        write_pin(&pin, "22222222");
        let fault = place.try_start(&keyset).unwrap_err();
        assert!(matches!(&fault, StartFault::PinRefused(text) if text.contains("PinIncorrect")), "{fault}");
        // The first one is still known.
        write_pin(&pin, "11111111");
        let fault = place.try_start(&keyset).unwrap_err();
        assert!(matches!(&fault, StartFault::PinRefused(text) if text.contains("before")), "{fault}");

        write_pin(&pin, SoftHsm::USER_PIN);
        place.try_start(&keyset).unwrap();
        assert!(!place.path("state/refused-pins.json").exists());
        assert!(!pin_count_low(place));
    }

    fn a_pin_file_for_all_to_read_is_not_used(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let pin = place.path("user-pin");
        std::fs::set_permissions(&pin, std::fs::Permissions::from_mode(0o644)).unwrap();
        let fault = place.try_start(&keyset).unwrap_err();
        assert!(matches!(&fault, StartFault::Unavailable(text) if text.contains("0600")), "{fault}");
        std::fs::set_permissions(&pin, std::fs::Permissions::from_mode(0o400)).unwrap();
        place.try_start(&keyset).unwrap();

        let config = Config { pin: PinSource::Credential("hsm-pin".to_owned()), ..place.config() };
        let fault = Token::start(&config, &keyset).err().unwrap();
        assert!(matches!(&fault, StartFault::Unavailable(text) if text.contains("CREDENTIALS_DIRECTORY")), "{fault}");
    }

    fn what_is_not_there_is_said(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let no_module = Config { module: place.path("none.so"), ..place.config() };
        let no_library = Config { module: place.path("user-pin"), ..place.config() };
        let no_state = Config { state_dir: place.path("none"), ..place.config() };
        let mut no_variable = place.config();
        no_variable.environment.insert("PANVAULT_UNSET".to_owned(), "1".to_owned());
        for (config, word) in [
            (no_module, "none.so"),
            (no_library, "user-pin"),
            (no_state, "hsm-start.lock"),
            (no_variable, "PANVAULT_UNSET"),
        ] {
            let fault = Token::start(&config, &keyset).err().unwrap();
            assert!(matches!(&fault, StartFault::Unavailable(text) if text.contains(word)), "{fault}");
        }
        // And all of that leaves the process able to start.
        place.try_start(&keyset).unwrap();
    }

    fn a_second_token_of_one_process_is_refused(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let (token, report) = place.start(&keyset).unwrap();
        assert!(report.module.contains("SoftHSM") && report.token.contains(SoftHsm::LABEL), "{report:?}");
        let fault = place.start(&keyset).err().unwrap();
        assert!(matches!(&fault, StartFault::Unavailable(text) if text.contains("AlreadyInitialized")), "{fault}");
        let mut engine = token.engine().unwrap();
        engine.execute(crate::hsm::Job::Random { len: 16 }).unwrap();
        drop(engine);
        token.finish();
    }

    fn without_strict_gaps_are_findings(place) {
        let keyset = super::swapped::with_lax_kek(place, KekMode::NoTrusted);
        let config = Config { strict: false, ..place.config() };
        let (token, report) = Token::start(&config, &keyset).unwrap();
        token.finish();
        for check in ["key-attributes", "unwrap-readable", "kek-copy", "kek-set-decrypt"] {
            assert!(has(&report, check, Verdict::Gap), "{check}: {report:#?}");
        }
        assert!(has(&report, "module-unwrap-readable", Verdict::Pass));
    }
}
