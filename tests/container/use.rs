//! Applications and operators.

use crate::machine::Machine;
use crate::support::daemon::VISA;

/// A merchant and its first token.
pub(crate) struct Shop {
    pub(crate) key: String,
    pub(crate) token: String,
}

/// Grants for the users `shop`, which may not see cards, and `settle`, which may, and for root, which makes load.
const POLICY: &str = r#"version = 1
[[grant]]
name = "web shop"
user = "shop"
dialects = ["native"]
repositories = ["shop"]
operations = ["tokenize", "inspect"]

[[grant]]
name = "settlement"
user = "settle"
dialects = ["native"]
repositories = ["shop"]
operations = ["inspect", "reveal"]

[[grant]]
name = "load"
user = "root"
dialects = ["native"]
repositories = ["shop"]
operations = ["tokenize", "inspect"]
"#;

/// A request of a user's over api.sock: the answer's body and, on a line of its own, its status.
fn request(user: &str, shop: &Shop, method: &str, path: &str, body: &str) -> String {
    format!(
        "setpriv --reuid={user} --regid={user} --init-groups curl --silent --max-time 30 --unix-socket /run/panvault/api.sock \
         --write-out '\\n%{{http_code}}' --request {method} --header 'Authorization: Bearer {}' \
         --header 'Content-Type: application/json' --data '{body}' http://vault{path}",
        shop.key
    )
}

/// Sends it. `0` is the status of a request that reached nobody.
pub(crate) fn ask(machine: &Machine, user: &str, shop: &Shop, method: &str, path: &str, body: &str) -> (String, u16) {
    let output = machine.try_run(&request(user, shop, method, path, body)).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (body.to_owned(), status.parse().unwrap())
}

pub(crate) fn tokenize(machine: &Machine, user: &str, shop: &Shop) -> (String, u16) {
    let card = format!(r#"{{"card":{{"number":"{VISA}","expiry":{{"month":12,"year":2030}}}}}}"#);
    ask(machine, user, shop, "POST", "/v1/tokens", &card)
}

pub(crate) fn reveal(machine: &Machine, user: &str, shop: &Shop) -> (String, u16) {
    ask(
        machine,
        user,
        shop,
        "POST",
        &format!("/v1/tokens/{}/reveal", shop.token),
        "{}",
    )
}

/// Sockets are enabled, the service is not: the first request starts it.
pub(crate) fn first_use(machine: &Machine) -> Shop {
    machine.run(
        "for user in shop settle; do useradd --system --user-group $user; usermod -aG panvault-clients $user; done
         useradd --system --user-group stranger",
    );
    machine.write("/etc/panvault/policy.toml", POLICY);
    machine.run("systemctl enable --now panvault.socket panvault-admin.socket panvault-metrics.socket");
    assert_eq!(
        machine.run("systemctl is-active panvault.service || true").trim(),
        "inactive"
    );
    // an operator who is not root, over admin.sock
    let operator = "setpriv --reuid=alice --regid=alice --init-groups";
    machine.run(&format!("{operator} panvault merchant add shop --dialect native"));
    let made = machine.run(&format!(
        "{operator} panvault credential add --merchant shop --dialect native --json"
    ));
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    assert_eq!(machine.show("ActiveState"), "active");
    let mut shop = Shop {
        key: made["secret"].as_str().unwrap().to_owned(),
        token: String::new(),
    };
    machine.run("systemctl stop panvault.service");
    assert_eq!(machine.show("ActiveState"), "inactive");
    let (body, status) = tokenize(machine, "shop", &shop);
    assert_eq!(status, 201, "{body}");
    let made: serde_json::Value = serde_json::from_str(&body).unwrap();
    shop.token = made["token"].as_str().unwrap().to_owned();
    assert_eq!(machine.show("ActiveState"), "active");
    shop
}

/// The same key in the hands of two users: each may do what its user was granted.
pub(crate) fn two_users(machine: &Machine, shop: &Shop) {
    assert_eq!(tokenize(machine, "settle", shop).1, 403);
    assert_eq!(reveal(machine, "shop", shop).1, 403);
    let (body, status) = reveal(machine, "settle", shop);
    assert!(status == 200 && body.contains(VISA), "{body}");
    assert_eq!(reveal(machine, "stranger", shop).1, 0, "the socket is for its group");
    let denied = machine
        .try_run("setpriv --reuid=shop --regid=shop --init-groups panvault status")
        .unwrap();
    assert_eq!(denied.status.code(), Some(69), "{denied:?}");
}

pub(crate) fn what_operators_see(machine: &Machine) {
    let screen = machine.run("panvault status");
    assert!(screen.contains(": ready"), "{screen}");
    machine.wait("people are told", 10, || {
        machine
            .run("systemctl status panvault.service")
            .contains("HSM workers up")
    });
    let figures = machine.run("curl --silent --fail http://127.0.0.1:9420/metrics");
    assert!(figures.contains("panvault_tokens 1"), "{figures}");
    machine.run("curl --silent --fail http://127.0.0.1:9420/readyz");
    let log = machine.run("journalctl --no-pager --output=json --unit=panvault.service");
    assert!(
        log.contains("\"SYSLOG_IDENTIFIER\":\"panvault\"") && !log.contains(VISA),
        "fields, and no card"
    );
    // the network, privileges and files that it has: none, none, its own
    let server = machine.show("MainPID");
    let status = machine.run(&format!("cat /proc/{server}/status"));
    assert!(
        status.contains("CapEff:\t0000000000000000") && status.contains("NoNewPrivs:\t1"),
        "{status}"
    );
    let links = machine.run(&format!("nsenter --target={server} --net cat /proc/self/net/dev"));
    assert_eq!(
        links.lines().filter(|line| line.contains(':')).count(),
        1,
        "loopback alone: {links}"
    );
}

/// `systemctl reload` changes who may do what; a bad file changes nothing and is told.
pub(crate) fn reload(machine: &Machine, shop: &Shop) {
    let reload = |policy: &str| {
        machine.write("/etc/panvault/policy.toml", policy);
        machine.run("systemctl reload panvault.service");
    };
    let server = machine.show("MainPID");
    reload(&POLICY.replace("\"reveal\"", "\"delete\""));
    machine.wait("the new policy", 10, || reveal(machine, "settle", shop).1 == 403);
    reload("version = 1\n[[grant]]\nuser = \"nobody-there\"\n");
    machine.wait("told of the fault", 10, || {
        machine.show("StatusText").contains("reload was refused")
    });
    assert_eq!(reveal(machine, "settle", shop).1, 403, "the one before stays");
    reload(POLICY);
    machine.wait("the first policy", 10, || reveal(machine, "settle", shop).1 == 200);
    assert!(!machine.show("StatusText").contains("refused"));
    assert_eq!(machine.show("MainPID"), server);
}

/// The card is where it was.
pub(crate) fn as_before(machine: &Machine, shop: &Shop) {
    machine.wait("the card behind its token", 60, || {
        let (body, status) = reveal(machine, "settle", shop);
        status == 200 && body.contains(VISA)
    });
}

/// What two operators agree to, each in a home of their own.
pub(crate) fn two_operators(machine: &Machine) {
    let by = |user: &str, command: &str| {
        format!("HOME=/home/{user} setpriv --reuid={user} --regid={user} --init-groups panvault {command}")
    };
    for user in ["alice", "bob"] {
        machine.run(&by(user, "operator enroll --accept"));
    }
    let asked = machine.try_run(&by("alice", "key rotate")).unwrap();
    assert_eq!(asked.status.code(), Some(75), "{asked:?}");
    let list = machine.run(&by("bob", "ceremony list --json"));
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let id = list["ceremonies"][0]["id"].as_str().unwrap();
    machine.run(&by("bob", &format!("ceremony approve {id}")));
    let told = machine.run(&by("alice", "key rotate --wait"));
    assert!(told.contains("epoch 2"), "{told}");
}

/// A real journal has every record of the trail.
pub(crate) fn the_trail_in_the_journal(machine: &Machine) {
    machine.run("panvault audit tail --lines 100000 >/root/trail");
    machine.wait("every record in the journal", 30, || {
        machine.run("journalctl --no-pager --identifier=panvault-audit --output=cat >/root/journal");
        machine.succeeds("! grep --invert-match --line-regexp --fixed-strings --file=/root/journal /root/trail")
    });
    let lines = machine.run("wc --lines </root/trail");
    assert!(lines.trim().parse::<u32>().unwrap() > 20, "{lines}");
}
