//! Keys, keyring and `init` against a real SoftHSM token and real worker processes.
//!
//! SoftHSM finds its tokens by an environment variable, and `init` loads the module itself. So each scenario is a
//! process of its own: the test starts this program again for just itself, with a token of its own.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test program: what fails here fails the test"
)]

#[path = "support/jwe.rs"]
mod client;
#[path = "support/softhsm.rs"]
mod softhsm;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use panvault::card::Pan;
use panvault::hsm::officer::OfficerError;
use panvault::hsm::{self, Boxed, Client, Config, Epoch, Generation, KekMode, PinSource, SealedPart};
use panvault::id::{RecordId, RepositoryId};
use panvault::jose::{Compact, Jwk};
use panvault::keys::init::{self, InitError, Role, Summary, Wanted};
use panvault::keys::{Compartment, Error, Keyring, KeyringFault, Keys, Place, Sealed, SecretBytes};
use panvault::telemetry::Metrics;
use secrecy::SecretString;
use softhsm::SoftHsm;

const SCENARIO: &str = "PANVAULT_SCENARIO";
const DIR: &str = "PANVAULT_SCENARIO_DIR";

/// A directory with a token in it.
struct Vault(PathBuf);

fn scenario(name: &str, body: impl AsyncFnOnce(&Vault)) {
    if std::env::var(SCENARIO).is_ok_and(|is| is == name) {
        let vault = Vault(PathBuf::from(std::env::var_os(DIR).unwrap()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        return runtime.unwrap().block_on(body(&vault));
    }
    let token = SoftHsm::new();
    let ended = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(SCENARIO, name)
        .env(DIR, token.path(""))
        .env("SOFTHSM2_CONF", token.conf())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let complained = String::from_utf8_lossy(&ended.stderr);
    let passed = ended.status.success() && said.contains("1 passed");
    assert!(passed, "{name}: {}\n{said}\n{complained}", ended.status);
}

impl Vault {
    fn keyring(&self) -> PathBuf {
        self.0.join("state").join(Keyring::FILE)
    }

    fn config(&self) -> Config {
        let conf = std::env::var("SOFTHSM2_CONF").unwrap();
        Config {
            module: softhsm::module(),
            environment: BTreeMap::from([("SOFTHSM2_CONF".to_owned(), conf)]),
            token_label: SoftHsm::LABEL.to_owned(),
            token_serial: None,
            pin: PinSource::File(self.0.join("user-pin")),
            workers: 2,
            sessions: 1,
            queue: 64,
            deadline: Duration::from_secs(10),
            recycle_after: 0,
            strict: true,
            pregenerate: 0,
            deferred_destroy: false,
            address_families: Vec::new(),
            open_rate: 0,
            state_dir: self.0.join("state"),
            program: PathBuf::from(env!("CARGO_BIN_EXE_panvault")),
        }
    }

    fn init(&self, mode: Option<KekMode>, keks: u32) -> Result<Summary, InitError> {
        let (so_pin, user_pin) = (
            SecretString::from(SoftHsm::SO_PIN),
            SecretString::from(SoftHsm::USER_PIN),
        );
        init::init(
            &self.config(),
            &self.keyring(),
            &Wanted {
                mode,
                keks: Some(keks),
                locker: false,
                platform: false,
                next: std::collections::BTreeSet::new(),
            },
            Some(&so_pin),
            &user_pin,
        )
    }

    fn verify(&self) -> Result<Summary, InitError> {
        init::verify(&self.config(), &self.keyring(), &SecretString::from(SoftHsm::USER_PIN))
    }

    async fn start(&self) -> (Client, Keys) {
        let keyring = Keyring::load(&self.keyring()).unwrap();
        let metrics = Metrics::new().unwrap();
        let client = Client::start(self.config(), keyring.keyset().clone(), metrics).unwrap();
        client.ready().await.unwrap();
        let keys = Keys::new(client.clone(), keyring.keyset(), keyring.active_epoch()).unwrap();
        (client, keys)
    }
}

fn place(repository: u32, record: u8) -> Place {
    Place {
        repository: RepositoryId(repository),
        record: RecordId([record; 16]),
    }
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn pan() -> Pan {
    Pan::parse("4111111111111111").unwrap()
}

async fn seal(keys: &Keys, place: Place) -> Sealed {
    let compartments = vec![
        (Compartment::Pan, secret(pan().expose())),
        (Compartment::Profile, secret("A. Holder")),
    ];
    keys.seal(place, None, compartments).await.unwrap().1
}

async fn opened(keys: &Keys, place: Place, sealed: &Sealed, which: Compartment) -> Result<String, Error> {
    let texts = keys.open(place, sealed, &[which]).await?;
    let text = texts.into_iter().next().flatten().unwrap();
    Ok(String::from_utf8(text.expose().to_vec()).unwrap())
}

const BOTH: [Compartment; 2] = [Compartment::Pan, Compartment::Profile];

#[test]
fn cards_are_sealed_opened_and_sealed_again() {
    scenario("cards_are_sealed_opened_and_sealed_again", async |vault| {
        vault.init(None, 2).unwrap();
        let (client, keys) = vault.start().await;
        let here = place(1, 1);

        let (mac, only_pan) = keys
            .seal(
                here,
                Some((Generation::FIRST, &pan())),
                vec![(Compartment::Pan, secret(pan().expose()))],
            )
            .await
            .unwrap();
        assert_eq!(
            mac,
            Some(
                keys.fingerprint(Generation::FIRST, here.repository, &pan())
                    .await
                    .unwrap()
            )
        );
        assert_ne!(
            mac,
            Some(
                keys.fingerprint(Generation::FIRST, RepositoryId(2), &pan())
                    .await
                    .unwrap()
            )
        );
        let texts = keys
            .open(here, &only_pan, &[Compartment::Profile, Compartment::Pan])
            .await
            .unwrap();
        assert!(texts[0].is_none());
        assert_eq!(texts[1].as_ref().unwrap().expose(), pan().expose().as_bytes());
        assert!(keys.open(here, &only_pan, &[Compartment::Profile]).await.unwrap()[0].is_none());

        // the stored form goes through the store and back
        let sealed = Sealed::decode(&seal(&keys, here).await.encode()).unwrap();
        assert_eq!(sealed.epoch, Epoch(1));
        assert_eq!(
            opened(&keys, here, &sealed, Compartment::Profile).await.unwrap(),
            "A. Holder"
        );
        let resealed = keys
            .reseal(here, &sealed, Compartment::Profile, secret("B. Holder"))
            .await
            .unwrap();
        assert_eq!(resealed.dek, sealed.dek);
        assert_eq!(
            resealed.compartment(Compartment::Pan),
            sealed.compartment(Compartment::Pan)
        );
        assert_eq!(resealed.compartment(Compartment::Profile).unwrap().revision, 2);
        assert_eq!(
            opened(&keys, here, &resealed, Compartment::Profile).await.unwrap(),
            "B. Holder"
        );
        assert_eq!(
            opened(&keys, here, &resealed, Compartment::Pan).await.unwrap(),
            pan().expose()
        );
        // a profile where there was none
        let added = keys
            .reseal(here, &only_pan, Compartment::Profile, secret("C. Holder"))
            .await
            .unwrap();
        assert_eq!(
            opened(&keys, here, &added, Compartment::Profile).await.unwrap(),
            "C. Holder"
        );

        let mut ivs = BTreeSet::new();
        for _ in 0..50 {
            for compartment in seal(&keys, here).await.compartments {
                assert_ne!(compartment.part.iv, vec![0; compartment.part.iv.len()]);
                assert!(ivs.insert(compartment.part.iv), "an IV came twice");
            }
        }

        assert_ne!(
            keys.mac("a", secret("bc")).await.unwrap(),
            keys.mac("ab", secret("c")).await.unwrap()
        );
        let signature = keys.sign("test", b"message", keys.audit_public()).await.unwrap();
        assert_eq!(keys.audit_public().verify_in("test", b"message", &signature), Ok(()));
        assert!(keys.audit_public().verify_in("tes", b"tmessage", &signature).is_err());

        let empty = keys.seal(here, None, Vec::new()).await;
        assert!(matches!(empty, Err(Error::Hsm(hsm::Error::Malformed(_)))), "{empty:?}");
        client.shutdown().await;
    });
}

#[test]
fn a_second_init_keeps_the_number_of_keks_that_was_chosen() {
    scenario(
        "a_second_init_keeps_the_number_of_keks_that_was_chosen",
        async |vault| {
            vault.init(None, 2).unwrap();
            let pin = SecretString::from(SoftHsm::USER_PIN);
            // more would need the security officer
            let again = init::init(&vault.config(), &vault.keyring(), &Wanted::default(), None, &pin).unwrap();
            assert_eq!(again.made, []);
            assert_eq!(again.kept.iter().filter(|role| matches!(role, Role::Kek(_))).count(), 2);
        },
    );
}

#[test]
fn ciphertexts_open_only_in_their_place() {
    scenario("ciphertexts_open_only_in_their_place", async |vault| {
        vault.init(None, 2).unwrap();
        let (client, keys) = vault.start().await;
        let here = place(1, 1);
        let sealed = seal(&keys, here).await;
        let other = seal(&keys, place(1, 2)).await;

        let mut wrong = vec![
            (place(1, 2), sealed.clone(), "another record"),
            (place(2, 1), sealed.clone(), "another repository"),
        ];
        let mut change = |what, change: &dyn Fn(&mut Sealed)| {
            let mut changed = sealed.clone();
            change(&mut changed);
            wrong.push((here, changed, what));
        };
        change("compartments swapped", &|sealed| {
            let pan = sealed.compartments[0].part.clone();
            sealed.compartments[0].part = std::mem::replace(&mut sealed.compartments[1].part, pan);
        });
        change("a revision that is not its own", &|sealed| {
            sealed
                .compartments
                .iter_mut()
                .for_each(|compartment| compartment.revision = 2);
        });
        change("another record's ciphertexts", &|sealed| {
            sealed.compartments = other.compartments.clone()
        });
        change("another record's DEK", &|sealed| sealed.dek = other.dek.clone());
        change("another epoch", &|sealed| sealed.epoch = Epoch(2));
        change("a changed DEK", &|sealed| sealed.dek.0[3] ^= 1);
        change("a changed IV", &|sealed| {
            sealed
                .compartments
                .iter_mut()
                .for_each(|compartment| compartment.part.iv[0] ^= 1);
        });
        change("a changed ciphertext", &|sealed| {
            sealed
                .compartments
                .iter_mut()
                .for_each(|compartment| compartment.part.text[0] ^= 1);
        });
        for (place, sealed, what) in &wrong {
            for which in BOTH {
                assert_eq!(
                    opened(&keys, *place, sealed, which).await,
                    Err(Error::Tampered),
                    "{what}, {which:?}"
                );
            }
        }
        // an older profile put back beside the newer revision's number
        let mut back = keys
            .reseal(here, &sealed, Compartment::Profile, secret("new"))
            .await
            .unwrap();
        let old = sealed.compartment(Compartment::Profile).unwrap().part.clone();
        back.compartments
            .iter_mut()
            .filter(|c| c.compartment == Compartment::Profile)
            .for_each(|c| c.part = old.clone());
        assert_eq!(
            opened(&keys, here, &back, Compartment::Profile).await,
            Err(Error::Tampered)
        );

        // all that was an attack, not a broken HSM: the workers are still the same and still work
        assert!(client.health().ready);
        assert_eq!(
            opened(&keys, here, &sealed, Compartment::Pan).await.unwrap(),
            pan().expose()
        );
        client.shutdown().await;
    });
}

/// A JWE of another make, through the parser and a real worker.
#[test]
fn a_jwe_by_openssl_opens() {
    scenario("a_jwe_by_openssl_opens", async |vault| {
        vault.init(None, 1).unwrap();
        let (client, keys) = vault.start().await;
        let (_, public) = keys.transport_publics().remove(0);
        let jwk = Jwk::rsa(&public.n, &public.e);
        let keyring = Keyring::load(&vault.keyring()).unwrap();
        let (spki, cek) = (vault.0.join("transport.der"), vault.0.join("cek"));
        fs::write(&spki, keyring.keyset().transport_public.spki().unwrap()).unwrap();
        let key = client::random::<32>();
        fs::write(&cek, key).unwrap();
        let wrapped = Command::new("openssl")
            .args(["pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey"])
            .arg(&spki)
            .arg("-in")
            .arg(&cek)
            .args(["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256"])
            .output()
            .unwrap();
        assert!(wrapped.status.success(), "{}", String::from_utf8_lossy(&wrapped.stderr));

        let header = format!(r#"{{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"{}"}}"#, jwk.kid());
        let text = client::assembled(&header, &wrapped.stdout, &key, pan().expose().as_bytes());
        let open = async |text: &str| {
            let jwe = Compact::parse(text, &[jwk.kid()]).unwrap();
            let sealed = SealedPart {
                iv: jwe.iv.to_vec(),
                text: [jwe.ciphertext.as_slice(), &jwe.tag].concat(),
            };
            let content = Boxed { aad: jwe.aad, sealed };
            keys.open_jwe(Generation::FIRST, jwe.encrypted_key, content)
                .await
                .unwrap()
        };
        assert_eq!(open(&text).await.unwrap().expose(), pan().expose().as_bytes());
        // one that was made for nobody, and then the good one again: no worker was lost
        let other = client::assembled(&header, &[1; 384], &key, b"x");
        let workers = client.health().pids;
        for _ in 0..5 {
            assert!(open(&other).await.is_none());
        }
        assert!(open(&text).await.is_some());
        assert_eq!(client.health().pids, workers);
        client.shutdown().await;
    });
}

#[test]
fn init_again_adds_and_never_replaces() {
    scenario("init_again_adds_and_never_replaces", async |vault| {
        let first = vault.init(None, 2).unwrap();
        let roles = [
            Role::Kek(Epoch(1)),
            Role::Kek(Epoch(2)),
            Role::Fingerprint,
            Role::Audit,
            Role::Transport,
        ];
        assert_eq!((first.made.as_slice(), first.kept.as_slice()), (&roles[..], &[][..]));
        assert_eq!(first.mode, KekMode::SessionSource);
        let written = fs::read(vault.keyring()).unwrap();
        let (client, keys) = vault.start().await;
        let sealed = seal(&keys, place(1, 1)).await;
        let fingerprint = keys
            .fingerprint(Generation::FIRST, RepositoryId(1), &pan())
            .await
            .unwrap();
        client.shutdown().await;

        for keks in [2, 1] {
            let again = vault.init(None, keks).unwrap();
            assert_eq!((again.made.as_slice(), again.kept.as_slice()), (&[][..], &roles[..]));
            assert_eq!(again.audit_fingerprint, first.audit_fingerprint);
            assert_eq!(
                fs::read(vault.keyring()).unwrap(),
                written,
                "nothing was missing, nothing was written"
            );
        }
        let verified = vault.verify().unwrap();
        assert_eq!((verified.vault, verified.made), (first.vault.clone(), Vec::new()));
        assert!(!verified.findings.is_empty());

        let more = vault.init(None, 3).unwrap();
        assert_eq!(more.made, [Role::Kek(Epoch(3))]);
        assert_eq!(
            (&more.vault, more.audit_fingerprint),
            (&first.vault, first.audit_fingerprint)
        );
        assert_eq!(more.active_epoch, Epoch(1));
        let (client, keys) = vault.start().await;
        assert_eq!(
            opened(&keys, place(1, 1), &sealed, Compartment::Pan).await.unwrap(),
            pan().expose()
        );
        assert_eq!(
            keys.fingerprint(Generation::FIRST, RepositoryId(1), &pan())
                .await
                .unwrap(),
            fingerprint
        );
        client.shutdown().await;

        let other_mode = vault.init(Some(KekMode::NoTrusted), 3);
        assert!(
            matches!(other_mode, Err(InitError::Officer(OfficerError::Plan(_)))),
            "{other_mode:?}"
        );
    });
}

#[test]
fn no_trusted_keys_seal_and_open_too() {
    scenario("no_trusted_keys_seal_and_open_too", async |vault| {
        let config = vault.config();
        let pin = SecretString::from(SoftHsm::USER_PIN);
        let wanted = Wanted {
            mode: Some(KekMode::NoTrusted),
            keks: Some(1),
            locker: false,
            platform: false,
            next: std::collections::BTreeSet::new(),
        };
        // without the security officer
        let summary = init::init(&config, &vault.keyring(), &wanted, None, &pin).unwrap();
        assert_eq!(summary.mode, KekMode::NoTrusted);
        let (client, keys) = vault.start().await;
        let sealed = seal(&keys, place(1, 1)).await;
        assert_eq!(
            opened(&keys, place(1, 1), &sealed, Compartment::Pan).await.unwrap(),
            pan().expose()
        );
        client.shutdown().await;
    });
}

#[test]
fn officer_sets_waits_for_the_officer() {
    scenario("officer_sets_waits_for_the_officer", async |vault| {
        // SoftHSM's officer cannot mark a key, so this goes no further; it must not pretend to, either
        for _ in 0..2 {
            let waits = vault.init(Some(KekMode::OfficerSets), 2);
            assert!(
                matches!(waits, Err(InitError::Officer(OfficerError::NotYetTrusted(_)))),
                "{waits:?}"
            );
            assert!(!vault.keyring().exists());
        }
        let missing = vault.verify();
        assert!(
            matches!(&missing, Err(InitError::Keyring(error)) if error.fault == KeyringFault::Missing),
            "{missing:?}"
        );
    });
}

#[test]
fn a_keyring_with_one_changed_byte_is_refused() {
    scenario("a_keyring_with_one_changed_byte_is_refused", async |vault| {
        vault.init(None, 1).unwrap();
        let written = fs::read(vault.keyring()).unwrap();
        for at in 0..written.len() {
            let mut changed = written.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(Keyring::parse(&changed).is_err(), "byte {at}");
        }
        let mut changed = written.clone();
        let label = written
            .windows(13)
            .position(|bytes| bytes == SoftHsm::LABEL.as_bytes())
            .unwrap();
        changed[label] ^= 1;
        fs::write(vault.keyring(), &changed).unwrap();
        let fault = Keyring::load(&vault.keyring()).unwrap_err().fault;
        assert!(matches!(fault, KeyringFault::Signature(_)), "{fault:?}");
        let refused = vault.init(None, 2);
        assert!(matches!(refused, Err(InitError::Keyring(_))), "{refused:?}");
        assert!(matches!(vault.verify(), Err(InitError::Keyring(_))));
        assert_eq!(fs::read(vault.keyring()).unwrap(), changed, "init left it as it was");
    });
}

#[test]
fn keys_are_not_made_where_the_keyring_cannot_be_written() {
    scenario("keys_are_not_made_where_the_keyring_cannot_be_written", async |vault| {
        let in_the_way = vault.keyring().with_extension("json.new");
        fs::create_dir(&in_the_way).unwrap();
        let refused = vault.init(None, 1);
        assert!(
            matches!(&refused, Err(InitError::Keyring(error)) if matches!(error.fault, KeyringFault::NotWritten(_))),
            "{refused:?}"
        );
        fs::remove_dir(&in_the_way).unwrap();
        // had it made keys, it would find them now and have no keyring for them
        vault.init(None, 1).unwrap();

        fs::rename(vault.keyring(), vault.0.join("away")).unwrap();
        let lost = vault.init(None, 1);
        assert!(
            matches!(lost, Err(InitError::Officer(OfficerError::LostKeyring(_)))),
            "{lost:?}"
        );
        fs::rename(vault.0.join("away"), vault.keyring()).unwrap();
        vault.verify().unwrap();
    });
}
