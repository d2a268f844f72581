//! Releases whose files are still being uploaded: waited for, and never made do with.

use super::*;

const CUDA: &str = "ubuntu-cuda-13.4-x64";

fn runtime(build: &str) -> Asset {
    asset(format!(
        "cudart-llama-{build}-bin-ubuntu-cuda-13.4-x64.tar.gz"
    ))
}

fn told(settled: &Settled) -> String {
    let why = settled.why("chat");
    format!("{why}\n  {}", why.hint().unwrap_or_default())
}

#[test]
fn auto_waits_for_the_kind_this_machine_runs() {
    let mut world = World::pinned("version: b9553").uploads("b9553", &[CPU]);
    assert_eq!(world.settle().build("chat"), "b9553 ubuntu-x64");

    world.host.accelerators.vulkan = true;
    let settled = world.settle();
    assert_eq!(
        told(&settled),
        "b9553 has no `vulkan` build yet: it is still being uploaded; it has cpu-x64\n  \
         run `llama-orch plan` again in some minutes"
    );
    assert!(settled.resolved.chosen.is_empty(), "nothing is kept");
    assert!(settled.resolved.lock.assets.is_empty());
}

#[test]
fn auto_takes_what_is_best_as_soon_as_it_is_there() {
    let mut world = World::pinned("version: b9553").uploads("b9553", &[CPU, VULKAN]);
    world.host.accelerators.vulkan = true;
    assert_eq!(world.settle().build("chat"), "b9553 ubuntu-vulkan-x64");
}

#[test]
fn a_release_that_is_done_has_what_it_has() {
    let mut world = World::pinned("version: b9553").publishes("b9553", &[CPU]);
    world.host.accelerators.vulkan = true;
    assert_eq!(world.settle().build("chat"), "b9553 ubuntu-x64");
}

#[test]
fn what_auto_chose_before_is_not_made_to_wait() {
    let mut world = World::pinned("version: b9553").uploads("b9553", &[CPU]);
    world.host.accelerators.vulkan = true;
    world.chosen.insert(name("chat"), Variant::new(CPU));
    assert_eq!(world.settle().build("chat"), "b9553 ubuntu-x64");
}

#[test]
fn a_cuda_build_waits_for_its_runtime_and_names_builds_that_have_it() {
    let mut world = World::pinned("version: b9553, variant: cuda")
        .publishes("b9540", &[CUDA])
        .uploads("b9553", &[CUDA, CPU]);
    world.releases[1].assets.push(runtime("b9540"));
    assert_eq!(
        told(&world.settle()),
        "b9553 has a `ubuntu-cuda-13.4-x64` build, but not the CUDA runtime (`cudart-`) it needs yet: \
         it is still being uploaded\n  \
         run `llama-orch plan` again in some minutes; the nearest builds that have it: b9540"
    );
    world.releases[0].uploading = false;
    assert_eq!(
        told(&world.settle()),
        "b9553 has a `ubuntu-cuda-13.4-x64` build, but not the CUDA runtime (`cudart-`) it needs\n  \
         the nearest builds that have it: b9540"
    );
    // The same for whoever left it to `auto`.
    world = world.repinned("version: b9553");
    world.host.accelerators.cuda = Some(13);
    world.releases[0].uploading = true;
    let settled = world.settle();
    let why = settled.why("chat");
    assert!(matches!(why, Unanswered::CompanionMissing { .. }), "{why}");
}

#[test]
fn what_the_driver_cannot_run_is_not_what_was_waited_for() {
    let mut world = World::pinned("version: b9553").uploads("b9553", &[CUDA, VULKAN]);
    world.releases[0].assets.push(runtime("b9553"));
    world.host.accelerators.cuda = Some(12);
    world.host.accelerators.vulkan = true;
    assert_eq!(
        world.settle().why("chat").to_string(),
        "b9553 has no `cuda-12` build yet: it is still being uploaded; it has cuda-13.4-x64, vulkan-x64"
    );
}

#[test]
fn nightly_passes_over_a_build_that_has_only_the_lesser_kind_so_far() {
    let mut world = World::pinned("version: nightly")
        .uploads("b9700", &[CPU])
        .publishes("b9650", &[CPU, VULKAN]);
    world.host.accelerators.vulkan = true;
    assert_eq!(world.settle().build("chat"), "b9650 ubuntu-vulkan-x64");

    let mut alone = World::pinned("version: nightly").uploads("b9700", &[CPU]);
    alone.host.accelerators.vulkan = true;
    let settled = alone.settle();
    settled.why("chat");
    assert_eq!(settled.locked_tag("chat"), None);
}

#[test]
fn the_lock_remembers_an_unfinished_upload_until_somebody_needs_the_rest() {
    let mut world = World::pinned("version: b9553").uploads("b9553", &[CPU]);
    let settled = world.settle();
    assert!(settled.resolved.lock.uploading.contains(&tag("b9553")));
    world = world.after(&settled);
    let settled = world.settle().asked_nothing();
    assert!(settled.resolved.lock.uploading.contains(&tag("b9553")));

    // Another machine has the lock, and more has come.
    world.chosen.clear();
    world.host.accelerators.vulkan = true;
    world.releases = vec![release("b9553", &[CPU, VULKAN])];
    world.releases[0].uploading = true;
    let settled = world.settle();
    assert_eq!(settled.build("chat"), "b9553 ubuntu-vulkan-x64");
    assert!(settled.resolved.lock.uploading.contains(&tag("b9553")));

    world.releases[0].uploading = false;
    let settled = world.settle();
    assert!(settled.resolved.lock.uploading.is_empty());
    assert_eq!(settled.resolved.lock.assets[&tag("b9553")].len(), 2);
}

#[test]
fn a_lock_of_a_whole_release_leaves_no_question_whatever_this_machine_runs() {
    let mut world = World::pinned("version: b9553").locks("b9553", &[CPU]);
    world.host.accelerators.vulkan = true;
    let settled = world.settle().asked_nothing();
    assert_eq!(settled.build("chat"), "b9553 ubuntu-x64");
}

#[test]
fn what_nothing_uses_leaves_the_list_with_its_files() {
    let mut world = World::pinned("version: b9600").publishes("b9600", &[CPU]);
    world.lock.uploading.insert(tag("b9553"));
    assert!(world.settle().resolved.lock.uploading.is_empty());
}

/// Another machine may have locked what was there while the rest was still coming.
#[test]
fn a_lock_from_an_unfinished_upload_does_not_settle_what_auto_chooses_first() {
    let mut world = World::pinned("version: b9553")
        .locks("b9553", &[CPU])
        .publishes("b9553", &[CPU, VULKAN]);
    world.lock.uploading.insert(tag("b9553"));
    world.host.accelerators.vulkan = true;
    let settled = world.settle();
    assert_eq!(settled.asked, [Question::Assets(tag("b9553"))]);
    assert_eq!(settled.build("chat"), "b9553 ubuntu-vulkan-x64");
    assert_eq!(settled.resolved.lock.assets[&tag("b9553")].len(), 2);

    // From then on, nothing is asked.
    world.after(&settled).settle().asked_nothing();
}

#[test]
fn where_nobody_can_be_asked_the_lock_has_to_do() {
    let mut world = World::pinned("version: b9553").locks("b9553", &[CPU]);
    world.lock.uploading.insert(tag("b9553"));
    world.host.accelerators.vulkan = true;
    let settled = world.settle();
    assert_eq!(settled.asked, [Question::Assets(tag("b9553"))]);
    assert_eq!(settled.build("chat"), "b9553 ubuntu-x64");
    world.terms.offline = true;
    let settled = world.settle().asked_nothing();
    assert_eq!(settled.build("chat"), "b9553 ubuntu-x64");
    let settled = world.locked().settle().asked_nothing();
    assert_eq!(settled.build("chat"), "b9553 ubuntu-x64");
}
