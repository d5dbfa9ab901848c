//! The Mastercard gateway's API, REST and NVP.
