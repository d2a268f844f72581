//! A build of one's own, from its registration to a prune that lets it be.

use camino::Utf8Path;
use llama_orch::install::{self, RegisterRequest};
use llama_orch::registry::Registry;

use crate::support::sandbox::Sandbox;

/// Copies the files of an installed build to where a person may have compiled it.
fn compiled(sandbox: &Sandbox, build: u32) -> camino::Utf8PathBuf {
    let folder = sandbox.path("llama.cpp");
    std::fs::create_dir(&folder).expect("created");
    for name in ["llama-server", "build-number", "standin-faults"] {
        std::fs::copy(sandbox.build_folder(build).join(name), folder.join(name)).expect("copied");
    }
    folder
}

fn register(sandbox: &Sandbox, path: &Utf8Path, version: &str, link: bool) {
    let request = RegisterRequest {
        bins: &sandbox.path("bins"),
        path,
        version: &version.parse().expect("a name"),
        variant: None,
        id: None,
        link,
        host: None,
    };
    install::register(&request, &|_, _| ()).expect("registered");
}

fn versions(sandbox: &Sandbox) -> Vec<String> {
    let registry = Registry::load(&sandbox.path("bins")).expect("a registry");
    let entries = registry.entries().iter();
    entries.map(|entry| entry.version.clone()).collect()
}

#[test]
fn a_build_of_ones_own_is_run_under_its_name_and_never_pruned() {
    for link in [false, true] {
        let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
        let folder = compiled(&sandbox, 1001);
        register(&sandbox, &folder, "mine", link);
        sandbox.edit("version: b1001", "version: mine");
        sandbox.run(&["apply"]).assert_code(0);
        let pid = sandbox.wait_running("chat");
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).expect("it runs");
        assert_eq!(program.starts_with(&folder), link, "{program:?}");
        sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);

        sandbox.edit("version: mine", "version: b1001");
        sandbox.run(&["apply"]).assert_code(0);
        register(&sandbox, &folder, "unused", link);
        sandbox
            .run(&["binary", "prune", "--keep", "0", "--yes"])
            .assert_code(0);

        assert_eq!(versions(&sandbox), ["b1001", "mine", "unused"]);
    }
}

#[test]
fn a_build_of_ones_own_that_is_gone_says_how_to_take_it_in_again() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let folder = compiled(&sandbox, 1001);
    register(&sandbox, &folder, "mine", true);
    sandbox.edit("version: b1001", "version: mine");
    std::fs::remove_dir_all(&folder).expect("removed");

    let plan = sandbox.run(&["plan"]);

    plan.assert_says("/llama.cpp` is missing");
    plan.assert_says("llama-orch binary register");
    sandbox.wait_running("chat");
}
