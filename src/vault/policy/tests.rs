use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

fn peer(uid: u32, gid: u32) -> Peer {
    Peer { uid, gid, pid: None }
}

fn repository(name: &str) -> RepositoryName {
    RepositoryName::parse(name).unwrap()
}

fn allowed_by(policy: &Policy, peer: Peer, repo: &str, op: Operation) -> Option<String> {
    policy
        .decide(&peer, Dialect::Native, &repository(repo), op)
        .allowed_by
        .map(str::to_owned)
}

fn error(text: &str) -> String {
    Policy::parse(text).unwrap_err().to_string()
}

const SHOP: &str = r#"version = 1

[[grant]]
name = "shop"
uid = 1000
dialects = ["native"]
repositories = ["shop-eu"]
operations = ["tokenize", "inspect"]

[[grant]]
name = "refunds"
gid = 50
dialects = ["*"]
repositories = ["*"]
operations = ["reveal"]
caps.reveal_per_day = 10
"#;

#[test]
fn a_grant_needs_everything_in_it_to_match() {
    let policy = Policy::parse(SHOP).unwrap();
    let shop = Some("shop".to_owned());
    assert_eq!(allowed_by(&policy, peer(1000, 1), "shop-eu", Operation::Tokenize), shop);
    assert_eq!(allowed_by(&policy, peer(1000, 1), "shop-us", Operation::Tokenize), None);
    assert_eq!(allowed_by(&policy, peer(1001, 1), "shop-eu", Operation::Tokenize), None);
    assert_eq!(allowed_by(&policy, peer(1000, 1), "shop-eu", Operation::Reveal), None);
    let refunds = policy.decide(&peer(7, 50), Dialect::Native, &repository("any"), Operation::Reveal);
    assert_eq!(refunds.allowed_by, Some("refunds"));
    assert_eq!(refunds.caps.reveal_per_day, Some(10));
}

/// A grant is made from every choice of what it lists; each must allow what its parts say and nothing else.
#[test]
fn every_combination_decides_as_its_parts_say() {
    let callers = [(Some(1000), None), (None, Some(50)), (Some(1000), Some(50))];
    let peers = [
        peer(1000, 50),
        peer(1000, 51),
        peer(1001, 50),
        peer(1001, 51),
        peer(0, 0),
    ];
    let repositories = [vec![], vec!["*"], vec!["eu"], vec!["eu", "us"]];
    let dialects = [vec![], vec!["*"], vec!["native"]];
    let quoted = |values: &[&str]| format!("{values:?}");
    for (uid, gid) in callers {
        for dialect_list in &dialects {
            for repository_list in &repositories {
                for bits in 0..1_u32 << Operation::ALL.len() {
                    let listed: Vec<&str> = Operation::ALL
                        .iter()
                        .enumerate()
                        .filter(|(bit, _)| bits & (1 << bit) != 0)
                        .map(|(_, op)| op.as_str())
                        .collect();
                    let mut text = format!(
                        "version = 1\n[[grant]]\nname = \"g\"\ndialects = {}\nrepositories = {}\noperations = {}\n",
                        quoted(dialect_list),
                        quoted(repository_list),
                        quoted(&listed),
                    );
                    uid.iter().for_each(|uid| text += &format!("uid = {uid}\n"));
                    gid.iter().for_each(|gid| text += &format!("gid = {gid}\n"));
                    let policy = Policy::parse(&text).unwrap();
                    for peer in peers {
                        for repo in ["eu", "us", "asia"] {
                            for op in Operation::ALL {
                                let expected = uid.is_none_or(|uid| uid == peer.uid)
                                    && gid.is_none_or(|gid| gid == peer.gid)
                                    && !dialect_list.is_empty()
                                    && (repository_list.contains(&"*") || repository_list.contains(&repo))
                                    && listed.contains(&op.as_str());
                                let decided = allowed_by(&policy, peer, repo, op).is_some();
                                assert_eq!(decided, expected, "{text} {peer:?} {repo} {op:?}");
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn empty_means_nothing() {
    for text in [
        "version = 1",
        "version = 1\n[[grant]]\nuid = 0",
        "version = 1\n[[grant]]\nuid = 0\ndialects = [\"*\"]\nrepositories = [\"*\"]",
    ] {
        let policy = Policy::parse(text).unwrap();
        for op in Operation::ALL {
            assert_eq!(allowed_by(&policy, peer(0, 0), "any", op), None);
            assert!(!policy.explain(&peer(0, 0), op).allowed);
        }
    }
}

#[test]
fn dev_grants_everything_to_one_user_without_caps() {
    let policy = Policy::dev(1000);
    for op in Operation::ALL {
        assert_eq!(allowed_by(&policy, peer(1000, 5), "any", op).as_deref(), Some("dev"));
        assert_eq!(allowed_by(&policy, peer(0, 0), "any", op), None);
    }
}

#[test]
fn users_and_groups_are_resolved_when_read() {
    let text = "version = 1\n[[grant]]\nuser = \"root\"\ngroup = \"root\"\nuid = 0\n\
                dialects = [\"*\"]\nrepositories = [\"*\"]\noperations = [\"*\"]";
    let policy = Policy::parse(text).unwrap();
    assert!(allowed_by(&policy, peer(0, 0), "x", Operation::Reveal).is_some());
    assert!(allowed_by(&policy, peer(0, 1), "x", Operation::Reveal).is_none());
    assert_eq!(
        error("version = 1\n[[grant]]\nname = \"x\"\nuser = \"no-such-user-here\""),
        "line 4: user: no user \"no-such-user-here\""
    );
    assert_eq!(
        error("version = 1\n[[grant]]\nuser = \"root\"\nuid = 7"),
        "line 4: uid: the name beside it has number 0: this grant would match nobody"
    );
}

#[test]
fn what_is_wrong_is_told_with_line_and_key() {
    assert_eq!(error(""), "line 1: version: is missing; this program reads version 1");
    assert_eq!(
        error("\nversion = 2\nnews = 1"),
        "line 2: version: this program reads version 1"
    );
    let operations = error("version = 1\n[[grant]]\nuid = 1\noperations = [\n  \"tokenize\",\n  \"peek\",\n]");
    assert!(
        operations.starts_with("line 6: operations: \"peek\" is none of delete,"),
        "{operations}"
    );
    assert_eq!(
        error("version = 1\n[[grant]]\nuid = 1\ndialects = [\"native\", \"*\"]"),
        "line 4: dialects: \"*\" stands alone"
    );
    assert_eq!(
        error("version = 1\n[[grant]]\nuid = 1\nrepositories = [\"a b\"]"),
        "line 4: repositories: has a character that is not allowed"
    );
    assert_eq!(
        error("version = 1\n\n[[grant]]\noperations = [\"*\"]"),
        "line 3: grant: names no caller: one of user, uid, group, gid is needed"
    );
    for (text, line, key) in [
        ("version = 1\n[[grant]]\nuid = 1\nusr = \"x\"", "line 4", "usr"),
        ("version = 1\n[[grant]]\nuid = \"1\"", "line 3", "uid"),
        (
            "version = 1\n[[grant]]\nuid = 1\ncaps.reveal_per_hour = 1",
            "line 4",
            "reveal_per_hour",
        ),
        ("version = 1\ngrants = []", "line 2", "grants"),
        ("version = 1\n[[grant]\n", "line 2", "[[grant]"),
    ] {
        let error = error(text);
        assert!(error.contains(line) && error.contains(key), "{error}");
    }
}

#[test]
fn a_file_that_others_may_write_is_refused() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(SHOP.as_bytes()).unwrap();
    assert_eq!(Policy::load(file.path()).unwrap().len(), 2);
    for mode in [0o666, 0o602, 0o620, 0o660] {
        file.as_file()
            .set_permissions(std::fs::Permissions::from_mode(mode))
            .unwrap();
        assert!(matches!(Policy::load(file.path()), Err(BadPolicy::File(_))), "{mode:o}");
    }
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o644))
        .unwrap();
    assert_eq!(Policy::load(file.path()).unwrap().len(), 2);
    assert!(Policy::load("/nonexistent/policy.toml".as_ref()).is_err());
}

#[test]
fn a_file_of_another_user_is_refused() {
    for (owner, daemon, expected) in [(0, 990, true), (990, 990, true), (991, 990, false), (990, 0, false)] {
        assert_eq!(file::trusted(owner, daemon), expected, "{owner} {daemon}");
    }
    // giving a file away takes a privilege that not everyone who runs this has
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(SHOP.as_bytes()).unwrap();
    if std::os::unix::fs::chown(file.path(), Some(12_345), None).is_ok() {
        assert!(matches!(Policy::load(file.path()), Err(BadPolicy::File(text)) if text.contains("12345")));
    }
}

#[test]
fn explain_names_every_reason() {
    let policy = Policy::parse(SHOP).unwrap();
    let explanation = policy.explain(&peer(1000, 50), Operation::Reveal);
    assert!(explanation.allowed);
    assert_eq!(
        explanation.to_string(),
        "reveal to user 1000, group 50: allowed\n  \
         shop: does not: allows tokenize, inspect, not reveal\n  \
         refunds: allows it; dialects: *; repositories: *\n"
    );
    let stranger = policy.explain(&peer(7, 7), Operation::Reveal);
    assert!(!stranger.allowed);
    assert_eq!(
        stranger.grants.first().unwrap().because,
        ["is for user 1000, not 7", "allows tokenize, inspect, not reveal"]
    );
    let json = serde_json::to_value(&stranger).unwrap();
    assert_eq!(json.pointer("/grants/1/caps/reveal_per_day"), Some(&10.into()));
}

proptest! {
    /// Any text is a policy or an error, never a panic.
    #[test]
    fn any_text_is_answered(text in "(version = 1\n)?(\\[\\[grant\\]\\]\n)?(uid = 1\n)?\\PC{0,80}") {
        let _ = Policy::parse(&text).map_err(|e| e.to_string());
    }

    /// `explain` and `decide` agree.
    #[test]
    fn explain_agrees_with_decide(uid in 998_u32..1002, gid in 49_u32..52, op in 0..Operation::ALL.len()) {
        let policy = Policy::parse(SHOP).unwrap();
        let op = Operation::ALL[op];
        let decided = allowed_by(&policy, peer(uid, gid), "shop-eu", op);
        let first = policy
            .explain(&peer(uid, gid), op)
            .grants
            .into_iter()
            .find(|grant| grant.allows)
            .map(|grant| grant.name);
        prop_assert_eq!(decided, first);
    }
}
