//! SetVouchers (A.4.1.3) and GetOptions (A.4.1.4). The signature of a voucher is not looked at.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cwmp::{DateTime, Fault, Response, VoucherOption};

use super::Cpe;

/// Enabled and set up.
const ENABLED: u32 = 3;

impl Cpe {
    pub(super) fn set_vouchers(&mut self, vouchers: &[String]) -> Result<Response, Fault> {
        let options: Option<Vec<VoucherOption>> =
            vouchers.iter().map(|voucher| option(voucher)).collect();
        let options = options.ok_or_else(|| Fault::new(9003))?;
        for option in options {
            self.options.retain(|present| present.name != option.name);
            self.options.push(option);
        }
        Ok(Response::SetVouchers)
    }

    pub(super) fn get_options(&self, name: &str) -> Result<Response, Fault> {
        let options = self.options.iter();
        let named: Vec<VoucherOption> = options
            .filter(|option| name.is_empty() || option.name == name)
            .cloned()
            .collect();
        if named.is_empty() && !name.is_empty() {
            return Err(Fault::new(9003));
        }
        Ok(Response::GetOptions(named))
    }
}

/// What a voucher permits (TR-069 Annex C): its OptionIdent, of its VSerialNum, in its Mode.
fn option(voucher: &str) -> Option<VoucherOption> {
    let bytes = STANDARD.decode(voucher).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (value, _) = rest.split_once('<')?;
        Some(value.trim().to_owned())
    };
    let expiration_date = element("ExpirationDate").map(DateTime);
    Some(VoucherOption {
        name: element("OptionIdent")?,
        voucher: element("VSerialNum")?.parse().ok()?,
        state: ENABLED,
        mode: if expiration_date.is_some() { 1 } else { 2 },
        start_date: element("StartDate").map_or_else(DateTime::unknown, DateTime),
        expiration_date,
        is_transferable: element("Transferable").as_deref() == Some("1"),
    })
}
