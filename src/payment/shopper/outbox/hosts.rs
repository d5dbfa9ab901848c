//! Where merchants may be told: the operator's list, so that no request can have the daemon talk to whatever it reaches.

use std::collections::BTreeSet;

use hyper::Uri;

/// Hosts that notifications may go to, each with its port where that is not 443.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(BTreeSet<String>);

impl Hosts {
    /// Reads a list.
    ///
    /// # Errors
    /// The one that is no host, for operators.
    pub fn parse(hosts: &[String]) -> Result<Self, String> {
        let mut all = BTreeSet::new();
        for host in hosts {
            let uri: Option<Uri> = format!("https://{host}/").parse().ok();
            let plain = uri.is_some_and(|uri| uri.authority().is_some_and(|name| name.as_str() == host));
            if !plain || host.contains('@') {
                return Err(format!("{host:?} is no host, or no host with a port"));
            }
            all.insert(host.to_ascii_lowercase());
        }
        Ok(Self(all))
    }

    /// The address, if it may be told.
    pub fn admit(&self, url: &str) -> Option<Uri> {
        let plain = url.len() <= LONGEST && url.bytes().all(|byte| byte.is_ascii_graphic());
        let uri: Uri = plain.then(|| url.parse().ok())??;
        let authority = uri.authority()?.as_str().to_ascii_lowercase();
        let name = authority.strip_suffix(":443").unwrap_or(&authority);
        let known = uri.scheme_str() == Some("https") && self.0.contains(name) && !url.contains('#');
        known.then_some(uri)
    }
}

/// Bytes of an address.
const LONGEST: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_hosts_are_admitted() {
        let hosts = Hosts::parse(&["Shop.example".to_owned(), "localhost:8443".to_owned()]).unwrap();
        for url in [
            "https://shop.example/hook?x=1",
            "https://SHOP.example:443/hook",
            "https://localhost:8443",
        ] {
            assert!(hosts.admit(url).is_some(), "{url}");
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
            assert!(hosts.admit(url).is_none(), "{url}");
        }
        assert!(Hosts::default().admit("https://shop.example/").is_none());
    }

    #[test]
    fn what_is_no_host_is_told() {
        for bad in ["", "https://shop", "shop/path", "a b", "user@shop", "shop?x"] {
            assert!(Hosts::parse(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
