//! `inventory`: every key of the vault's, the HSM, and which cryptography is used where (PCI DSS 12.3.3, 3.6.1.1).

use clap::Args;
use serde_json::{Value, json};

use super::instance::{self, Instance};
use super::{Exit, PinArg, Which, check, terminal};
use crate::hsm::{Epoch, Inventory, KeyFacts, Role, Rotated};
use crate::id::UnixMillis;
use crate::keys::{EpochState, Keyring};

#[derive(Debug, Args)]
pub(crate) struct InventoryArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    pin: PinArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is done where, by which algorithm, under which key, by which rule.
const CRYPTOGRAPHY: [(&str, &str, &str, &str); 13] = [
    (
        "cards and personal data",
        "AES-256-GCM, random 96-bit IV",
        "a data key per record",
        "NIST SP 800-38D",
    ),
    (
        "data keys at rest",
        "AES-256 Key Wrap",
        "KEK of its epoch",
        "NIST SP 800-38F, RFC 3394",
    ),
    (
        "search and reuse by card number",
        "HMAC-SHA-256",
        "fingerprint key",
        "FIPS 198-1, PCI DSS 3.5.1.1",
    ),
    (
        "receipts, keyring, audit heads",
        "Ed25519, or ECDSA P-256 with SHA-256",
        "audit key",
        "FIPS 186-5",
    ),
    ("the audit trail's chain", "SHA-256", "-", "FIPS 180-4"),
    (
        "JWE from clients",
        "RSA-OAEP with SHA-256, A256GCM",
        "transport key",
        "RFC 7518",
    ),
    (
        "Hyperswitch locker",
        "RSA-OAEP, RSASSA-PKCS1-v1_5 with SHA-256, A256GCM",
        "locker key",
        "RFC 7518",
    ),
    (
        "cards exported to a recipient",
        "RSA-OAEP with SHA-256 of 3072 bits or more, A256GCM",
        "recipient's public key",
        "RFC 7518",
    ),
    (
        "PayKKa answers and notifications",
        "RSASSA-PKCS1-v1_5 with SHA-256",
        "platform key",
        "RFC 8017",
    ),
    (
        "PayKKa requests",
        "RSASSA-PKCS1-v1_5 with SHA-256, verified",
        "merchant's public key",
        "RFC 8017",
    ),
    (
        "credentials at rest",
        "SHA-256 over id and 128 random bits or more",
        "-",
        "FIPS 180-4",
    ),
    ("outgoing connections", "TLS 1.2 and 1.3, by ring", "-", "RFC 8446"),
    (
        "random numbers",
        "the HSM's; the kernel's for names, and for content keys of JWE to others",
        "-",
        "NIST SP 800-90A",
    ),
];

/// Runs it.
pub(super) fn run(args: &InventoryArgs) -> anyhow::Result<Exit> {
    let instance = Instance::find(&args.which)?.with_pin(&args.pin);
    let keyring = instance::keyring(&instance.config)?;
    // in a process of its own: this one never loads the module
    let found: Inventory = check::ask_worker("inventory-worker", &instance)?;
    if args.json {
        let keys: Vec<Value> = found
            .keys
            .iter()
            .map(|key| -> anyhow::Result<Value> {
                let mut shown = serde_json::to_value(key)?;
                if let Some(members) = shown.as_object_mut() {
                    members.insert("state".to_owned(), serde_json::to_value(state(&keyring, key))?);
                }
                Ok(shown)
            })
            .collect::<anyhow::Result<_>>()?;
        let cryptography: Vec<Value> = CRYPTOGRAPHY
            .iter()
            .map(|(what, algorithm, key, rule)| json!({"what": what, "algorithm": algorithm, "key": key, "rule": rule}))
            .collect();
        terminal::json(&json!({
            "vault": keyring.vault(),
            "created": keyring.created().to_string(),
            "mode": keyring.keyset().mode,
            "audit_key": keyring.audit_fingerprint()?.to_string(),
            "kek_epochs": epochs(&keyring),
            "token": found.token,
            "keys": keys,
            "cryptography": cryptography,
        }))?;
    } else {
        tell(&keyring, &found)?;
    }
    if args.which.is_dev() {
        return Ok(Exit::Ok);
    }
    match labelled_test(&found) {
        None => Ok(Exit::Ok),
        Some(what) => Err(Exit::Refused.because(format!(
            "a vault in production holds what is labelled as a test: {what} (PCI DSS 3.6.1.1)"
        ))),
    }
}

/// What of a token says that it is for tests.
fn labelled_test(found: &Inventory) -> Option<String> {
    let is_test = |label: &&str| label.to_ascii_lowercase().contains("test");
    let token = Some(found.token.label.as_str())
        .filter(is_test)
        .map(|label| format!("token '{label}'"));
    let mut keys = found.keys.iter().map(|key| key.label.as_str());
    token.or_else(|| keys.find(is_test).map(|label| format!("key '{label}'")))
}

/// The internal command behind it.
pub(super) fn worker(which: &Which, pin: &PinArg) -> anyhow::Result<Exit> {
    check::answer(which, pin, crate::hsm::inventory)
}

fn state(keyring: &Keyring, key: &KeyFacts) -> EpochState {
    let role = match key.role {
        Role::Kek => None,
        Role::Audit => Some(Rotated::Audit),
        Role::Fingerprint => Some(Rotated::Fingerprint),
        Role::Transport => Some(Rotated::Transport),
        Role::Locker | Role::Platform => return EpochState::Active,
    };
    match (key.epoch, key.generation, role) {
        (_, Some(generation), Some(role)) => keyring
            .states(role)
            .into_iter()
            .find(|state| state.generation == generation)
            .map_or(EpochState::PreActive, |state| state.state),
        (Some(epoch), ..) => keyring.lifecycle().state(Epoch(epoch)).unwrap_or(EpochState::Destroyed),
        (None, ..) => EpochState::Active,
    }
}

/// All KEK epochs with what befell them, also those that are in the token no more.
fn epochs(keyring: &Keyring) -> Vec<Value> {
    let life = keyring.lifecycle();
    let told = life.states().into_iter().map(|(epoch, state)| {
        let mark = life.marks().get(&epoch).cloned().unwrap_or_default();
        let text = |at: Option<UnixMillis>| at.map(|at| at.to_string());
        json!({
            "epoch": epoch.0, "state": state, "id": keyring.kek(epoch).map(|kek| kek.id.as_str()),
            "compromised": text(mark.compromised), "destroyed": text(mark.destroyed), "left": text(mark.left),
        })
    });
    told.collect()
}

fn tell(keyring: &Keyring, found: &Inventory) -> anyhow::Result<()> {
    let token = &found.token;
    terminal::say(format!(
        "vault      {}, keyring of {}",
        keyring.vault(),
        keyring.created()
    ));
    terminal::say(format!("audit key  {}", keyring.audit_fingerprint()?));
    terminal::say(format!("module     {}", token.module));
    terminal::say(format!(
        "token      '{}', {} {}, serial {}, firmware {}, hardware {}",
        token.label, token.manufacturer, token.model, token.serial, token.firmware, token.hardware
    ));
    terminal::say(format!("mechanisms {}", token.mechanisms.join(" ")));
    terminal::say("");
    for key in &found.keys {
        let role = serde_json::to_value(key.role)?;
        let role = role.as_str().unwrap_or_default();
        let name = match key.epoch.or(key.generation) {
            Some(number) => format!("{role} {number}"),
            None => role.to_owned(),
        };
        let bits = key.bits.map_or_else(|| "?".to_owned(), |bits| bits.to_string());
        let state = serde_json::to_value(state(keyring, key))?;
        terminal::say(format!(
            "{name:<14} {:<11} {} {bits} bits; {}; {}; '{}', CKA_ID {}",
            state.as_str().unwrap_or_default(),
            key.algorithm,
            key.usage.join(" "),
            key.protection.join(" "),
            key.label,
            key.id
        ));
    }
    for (epoch, mark) in keyring.lifecycle().marks() {
        let id = keyring.kek(*epoch).map(|kek| kek.id.as_str()).unwrap_or_default();
        if let Some(at) = mark.destroyed {
            terminal::say(format!("kek {:<8} destroyed on {at}; CKA_ID {id}", epoch.0));
        } else if let Some(at) = mark.left {
            terminal::say(format!(
                "kek {:<8} in a HSM that was left on {at}; CKA_ID {id}",
                epoch.0
            ));
        }
    }
    terminal::say("");
    for (what, algorithm, key, rule) in CRYPTOGRAPHY {
        terminal::say(format!("{what:<34} {algorithm}; key: {key}; {rule}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hsm::TokenFacts;

    fn found(token: &str, key: &str) -> Inventory {
        let text = || "x".to_owned();
        Inventory {
            token: TokenFacts {
                module: text(),
                label: token.to_owned(),
                manufacturer: text(),
                model: text(),
                serial: text(),
                firmware: text(),
                hardware: text(),
                mechanisms: Vec::new(),
            },
            keys: vec![KeyFacts {
                role: Role::Audit,
                epoch: None,
                generation: Some(1),
                id: text(),
                label: key.to_owned(),
                algorithm: text(),
                bits: None,
                usage: Vec::new(),
                protection: Vec::new(),
            }],
        }
    }

    #[test]
    fn what_is_labelled_as_a_test_is_named() {
        assert_eq!(labelled_test(&found("panvault", "panvault-audit")), None);
        assert_eq!(labelled_test(&found("HSM-Test-2", "a")).unwrap(), "token 'HSM-Test-2'");
        assert_eq!(labelled_test(&found("panvault", "TEST kek")).unwrap(), "key 'TEST kek'");
    }

    #[test]
    fn every_role_stands_in_the_table_of_cryptography() {
        for role in [
            Role::Audit,
            Role::Fingerprint,
            Role::Kek,
            Role::Locker,
            Role::Platform,
            Role::Transport,
        ] {
            let name = serde_json::to_value(role).unwrap();
            let name = name.as_str().unwrap().to_owned();
            assert!(
                CRYPTOGRAPHY
                    .iter()
                    .any(|(.., key, _)| key.to_ascii_lowercase().contains(&name)),
                "{name}"
            );
        }
    }
}
