//! JOSE: compact JWE taken apart, public keys as JWK. No keys are used here: the HSM does that.
