//! `unprotect`: what the manifest protected once may be removed again.

use insta::assert_snapshot;

use crate::support::sandbox::Sandbox;

#[test]
fn protection_outlives_the_manifest_until_it_is_lifted() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001), ("embed", 1001)]);
    sandbox.edit("instances:", "protect: [embed]\ninstances:");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_snapshot!(sandbox.run(&["unprotect", "--all"]), @r"
    exit code 1
    --- stderr
    error: orchestrator.yaml protects `embed`
    hint: take `embed` out of `protect` there first
    ");
    sandbox.write_instances(&[("chat", 1001)]);
    sandbox.run(&["apply", "--yes"]).assert_says("protected");
    assert_eq!(sandbox.servers().len(), 2);
    let unprotect = ["unprotect", "embed", "--reason", "moved"];
    assert_snapshot!(sandbox.run(&unprotect), @r"
    exit code 0
    --- stderr
          ok unprotect embed                   no longer in orchestrator.yaml; `llama-orch apply --yes` removes it
    ");
    assert_snapshot!(sandbox.run(&["apply", "--yes"]), @r"
    exit code 0
    --- stdout
      - remove   embed                   no longer in orchestrator.yaml

    Plan: 1 to remove.
    --- stderr
         ... remove   embed
          ok remove   embed                   [TIME]

    Applied in [TIME]: 1 done.
    ");
    assert_eq!(sandbox.servers(), [sandbox.pid("chat")]);
    assert_snapshot!(sandbox.run(&["history", "-n", "2"]), @"
    exit code 0
    --- stdout
    [DATE], [TIME] ago  unprotect  [TIME]: moved
      done  unprotect  embed  moved
    [DATE], [TIME] ago  apply  [TIME]
      done  remove  embed  [TIME]; no longer in orchestrator.yaml
    ");
}
