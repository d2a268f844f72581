//! The real llama-server, where the folder that has it is named in `LLAMA_ORCH_REAL_DIR`.

use camino::Utf8PathBuf;

use super::*;
use crate::desired::{Answer, Question};

#[test]
fn a_real_llama_server_is_installed_and_says_which_build_it_is() {
    let Ok(folder) = std::env::var("LLAMA_ORCH_REAL_DIR") else {
        #[expect(clippy::print_stderr, reason = "says why nothing was tested")]
        {
            eprintln!("skipped: LLAMA_ORCH_REAL_DIR is not set");
        }
        return;
    };
    let source = Directory::new(Utf8PathBuf::from(folder), Network::default());
    let tag = Tag::new(9001);
    let answer = runtime()
        .block_on(source.answer(&Question::Assets(tag)))
        .expect("an answer");
    let Answer::Assets(release) = answer else {
        panic!("other than assets: {answer:?}")
    };
    let [asset] = release.assets.as_slice() else {
        panic!("other than one: {release:?}")
    };
    let binary = WantedBinary {
        id: BinaryId::new(uuid::Uuid::new_v4()),
        build: tag.into(),
        variant: Variant::new("ubuntu-x64"),
        archives: vec![WantedArchive {
            name: asset.name.clone(),
            size: Some(asset.size),
            digest: asset.digest.expect("a digest"),
            origin: ArchiveOrigin::Release(tag),
        }],
    };
    let sandbox = Sandbox::new();

    let installed = sandbox
        .install_from(&binary, &source, &|_| ())
        .expect("installed");

    assert_eq!(installed.outcome, Outcome::Installed);
    assert_eq!(installed.remarks, Vec::<String>::new());
    let links = names(&sandbox.bins.join(binary.id.to_string()));
    assert!(links.contains(&"libllama.so.0".to_owned()), "{links:?}");
}
