//! The texts, with paths that want escaping.

use super::*;

fn odd() -> Service {
    Service {
        program: "/usr/local/bin/llama-orch".to_owned(),
        root: "/srv/my \"models\" 100%$HOME/<a&b>".to_owned(),
        name: "llama-orch".to_owned(),
        options: vec![
            "--git".to_owned(),
            "--git-interval".to_owned(),
            "5m".to_owned(),
        ],
    }
}

#[test]
fn a_unit_starts_what_was_meant_whatever_the_path() {
    let text = systemd(&odd(), &Unit::User);
    let start = text.lines().find(|line| line.starts_with("ExecStart="));
    let meant = r#"ExecStart=/usr/local/bin/llama-orch -C "/srv/my \"models\" 100%%$$HOME/<a&b>" watch --git --git-interval 5m"#;
    assert_eq!(start, Some(meant));
    assert_eq!(root_of(&text), Some(odd().root.as_str()));
    assert!(
        text.contains("WantedBy=default.target") && !text.contains("User="),
        "{text}"
    );
    // Variables are replaced in commands alone, so that only there one of a path wants escaping.
    let mounts = r#"RequiresMountsFor="/srv/my \"models\" 100%%$HOME/<a&b>""#;
    assert!(text.lines().any(|line| line == mounts), "{text}");
    assert!(text.lines().all(|line| line.len() <= 120), "{text}");
}

#[test]
fn the_path_of_the_program_is_no_command_line() {
    let mut service = odd();
    service.program = "/opt/a$b 100%/llama-orch".to_owned();
    let text = systemd(&service, &Unit::User);
    let meant = r#"ExecStart="/opt/a$b 100%%/llama-orch" -C "#;
    assert!(text.lines().any(|line| line.starts_with(meant)), "{text}");
}

#[test]
fn a_unit_names_its_root_and_none_that_only_begins_like_it() {
    let text = systemd(&odd(), &Unit::User);
    assert!(names(&text, &odd().root), "one of ours");
    let of_a_person = "[Service]\nExecStart=/opt/llama-orch -C '/srv/llama/' watch\n";
    assert!(names(of_a_person, "/srv/llama"));
    for other in ["/srv/lla", "/srv", "/llama-orch", "/srv/llama/b"] {
        assert!(!names(of_a_person, other), "{other}");
    }
}

#[test]
fn a_unit_of_the_machine_runs_as_the_owner_and_confines_nothing() {
    let user = "llama".to_owned();
    let text = systemd(&odd(), &Unit::System { user });
    for line in [
        "User=llama",
        "Type=notify",
        "KillMode=process",
        "Delegate=yes",
        "OOMPolicy=continue",
        "After=network-online.target",
        "WantedBy=multi-user.target",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}:\n{text}");
    }
    for confined in [
        "Private",
        "Protect",
        "Restrict",
        "MemoryDeny",
        "SystemCall",
        "NoNew",
    ] {
        let is_set = |line: &str| line.starts_with(confined);
        assert!(
            !text.lines().any(is_set),
            "servers would inherit {confined}"
        );
    }
    assert_eq!(root_of("[Unit]\n"), None);
}

#[test]
fn other_systems_get_their_paths_escaped_and_servers_that_outlive_watch() {
    let list = launchd(&odd());
    assert!(
        list.contains("<string>/srv/my &quot;models&quot; 100%$HOME/&lt;a&amp;b&gt;</string>"),
        "{list}"
    );
    assert!(list.contains("<key>AbandonProcessGroup</key>"), "{list}");
    let service = Service {
        program: r"C:\Program Files\llama-orch.exe".to_owned(),
        root: r"C:\my models\".to_owned(),
        ..odd()
    };
    let task = windows(&service);
    let meant =
        r"<Arguments>-C &quot;C:\my models\\&quot; watch --git --git-interval 5m</Arguments>";
    assert!(task.contains(meant), "{task}");
    assert!(
        task.contains("<ExecutionTimeLimit>PT0S</ExecutionTimeLimit>"),
        "{task}"
    );
}
