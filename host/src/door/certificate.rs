//! X.509 certificates, as far as the door looks into them.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::device::UnixTime;

/// Names of one certificate that are looked at.
const NAMES_MAX: usize = 64;

/// Whom a certificate is made out to, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The common names of the subject, then the alternative names (DNS names and URIs).
    pub names: Vec<String>,
    /// The last moment of its validity.
    pub valid_until: UnixTime,
}

impl Certificate {
    /// Reads a DER certificate.
    ///
    /// # Errors
    /// When it is none; the text says what was expected.
    pub fn read(der: &[u8]) -> Result<Certificate, String> {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|error| format!("expected an X.509 certificate: {error}"))?;
        let common = certificate
            .subject()
            .iter_common_name()
            .filter_map(|name| name.as_str().ok());
        let mut names: Vec<String> = common.map(str::to_owned).collect();
        if let Ok(Some(alternative)) = certificate.subject_alternative_name() {
            let alternative = alternative.value.general_names.iter();
            names.extend(alternative.filter_map(|name| match name {
                GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
                _ => None,
            }));
        }
        names.truncate(NAMES_MAX);
        Ok(Certificate {
            names,
            valid_until: certificate.validity().not_after.timestamp(),
        })
    }
}
