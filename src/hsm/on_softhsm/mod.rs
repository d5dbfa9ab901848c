//! The token's side against a real SoftHSM.
//!
//! A process can hold one initialised module, and SoftHSM finds its tokens by an environment variable. So each scenario
//! is a process of its own: the test starts this program again for just itself, with a token of its own.

mod attacks;
mod ceremony;
mod jobs;
mod jwe;
mod later;
mod moving;
mod platform;
mod shred;
mod start;
mod swapped;
mod wraps;

#[path = "../../../tests/support/jwe.rs"]
pub(crate) mod client;
#[path = "../../../tests/support/softhsm.rs"]
mod softhsm;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cryptoki::session::UserType;
use secrecy::SecretString;
use softhsm::SoftHsm;

use super::officer::{Officer, OfficerError, Plan, Provisioned};
use super::pkcs11::{Module, RawSession};
use super::token::{Engine, Token};
use super::{Config, KekMode, Keyset, PinSource, ProbeReport, StartFault, Verdict};

const NAME: &str = "PANVAULT_SCENARIO";
const DIR: &str = "PANVAULT_SCENARIO_DIR";

/// Tests that run in a process of their own.
macro_rules! scenarios {
    ($($(#[$attribute:meta])* fn $name:ident($place:ident) $body:block)*) => {
        $(
            #[test]
            $(#[$attribute])*
            fn $name() {
                crate::hsm::on_softhsm::run(concat!(module_path!(), "::", stringify!($name)), |$place| $body);
            }
        )*
    };
}
use scenarios;

/// In the child: where the scenario's token is.
struct Place {
    dir: PathBuf,
}

/// `path` begins with the crate's name, which the test runner leaves out.
fn run(path: &str, body: impl FnOnce(&Place)) {
    let name = path.split_once("::").unwrap().1;
    if std::env::var(NAME).is_ok_and(|is| is == name) {
        body(&Place {
            dir: PathBuf::from(std::env::var_os(DIR).unwrap()),
        });
        return;
    }
    let token = SoftHsm::new();
    let ended = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(NAME, name)
        .env(DIR, token.path(""))
        .env("SOFTHSM2_CONF", token.conf())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    println!("{said}");
    let complained = String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "{name}: {}\n{said}\n{complained}",
        ended.status
    );
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn config(&self) -> Config {
        let conf = std::env::var("SOFTHSM2_CONF").unwrap();
        Config {
            module: softhsm::module(),
            environment: BTreeMap::from([("SOFTHSM2_CONF".to_owned(), conf)]),
            token_label: SoftHsm::LABEL.to_owned(),
            token_serial: None,
            pin: PinSource::File(self.path("user-pin")),
            workers: 1,
            sessions: 1,
            queue: 1,
            deadline: Duration::from_secs(10),
            recycle_after: 0,
            strict: true,
            pregenerate: 0,
            deferred_destroy: false,
            address_families: Vec::new(),
            open_rate: 0,
            state_dir: self.path("state"),
            program: PathBuf::new(),
        }
    }

    fn user_pin(&self) -> SecretString {
        SecretString::from(SoftHsm::USER_PIN)
    }

    /// A ceremony.
    fn provision(&self, plan: &Plan, so_pin: Option<&str>) -> Result<Provisioned, OfficerError> {
        let (so_pin, user_pin) = (so_pin.map(SecretString::from), self.user_pin());
        let mut officer = Officer::open(&self.config(), so_pin.as_ref(), &user_pin)?;
        let made = officer.provision(plan);
        officer.close();
        made
    }

    /// Fresh keys in this mode.
    fn keyset(&self, mode: KekMode) -> Keyset {
        let plan = Plan {
            mode,
            keks: 3,
            locker: true,
            platform: true,
            next: std::collections::BTreeSet::new(),
            existing: None,
        };
        self.provision(&plan, Some(SoftHsm::SO_PIN)).unwrap().keyset
    }

    fn start(&self, keyset: &Keyset) -> Result<(Token, ProbeReport), StartFault> {
        Token::start(&self.config(), keyset)
    }

    /// What starting says, the token closed again.
    fn try_start(&self, keyset: &Keyset) -> Result<ProbeReport, StartFault> {
        self.start(keyset).map(|(token, report)| {
            token.finish();
            report
        })
    }

    fn with_engine<T>(&self, config: &Config, keyset: &Keyset, work: impl FnOnce(&mut Engine) -> T) -> T {
        let (token, _) = Token::start(config, keyset).unwrap();
        let mut engine = token.engine().unwrap();
        let done = work(&mut engine);
        drop(engine);
        token.finish();
        done
    }

    /// A session of someone else who has a PIN.
    fn intrude<T>(&self, user: UserType, work: impl FnOnce(&Module, &RawSession) -> T) -> T {
        let config = self.config();
        let module = Module::open(&config.module, &config.environment, SoftHsm::LABEL, None).unwrap();
        let session = module.session().unwrap();
        let pin = match user {
            UserType::So => SoftHsm::SO_PIN,
            _ => SoftHsm::USER_PIN,
        };
        module.login(&session, user, &SecretString::from(pin)).unwrap();
        let done = work(&module, &session);
        drop(session);
        module.finalize().unwrap();
        done
    }
}

fn write_pin(path: &Path, pin: &str) {
    softhsm::secret_file(path, pin);
}

fn gaps(report: &ProbeReport) -> Vec<&str> {
    let gaps = report.findings.iter().filter(|f| f.verdict == Verdict::Gap);
    gaps.map(|f| f.check.as_str()).collect()
}

fn has(report: &ProbeReport, check: &str, verdict: Verdict) -> bool {
    report.findings.iter().any(|f| f.check == check && f.verdict == verdict)
}
