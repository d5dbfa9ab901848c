//! TLS as a client meets it, and certificates as logins.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::certificates::Certificates;
use crate::dialects::login;
use crate::site::{PAY, Site, VAULT, by_nginx};
use crate::support::http::{self, Answer};

const MERCHANT: &str = "/api/rest/version/70/merchant/TESTRANDOM/token/x";

/// Whether a handshake comes about, and what openssl says of it.
fn handshake(site: &Site, name: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-verify_return_error", "-servername", name, "-connect"]);
    command.arg(format!("127.0.0.1:{}", site.port));
    command.arg("-CAfile").arg(site.certificates().path("servers.pem"));
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.success(), said)
}

pub(crate) fn versions(site: &Site) {
    // without the client's own reluctance
    let weak = "DEFAULT:@SECLEVEL=0";
    for name in [VAULT, PAY] {
        for old in ["-tls1", "-tls1_1"] {
            let (made, said) = handshake(site, name, &[old, "-cipher", weak]);
            // the server's word: alert 70
            assert!(!made && said.contains("alert protocol version"), "{name} {old}: {said}");
        }
        for (version, shown) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
            let (made, said) = handshake(site, name, &[version]);
            assert!(
                made && said.contains(&format!("New, {shown}")),
                "{name} {version}: {said}"
            );
        }
        for cipher in [
            "AES128-GCM-SHA256",
            "ECDHE-ECDSA-AES128-SHA",
            "ECDHE-ECDSA-AES256-SHA384",
        ] {
            let (made, said) = handshake(site, name, &["-tls1_2", "-cipher", &format!("{cipher}:@SECLEVEL=0")]);
            assert!(!made && said.contains("handshake failure"), "{name} {cipher}: {said}");
        }
    }
    let answer = site.ask(8, "/", &["--tlsv1.2", "--tls-max", "1.2"]);
    assert_eq!(answer.status, 200);
    let answer = site.ask(8, "/", &["--tlsv1.3"]);
    assert_eq!(answer.status, 200);
    // plain HTTP on that port is told so
    let url = format!("http://{VAULT}:{}/", site.port);
    let output = site
        .curl(8)
        .args(["-o", "/dev/null", "-w", "%{http_code}", &url])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "400");
}

/// A request with a client's certificate.
fn shown(site: &Site, name: &str, more: &[&str]) -> Answer {
    let certificates = site.certificates();
    let (pem, key) = (
        certificates.path(&format!("{name}.pem")),
        certificates.path(&format!("{name}.key")),
    );
    let own = ["--cert", pem.to_str().unwrap(), "--key", key.to_str().unwrap()];
    site.ask(9, MERCHANT, &[&own[..], more].concat())
}

/// As nginx writes it into its variable.
fn escaped(pem: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let escape = |b: u8| match plain(b) {
        true => char::from(b).to_string(),
        false => format!("%{b:02X}"),
    };
    pem.bytes().map(escape).collect()
}

pub(crate) fn certificates_are_logins(site: &Site) {
    let certificates: Certificates<'_> = site.certificates();
    for (name, authority) in [("merchant", "clients"), ("other", "clients")] {
        certificates.issue(name, "client", authority);
    }
    let file = certificates.path("merchant.pem");
    let add = [
        "credential",
        "add",
        "--merchant",
        "TESTRANDOM",
        "--dialect",
        "mastercard",
    ];
    let file_argument = ["--certificate", file.to_str().unwrap()];
    let added: Value = {
        let said = site.daemon.run(&[&add[..], &file_argument, &["--json"]].concat(), 0);
        serde_json::from_str(&said).unwrap()
    };
    // let in: there is no such token
    let known = |answer: &Answer| answer.status == 400 && answer.json()["error"]["field"] == "token";
    let answer = shown(site, "merchant", &[]);
    assert!(known(&answer), "{} {}", answer.status, answer.text());
    // and again where the session is taken up anew, in both versions
    for version in [&["--tlsv1.2", "--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        assert!(known(&shown(site, "merchant", version)));
    }
    // of the right authority, and nobody's
    let answer = shown(site, "other", &[]);
    assert_eq!(answer.status, 401, "{}", answer.text());
    // a password still is one
    assert!(known(&shown(site, "other", &["-H", &login(site)])));

    // a client's own header is as good as none
    let header = escaped(&std::fs::read_to_string(&file).unwrap());
    let direct = [("X-Client-Certificate", header.as_str())];
    let direct = http::request(&site.daemon.api(), "GET", MERCHANT, &direct, b"").unwrap();
    assert!(known(&direct), "the header is right: {}", direct.text());
    for name in [
        "X-Client-Certificate",
        "x-client-certificate",
        "X-CLIENT-CERTIFICATE",
        "X_Client_Certificate",
    ] {
        let own = format!("{name}: {header}");
        for more in [
            &["-H", &own][..],
            &["-H", &own, "-H", &own],
            &["-H", "Connection: X-Client-Certificate", "-H", &own],
        ] {
            let answer = site.ask(9, MERCHANT, more);
            assert_eq!(answer.status, 401, "{more:?}: {}", answer.text());
            let answer = shown(site, "other", more);
            assert_eq!(answer.status, 401, "{more:?}: {}", answer.text());
        }
        assert!(known(&shown(site, "merchant", &["-H", &format!("{name}: nonsense")])));
    }

    // a suspended one is none
    let id = added["credential"]["id"].as_str().or(added["id"].as_str()).unwrap();
    site.daemon.run(&["credential", "suspend", id], 0);
    assert_eq!(shown(site, "merchant", &[]).status, 401);
}

/// Certificates that nobody of the listed authorities gave out.
pub(crate) fn strangers(site: &Site) {
    let certificates = site.certificates();
    certificates.authority("elsewhere");
    certificates.issue("stranger", "client", "elsewhere");
    // a server's certificate of another purpose, and an authority that calls itself like the right one
    certificates.issue("posing", "server", "clients");
    for name in ["stranger", "elsewhere", "posing"] {
        let answer = shown(site, name, &["-H", &login(site)]);
        assert!(answer.status == 400 && by_nginx(&answer), "{name}: {}", answer.text());
        assert!(
            answer.text().contains("SSL certificate error"),
            "{name}: {}",
            answer.text()
        );
    }
}
