//! Whom a connection is trusted to: the authorities of one file, or those that browsers trust.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The authorities whose certificates are taken.
pub struct Trust(RootCertStore);

impl Trust {
    /// Those that browsers trust, as they were when this program was built.
    pub fn built_in() -> Self {
        Self(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
    }

    /// Those of this PEM text and no others.
    ///
    /// # Errors
    /// For operators.
    pub fn only(pem: &[u8]) -> Result<Self, &'static str> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| "is not PEM")?;
            roots
                .add(certificate)
                .map_err(|_| "has a certificate that cannot be used")?;
        }
        match roots.is_empty() {
            true => Err("has no certificate"),
            false => Ok(Self(roots)),
        }
    }

    /// The settings of a client that trusts them.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn client(self) -> Result<ClientConfig, &'static str> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| "TLS cannot be set up")?;
        Ok(builder.with_root_certificates(self.0).with_no_client_auth())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_good_certificate_is_refused() {
        for pem in [
            "",
            "hello",
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(Trust::only(pem.as_bytes()).is_err(), "{pem}");
        }
        assert!(Trust::built_in().client().is_ok());
    }
}
