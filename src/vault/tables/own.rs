//! Tables of the vault itself and its keys: few entries, each by a name of its own.

use super::key;
use crate::store::Key;

const OWNER: u8 = 0x18;
const ROTATION: u8 = 0x1b;
const FINGERPRINT_KEYS: u8 = 0x1c;
const REFINGERPRINT: u8 = 0x1d;
const HANDOVERS: u8 = 0x1e;
const KEK_OPS: u8 = 0x1f;
const KEK_END: u8 = 0x32;

/// Where the vault's id stands.
pub(in crate::vault) fn owner() -> Key {
    key(OWNER, &[])
}

/// Where the last KEK rotation stands.
pub(in crate::vault) fn rotation() -> Key {
    key(ROTATION, &[])
}

/// Where it stands which fingerprint keys are in use.
pub(in crate::vault) fn fingerprint_keys() -> Key {
    key(FINGERPRINT_KEYS, &[])
}

/// Where the last rotation of the fingerprint key stands.
pub(in crate::vault) fn refingerprint() -> Key {
    key(REFINGERPRINT, &[])
}

/// Where it stands how many handovers of the audit key are in the trail.
pub(in crate::vault) fn handovers() -> Key {
    key(HANDOVERS, &[])
}

/// How many data keys an epoch's KEK wrapped.
pub(in crate::vault) fn kek_ops(epoch: u32) -> Key {
    key(KEK_OPS, &[&epoch.to_be_bytes()])
}

/// Those of all epochs.
pub(in crate::vault) fn all_kek_ops() -> Key {
    key(KEK_OPS, &[])
}

/// What is on record of the end of an epoch's KEK.
pub(in crate::vault) fn kek_end(epoch: u32) -> Key {
    key(KEK_END, &[&epoch.to_be_bytes()])
}
