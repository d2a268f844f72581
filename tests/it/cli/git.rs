//! A clone that is kept at its branch, on real repositories.

use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use llama_orch::root::Root;
use llama_orch::watch::brake::Brake;
use llama_orch::watch::git::{Checkout, GitError, Options, pinnable};
use llama_orch::watch::snapshot::{Halted, Pinned};

use crate::support::repositories::{MANIFEST, Repositories};
use crate::support::sandbox::kill;

const PLAIN: Options = Options { verify: false };
const SIGNED: Options = Options { verify: true };

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// The hold's word, or none.
fn hold(checkout: &Checkout) -> Option<&str> {
    let hold = checkout.state().hold.as_ref();
    hold.map(|hold| hold.reason.as_str())
}

#[track_caller]
fn text(checkout: &Checkout) -> String {
    let hold = checkout.state().hold.as_ref();
    hold.expect("it is held").text.clone()
}

fn pin(world: &Repositories, commit: &str) {
    let pinned = Pinned {
        commit: commit.to_owned(),
        at: "2026-11-28T12:00:00Z".to_owned(),
        reason: None,
    };
    Brake::change(&world.root(), |brake| brake.pinned = Some(pinned)).expect("written");
}

fn suspend(world: &Repositories) {
    let halted = Halted {
        at: "2026-11-28T12:00:00Z".to_owned(),
        reason: None,
    };
    Brake::change(&world.root(), |brake| brake.suspended = Some(halted)).expect("written");
}

fn resume(world: &Repositories) {
    let lift = |brake: &mut Brake| {
        brake.suspended = None;
        brake.pinned = None;
    };
    Brake::change(&world.root(), lift).expect("written");
}

#[test]
fn what_is_pushed_is_taken_and_remembered_outside_the_work_tree() {
    block_on(async {
        let mut world = Repositories::new();
        let first = world.here();
        let mut checkout = world.open(PLAIN).await;
        assert!(!world.turn(&mut checkout).await);
        assert_eq!(hold(&checkout), None);
        world.carry_out(&mut checkout).await;
        assert_eq!(checkout.state().applied.as_ref(), Some(&first));

        let second = world.publish("second");
        assert!(world.turn(&mut checkout).await);
        assert_eq!(world.here(), second);
        assert!(world.read_here("orchestrator.yaml").contains("second"));
        let state = checkout.state();
        assert_eq!(state.commit, second);
        assert_eq!(state.subject, "second");
        assert_eq!(state.branch, "main");
        assert_eq!(state.upstream.as_ref(), Some(&second));
        assert_eq!(state.applied.as_ref(), Some(&first));
        assert!(state.fetched_at.is_some());
        world.carry_out(&mut checkout).await;
        assert_eq!(checkout.state().applied.as_ref(), Some(&second));

        // One that comes while a pass is at work is not what that pass was carried out on.
        assert!(checkout.look(world.now()).await);
        let third = world.publish("third");
        assert!(world.turn(&mut checkout).await);
        checkout.applied().await.expect("kept");
        assert_eq!(checkout.state().applied.as_ref(), Some(&second));
        world.carry_out(&mut checkout).await;

        // A person tidies up, and another watch begins.
        world.git(&world.server, &["clean", "-fdxq"]);
        let checkout = world.open(PLAIN).await;
        assert_eq!(checkout.state().applied.as_ref(), Some(&third));
        assert_eq!(world.git(&world.server, &["status", "--porcelain"]), "");
    });
}

#[test]
fn history_that_was_rewritten_is_not_followed() {
    block_on(async {
        let mut world = Repositories::new();
        let first = world.here();
        let second = world.publish("second");
        let mut checkout = world.open(PLAIN).await;
        world.turn(&mut checkout).await;
        world.carry_out(&mut checkout).await;
        assert_eq!(world.here(), second);

        // Another one in its place.
        world.git(&world.author, &["reset", "-q", "--hard", &first]);
        world.write("orchestrator.yaml", &format!("{MANIFEST}# other\n"));
        let other = world.commit("other");
        world.push(&["--force"]);
        assert!(!world.turn(&mut checkout).await);
        assert_eq!(hold(&checkout), Some("rewritten"));
        assert_eq!(world.here(), second);
        let since = checkout.state().hold.clone().expect("held").since;
        // What lies here goes on counting.
        assert!(checkout.look(world.now()).await);

        // Back to an older one.
        world.git(&world.author, &["reset", "-q", "--hard", &first]);
        world.push(&["--force"]);
        assert!(!world.turn(&mut checkout).await);
        assert_eq!(hold(&checkout), Some("rewritten"));
        assert_eq!(checkout.state().hold.clone().expect("held").since, since);

        // Even where this very watch never saw the commit that is gone.
        let mut checkout = world.open(PLAIN).await;
        assert!(!world.turn(&mut checkout).await);
        assert_eq!(hold(&checkout), Some("rewritten"));

        // A person takes it as it is.
        world.git(&world.author, &["reset", "-q", "--hard", &other]);
        world.push(&["--force"]);
        world.turn(&mut checkout).await;
        assert!(text(&checkout).contains(&format!("llama-orch watch pin {}", &other[..10])));
        pin(&world, &other);
        assert!(world.advance(&mut checkout).await);
        assert_eq!(world.here(), other);
        world.carry_out(&mut checkout).await;
        resume(&world);
        let next = world.publish("next");
        assert!(world.turn(&mut checkout).await);
        assert_eq!((world.here(), hold(&checkout)), (next, None));
    });
}

#[test]
fn commits_made_here_are_not_left_behind() {
    block_on(async {
        let mut world = Repositories::new();
        let mut checkout = world.open(PLAIN).await;
        world.turn(&mut checkout).await;
        world.carry_out(&mut checkout).await;
        world.write_here("orchestrator.yaml", "version: 1\ninstances: {}\n# here\n");
        world.git(&world.server, &["commit", "-qam", "here"]);
        world.turn(&mut checkout).await;
        assert_eq!(hold(&checkout), Some("local_commits"));
        assert!(!checkout.look(world.now()).await);
        let here = world.here();
        world.publish("there");
        assert!(!world.turn(&mut checkout).await);
        assert_eq!(
            (hold(&checkout), world.here()),
            (Some("local_commits"), here)
        );
    });
}

#[test]
fn edits_of_the_clone_hold_it_until_they_are_gone() {
    block_on(async {
        let mut world = Repositories::new();
        world.write("README", "read me\n");
        world.write(".gitignore", "models/\n");
        world.commit("more files");
        world.push(&[]);
        let mut checkout = world.open(PLAIN).await;
        assert!(world.turn(&mut checkout).await);
        let here = world.here();
        world.publish("second");

        // What is untracked and does not count is nobody's business.
        world.write_here("notes.txt", "mine\n");
        world.write_here("models/big.gguf", "GGUF");
        world.write_here("instances/chat/notes.txt", "mine\n");
        assert!(checkout.look(world.now()).await);

        let edits: [(&str, &str, &[&str]); 3] = [
            (
                "README",
                "`README` was edited here",
                &["checkout", "README"],
            ),
            (
                "orchestrator.lock",
                "`orchestrator.lock` lies here and is not in the commit",
                &["clean", "-fq", "orchestrator.lock"],
            ),
            (
                "instances/chat/config.json",
                "`instances/chat/config.json` lies here",
                &["clean", "-fdq", "instances/chat/config.json"],
            ),
        ];
        for (name, expected, undo) in edits {
            world.write_here(name, "{}");
            assert!(!checkout.look(world.now()).await, "{name}");
            assert_eq!(hold(&checkout), Some("local_edits"), "{name}");
            assert!(text(&checkout).contains(expected), "{}", text(&checkout));
            assert!(!world.turn(&mut checkout).await, "{name}");
            assert_eq!(world.here(), here);
            world.git(&world.server, undo);
            assert!(checkout.look(world.now()).await, "{name}");
            assert_eq!(hold(&checkout), None, "{name}");
        }

        // The index alone counts as well.
        world.write_here("README", "staged\n");
        world.git(&world.server, &["add", "README"]);
        world.write_here("README", "read me\n");
        assert!(!checkout.look(world.now()).await);
        world.git(&world.server, &["reset", "-q", "--hard"]);

        assert!(world.advance(&mut checkout).await);
        assert_eq!(hold(&checkout), None);
        assert_eq!(world.read_here("notes.txt"), "mine\n");
    });
}

#[test]
fn what_lies_in_the_way_is_not_written_over() {
    block_on(async {
        let mut world = Repositories::new();
        let mut checkout = world.open(PLAIN).await;
        world.write_here("notify.sh", "mine\n");
        world.write("notify.sh", "theirs\n");
        world.commit("a script");
        world.push(&[]);
        assert!(!world.turn(&mut checkout).await);
        assert_eq!(hold(&checkout), Some("not_moved"));
        assert!(text(&checkout).contains("notify.sh"), "{}", text(&checkout));
        assert_eq!(world.read_here("notify.sh"), "mine\n");
        assert!(checkout.state().hold.is_some());
        std::fs::remove_file(world.server.join("notify.sh")).expect("removed");
        assert!(world.advance(&mut checkout).await);
        assert_eq!(hold(&checkout), None);
    });
}

#[test]
fn no_commit_writes_where_this_machine_keeps_its_own() {
    for (path, subfolder) in [
        (".llama-orch/chat/state.json", ""),
        ("bins/README.md", ""),
        (".llama-orch/chat/state.json", "srv"),
    ] {
        block_on(async {
            let mut world = Repositories::within(subfolder);
            let mut checkout = world.open(PLAIN).await;
            let first = world.here();
            let ignored = world.server.join(".git/info/exclude");
            std::fs::write(ignored, ".llama-orch/\nbins/\n").expect("written");
            world.write_here(path, "mine\n");
            world.write(path, "theirs\n");
            let bad = world.commit("what is tracked by mistake");
            world.push(&[]);
            assert!(!world.turn(&mut checkout).await);
            assert_eq!(hold(&checkout), Some("not_moved"));
            assert!(text(&checkout).contains(path), "{}", text(&checkout));
            pin(&world, &bad);
            assert!(!world.advance(&mut checkout).await);
            assert_eq!(hold(&checkout), Some("not_moved"));
            assert_eq!(
                (world.here(), world.read_here(path)),
                (first, "mine\n".to_owned())
            );
            resume(&world);
            let tracked = world.author.join(subfolder).join(path);
            std::fs::remove_file(tracked).expect("removed");
            world.commit("taken out");
            world.push(&[]);
            assert!(world.turn(&mut checkout).await);
            assert_eq!(hold(&checkout), None);
            assert_eq!(world.read_here(path), "mine\n");
        });
    }
}

#[test]
fn a_person_pins_an_older_commit_and_lets_it_go_again() {
    block_on(async {
        let mut world = Repositories::new();
        let first = world.here();
        let mut checkout = world.open(PLAIN).await;
        let second = world.publish("second");
        world.turn(&mut checkout).await;
        world.carry_out(&mut checkout).await;
        pin(&world, &first);
        assert!(world.advance(&mut checkout).await);
        assert_eq!((world.here(), hold(&checkout)), (first.clone(), None));
        assert_eq!(world.read_here("orchestrator.yaml"), MANIFEST);
        world.carry_out(&mut checkout).await;
        assert_eq!(checkout.state().applied.as_ref(), Some(&first));

        // It stays there, for another watch as well.
        let third = world.publish("third");
        let mut checkout = world.open(PLAIN).await;
        assert!(!world.turn(&mut checkout).await);
        assert_eq!(world.here(), first);
        assert_eq!(checkout.state().upstream.as_ref(), Some(&third));
        assert_eq!(checkout.state().pinned.clone().expect("told").commit, first);
        assert!(checkout.look(world.now()).await);

        resume(&world);
        assert!(world.advance(&mut checkout).await);
        assert_eq!((world.here(), hold(&checkout)), (third.clone(), None));
        world.carry_out(&mut checkout).await;

        // By hand, nobody goes behind what was applied.
        world.git(&world.server, &["reset", "-q", "--hard", &second]);
        assert!(!checkout.look(world.now()).await);
        world.carry_out(&mut checkout).await;
        assert_eq!(checkout.state().applied.as_ref(), Some(&third));
        assert!(world.advance(&mut checkout).await);
        assert_eq!(world.here(), third);
    });
}

#[test]
fn only_a_commit_of_the_branch_can_be_pinned() {
    block_on(async {
        let world = Repositories::new();
        let first = world.here();
        let second = world.publish("second");
        let root = world.root();
        // It is not fetched yet.
        let (commit, subject) = pinnable(&root, &second[..12]).await.expect("it is there");
        assert_eq!((commit, subject.as_str()), (second, "second"));
        assert_eq!(pinnable(&root, &first).await.expect("older").0, first);
        let unknown = pinnable(&root, "1234567").await;
        assert!(matches!(unknown, Err(GitError::UnknownCommit(_))));
        let option = pinnable(&root, "--all").await;
        assert!(matches!(option, Err(GitError::UnknownCommit(_))));
        world.git(
            &world.server,
            &["commit", "-q", "--allow-empty", "-m", "here"],
        );
        let here = pinnable(&root, "HEAD").await;
        assert!(matches!(here, Err(GitError::NotThere { .. })), "{here:?}");
    });
}

#[test]
fn while_watch_is_suspended_no_commit_is_taken() {
    block_on(async {
        let mut world = Repositories::new();
        let first = world.here();
        let mut checkout = world.open(PLAIN).await;
        suspend(&world);
        world.turn(&mut checkout).await;
        assert_eq!(hold(&checkout), None);
        let second = world.publish("second");
        assert!(!world.turn(&mut checkout).await);
        assert_eq!((world.here(), hold(&checkout)), (first, Some("suspended")));
        resume(&world);
        assert!(world.advance(&mut checkout).await);
        assert_eq!((world.here(), hold(&checkout)), (second, None));
    });
}

#[test]
fn a_remote_that_is_gone_changes_nothing_and_is_asked_less_often() {
    block_on(async {
        let mut world = Repositories::new();
        let mut checkout = world.open(PLAIN).await;
        world.turn(&mut checkout).await;
        let minute = Duration::from_mins(1);
        let seconds = |checkout: &Checkout, jitter| {
            checkout.next_fetch_in(minute, jitter).as_secs_f64().round()
        };
        assert_eq!(seconds(&checkout, 0.5).to_string(), "60");
        assert_eq!(seconds(&checkout, 0.0).to_string(), "54");
        assert_eq!(seconds(&checkout, 1.0).to_string(), "66");
        let away = world.remote.with_file_name("away.git");
        std::fs::rename(&world.remote, &away).expect("moved");
        for expected in ["120", "240", "480", "600", "600"] {
            assert!(!world.turn(&mut checkout).await);
            assert_eq!(hold(&checkout), None);
            assert_eq!(seconds(&checkout, 0.5).to_string(), expected);
        }
        let error = checkout.state().fetch_error.clone().expect("told");
        assert!(
            error.contains("does not appear to be a git repository"),
            "{error}"
        );
        assert!(checkout.look(world.now()).await);
        std::fs::rename(&away, &world.remote).expect("moved");
        let second = world.publish("second");
        assert!(world.turn(&mut checkout).await);
        assert_eq!(world.here(), second);
        assert_eq!(checkout.state().fetch_error, None);
        assert_eq!(seconds(&checkout, 0.5).to_string(), "60");
    });
}

#[test]
fn what_an_ssh_leaves_running_is_not_waited_for() {
    block_on(async {
        let mut world = Repositories::new();
        let address = "ssh://git.example/ops.git";
        world.git(&world.server, &["remote", "set-url", "origin", address]);
        // It holds the output open for longer than git is given.
        let left = world.server.with_file_name("left");
        let ssh = format!("sleep 100 > /dev/null & echo $! > '{left}'; echo no key >&2; exit 255;");
        world.git(&world.server, &["config", "core.sshCommand", &ssh]);
        // Else it is called once more, to see what it is.
        world.git(&world.server, &["config", "ssh.variant", "simple"]);
        let mut checkout = world.open(PLAIN).await;
        world.turn(&mut checkout).await;
        let pid = std::fs::read_to_string(&left).expect("it was called");
        kill(pid.trim().parse().expect("a number"));
        let error = checkout.state().fetch_error.clone().expect("it failed");
        assert!(error.contains("no key"), "{error}");
    });
}

#[test]
fn several_roots_in_one_clone_are_kept_apart() {
    block_on(async {
        let mut world = Repositories::within("hosts/gpu 1");
        let mut checkout = world.open(PLAIN).await;
        world.turn(&mut checkout).await;
        world.carry_out(&mut checkout).await;
        let second = world.publish("second");
        assert!(world.turn(&mut checkout).await);
        world.carry_out(&mut checkout).await;
        assert_eq!(checkout.state().applied.as_ref(), Some(&second));
        // An edit elsewhere in the clone counts, a new file elsewhere does not.
        std::fs::write(world.server.join("orchestrator.lock"), "").expect("written");
        assert!(checkout.look(world.now()).await);
        world.write_here("orchestrator.lock", "");
        assert!(!checkout.look(world.now()).await);

        let other = world.server.join("hosts/gpu2");
        std::fs::create_dir_all(&other).expect("created");
        let other = Checkout::open(&Root::new(other), PLAIN)
            .await
            .expect("a clone");
        assert_eq!(other.state().applied, None);
        let names = world.git(
            &world.server,
            &["for-each-ref", "--format=%(refname)", "refs/llama-orch"],
        );
        assert_eq!(names, "refs/llama-orch/root+hosts+gpu%201/applied");
    });
}

#[test]
fn a_history_that_is_cut_off_is_followed_as_far_as_it_can_be_told() {
    block_on(async {
        let mut world = Repositories::new();
        let first = world.here();
        let second = world.publish("second");
        std::fs::remove_dir_all(&world.server).expect("removed");
        let address = format!("file://{}", world.remote);
        let home = world.remote.parent().expect("it has one").to_owned();
        let clone = ["clone", "-q", "--depth=1", &address, world.server.as_str()];
        world.git(&home, &clone);
        let mut checkout = world.open(PLAIN).await;
        world.turn(&mut checkout).await;
        assert_eq!((hold(&checkout), world.here()), (None, second.clone()));
        world.carry_out(&mut checkout).await;
        let third = world.publish("third");
        assert!(world.turn(&mut checkout).await);
        assert_eq!(world.here(), third);
        world.carry_out(&mut checkout).await;

        world.git(&world.author, &["reset", "-q", "--hard", &first]);
        world.write("orchestrator.yaml", &format!("{MANIFEST}# other\n"));
        world.commit("other");
        world.push(&["--force"]);
        assert!(!world.turn(&mut checkout).await);
        assert_eq!((hold(&checkout), world.here()), (Some("shallow"), third));
    });
}

#[test]
fn a_clone_without_a_branch_to_follow_stays_where_it_is() {
    block_on(async {
        let mut world = Repositories::new();
        let first = world.here();
        let mut checkout = world.open(PLAIN).await;
        world.turn(&mut checkout).await;
        world.carry_out(&mut checkout).await;
        world.publish("second");
        world.git(&world.server, &["checkout", "-q", "--detach"]);
        assert!(!world.turn(&mut checkout).await);
        assert_eq!(
            (hold(&checkout), world.here()),
            (Some("detached"), first.clone())
        );
        assert!(checkout.look(world.now()).await);
        world.git(&world.server, &["switch", "-q", "-c", "local"]);
        assert!(!world.turn(&mut checkout).await);
        assert_eq!(
            (hold(&checkout), world.here()),
            (Some("no_upstream"), first)
        );
        world.git(&world.server, &["switch", "-q", "main"]);
        assert!(world.turn(&mut checkout).await);
        assert_eq!(hold(&checkout), None);
    });
}

#[test]
fn what_is_no_clone_is_refused() {
    block_on(async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = camino::Utf8Path::from_path(folder.path()).expect("UTF-8");
        let error = Checkout::open(&Root::new(path), PLAIN).await.err();
        let error = error.expect("refused");
        assert!(matches!(error, GitError::NotAClone { .. }), "{error}");
        assert!(error.hint().expect("a hint").contains("git clone"));
        let world = Repositories::new();
        world.git(path, &["init", "-q"]);
        let error = Checkout::open(&Root::new(path), PLAIN).await.err();
        assert!(matches!(error, Some(GitError::NoCommit(_))), "{error:?}");
    });
}

#[test]
fn credentials_are_never_shown() {
    block_on(async {
        let mut world = Repositories::new();
        // Nobody listens there, and git says so with the address.
        let address = "http://joe:pa55word@127.0.0.1:9/ops.git?private_token=s3cret";
        world.git(&world.server, &["remote", "set-url", "origin", address]);
        let mut checkout = world.open(PLAIN).await;
        world.turn(&mut checkout).await;
        let state = checkout.state();
        assert_eq!(state.remote, "http://127.0.0.1:9/ops.git");
        let error = state.fetch_error.clone().expect("it failed");
        assert!(error.contains("127.0.0.1"), "{error}");
        for secret in ["joe", "pa55word", "s3cret"] {
            assert!(!format!("{checkout:?}").contains(secret) || secret != "joe");
            assert!(!format!("{state:?}").contains(secret), "{state:?}");
        }
    });
}

/// A key whose commits the server trusts. None where there is no `ssh-keygen`.
fn trusted_key(world: &Repositories) -> Option<String> {
    let key = world.server.with_file_name("key");
    let made = Command::new("ssh-keygen")
        .args([
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "",
            "-f",
            key.as_str(),
        ])
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return None;
    }
    let public = std::fs::read_to_string(key.with_extension("pub")).expect("readable");
    let trusted = world.server.with_file_name("allowed_signers");
    std::fs::write(&trusted, format!("ada@example.org {public}")).expect("written");
    let config = [
        ("gpg.format", "ssh"),
        ("gpg.ssh.allowedSignersFile", trusted.as_str()),
    ];
    for (name, value) in config {
        world.git(&world.server, &["config", name, value]);
        world.git(&world.author, &["config", name, value]);
    }
    world.git(&world.author, &["config", "user.signingKey", key.as_str()]);
    Some(key.into_string())
}

#[test]
fn every_new_commit_has_to_be_signed_where_that_is_asked_for() {
    block_on(async {
        let mut world = Repositories::new();
        if trusted_key(&world).is_none() {
            println!("skipped: there is no ssh-keygen");
            return;
        }
        // What lies here at first has to be signed as well.
        let mut checkout = world.open(SIGNED).await;
        world.turn(&mut checkout).await;
        assert_eq!(hold(&checkout), Some("unsigned"));
        assert!(!checkout.look(world.now()).await);
        let told = text(&checkout);
        assert!(told.contains("Ada <ada@example.org>"), "{told}");
        assert!(told.contains("it has no signature"), "{told}");
        assert!(told.contains("log --show-signature -1"), "{told}");

        world.write("orchestrator.yaml", &format!("{MANIFEST}# signed\n"));
        let signed = world.commit_with("signed", &["-S"]);
        world.push(&[]);
        world.git(&world.server, &["pull", "-q"]);
        world.turn(&mut checkout).await;
        assert_eq!((hold(&checkout), world.here()), (None, signed.clone()));
        assert!(checkout.look(world.now()).await);
        world.carry_out(&mut checkout).await;

        // An unsigned one below a signed one.
        world.write("orchestrator.yaml", &format!("{MANIFEST}# unsigned\n"));
        let unsigned = world.commit("unsigned");
        world.commit_with("signed again", &["-S"]);
        world.push(&[]);
        assert!(!world.turn(&mut checkout).await);
        assert_eq!(
            (hold(&checkout), world.here()),
            (Some("unsigned"), signed.clone())
        );
        assert!(
            text(&checkout).contains(&unsigned[..10]),
            "{}",
            text(&checkout)
        );
        // What lies here goes on counting.
        assert!(checkout.look(world.now()).await);
        // Somebody pulls it by hand, which makes it no better.
        world.git(&world.server, &["pull", "-q"]);
        assert!(!checkout.look(world.now()).await);
        assert_eq!(hold(&checkout), Some("unsigned"));
        world.git(&world.server, &["reset", "-q", "--hard", &signed]);

        // It is mended there.
        world.git(&world.author, &["reset", "-q", "--hard", &signed]);
        world.write("orchestrator.yaml", &format!("{MANIFEST}# mended\n"));
        let mended = world.commit_with("mended", &["-S"]);
        world.push(&["--force"]);
        assert!(world.turn(&mut checkout).await);
        assert_eq!((hold(&checkout), world.here()), (None, mended));
    });
}

#[test]
fn going_back_to_before_commits_were_signed_leads_back_again() {
    block_on(async {
        let mut world = Repositories::new();
        if trusted_key(&world).is_none() {
            println!("skipped: there is no ssh-keygen");
            return;
        }
        let first = world.here();
        world.publish("second");
        world.write("orchestrator.yaml", &format!("{MANIFEST}# signed\n"));
        let signed = world.commit_with("signed", &["-S"]);
        world.push(&[]);
        world.git(&world.server, &["pull", "-q"]);
        let mut checkout = world.open(SIGNED).await;
        world.turn(&mut checkout).await;
        assert_eq!((hold(&checkout), world.here()), (None, signed.clone()));
        world.carry_out(&mut checkout).await;
        pin(&world, &first);
        assert!(world.advance(&mut checkout).await);
        world.carry_out(&mut checkout).await;
        assert_eq!(checkout.state().applied.as_ref(), Some(&first));
        resume(&world);
        let mut checkout = world.open(SIGNED).await;
        assert!(world.turn(&mut checkout).await);
        assert_eq!((hold(&checkout), world.here()), (None, signed));
    });
}

#[test]
fn a_merge_hides_no_unsigned_commit() {
    block_on(async {
        let mut world = Repositories::new();
        if trusted_key(&world).is_none() {
            println!("skipped: there is no ssh-keygen");
            return;
        }
        let author = world.author.clone();
        let mut checkout = world.open(PLAIN).await;
        world.turn(&mut checkout).await;
        world.carry_out(&mut checkout).await;
        let mut checkout = world.open(SIGNED).await;
        world.git(&author, &["switch", "-q", "-c", "side"]);
        world.write("side.txt", "side\n");
        let hidden = world.commit("hidden");
        world.git(&author, &["switch", "-q", "main"]);
        world.write("main.txt", "main\n");
        world.commit_with("signed", &["-S"]);
        world.git(
            &author,
            &["merge", "-q", "-S", "--no-ff", "-m", "merge", "side"],
        );
        world.push(&[]);
        assert!(!world.turn(&mut checkout).await);
        assert_eq!(hold(&checkout), Some("unsigned"));
        assert!(
            text(&checkout).contains(&hidden[..10]),
            "{}",
            text(&checkout)
        );

        // A key nobody trusts is no better than none.
        std::fs::write(world.server.with_file_name("allowed_signers"), "").expect("written");
        assert!(!world.advance(&mut checkout).await);
        assert_eq!(hold(&checkout), Some("unsigned"));
    });
}

#[test]
fn a_brake_of_a_later_version_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = Root::new(camino::Utf8Path::from_path(folder.path()).expect("UTF-8"));
    root.create_state().expect("created");
    std::fs::write(root.brake(), r#"{"schema":1,"later":[1],"suspended":null}"#).expect("written");
    let at = Timestamp::UNIX_EPOCH.to_string();
    let change = |brake: &mut Brake| brake.suspended = Some(Halted { at, reason: None });
    Brake::change(&root, change).expect("written");
    let text = std::fs::read_to_string(root.brake()).expect("readable");
    assert!(text.contains("later"), "{text}");
    std::fs::write(root.brake(), r#"{"schema":2}"#).expect("written");
    assert!(Brake::change(&root, |brake| brake.suspended = None).is_err());
    std::fs::write(root.brake(), "").expect("written");
    assert!(Brake::read(&root).is_err());
}
