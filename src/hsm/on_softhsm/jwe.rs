//! What others encrypt to the transport key.

use std::process::Command;

use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::UserType;
use data_encoding::BASE64;

use super::client::{masked, modpow, padded, random, sealed, wrapped};
use super::{Place, gaps, has, scenarios};
use crate::hsm::jwe::Recipient;
use crate::hsm::pkcs11::{Oaep, Rsa, Search};
use crate::hsm::proof::rsa_parts;
use crate::hsm::token::{Engine, Token};
use crate::hsm::{Boxed, Config, Fault, Job, KekMode, Keyset, PublicKey, Reply, SealedPart, SecretBytes, Verdict};

const PAN: &[u8] = b"4111111111111111";

/// A sender who knows the public half.
struct Sender {
    n: Vec<u8>,
    e: Vec<u8>,
    cek: [u8; 32],
    iv: [u8; 12],
}

impl Sender {
    fn new(keyset: &Keyset) -> Self {
        Self::to(&keyset.transport_public)
    }

    fn to(public: &PublicKey) -> Self {
        let (n, e) = rsa_parts(public).unwrap();
        Self {
            n,
            e,
            cek: random(),
            iv: random(),
        }
    }

    fn wrapped(&self) -> Vec<u8> {
        wrapped(&self.n, &self.e, &self.cek)
    }

    /// RSA of any text.
    fn raw(&self, text: &[u8]) -> Vec<u8> {
        modpow(text, &self.e, &self.n)
    }

    fn content(&self) -> Boxed {
        let sealed = SealedPart {
            iv: self.iv.to_vec(),
            text: sealed(&self.cek, &self.iv, b"header", PAN),
        };
        Boxed {
            aad: b"header".to_vec(),
            sealed,
        }
    }

    /// The content key as the `openssl` command encrypts it.
    fn by_openssl(&self, keyset: &Keyset, place: &Place, padding: &[&str]) -> Vec<u8> {
        let spki = BASE64.encode(&keyset.transport_public.spki().unwrap());
        let (key, text) = (place.path("transport.pem"), place.path("cek"));
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            folded(&spki)
        );
        std::fs::write(&key, pem).unwrap();
        std::fs::write(&text, self.cek).unwrap();
        let made = Command::new("openssl")
            .args(["pkeyutl", "-encrypt", "-pubin", "-inkey"])
            .arg(&key)
            .arg("-in")
            .arg(&text)
            .args(padding.iter().flat_map(|option| ["-pkeyopt", option]))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        made.stdout
    }
}

fn folded(base64: &str) -> String {
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    lines.join("\n")
}

fn open(engine: &mut Engine, encrypted_key: Vec<u8>, content: Boxed) -> Result<Option<Vec<u8>>, Fault> {
    match engine.execute(Job::OpenJwe {
        generation: crate::hsm::Generation::FIRST,
        encrypted_key,
        content,
    })? {
        Reply::OpenJwe(text) => Ok(text.map(|text| text.expose().to_vec())),
        other => panic!("{other:?}"),
    }
}

fn open_locker(engine: &mut Engine, encrypted_key: Vec<u8>, content: Boxed) -> Result<Option<Vec<u8>>, Fault> {
    match engine.execute(Job::OpenLocker { encrypted_key, content })? {
        Reply::OpenJwe(text) => Ok(text.map(|text| text.expose().to_vec())),
        other => panic!("{other:?}"),
    }
}

fn session_objects(engine: &Engine) -> usize {
    engine.session().find(&Search::default()).unwrap().len()
}

scenarios! {
    fn what_is_encrypted_to_the_transport_key_opens(place) {
        let keyset = place.keyset(KekMode::SessionSource);
        let sender = Sender::new(&keyset);
        place.with_engine(&place.config(), &keyset, |engine| {
            let before = session_objects(engine);
            for _ in 0..10 {
                assert_eq!(open(engine, sender.wrapped(), sender.content()).unwrap().unwrap(), PAN);
            }
            let sha256 = ["rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256"];
            let theirs = sender.by_openssl(&keyset, place, &sha256);
            assert_eq!(open(engine, theirs, sender.content()).unwrap().unwrap(), PAN);
            assert_eq!(session_objects(engine), before);
        });
    }

    fn what_others_made_wrong_does_not_open_and_does_no_harm(place) {
        let keyset = place.keyset(KekMode::SessionSource);
        let sender = Sender::new(&keyset);
        let k = sender.n.len();
        let mut block = ring::digest::digest(&ring::digest::SHA256, b"").as_ref().to_vec();
        block.resize(k - 66, 0);
        block.push(1);
        block.extend(sender.cek);
        let flipped = |at: usize| {
            let mut block = block.clone();
            block[at] ^= 1;
            sender.raw(&masked(&random(), block))
        };
        let mut first = padded(k, &sender.cek);
        first[0] = 1;
        let mut changed = sender.wrapped();
        changed[k - 1] ^= 1;
        let mut less_one = sender.n.clone();
        less_one[k - 1] ^= 1;
        let mut one = vec![0; k];
        one[k - 1] = 1;
        let openssl = |padding: &[&str]| sender.by_openssl(&keyset, place, padding);
        let keys = [
            ("a label's hash", flipped(0)),
            ("its end", flipped(31)),
            ("the zeros", flipped(40)),
            ("the one", flipped(k - 66)),
            ("the first byte", sender.raw(&first)),
            ("a short key", wrapped(&sender.n, &sender.e, &sender.cek[..16])),
            ("another key", wrapped(&sender.n, &sender.e, &random::<32>())),
            ("a changed byte", changed),
            ("no padding", sender.raw(&[&vec![0; k - 32][..], &sender.cek].concat())),
            ("SHA-1", openssl(&["rsa_padding_mode:oaep", "rsa_oaep_md:sha1"])),
            ("MGF1 with SHA-1", openssl(&["rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha1"])),
            ("PKCS #1 v1.5", openssl(&["rsa_padding_mode:pkcs1"])),
            ("zeros", vec![0; k]),
            ("a one", one),
            ("the modulus less one", less_one),
            ("the modulus", sender.n.clone()),
            ("more than the modulus", vec![0xff; k]),
            ("one byte less", sender.wrapped()[1..].to_vec()),
            ("one byte more", [&[0], &sender.wrapped()[..]].concat()),
            ("nothing", Vec::new()),
        ];
        place.with_engine(&place.config(), &keyset, |engine| {
            let before = session_objects(engine);
            for (what, key) in keys {
                assert_eq!(open(engine, key, sender.content()), Ok(None), "{what}");
                assert_eq!(open(engine, sender.wrapped(), sender.content()).unwrap().unwrap(), PAN, "after {what}");
            }
            let content = |change: fn(&mut Boxed)| {
                let mut content = sender.content();
                change(&mut content);
                content
            };
            for wrong in [
                content(|content| content.aad.push(b'!')),
                content(|content| content.sealed.iv[0] ^= 1),
                content(|content| content.sealed.text[0] ^= 1),
                content(|content| content.sealed.text[PAN.len()] ^= 1),
                content(|content| content.sealed.text.truncate(16)),
            ] {
                assert_eq!(open(engine, sender.wrapped(), wrong), Ok(None));
            }
            // lengths that no JWE has are a defect of whoever sent the job
            for wrong in [
                content(|content| content.sealed.iv.push(0)),
                content(|content| content.sealed.text.truncate(15)),
            ] {
                assert!(matches!(open(engine, sender.wrapped(), wrong), Err(Fault::Malformed(_))));
            }
            assert!(matches!(open(engine, vec![0; 3_000], sender.content()), Err(Fault::Malformed(_))));
            assert_eq!(session_objects(engine), before);
        });
    }

    fn a_token_that_knows_the_padding_is_used_likewise(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let sender = Sender::new(&keyset);
        let id = data_encoding::HEXLOWER.decode(keyset.transport_id.as_bytes()).unwrap();
        place.intrude(UserType::User, |_, session| {
            let class = Some(ObjectClass::PRIVATE_KEY);
            let found = session.find(&Search { class, id: Some(&id), ..Search::default() }).unwrap();
            // SoftHSM knows OAEP with SHA-1 only; but for the hash this is what other tokens do with SHA-256
            let mut transport = Recipient {
                private: found[0],
                how: Rsa::Oaep(Oaep::Sha1),
                modulus: sender.n.clone(),
                exponent: sender.e.clone(),
            };
            let theirs = sender.by_openssl(&keyset, place, &["rsa_padding_mode:oaep", "rsa_oaep_md:sha1"]);
            let text = transport.open(session, &theirs, &sender.content()).unwrap().unwrap();
            assert_eq!(text.expose(), PAN);
            // another padding fails in the token, and it is not the token's fault
            let refused = transport.open(session, &sender.wrapped(), &sender.content()).unwrap_err();
            assert!(!refused.is_fatal());
            assert!(transport.works(session).unwrap());
            transport.exponent = vec![3];
            assert!(!transport.works(session).unwrap(), "a key that does not belong to the public half");
        });
    }

    fn jwe_count_as_opens_under_the_cap(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let sender = Sender::new(&keyset);
        let config = Config { open_rate: 1, ..place.config() };
        place.with_engine(&config, &keyset, |engine| {
            let answers: Vec<_> = (0..20).map(|_| open(engine, Vec::new(), sender.content())).collect();
            assert_eq!(answers[0], Ok(None));
            assert!(answers.contains(&Err(Fault::RateCapped)));
        });
    }

    fn the_locker_key_opens_and_signs(place) {
        let keyset = place.keyset(KekMode::SessionSource);
        let pair = keyset.locker.clone().unwrap();
        let to_locker = Sender::to(&pair.public);
        assert_eq!(to_locker.n.len(), 256);
        let report = place.try_start(&keyset).unwrap();
        assert!(has(&report, "locker-key", Verdict::Note), "{report:#?}");
        assert_eq!(gaps(&report), [""; 0]);
        // it opens no card, so the cap on opens is none for it
        let config = Config { open_rate: 1, ..place.config() };
        place.with_engine(&config, &keyset, |engine| {
            let before = session_objects(engine);
            for _ in 0..20 {
                assert_eq!(open_locker(engine, to_locker.wrapped(), to_locker.content()).unwrap().unwrap(), PAN);
            }
            let Reply::Sign(signature) = engine.execute(Job::SignLocker { message: SecretBytes::new(b"a.b".to_vec()) }).unwrap() else {
                panic!("no signature")
            };
            assert_eq!(signature.len(), 256);
            pair.public.verify_rs256(b"a.b", &signature).unwrap();
            assert!(pair.public.verify_rs256(b"a.c", &signature).is_err());
            // what is for one key does not open with the other, and none of it is an alarm
            let to_transport = Sender::new(&keyset);
            assert_eq!(open_locker(engine, to_transport.wrapped(), to_transport.content()), Ok(None));
            let mut longer = to_locker.wrapped();
            longer.insert(0, 0);
            assert_eq!(open_locker(engine, longer, to_locker.content()), Ok(None));
            let unpadded = to_locker.raw(&[&[0; 224], &to_locker.cek[..]].concat());
            assert_eq!(open_locker(engine, unpadded, to_locker.content()), Ok(None));
            let mut changed = to_locker.content();
            changed.aad.push(0);
            assert_eq!(open_locker(engine, to_locker.wrapped(), changed), Ok(None));
            assert_eq!(session_objects(engine), before);
        });
        let without = Keyset { locker: None, ..keyset };
        place.with_engine(&place.config(), &without, |engine| {
            let refused = open_locker(engine, to_locker.wrapped(), to_locker.content());
            assert!(matches!(refused, Err(Fault::Malformed(_))));
            let refused = engine.execute(Job::SignLocker { message: SecretBytes::new(Vec::new()) });
            assert!(matches!(refused, Err(Fault::Malformed(_))));
        });
    }

    fn a_stuck_operation_is_no_fault_of_a_jwe(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let sender = Sender::new(&keyset);
        place.with_engine(&place.config(), &keyset, |engine| {
            let id = data_encoding::HEXLOWER.decode(keyset.transport_id.as_bytes()).unwrap();
            let session = engine.session().cryptoki();
            let key = session.find_objects(&[
                Attribute::Id(id),
                Attribute::Class(ObjectClass::PRIVATE_KEY),
            ]).unwrap()[0];
            session.decrypt_init(&cryptoki::mechanism::Mechanism::RsaX509, key).unwrap();
            assert_eq!(open(engine, sender.wrapped(), sender.content()).unwrap().unwrap(), PAN);
        });
    }

    fn a_lost_login_is_no_fault_of_a_jwe(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let sender = Sender::new(&keyset);
        let (token, _) = Token::start(&place.config(), &keyset).unwrap();
        let mut engine = token.engine().unwrap();
        engine.session().cryptoki().logout().unwrap();
        assert!(matches!(open(&mut engine, sender.wrapped(), sender.content()), Err(Fault::Token(_))));
        drop(engine);
        token.finish();
    }
}
