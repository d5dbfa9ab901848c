//! The files of a dev instance that its user may change.

use std::path::Path;

use super::{TOKEN, merchants};

/// Who may do what.
pub(super) fn policy(uid: u32) -> String {
    format!(
        "# dev: everything for the user that started it; written anew at every start\nversion = 1\n\n[[grant]]\nname = \"dev\"\nuid = {uid}\n\
         dialects = [\"*\"]\nrepositories = [\"*\"]\noperations = [\"*\"]\n"
    )
}

/// The configuration.
pub(super) fn configuration(module: &Path, dir: &Path) -> String {
    let softhsm = dir.join("softhsm2.conf");
    let (raw, pci) = (merchants::HYPERSWITCH, merchants::PAYKKA);
    format!(
        r#"# made by `panvault dev`; yours to change
version = 1
state_dir = "state"
policy = "policy.toml"

[hsm]
module = {module:?}
token = "{TOKEN}"
pin_file = "user-pin"
# no cap in dev
open_rate = 0

[hsm.environment]
SOFTHSM2_CONF = {softhsm:?}

[listen]
api = "api.sock"
admin = "admin.sock"
# some clients send lines that are no headers; nothing stands in front of this that could take one for a header
ignore_malformed_headers = true

# no caps in dev
[caps]
export_per_second = 0
export_per_day = 0
reveal_per_second = 0
reveal_per_day = 0
search_per_second = 0
search_per_day = 0
search_by_pan_per_second = 0
search_by_pan_per_day = 0

# one person tries it
[dual_control]
operations = []

[locker]
enabled = true
# whatever the client sends
jwe = "optional"

[hyperswitch]
# the test merchant may see what it stored
raw_merchants = [{raw:?}]

[paykka]
enabled = true
# the test merchant may send test cards in plain
pci_merchants = [{pci:?}]

[maintenance]
# what was charged today is due, so that `panvault maintenance run` has something to do
look_ahead_days = 400
"#
    )
}
