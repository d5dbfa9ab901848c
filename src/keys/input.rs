//! What goes into the fingerprint key's MACs.

use crate::card::Pan;
use crate::hsm::{SecretBytes, framed};
use crate::id::RepositoryId;

/// Two uses of the one fingerprint key, each with a label of its own in front: no input of one is an input of the other.
pub(super) fn fingerprint_input(repository: RepositoryId, pan: &Pan) -> SecretBytes {
    SecretBytes::new(framed(&[
        b"panvault pan fingerprint v1",
        &repository.0.to_be_bytes(),
        pan.expose().as_bytes(),
    ]))
}

/// What stands before the PAN in [`fingerprint_input`], for a worker that opens the PAN itself.
pub(super) fn fingerprint_prefix(repository: RepositoryId) -> Vec<u8> {
    framed(&[b"panvault pan fingerprint v1", &repository.0.to_be_bytes()])
}

pub(super) fn mac_input(domain: &str, bytes: &SecretBytes) -> SecretBytes {
    SecretBytes::new(framed(&[b"panvault mac v1", domain.as_bytes(), bytes.expose()]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_input_of_one_domain_is_one_of_another(
            a in "[a-z ]{0,6}", x in proptest::collection::vec(any::<u8>(), 0..6),
            b in "[a-z ]{0,6}", y in proptest::collection::vec(any::<u8>(), 0..6),
        ) {
            let same = (&a, &x) == (&b, &y);
            let left = mac_input(&a, &SecretBytes::new(x));
            let right = mac_input(&b, &SecretBytes::new(y));
            prop_assert_eq!(same, left == right);
        }
    }

    #[test]
    fn a_worker_that_opens_the_pan_makes_the_same_input() {
        let pan = Pan::parse("4111111111111111").unwrap();
        let opened = [fingerprint_prefix(RepositoryId(7)), framed(&[pan.expose().as_bytes()])].concat();
        assert_eq!(fingerprint_input(RepositoryId(7), &pan).expose(), opened);
    }

    #[test]
    fn the_keys_own_check_value_is_no_mac_input() {
        // the HSM's side MACs this text as it is to prove the key; as a frame it would claim a field of 2^62 bytes
        let check = b"panvault fingerprint check v1";
        let label = framed(&[b"panvault pan fingerprint v1"]);
        assert_ne!(check[..8], label[..8]);
        assert_ne!(check[..8], mac_input("", &SecretBytes::new(Vec::new())).expose()[..8]);
    }
}
