//! `binary install`: resolves one pin as if an instance had it, and installs what it comes to.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use clap::Args;
use llama_orch::desired::resolve::{Answers, Terms};
use llama_orch::desired::{Answer, ArchiveOrigin, Question, Unanswered, WantedBinary};
use llama_orch::install::{self, FetchRequest, InstallError, InstallRequest, Installed, Outcome};
use llama_orch::instance::BinaryId;
use llama_orch::manifest::{Pin, ReleaseRequest};
use llama_orch::reconcile::Loaded;
use llama_orch::release::given::Given;
use llama_orch::release::source::AnySource;
use llama_orch::release::{Asset, Digest, Release, Tag, VariantRequest};
use tokio::sync::Semaphore;
use url::Url;
use uuid::Uuid;

use super::installed;
use crate::cli::diagnostic::{Failure, Kind};
use crate::cli::progress::Screen;
use crate::cli::ui::Ui;
use crate::cli::{Global, runtime, text};

/// Install a build
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InstallArgs {
    /// `b9553`, `v0.9.0`, `stable`, `nightly`; with `--url`, any name
    #[arg(value_name = "VERSION")]
    version: ReleaseRequest,
    /// Which variant: `auto`, a family such as `cuda`, or a name such as `vulkan-x64`
    #[arg(long, value_name = "VARIANT", default_value = "auto")]
    variant: VariantRequest,
    /// What its archive must hash to
    #[arg(long, value_name = "HEX")]
    sha256: Option<Digest>,
    /// Where its archive is, if not in a release
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    /// Take an archive from this file; once more for one that belongs to it, such as `cudart-*`
    #[arg(long, value_name = "PATH")]
    from_file: Vec<Utf8PathBuf>,
    /// Under which UUID, in place of a new one
    #[arg(long, value_name = "UUID")]
    binary_id: Option<BinaryId>,
    /// Take it as it comes where nothing says what its archive must hash to
    #[arg(long)]
    allow_unverified: bool,
    /// Print it as JSON (`config schema binary-install` prints its schema)
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch binary install stable
  llama-orch binary install b9553 --variant vulkan
  llama-orch binary install b9553 --from-file llama-b9553-bin-ubuntu-x64.tar.gz";

pub(crate) fn run(global: &Global, args: &InstallArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    if root.bins().is_dir() {
        install::recover(&root.bins())?;
    }
    let loaded = global.load(&root, ui)?;
    let terms = Terms {
        offline: global.offline,
        ..Terms::default()
    };
    let screen = Screen::new(ui);
    let job = Job {
        args,
        source: loaded.source(terms),
        slots: Semaphore::new(loaded.manifest.source.parallel_downloads),
        loaded: &loaded,
        terms,
        screen: &screen,
        verbose: global.verbose,
    };
    let done = runtime()?.block_on(async {
        tokio::select! {
            done = job.run() => done,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(
                Kind::Interrupted,
                "interrupted".to_owned(),
            )
            .hint("what has come is kept; the same command goes on from there")),
        }
    });
    screen.finish();
    let done = done?;
    for remark in &done.remarks {
        ui.warning(remark);
    }
    let id = args.binary_id.unwrap_or(done.entry.id);
    installed::show(&root, id, &done, args.json, ui)?;
    Ok(0)
}

/// One install.
struct Job<'a> {
    args: &'a InstallArgs,
    loaded: &'a Loaded,
    source: AnySource,
    slots: Semaphore,
    terms: Terms,
    screen: &'a Screen<'a>,
    verbose: bool,
}

impl Job<'_> {
    async fn run(&self) -> Result<Installed, Failure> {
        let (binary, unverified) = self.resolve().await?;
        self.check_files(&binary)?;
        let subject = format!("{} {}", binary.build, binary.variant.short());
        let bar = self.screen.begin("install", &subject);
        let is_release = |origin: &ArchiveOrigin| matches!(origin, ArchiveOrigin::Release(_));
        let request = InstallRequest {
            binary: &binary,
            bins: &self.loaded.root.bins(),
            host: Some(&self.loaded.host),
            official: self.loaded.manifest.source.is_official()
                && binary
                    .archives
                    .iter()
                    .all(|archive| is_release(&archive.origin)),
            slots: &self.slots,
            unverified,
            minted: self.args.binary_id.is_none(),
        };
        let told = |progress| bar.install(&progress, self.screen);
        let done = install::install(&request, &self.given(), &told).await;
        match done {
            Ok(done) => {
                let there = if done.entry.version == binary.build.as_str() {
                    "is installed already".to_owned()
                } else {
                    format!("is installed already, as {}", done.entry.version)
                };
                let rest = match done.outcome {
                    Outcome::Installed => "installed".to_owned(),
                    Outcome::Present => there,
                    Outcome::Aliased => format!("{there}, and answers to this id as well now"),
                };
                self.screen
                    .end(bar, text::done("install", &subject, &rest), false);
                Ok(done)
            }
            Err(error) => {
                self.screen.clear(bar);
                Err(self.failed(&error))
            }
        }
    }

    /// The build that is meant, and whether something of it was taken as it came.
    async fn resolve(&self) -> Result<(WantedBinary, bool), Failure> {
        let pin = Pin {
            version: Some(self.args.version.clone()),
            variant: self.args.variant.clone(),
            binary_id: self.args.binary_id,
            sha256: self.args.sha256,
            source_url: self.args.url.clone(),
        };
        let mut answers = Answers::new(Uuid::new_v4());
        let mut taken = BTreeSet::new();
        let mut listed = false;
        loop {
            let resolved =
                self.loaded
                    .resolve_pin(&self.source, pin.clone(), answers.clone(), self.terms);
            match (resolved.await, self.tag()) {
                (Ok((binary, why)), _) => {
                    if let Some(why) = why.filter(|_| self.verbose) {
                        let variant = &binary.variant;
                        self.screen.print(|ui| {
                            ui.remark(format_args!("variant `auto` is {variant}: {why}"));
                        });
                    }
                    return Ok((binary, !taken.is_empty()));
                }
                (Err(Unanswered::NoDigest { name, size, origin }), _)
                    if self.args.allow_unverified && taken.insert(name.clone()) =>
                {
                    let digest = self.fetch(&name, size, &origin).await?;
                    answers.vouch(name, digest);
                }
                (Err(why), Some(tag))
                    if matches!(why, Unanswered::Source { .. })
                        && !self.args.from_file.is_empty()
                        && !listed =>
                {
                    listed = true;
                    answers.note(
                        Question::Assets(tag),
                        Ok(Answer::Assets(self.listing(tag)?)),
                    );
                }
                (Err(why), _) => return Err(self.unanswered(&why)),
            }
        }
    }

    fn tag(&self) -> Option<Tag> {
        match self.args.version {
            ReleaseRequest::Tag(tag) => Some(tag),
            _ => None,
        }
    }

    /// The release as the files show it that were given, where nobody else can say what is in it.
    fn listing(&self, tag: Tag) -> Result<Release, Failure> {
        let assets = self.args.from_file.iter().map(|path| {
            let unread = |source| InstallError::Read {
                path: path.clone(),
                source,
            };
            Ok(Asset {
                name: path.file_name().unwrap_or_default().to_owned(),
                size: path.metadata().map_err(unread)?.len(),
                digest: None,
            })
        });
        let assets = assets.collect::<Result<_, InstallError>>()?;
        Ok(Release {
            tag,
            assets,
            uploading: false,
            published: None,
        })
    }

    async fn fetch(
        &self,
        name: &str,
        size: Option<u64>,
        origin: &ArchiveOrigin,
    ) -> Result<Digest, Failure> {
        let bar = self.screen.begin("fetch", name);
        let request = FetchRequest {
            name,
            size,
            origin,
            bins: &self.loaded.root.bins(),
            slots: &self.slots,
        };
        let told = |progress| bar.install(&progress, self.screen);
        let digest = install::fetch_unverified(&request, &self.given(), &told).await;
        self.screen.clear(bar);
        let digest = digest.map_err(|error| self.failed(&error))?;
        self.screen.print(|ui| {
            ui.warning(format_args!(
                "nothing says what `{name}` must hash to; taken as it came, with sha256 {digest}"
            ));
        });
        Ok(digest)
    }

    /// The files that were given, before the source itself.
    fn given(&self) -> Given<'_, AnySource> {
        Given::new(self.args.from_file.clone(), &self.source)
    }

    /// Refuses a file that would silently be left aside.
    fn check_files(&self, binary: &WantedBinary) -> Result<(), Failure> {
        let names: Vec<&str> = binary
            .archives
            .iter()
            .map(|archive| archive.name.as_str())
            .collect();
        let is_known = |path: &&Utf8PathBuf| {
            let name = path.file_name().unwrap_or_default();
            names.contains(&name)
        };
        if let Some(path) = self.args.from_file.iter().find(|path| !path.is_file()) {
            return Err(Failure::new(
                Kind::Usage,
                format!("there is no file `{path}`"),
            ));
        }
        match self.args.from_file.iter().find(|path| !is_known(path)) {
            // Where it is here already, nothing is read at all.
            Some(path) if !names.is_empty() => {
                let (build, variant) = (&binary.build, binary.variant.short());
                let message = format!("`{path}` is no archive of {build} {variant}");
                Err(Failure::new(Kind::Usage, message)
                    .hint(format!("its archives are called {}", names.join(" and "))))
            }
            _ => Ok(()),
        }
    }

    fn failed(&self, error: &InstallError) -> Failure {
        let kind = if error.is_unreachable() {
            Kind::Unreachable
        } else if error.cannot_write() {
            Kind::CannotWrite
        } else {
            Kind::Failed
        };
        self.failure(kind, error, error.hint())
    }

    fn unanswered(&self, why: &Unanswered) -> Failure {
        let kind = if is_unreachable(why) {
            Kind::Unreachable
        } else {
            Kind::Failed
        };
        let hint = match why {
            Unanswered::NoDigest { .. } => Some(
                "say what it is with `--sha256 HEX`, or take it as it comes with `--allow-unverified`"
                    .to_owned(),
            ),
            Unanswered::Impossible { .. } if matches!(self.args.version, ReleaseRequest::Named(_)) => {
                Some(
                    "a VERSION is `stable`, `nightly`, a tag such as `b9553` or a release such as `v0.9.0`; with `--url` any name will do, and `llama-orch binary register` takes in a folder"
                        .to_owned(),
                )
            }
            other => other.hint(),
        };
        self.failure(kind, why, hint)
    }

    fn failure(&self, kind: Kind, why: &dyn std::error::Error, hint: Option<String>) -> Failure {
        let failure = Failure::new(kind, format!("cannot install {}", self.args.version));
        let failure = failure.because(why);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

fn is_unreachable(why: &Unanswered) -> bool {
    matches!(
        why,
        Unanswered::Source {
            unreachable: true,
            ..
        }
    )
}
