//! What is read off control groups as they were seen in the wild, and what follows from answers.

use std::cell::RefCell;

use super::*;

/// `/proc/self/cgroup` under version 1, as systemd 219 and 237 lay it out.
fn version_1(path: &str) -> String {
    format!(
        "11:pids:{path}\n10:cpuset:/\n9:net_cls,net_prio:/\n8:memory:/user.slice\n\
         7:devices:{path}\n6:freezer:/\n5:cpu,cpuacct:/\n4:blkio:/\n3:perf_event:/\n\
         2:hugetlb:/\n1:name=systemd:{path}\n"
    )
}

/// The same with the hierarchy of version 2 beside it, as systemd 232 to 246 do.
fn hybrid(path: &str) -> String {
    format!("{}0::{path}\n", version_1(path))
}

fn version_2(path: &str) -> String {
    format!("0::{path}\n")
}

/// The service an existing path ends in or leads through, by its name.
fn service(path: &str, unit: &str, manager: Manager) -> Unit {
    let end = path.rfind(".service").expect("a service") + ".service".len();
    Unit::Service {
        unit: unit.to_owned(),
        group: path[..end].to_owned(),
        manager,
    }
}

#[test]
fn a_process_is_in_its_innermost_unit_under_every_version_of_control_groups() {
    let users = "/user.slice/user-1000.slice/user@1000.service";
    let services = [
        (
            "/system.slice/orch.service".to_owned(),
            "orch.service",
            Manager::System,
        ),
        (
            "/system.slice/cron.service".to_owned(),
            "cron.service",
            Manager::System,
        ),
        (
            "/system.slice/system-orch.slice/orch@a\\x2db.service".to_owned(),
            "orch@a\\x2db.service",
            Manager::System,
        ),
        // A service with `Delegate=yes` has groups of its own.
        (
            "/system.slice/orch.service/workers/3".to_owned(),
            "orch.service",
            Manager::System,
        ),
        (
            "/system.slice/_cpu.service".to_owned(),
            "cpu.service",
            Manager::System,
        ),
        (
            format!("{users}/app.slice/orch.service"),
            "orch.service",
            Manager::User,
        ),
        (
            format!("{users}/orch.service"),
            "orch.service",
            Manager::User,
        ),
        (users.to_owned(), "user@1000.service", Manager::System),
    ]
    .map(|(path, unit, manager)| {
        let unit = Some(service(&path, unit, manager));
        (path, unit)
    });
    let others = [
        (
            "/user.slice/user-1000.slice/session-7.scope".to_owned(),
            Some(Unit::Session),
        ),
        // A terminal of a desktop.
        (
            format!("{users}/app.slice/app-gnome-Terminal-2345.scope"),
            Some(Unit::Scope),
        ),
        (format!("{users}/init.scope"), Some(Unit::Scope)),
        ("/init.scope".to_owned(), Some(Unit::Scope)),
        ("/".to_owned(), None),
        ("/user.slice/user-1000.slice".to_owned(), None),
    ];
    let cases = services.into_iter().chain(others);
    for (path, unit) in cases {
        for groups in [version_1(&path), hybrid(&path), version_2(&path)] {
            assert_eq!(Unit::of(&groups), unit, "{groups}");
        }
    }
}

#[test]
fn a_container_is_in_no_service_of_the_machine_around_it() {
    let id = "3f4ea1c0b59ad1c8ed7f0e2f6cb8a3a1c4f1d5b0e7c8a9f0b1c2d3e4f5a6b7c8";
    let pod = "pod0e2f6cb8_a3a1_4c4f_81d5_b0e7c8a9f0b1";
    let cases = [
        // Docker, its own driver and systemd's, seen without a namespace of control groups.
        (version_1(&format!("/docker/{id}")), None),
        (
            version_2(&format!("/system.slice/docker-{id}.scope")),
            Some(Unit::Scope),
        ),
        (
            version_2(&format!(
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{id}.scope/container"
            )),
            Some(Unit::Scope),
        ),
        (version_1(&format!("/kubepods/burstable/{pod}/{id}")), None),
        (
            version_2(&format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-{pod}.slice/cri-containerd-{id}.scope"
            )),
            Some(Unit::Scope),
        ),
        // With a namespace, as by default since; and the same under WSL.
        (version_2("/"), None),
        ("13:rdma:/\n1:name=systemd:/\n0::/\n".to_owned(), None),
        ("0::/init.scope\n".to_owned(), Some(Unit::Scope)),
        // Nothing that could be read.
        (String::new(), None),
        ("no colons here\n0:\n".to_owned(), None),
    ];
    for (groups, unit) in cases {
        assert_eq!(Unit::of(&groups), unit, "{groups}");
    }
}

/// Answers from a list, and what was asked.
fn answered(
    groups: &str,
    answers: &[(Question<'_>, Result<&str, &str>)],
) -> (Result<Confinement, ConfinementError>, usize) {
    let asked = RefCell::new(0);
    let found = Confinement::of(groups, &|question| {
        *asked.borrow_mut() += 1;
        let (_, answer) = answers
            .iter()
            .find(|(known, _)| *known == question)
            .unwrap_or_else(|| panic!("nobody expected to be asked {question:?}"));
        answer.map(str::to_owned).map_err(str::to_owned)
    });
    (found, asked.into_inner())
}

const IN_SERVICE: &str = "0::/system.slice/orch.service\n";
const OF_SYSTEM: Question<'_> = Question::Service("orch.service", Manager::System);
const OF_USER: Question<'_> = Question::Service("orch.service", Manager::User);
/// What a manager says of a service it does not have.
const UNKNOWN: Result<&str, &str> = Ok("ControlGroup=\nKillMode=control-group\n");
const IN_SCOPE: Result<&str, &str> = Ok("0::/system.slice/run-r1.scope\n");

#[test]
fn outside_of_a_service_nobody_is_asked_and_nothing_is_done() {
    for groups in ["", "0::/\n", "1:name=systemd:/docker/1f\n0::/\n"] {
        let (found, asked) = answered(groups, &[]);
        assert_eq!((found.expect("free"), asked), (Confinement::default(), 0));
    }
}

#[test]
fn a_service_that_spares_its_processes_is_no_reason_for_a_scope() {
    for mode in ["process", "none"] {
        let answer = format!("KillMode={mode}\nControlGroup=/system.slice/orch.service\n");
        let (found, _) = answered(IN_SERVICE, &[(OF_SYSTEM, Ok(&answer))]);
        assert_eq!(found.expect("free"), Confinement::default(), "{mode}");
    }
}

/// Where a manager does not run in a `user@.service`, nothing but its word tells whose the unit is.
#[test]
fn only_the_manager_that_knows_the_group_is_heard() {
    let spares = Ok("KillMode=process\nControlGroup=/system.slice/orch.service\n");
    let lingers = (Question::Linger, Ok("yes\n"));
    let (found, _) = answered(
        IN_SERVICE,
        &[(OF_SYSTEM, UNKNOWN), (OF_USER, spares), lingers],
    );
    assert_eq!(found.expect("free"), Confinement::default());

    let another = Ok("KillMode=process\nControlGroup=/elsewhere/orch.service\n");
    let scope = (Question::Scope(Manager::System), IN_SCOPE);
    let (found, _) = answered(
        IN_SERVICE,
        &[(OF_SYSTEM, another), (OF_USER, another), scope],
    );
    assert_eq!(found.expect("a way out").scope, Some(Manager::System));
}

#[test]
fn a_service_that_ends_its_processes_is_left_through_a_scope_and_that_is_said() {
    for answer in [
        Ok("KillMode=control-group\nControlGroup=/system.slice/orch.service\n"),
        Ok("KillMode=mixed\nControlGroup=/system.slice/orch.service\n"),
        Err("Failed to connect to bus"),
    ] {
        let scope = (Question::Scope(Manager::System), IN_SCOPE);
        let (found, _) = answered(
            IN_SERVICE,
            &[(OF_SYSTEM, answer), (OF_USER, UNKNOWN), scope],
        );
        let found = found.expect("a way out");
        assert_eq!(found.scope, Some(Manager::System), "{answer:?}");
        assert_eq!(
            found.remarks(),
            [
                "`orch.service` ends every process in it when it stops, so supervisors and servers go into scopes of their own (`llama-orch-*.scope`)"
            ]
        );
    }
}

#[test]
fn a_service_of_the_machine_that_runs_as_a_user_is_left_through_that_users_manager() {
    let ends = Ok("KillMode=control-group\nControlGroup=/system.slice/orch.service\n");
    let (found, _) = answered(
        IN_SERVICE,
        &[
            (OF_SYSTEM, ends),
            (Question::Scope(Manager::System), Err("Access denied")),
            (Question::Scope(Manager::User), IN_SCOPE),
        ],
    );
    assert_eq!(found.expect("a way out").scope, Some(Manager::User));
}

#[test]
fn a_service_that_cannot_be_left_is_named_with_what_to_write_into_it() {
    let group = "/user.slice/user-0.slice/user@0.service/app.slice/orch.service";
    let missing = Err("cannot execute `systemd-run`: No such file or directory");
    let (found, _) = answered(
        &version_2(group),
        &[
            (Question::Linger, Ok("yes\n")),
            (
                OF_USER,
                Ok(&format!("KillMode=control-group\nControlGroup={group}\n")),
            ),
            (Question::Scope(Manager::User), missing),
            // It answers, and the process is where it was.
            (Question::Scope(Manager::System), Ok(IN_SERVICE)),
        ],
    );
    let error = found.expect_err("no way out");
    assert_eq!(
        error.to_string(),
        "`orch.service` ends every process in it when it stops, and no scope can be had outside of it: \
         the user's systemd: cannot execute `systemd-run`: No such file or directory; \
         the machine's systemd has started one elsewhere"
    );
    assert_eq!(
        error.hint(),
        "write `KillMode=process` into the section `[Service]` of `orch.service`, with `systemctl --user edit orch.service`"
    );
}

#[test]
fn a_login_session_that_ends_its_processes_is_left_where_the_user_lingers() {
    let groups = "0::/user.slice/user-1000.slice/session-7.scope\n";
    let ends = (Question::KillUserProcesses, Ok("yes\n"));
    let lingers = (Question::Linger, Ok("yes\n"));
    let scope = Question::Scope(Manager::User);
    let out = Ok("0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope\n");
    let (found, _) = answered(groups, &[ends, lingers, (scope, out)]);
    let found = found.expect("a way out");
    assert_eq!(
        (found.scope, found.remarks().len()),
        (Some(Manager::User), 0)
    );

    let remark = "logind ends servers that are started here when you log out (`KillUserProcesses=yes`); `loginctl enable-linger` first keeps them";
    for answers in [
        vec![ends, (Question::Linger, Ok("no\n"))],
        vec![ends, lingers, (scope, Err("Failed to connect to bus"))],
    ] {
        let (found, _) = answered(groups, &answers);
        let found = found.expect("no reason to refuse");
        assert_eq!(
            (found.scope, found.remarks()),
            (None, [remark.to_owned()].as_slice())
        );
    }
    for answer in [Ok("no\n"), Err("cannot execute `loginctl`")] {
        let (found, _) = answered(groups, &[(Question::KillUserProcesses, answer)]);
        assert_eq!(found.expect("free"), Confinement::default());
    }
}

#[test]
fn a_users_manager_that_goes_with_the_last_logout_is_remarked() {
    let groups = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope\n";
    let remark = "your systemd ends servers that are started here after your last logout; `loginctl enable-linger` keeps them";
    let (found, _) = answered(groups, &[(Question::Linger, Ok("no\n"))]);
    assert_eq!(found.expect("no reason to refuse").remarks(), [remark]);
    for answer in [Ok("yes\n"), Err("cannot execute `loginctl`")] {
        let (found, _) = answered(groups, &[(Question::Linger, answer)]);
        assert_eq!(found.expect("free"), Confinement::default());
    }
}

#[test]
fn a_scope_is_named_by_root_instance_and_life() {
    let folder = InstanceFolder::new("/srv/llm".into(), &"chat".parse().expect("a name"));
    let other = InstanceFolder::new("/srv/other".into(), &"chat".parse().expect("a name"));
    let life = Uuid::from_u128(0x1f2e_3d4c_0000_0000_0000_0000_0000_0000);
    let name = scope_name(&folder, life);
    let (root, rest) = name
        .strip_prefix("llama-orch-")
        .and_then(|name| name.split_once('-'))
        .expect("both");
    assert_eq!((root.len(), rest), (8, "chat-1f2e3d4c.scope"));
    assert_ne!(scope_name(&other, life), name);
}
