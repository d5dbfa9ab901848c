//! Where merchants may be told: the operator's list, so that no request can have the daemon talk to whatever it reaches,
//! and no merchant can have another one told.

use std::collections::{BTreeMap, BTreeSet};

use hyper::Uri;

use crate::id::MerchantId;

/// Hosts that each merchant may be told at, with a port where that is not 443.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(BTreeMap<MerchantId, BTreeSet<String>>);

impl Hosts {
    /// Reads the lists, by merchant.
    ///
    /// # Errors
    /// The one that is no host or no merchant, for operators.
    pub fn parse(lists: &BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        let mut all = BTreeMap::new();
        for (merchant, hosts) in lists {
            let id = MerchantId::parse(merchant).map_err(|fault| format!("{merchant:?}: an id {fault}"))?;
            let hosts: Result<BTreeSet<String>, String> = hosts.iter().map(|host| name_of(host)).collect();
            all.insert(id, hosts?);
        }
        Ok(Self(all))
    }

    /// The address, if the merchant may be told there.
    pub fn admit(&self, merchant: &MerchantId, url: &str) -> Option<Uri> {
        let plain = url.len() <= LONGEST && url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains('#');
        let uri: Uri = plain.then(|| url.parse().ok())??;
        let name = shortened(uri.authority()?.as_str());
        let known = self.0.get(merchant).is_some_and(|hosts| hosts.contains(&name));
        (uri.scheme_str() == Some("https") && known).then_some(uri)
    }
}

fn name_of(host: &str) -> Result<String, String> {
    let uri: Option<Uri> = format!("https://{host}/").parse().ok();
    let plain = uri.is_some_and(|uri| uri.authority().is_some_and(|name| name.as_str() == host));
    match plain && !host.contains('@') {
        true => Ok(shortened(host)),
        false => Err(format!("{host:?} is no host, or no host with a port")),
    }
}

/// Without the port that is meant anyway.
fn shortened(authority: &str) -> String {
    let name = authority.to_ascii_lowercase();
    name.strip_suffix(":443").map_or(name.clone(), str::to_owned)
}

/// Bytes of an address.
const LONGEST: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(list: &[&str]) -> Result<Hosts, String> {
        let list = list.iter().map(|host| (*host).to_owned()).collect();
        Hosts::parse(&[("SHOP".to_owned(), list)].into())
    }

    #[test]
    fn only_named_hosts_are_admitted() {
        let hosts = hosts(&["Shop.example:443", "localhost:8443"]).unwrap();
        let (shop, other) = (MerchantId::parse("SHOP").unwrap(), MerchantId::parse("OTHER").unwrap());
        for url in [
            "https://shop.example/hook?x=1",
            "https://SHOP.example:443/hook",
            "https://localhost:8443",
        ] {
            assert!(hosts.admit(&shop, url).is_some(), "{url}");
            assert!(hosts.admit(&other, url).is_none(), "{url}");
        }
        for url in [
            "http://shop.example/hook",
            "https://shop.example:8443/hook",
            "https://shop.example.evil/hook",
            "https://evil@shop.example/hook",
            "https://shop.example@evil/hook",
            "https://127.0.0.1/",
            "https://localhost/",
            "https://shop.example/a b",
            "//shop.example/hook",
            "/hook",
            "",
        ] {
            assert!(hosts.admit(&shop, url).is_none(), "{url}");
        }
    }

    #[test]
    fn what_is_no_host_is_told() {
        for bad in ["", "https://shop", "shop/path", "a b", "user@shop", "shop?x"] {
            assert!(hosts(&[bad]).is_err(), "{bad}");
        }
        assert!(Hosts::parse(&[("a b".to_owned(), Vec::new())].into()).is_err());
    }
}
