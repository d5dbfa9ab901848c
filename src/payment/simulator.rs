//! The simulators that serve TEST merchants. Deterministic: the same request gets the same answer.
