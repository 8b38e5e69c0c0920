//! A varlink client that is not ours, https://github.com/varlink/python: it reads the interface's description and calls
//! by it.

use super::daemon::Daemon;
use crate::smartapi::python;
use serde_json::{Value as Json, json};
use std::process::Command;

const CLIENT: &str = r#"
import json, sys, varlink
client = varlink.Client.new_with_address("unix:" + sys.argv[1])
with client.open("org.bhavd.Control1") as control:
    methods = [name for name in dir(control) if name[0].isupper()]
    status = control.Status()
    try:
        control.Chain(underlying="NOBODY")
    except varlink.VarlinkError as error:
        refusal = error.as_dict()
with client.open("org.bhavd.Control1") as watcher:
    updates = [update for update, _ in zip(watcher.Watch(_more=True), range(2))]
print(json.dumps({
    "interfaces": client.get_interfaces(), "methods": methods, "status": status, "updates": updates, "refusal": refusal,
}))
"#;

#[test]
fn a_foreign_client_reads_the_interface_and_calls_by_it() {
    let Some(python) = python() else { return };
    let daemon = Daemon::start();
    let output = Command::new(python).args(["-c", CLIENT]).arg(daemon.socket()).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found["interfaces"], json!(["org.varlink.service", "org.bhavd.Control1"]));
    let methods = found["methods"].as_array().expect("a list");
    assert!(["Status", "Watch", "Reload"].iter().all(|name| methods.contains(&json!(name))), "{methods:?}");
    assert_eq!(found["status"]["spool"]["last_seq"], 1_843_298);
    assert_eq!(found["updates"].as_array().map(Vec::len), Some(2), "{found}");
    assert_eq!(found["refusal"]["error"], "org.bhavd.Control1.UnknownUnderlying", "{found}");
}
