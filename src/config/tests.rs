use super::*;
use crate::hsm::PinSource;

const MINIMAL: &str =
    "version = 1\nstate_dir = \"state\"\npolicy = \"policy.toml\"\n[hsm]\nmodule = \"/m.so\"\ntoken = \"t\"\n";

fn load(text: &str) -> Result<Config, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("panvault.toml");
    fs::write(&path, text).unwrap();
    Config::load(&path)
}

#[test]
fn a_minimal_file_is_enough() {
    let config = load(MINIMAL).unwrap();
    assert!(config.state_dir.is_absolute());
    assert!(config.hsm.workers >= 1 && config.hsm.strict);
    assert_eq!(config.hsm.pin, PinSource::Credential("hsm-pin".to_owned()));
    assert_eq!(config.server.api_socket.mode, 0o660);
    assert_eq!(config.caps.reveal.per_second, 50);
}

#[test]
fn errors_name_line_and_key() {
    let text = |addition: &str| match load(&format!("{MINIMAL}{addition}")) {
        Ok(_) => panic!("{addition} was taken"),
        Err(error) => error.to_string(),
    };
    let unknown = text("colour = 1\n");
    assert!(unknown.contains("line 7") && unknown.contains("colour"), "{unknown}");
    let wrong = text("workers = \"two\"\n");
    assert!(wrong.contains("line 7: hsm.workers: must be"), "{wrong}");
    assert!(text("workers = \n").contains("line 7"));
    assert!(text("workers = 0\n").contains("hsm.workers"));
    assert!(text("deadline_ms = 0\n").contains("hsm.deadline_ms"));
    assert!(text("[listen]\nmetrics = \"0.0.0.0:9420\"\n").contains("listen.metrics"));
    assert!(text("[listen]\napi_mode = \"rw\"\n").contains("listen.api_mode"));
    assert!(text("[log]\nfilter = \"loud\"\n").contains("log.filter"));
    assert!(text("[store]\ncache_mib = 99999999999999999\n").contains("store.cache_mib"));
    assert!(text("[listen]\nmax_connections = 0\n").contains("listen.max_connections"));
    assert!(text("[maintenance]\nlook_ahead_days = 401\n").contains("maintenance.look_ahead_days: must be 1 to 400"));
    assert!(text("[maintenance]\nlook_ahead_days = 0\n").contains("maintenance.look_ahead_days"));
    assert!(text("[maintenance]\nevery_minutes = 1441\n").contains("maintenance.every_minutes"));
    assert!(text("[maintenance]\nenabled = 1\n").contains("maintenance.enabled: must be"));
    assert!(text("environment = {\"A=B\" = \"c\"}\n").contains("hsm.environment"));
    assert!(load(&MINIMAL.replace("version = 1", "version = 2")).is_err());
}

#[test]
fn custodians_leave_no_place_for_a_pin() {
    let with = |more: &str| load(&format!("{MINIMAL}{more}"));
    let plain = with("").unwrap();
    assert!(plain.custodians.is_none() && plain.server.unseal_socket.is_none());
    // as it is spelled now, and as it was
    for sealed in [
        "unseal = \"custodians\"\n[custodians]\nusers = [\"root\"]\n",
        "unseal = \"ceremony\"\n[ceremony]\ncustodians = [\"root\"]\n",
    ] {
        let sealed = with(sealed).unwrap();
        assert_eq!(sealed.hsm.pin, PinSource::Keeper);
        let settings = sealed.custodians.unwrap();
        assert_eq!(settings.custodians, Some(vec![0]));
        assert!(settings.one_share_each);
        assert_eq!(settings.window, Duration::from_secs(1800));
        assert_eq!(sealed.server.unseal_socket.unwrap().mode, 0o660);
    }
    for (more, key) in [
        (
            "unseal = \"custodians\"\npin_file = \"pin\"\n",
            "hsm.pin_file: no PIN is stored",
        ),
        ("unseal = \"never\"\n", "hsm.unseal"),
        ("[custodians]\nwindow_s = 2\n[ceremony]\nwindow_s = 2\n", "custodians"),
        ("[custodians]\nwindow_s = 0\n", "custodians.window_s"),
        ("[custodians]\nwindow_s = 86401\n", "custodians.window_s"),
        (
            "[custodians]\nusers = [\"nobody-has-this-name\"]\n",
            "custodians.users: there is no user",
        ),
        ("[listen]\nunseal_mode = \"rw\"\n", "listen.unseal_mode"),
        ("[listen]\nunseal_group = \"no-such-group\"\n", "listen.unseal_group"),
    ] {
        let Err(error) = with(more) else {
            panic!("{more} was taken")
        };
        assert!(error.to_string().contains(key), "{error}");
    }
}

#[test]
fn a_pin_in_the_wrong_place_is_not_echoed() {
    for mistake in [
        "pin = \"20460731\"\n",
        "pin_file = 20460731\n",
        "workers = \"20460731\"\n",
        "strict = \"a, expected 20460731\"\n",
        "pin = \"20460731\n",
        "pin = 20460731x\n",
    ] {
        let Err(error) = load(&format!("{MINIMAL}{mistake}")) else {
            panic!("{mistake} was taken");
        };
        let text = error.to_string();
        assert!(text.contains("line 7") && !text.contains("20460731"), "{text}");
    }
}

#[test]
fn maintenance_is_weekly_ahead_and_hourly_unless_it_is_told_otherwise() {
    assert_eq!(load(MINIMAL).unwrap().maintenance, MaintenanceConfig::default());
    let given = "[maintenance]\nenabled = false\nlook_ahead_days = 400\nevery_minutes = 1440\n";
    let expected = MaintenanceConfig {
        enabled: false,
        look_ahead: Duration::from_secs(400 * 86_400),
        every: Duration::from_secs(86_400),
    };
    assert_eq!(load(&format!("{MINIMAL}{given}")).unwrap().maintenance, expected);
}

#[test]
fn the_front_is_a_user_by_name() {
    let own = User::from_uid(nix::unistd::getuid()).unwrap().unwrap();
    let config = load(&format!("{MINIMAL}[listen]\nfront_user = \"{}\"\n", own.name)).unwrap();
    assert_eq!(config.front_uid, Some(own.uid.as_raw()));
    assert_eq!(load(MINIMAL).unwrap().front_uid, None);
    let unknown = load(&format!("{MINIMAL}[listen]\nfront_user = \"no-such-user-here\"\n"));
    let text = unknown.err().unwrap().to_string();
    assert!(text.contains("listen.front_user: there is no user"), "{text}");
}

#[test]
fn the_admin_group_is_let_in() {
    let own = Group::from_gid(nix::unistd::getgid()).unwrap().unwrap();
    let config = load(&format!("{MINIMAL}[listen]\nadmin_group = \"{}\"\n", own.name)).unwrap();
    assert_eq!(config.admin_gids, [own.gid.as_raw()]);
    assert_eq!(config.admin_users.len(), own.mem.len());
    assert_eq!(load(MINIMAL).unwrap().admin_gids, [0_u32; 0]);
    for key in ["admin_group", "api_group"] {
        let unknown = load(&format!("{MINIMAL}[listen]\n{key} = \"no-such-group-here\"\n"));
        let text = unknown.err().unwrap().to_string();
        assert!(text.contains(&format!("listen.{key}: there is no group")), "{text}");
    }
}

#[test]
fn connectors_are_read_and_their_faults_named() {
    let psp = "[[psp]]\nconnector_id = \"mca_one\"\nmerchant = \"shop\"\nkind = \"stripe\"\n\
        base_url = \"https://api.stripe.com\"\napi_key_file = \"key\"\n";
    assert!(load(MINIMAL).unwrap().psp.is_empty());
    let config = load(&format!("{MINIMAL}{psp}ca_file = \"/ca.pem\"\ntimeout_ms = 100\n{psp}")).unwrap();
    let [one, two] = config.psp.as_slice() else { panic!() };
    assert_eq!(
        (one.timeout, two.timeout),
        (Duration::from_millis(100), Duration::from_secs(15))
    );
    assert_eq!(
        (one.ca_file.as_deref(), &two.ca_file),
        (Some(Path::new("/ca.pem")), &None)
    );
    assert!(one.api_key_file.is_absolute() && one.connector_id.as_str() == "mca_one");
    for (from, to, named) in [
        ("mca_one", "mca one", "psp.connector_id"),
        ("merchant = \"shop\"", "", "psp.merchant"),
        ("merchant", "repository = \"EU\"\nmerchant", "psp.merchant"),
        ("https:", "http:", "psp.base_url"),
        ("\"stripe\"", "\"strips\"", "psp[0].kind"),
        ("merchant", "api_key = \"sk_live_20460731\"\nmerchant", "api_key"),
        ("merchant", "timeout_ms = 99\nmerchant", "psp.timeout_ms"),
        ("merchant", "timeout_ms = 120001\nmerchant", "psp.timeout_ms"),
    ] {
        let Err(error) = load(&format!("{MINIMAL}{}", psp.replacen(from, to, 1))) else {
            panic!("{to} was taken")
        };
        let text = error.to_string();
        assert!(text.contains(named) && !text.contains("sk_live"), "{text}");
    }
}
