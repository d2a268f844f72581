//! One pin by itself, and the newest builds.

use super::*;
use crate::manifest::{Pin, ReleaseRequest};

impl World {
    /// Asks until `step` has what it wants. What it gets to know has no instance in it.
    fn asking<T>(
        &self,
        step: impl Fn(&Known<'_>) -> Result<T, Open>,
    ) -> (Result<T, Unanswered>, Vec<Question>) {
        let texts = Texts {
            manifest: SourceText::new("orchestrator.yaml", "version: 1\ninstances: {}\n"),
            configs: BTreeMap::new(),
        };
        let manifest = Manifest::parse(&texts).expect("a manifest");
        let mut answers = Answers::new(self.seed);
        let mut asked = Vec::new();
        loop {
            let known = Known {
                manifest: &manifest,
                lock: &self.lock,
                installed: &self.installed,
                legacy: false,
                host: &self.host,
                chosen: &self.chosen,
                answers: &answers,
                salt: &Salt::new("salt"),
                terms: self.terms,
            };
            match step(&known) {
                Ok(value) => return (Ok(value), asked),
                Err(Open::Never(why)) => return (Err(why), asked),
                Err(Open::Ask(question)) => {
                    assert!(!asked.contains(&question), "{question:?} is asked again");
                    asked.push(question);
                    answers.note(question, self.answer(question));
                }
            }
        }
    }

    fn newest(&self, request: &ReleaseRequest, variant: &str) -> Result<Newest, Unanswered> {
        let variant = variant.parse().expect("a variant");
        self.asking(|known| newest(known, request, &variant)).0
    }
}

fn pin(version: &str, variant: &str) -> Pin {
    Pin {
        version: Some(version.parse().expect("a version")),
        variant: variant.parse().expect("a variant"),
        binary_id: None,
        sha256: None,
        source_url: None,
    }
}

#[test]
fn a_single_pin_is_resolved_as_an_instances_would_be() {
    let mut world = World::of(&[])
        .stable("b9553")
        .publishes("b9553", &[VULKAN, CPU]);
    world.host.accelerators.vulkan = true;
    let pin = pin("stable", "auto");
    let (resolved, asked) = world.asking(|known| resolve_pin(known, &pin));
    let (binary, why) = resolved.expect("a build");
    assert_eq!(
        asked,
        [Question::NewestStable, Question::Assets(tag("b9553"))]
    );
    assert_eq!(binary.variant.as_str(), VULKAN);
    assert_eq!(binary.digest(), Some(digest("b9553", VULKAN)));
    assert!(why.is_some_and(|why| why.contains("Vulkan")));
}

#[test]
fn a_single_pin_that_lock_and_registry_know_asks_nobody() {
    let world = World::of(&[])
        .locks("b9553", &[VULKAN])
        .has(installed(ONE, "b9553", VULKAN));
    let pin = pin("b9553", "vulkan");
    let (resolved, asked) = world.asking(|known| resolve_pin(known, &pin));
    let (binary, _) = resolved.expect("a build");
    assert_eq!(binary.id, id(ONE));
    assert_eq!(binary.archives.len(), 1);
    assert_eq!(asked, []);
}

#[test]
fn the_newest_builds_say_the_hop_and_whether_they_have_the_variant() {
    let world = World::of(&[])
        .stable("b9553")
        .publishes("b9553", &[CPU])
        .publishes("b9600", &[CPU, VULKAN])
        .publishes("b9700", &[CPU]);
    let stable = world
        .newest(&ReleaseRequest::Stable, "vulkan")
        .expect("one");
    assert_eq!(stable.release.as_deref(), Some("v0.9.0"));
    assert_eq!(stable.tag, tag("b9553"));
    let why = stable.variant.expect_err("it has none");
    assert!(matches!(why, Unanswered::NotPublished { .. }), "{why}");

    let nightly = world.newest(&ReleaseRequest::Nightly, "vulkan");
    let nightly = nightly.expect("one");
    assert_eq!((nightly.release, nightly.tag), (None, tag("b9600")));
    assert_eq!(nightly.variant, Ok(Variant::new(VULKAN)));

    // Where none of them has it, the newest of all is still worth knowing.
    let nightly = world.newest(&ReleaseRequest::Nightly, "rocm").expect("one");
    assert_eq!(nightly.tag, tag("b9700"));
    nightly.variant.expect_err("it has none");
}

#[test]
fn a_digest_is_no_matter_where_only_the_newest_build_is_asked_for() {
    let mut world = World::of(&[]).publishes("b4458", &[VULKAN]);
    world.releases[0].assets[0].digest = None;
    let nightly = world
        .newest(&ReleaseRequest::Nightly, "vulkan")
        .expect("one");
    assert_eq!(nightly.variant, Ok(Variant::new(VULKAN)));
}

#[test]
fn no_answer_to_one_of_them_is_its_own() {
    let world = World::of(&[]).publishes("b9700", &[CPU]);
    world
        .newest(&ReleaseRequest::Stable, "cpu")
        .expect_err("nothing is stable");
    world.newest(&ReleaseRequest::Nightly, "cpu").expect("one");
    World::of(&[])
        .newest(&ReleaseRequest::Nightly, "cpu")
        .expect_err("nothing at all");
}
