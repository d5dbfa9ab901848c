//! Whom a connection is trusted to: the authorities of one file, or those that browsers trust.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The authorities whose certificates are taken.
pub struct Trust(RootCertStore);

impl Trust {
    /// Those of the file that is set as `ca_file`, or, where none is, those that browsers trust.
    ///
    /// # Errors
    /// For operators: names key and file.
    pub fn open(ca_file: Option<&Path>) -> Result<Self, String> {
        let Some(path) = ca_file else {
            return Ok(Self::built_in());
        };
        let opened = read(path).and_then(|pem| Self::only(&pem).map_err(str::to_owned));
        opened.map_err(|why| format!("ca_file {}: {why}", path.display()))
    }

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

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(CA_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= CA_MAX => Ok(bytes),
        Ok(_) | Err(_) => Err(format!("is longer than {CA_MAX} bytes")),
    }
}

/// Bytes of a `ca_file`: a distribution's whole bundle has a quarter of it.
const CA_MAX: u64 = 1 << 20;

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
