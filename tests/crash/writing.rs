//! `kill -9` at every single write of one of our files: before the new one has its name, and before
//! that name is flushed. Whoever comes by dies: `apply`, a verb that edits, and the supervisors they have
//! started.

use crate::assert_converged;
use crate::sandbox::Sandbox;

/// More writes than any one process has in these stories.
const ENOUGH: u32 = 40;

#[track_caller]
fn at_every_write(verb: &[&str], place: &str, builds: &[&str], prepare: impl Fn(&Sandbox)) {
    for time in 1..=ENOUGH {
        let place = format!("{place}:{time}");
        let sandbox = Sandbox::new();
        prepare(&sandbox);
        let run = sandbox.run_until(&place, verb);
        if run.code == Some(0) {
            assert!(time > 3, "{place}: nobody came by it");
            return;
        }
        sandbox.run(verb).assert_code(0, &place);
        assert_converged(&sandbox, &place, builds);
    }
    panic!("there are more than {ENOUGH} writes");
}

fn upgrade(sandbox: &Sandbox) {
    sandbox.run(&["apply"]).assert_code(0, "at first");
    sandbox.publish(1002, "");
    sandbox.want(&[("chat", 1002), ("embed", 1002)]);
}

#[test]
fn a_first_apply_killed_before_a_file_has_its_name() {
    at_every_write(&["apply"], "durable.filled", &["b1001"], |_| ());
}

#[test]
fn a_first_apply_killed_before_a_name_is_flushed() {
    at_every_write(&["apply"], "durable.renamed", &["b1001"], |_| ());
}

#[test]
fn an_upgrade_killed_before_a_file_has_its_name() {
    at_every_write(&["apply"], "durable.filled", &["b1001", "b1002"], upgrade);
}

/// Moves every pin in the manifest, and applies that.
const EDIT: [&str; 4] = ["upgrade", "--all", "--binary-version", "b1002"];

fn publish(sandbox: &Sandbox) {
    sandbox.run(&["apply"]).assert_code(0, "at first");
    sandbox.publish(1002, "");
}

#[test]
fn an_edit_killed_before_a_file_has_its_name() {
    at_every_write(&EDIT, "durable.filled", &["b1001", "b1002"], publish);
}

#[test]
fn an_edit_killed_once_the_manifest_is_written() {
    let sandbox = Sandbox::new();
    publish(&sandbox);
    let run = sandbox.run_until("edit.written", &EDIT);
    run.assert_killed("edit.written");
    // Whoever comes next does what it says.
    sandbox.run(&["apply"]).assert_code(0, "edit.written");
    assert_converged(&sandbox, "edit.written", &["b1001", "b1002"]);
    assert_eq!(sandbox.build("chat"), "b1002");
}
