//! `bench api` on the locker. How fast it is, is measured elsewhere: here it must do what it says.

use serde_json::Value;

use super::support::daemon::Daemon;

pub(crate) fn operations() {
    let daemon = Daemon::start();
    for op in ["locker-add", "locker-retrieve", "locker-jwe-add", "locker-jwe-retrieve"] {
        // a second time it must not find the cards of the first
        for _ in 0..2 {
            let reused = || daemon.metric("panvault_operations_total{op=\"tokenize\",outcome=\"reused\"}");
            let before = reused();
            let load = [
                "--connections",
                "4",
                "--seconds",
                "20",
                "--requests",
                "40",
                "--tokens",
                "10",
            ];
            let said = daemon.run(&[&["bench", "api", "--json", "--op", op][..], &load].concat(), 0);
            let figures: Value = serde_json::from_str(&said).unwrap();
            assert_eq!((&figures["op"], &figures["errors"]), (&op.into(), &0.into()), "{said}");
            assert_eq!(figures["requests"], 40, "{said}");
            // the kernel counts in hundredths of a second, which so few plain requests may not take
            let spent = figures["cpu_us_per_request"].as_f64().unwrap();
            assert!(spent > 0.0 || !op.contains("jwe"), "{said}");
            assert_eq!(reused(), before, "{op}");
        }
    }
    let jobs = |job: &str| {
        daemon.metric(&format!(
            "panvault_hsm_job_seconds_count{{job=\"{job}\",outcome=\"done\"}}"
        ))
    };
    assert_eq!(
        (jobs("open-locker"), jobs("sign-locker")),
        (160.0, 160.0),
        "one of each for a request"
    );
}
